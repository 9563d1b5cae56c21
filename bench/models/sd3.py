"""Stable Diffusion 3 medium or 3.5 medium: a transformer of rectified flow, three text encoders, 16 latent channels.

Esser et al. 2024, arXiv 2403.03206. Checkpoints `stabilityai/stable-diffusion-3-medium-diffusers` and
`stabilityai/stable-diffusion-3.5-medium`; the T5 encoder may be left out (`text_encoder_3` null in the index).
"""

from dataclasses import replace
from typing import ClassVar

from .parts.composed import Parts
from .parts.fingerprint import CLIP, CLIP_TOKENIZER, SCHEDULER, T5, T5_TOKENIZER, Agree, Fingerprint, Part
from .parts.levels import Flow
from .parts.picture_transformer import SD3Transformer
from .parts.pipeline import Pipeline
from .parts.recipe import Recipe


class Sd3(Recipe):
    """No conditions but text. Skip-layer guidance is not used."""

    id = "sd3"
    paper: ClassVar[str] = "2403.03206"
    licence: ClassVar[str] = "Stability AI Community License"
    fingerprint: ClassVar[Fingerprint] = Fingerprint(
        "Stable Diffusion 3",
        {
            "transformer": Part(("SD3Transformer2DModel",), fields={"patch_size": 2}),
            "vae": Part(("AutoencoderKL",)),
            "text_encoder": CLIP,
            "text_encoder_2": CLIP,
            "text_encoder_3": replace(T5, optional=True),
            "tokenizer": CLIP_TOKENIZER,
            "tokenizer_2": CLIP_TOKENIZER,
            "tokenizer_3": replace(T5_TOKENIZER, optional=True),
            "scheduler": SCHEDULER,
        },
        agree=(
            Agree("transformer.in_channels", ("vae.latent_channels",)),
            Agree(
                "transformer.pooled_projection_dim", ("text_encoder.projection_dim", "text_encoder_2.projection_dim")
            ),
        ),
    )

    def parts(self) -> Parts:
        """The network, text encoders, codec and noise levels of the checkpoint's folder."""
        found = Pipeline(self.source, self.fingerprint.parts)
        net = SD3Transformer(self.source.weights("SD3Transformer2DModel", "transformer"))
        options = {"prompt_2": None, "prompt_3": None, "do_classifier_free_guidance": False, "max_sequence_length": 256}
        return Parts(
            network=net,
            conditioners=(found.text("StableDiffusion3Pipeline", ("text", "", "pooled", ""), options),),
            codec=found.codec,
            levels=Flow(self.source.scheduler()),
            window=int(net.config["sample_size"]) * found.codec.factor,
            folders={"pipeline": found.revision()},
        )
