"""ImageDream: one network denoises views of the object in a picture together, with the picture as one more view.

Wang, Shi 2023, arXiv 2312.02201. As MVDream, whose self-attention spans the views and whose time embedding takes the
camera; the picture's clean latent is a view of its own in every step, and its tokens join cross-attention. The sampling
loop exchanges nothing. Left out: score distillation. No bundled network was trained so: the model is `sd_imagedream`.
"""

from dataclasses import dataclass
from typing import ClassVar

from .._together import Together


@dataclass(frozen=True, kw_only=True)
class ImageDream(Together):
    """Denoises all views of a picture's object together, each from its own noise and camera."""

    version: ClassVar[int] = 1
    paper: ClassVar[str] = "2312.02201"
    licence: ClassVar[str] = "Apache-2.0"
    requires: ClassVar[tuple[str, ...]] = ("joint", "camera", "image")
