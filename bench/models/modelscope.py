"""ModelScope's text-to-video network, and Zeroscope made of it: a three-dimensional UNet with Stable Diffusion's codec.

Wang, Yuan, Chen et al. 2023, arXiv 2308.06571: ali-vilab/text-to-video-ms-1.7b, cerspense/zeroscope_v2_576w.
"""

from typing import ClassVar

from .parts.clips import VideoUNet
from .parts.composed import Parts
from .parts.fingerprint import CLIP, CLIP_TOKENIZER, CODEC, SCHEDULER, TEXT_WIDTH, Fingerprint, Part
from .parts.recipe import Recipe
from .parts.stable_diffusion import StableDiffusion


class ModelScope(Recipe):
    """Views are a clip's frames in order; where they are not denoised together, each is a clip of one frame."""

    id = "modelscope"
    paper: ClassVar[str] = "2308.06571"
    licence: ClassVar[str] = "CC-BY-NC-4.0"
    title: ClassVar[str] = "ModelScope text-to-video"
    fingerprint: ClassVar[Fingerprint] = Fingerprint(
        "ModelScope's text-to-video",
        {
            "unet": Part(("UNet3DConditionModel",), fields={"in_channels": 4, "out_channels": 4}),
            "vae": CODEC,
            "text_encoder": CLIP,
            "tokenizer": CLIP_TOKENIZER,
            "scheduler": SCHEDULER,
        },
        (TEXT_WIDTH,),
    )

    def parts(self) -> Parts:
        """The video UNet, with text encoder and codec as in Stable Diffusion 2."""
        base = StableDiffusion(self.source)
        return Parts(
            network=VideoUNet(self.source.weights("UNet3DConditionModel", "unet")),
            conditioners=(base.text,),
            codec=base.codec,
            levels=base.levels,
            window=256,
            folders={"pipeline": base.revision()},
        )
