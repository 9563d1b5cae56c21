"""Stable Diffusion 2 with depth: a network that reads inverse depth as a fifth latent channel.

Rombach et al. 2022, arXiv 2112.10752. Checkpoint `stable-diffusion-2-depth` and its copies; the base of TEXTure,
TexPainter, TexFusion, StochSync and Pix2Video. The depth estimator of the folder is never loaded: depth comes from the
data set.
"""

from typing import ClassVar, Literal, Unpack

from .parts.composed import Parts
from .parts.denoiser import Precision
from .parts.described import UNUSED
from .parts.fingerprint import TEXT_WIDTH, UNET, Fingerprint, Part
from .parts.pictures import Inverse
from .parts.placement import Memory
from .parts.recipe import Recipe
from .parts.stable_diffusion import ONE_TEXT, StableDiffusion
from .parts.wrappers import Concatenated


class Sd2Depth(Recipe):
    """Condition `depth`: (N, 1, H, W) inverse depth, large is near; stretched to [-1, 1], the same in every pass."""

    id = "sd2_depth"
    paper: ClassVar[str] = "2112.10752"
    licence: ClassVar[str] = "OpenRAIL++-M"
    fingerprint: ClassVar[Fingerprint] = Fingerprint(
        "Stable Diffusion 2 with depth",
        {"unet": Part(UNET, fields={"in_channels": 5, "out_channels": 4, "class_embed_type": None}), **ONE_TEXT},
        agree=(TEXT_WIDTH,),
        unused=(*UNUSED, "depth_estimator"),
    )

    def __init__(
        self,
        *,
        path: str = "",
        commit: str = "",
        variant: str = "",
        normalise: Literal["per_view", "shared"] = "per_view",
        device: str = "auto",
        dtype: Precision = "float32",
        batch: int = 8,
        **memory: Unpack[Memory],
    ) -> None:
        """`normalise`: each view's depth is stretched by itself (as published), or all views' together.

        Other options are those of the model `diffusers`.
        """
        super().__init__(path=path, commit=commit, variant=variant, device=device, dtype=dtype, batch=batch, **memory)
        self._normalise: Literal["per_view", "shared"] = normalise

    def parts(self) -> Parts:
        """The network, text encoders, codec and noise levels of the checkpoint's folder."""
        found = StableDiffusion(self.source)
        return Parts(
            network=Concatenated(found.unet, after=("depth",)),
            conditioners=(found.text, Inverse(found.codec.factor, self._normalise)),
            codec=found.codec,
            levels=found.levels,
            window=found.window(),
            folders={"pipeline": found.revision(), "normalise": self._normalise},
        )
