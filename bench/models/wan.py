"""Wan 2.1 text-to-video: a transformer of clips whose codec makes one latent of four frames.

Wan Team 2025, arXiv 2503.20314: Wan-AI/Wan2.1-T2V-1.3B-Diffusers and -14B-. Noise levels are those of Euler's sampler
at the folder's shift, because the published UniPC sampler keeps a history of its own.
"""

from typing import ClassVar

from .parts.clip_codec import VideoAutoencoder
from .parts.clips import VideoTransformer
from .parts.composed import Parts
from .parts.fingerprint import SCHEDULER, T5_TOKENIZER, Agree, Fingerprint, Part
from .parts.levels import levels_of
from .parts.recipe import Recipe
from .parts.texts import Text

TOKENS = 512
"""Tokens of a text, as the network was trained; diffusers' own default is fewer."""


class Wan(Recipe):
    """Views are a clip's frames in order, 1 + 4 k of them denoised together as 1 + k latents.

    Where they are not denoised together, each is a clip of one frame.
    """

    id = "wan"
    paper: ClassVar[str] = "2503.20314"
    licence: ClassVar[str] = "Apache-2.0"
    title: ClassVar[str] = "Wan 2.1"
    fingerprint: ClassVar[Fingerprint] = Fingerprint(
        "Wan 2.1 text-to-video",
        {
            "transformer": Part(("WanTransformer3DModel",), fields={"in_channels": 16, "image_dim": None}),
            "vae": Part(("AutoencoderKLWan",), fields={"z_dim": 16}),
            "text_encoder": Part(("UMT5EncoderModel",), "transformers"),
            "tokenizer": T5_TOKENIZER,
            "scheduler": SCHEDULER,
        },
        (Agree("transformer.text_dim", ("text_encoder.d_model",)),),
    )

    def parts(self) -> Parts:
        """The transformer, its T5 text encoder, its codec that compresses time, and Euler's noise levels."""
        folder = self.source
        text = Text(
            pipeline="WanPipeline",
            encoders={"text_encoder": folder.weights("UMT5EncoderModel", "text_encoder", "transformers")},
            tokenizers={"tokenizer": folder.tokenizer},
            options={"do_classifier_free_guidance": False, "max_sequence_length": TOKENS},
            parts=dict.fromkeys(("vae", "scheduler", "transformer")),
        )
        return Parts(
            network=VideoTransformer(folder.weights("WanTransformer3DModel", "transformer")),
            conditioners=(text,),
            codec=VideoAutoencoder(folder.weights("AutoencoderKLWan", "vae")),
            levels=levels_of(folder.scheduler()),
            window=832,
            folders={"pipeline": folder.revision(("transformer", "vae", "text_encoder", "tokenizer", "scheduler"))},
        )
