"""PixArt-Sigma: a small transformer of noise prediction with a T5 text encoder and Stable Diffusion XL's codec.

Chen et al. 2024, arXiv 2403.04692. Checkpoint `PixArt-alpha/PixArt-Sigma-XL-2-1024-MS`. A folder that has a transformer
alone lacks the text encoder and codec of `PixArt-alpha/pixart_sigma_sdxlvae_T5_diffusers`: copy those beside it.
"""

from typing import ClassVar

from .parts.composed import Parts
from .parts.fingerprint import SCHEDULER, T5, T5_TOKENIZER, Agree, Fingerprint, Part
from .parts.levels import levels_of
from .parts.picture_transformer import PixArtTransformer
from .parts.pipeline import Pipeline
from .parts.recipe import Recipe


class Pixart(Recipe):
    """No conditions but text. The variance that the network also predicts is not used."""

    id = "pixart"
    paper: ClassVar[str] = "2403.04692"
    licence: ClassVar[str] = "OpenRAIL++-M"
    fingerprint: ClassVar[Fingerprint] = Fingerprint(
        "PixArt-Sigma",
        {
            # The published folder names the class by its old name.
            "transformer": Part(
                ("PixArtTransformer2DModel", "Transformer2DModel"),
                fields={"in_channels": 4, "out_channels": 8, "use_additional_conditions": (False, None)},
            ),
            "vae": Part(("AutoencoderKL",)),
            "text_encoder": T5,
            "tokenizer": T5_TOKENIZER,
            "scheduler": SCHEDULER,
        },
        agree=(Agree("transformer.caption_channels", ("text_encoder.d_model",)),),
    )

    def parts(self) -> Parts:
        """The network, text encoders, codec and noise levels of the checkpoint's folder."""
        found = Pipeline(self.source, self.fingerprint.parts)
        net = PixArtTransformer(self.source.weights("PixArtTransformer2DModel", "transformer"))
        options = {"do_classifier_free_guidance": False, "max_sequence_length": 300}
        return Parts(
            network=net,
            conditioners=(found.text("PixArtSigmaPipeline", ("text", "mask"), options),),
            codec=found.codec,
            levels=levels_of(self.source.scheduler()),
            window=int(net.config["sample_size"]) * found.codec.factor,
            folders={"pipeline": found.revision()},
        )
