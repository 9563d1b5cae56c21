"""Stable Diffusion inpainting: a network that reads a mask and the masked picture beside the noise.

Rombach et al. 2022, arXiv 2112.10752. Checkpoints `stable-diffusion-v1-5/stable-diffusion-inpainting`,
`sd2-community/stable-diffusion-2-inpainting` and `diffusers/stable-diffusion-xl-1.0-inpainting-0.1`.
"""

from dataclasses import replace
from typing import ClassVar

from .parts.composed import Parts
from .parts.fingerprint import CLIP, CLIP_TOKENIZER, TEXT_WIDTH, UNET, Fingerprint, Part
from .parts.pictures import Masked
from .parts.recipe import Recipe
from .parts.stable_diffusion import ONE_TEXT, StableDiffusion
from .parts.wrappers import Concatenated


class Inpainting(Recipe):
    """Conditions `image` (N, 3, H, W) in [0, 1] and `mask` (N, 1, H, W), 1 where to paint; the same in every pass."""

    id = "inpainting"
    paper: ClassVar[str] = "2112.10752"
    licence: ClassVar[str] = "CreativeML OpenRAIL-M (1.5), OpenRAIL++-M (2, XL)"
    fingerprint: ClassVar[Fingerprint] = Fingerprint(
        "a Stable Diffusion inpainting checkpoint",
        {
            "unet": Part(UNET, fields={"in_channels": 9, "out_channels": 4, "class_embed_type": None}),
            **ONE_TEXT,
            "text_encoder_2": replace(CLIP, optional=True),
            "tokenizer_2": replace(CLIP_TOKENIZER, optional=True),
        },
        agree=(TEXT_WIDTH,),
    )

    def parts(self) -> Parts:
        """The network, text encoders, codec and noise levels of the checkpoint's folder."""
        found = StableDiffusion(self.source)
        return Parts(
            network=Concatenated(found.unet, after=("mask", "masked")),
            conditioners=(found.text, Masked(found.codec.factor)),
            codec=found.codec,
            levels=found.levels,
            window=found.window(),
            folders={"pipeline": found.revision()},
        )
