"""MVDream: one network denoises all views of an object together, each from its camera.

Shi, Wang, Ye, Long, Li, Yang, ICLR 2024, arXiv 2308.16512. The network's self-attention spans the views and its time
embedding takes the camera; the sampling loop exchanges nothing. Training is `syncbench train views`, on the world or on
views of your own. As published, by the model `sd_mvdream` and the suite `views`: the suffix ", 3d asset" (the model's
option `suffix`), elevation 15 (`rig` of `world_views`), 50 steps and guidance 10. Left out: score distillation; the
bundled network has never read the suffix.
"""

from dataclasses import dataclass
from typing import ClassVar

from .._together import Together


@dataclass(frozen=True, kw_only=True)
class MVDream(Together):
    """Denoises all views of a prompt together, each from its own noise; both halves of guidance get the cameras."""

    version: ClassVar[int] = 1
    paper: ClassVar[str] = "2308.16512"
    licence: ClassVar[str] = "MIT"
    requires: ClassVar[tuple[str, ...]] = ("joint", "camera")
