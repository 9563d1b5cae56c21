"""FLUX.1 dev or schnell: a transformer of rectified flow that was distilled, so that it makes one pass, not two.

Black Forest Labs 2024, https://github.com/black-forest-labs/flux; there is no paper. Checkpoints
`black-forest-labs/FLUX.1-dev` and `black-forest-labs/FLUX.1-schnell`.
"""

from typing import Annotated, ClassVar, Unpack

from annotated_types import Interval

from .parts.composed import Parts
from .parts.conditioners import Strength
from .parts.denoiser import Precision
from .parts.fingerprint import CLIP, CLIP_TOKENIZER, SCHEDULER, T5, T5_TOKENIZER, Agree, Fingerprint, Part
from .parts.guidance import Distilled
from .parts.levels import Flow
from .parts.picture_transformer import FluxTransformer
from .parts.pipeline import Pipeline
from .parts.placement import Memory
from .parts.recipe import Recipe


class Flux(Recipe):
    """Takes text only. The dev network reads the protocol's guidance scale as a number; schnell does not read it.

    The negative prompt is not used. Noise levels depend on the number of tokens, here that of one window, because all
    windows of a canvas share the levels. Token positions begin at 0 in every window.
    """

    id = "flux"
    licence: ClassVar[str] = "FLUX.1 [dev] Non-Commercial License (dev), Apache-2.0 (schnell)"
    fingerprint: ClassVar[Fingerprint] = Fingerprint(
        "FLUX.1",
        {
            "transformer": Part(("FluxTransformer2DModel",), fields={"patch_size": 1}),
            "vae": Part(("AutoencoderKL",)),
            "text_encoder": CLIP,
            "text_encoder_2": T5,
            "tokenizer": CLIP_TOKENIZER,
            "tokenizer_2": T5_TOKENIZER,
            "scheduler": SCHEDULER,
        },
        agree=(
            Agree("transformer.in_channels", ("vae.latent_channels",) * 4),
            Agree("transformer.pooled_projection_dim", ("text_encoder.hidden_size",)),
            Agree("transformer.joint_attention_dim", ("text_encoder_2.d_model",)),
        ),
    )

    def __init__(
        self,
        *,
        path: str = "",
        commit: str = "",
        variant: str = "",
        size: Annotated[int, Interval(ge=16, le=4096)] = 1024,
        device: str = "auto",
        dtype: Precision = "bfloat16",
        batch: int = 8,
        **memory: Unpack[Memory],
    ) -> None:
        """`size`: pixels along a side of a window, which set the noise levels of the dev network.

        Other options are those of the model `diffusers`.
        """
        super().__init__(path=path, commit=commit, variant=variant, device=device, dtype=dtype, batch=batch, **memory)
        self._size = size

    def parts(self) -> Parts:
        """The network, text encoders, codec and noise levels of the checkpoint's folder."""
        found = Pipeline(self.source, self.fingerprint.parts)
        net = FluxTransformer(self.source.weights("FluxTransformer2DModel", "transformer"))
        options = {"prompt_2": None, "max_sequence_length": 512 if net.config.get("guidance_embeds") else 256}
        tokens = (self._size // found.codec.factor // 2) ** 2
        return Parts(
            network=net,
            conditioners=(found.text("FluxPipeline", ("text", "pooled", ""), options), Strength()),
            codec=found.codec,
            levels=Flow(self.source.scheduler(), tokens=tokens, even=True),
            guidance=Distilled(),
            window=self._size,
            folders={"pipeline": found.revision(), "size": str(self._size)},
        )
