"""MV-Adapter: views of an object denoised together, which meet along their rows of pixels.

Huang, Guo, Wang, Yi, Ma, Cao, Sheng, ICCV 2025, arXiv 2412.03632 (code read at 4277e00). The attention that was added
to the network spans each row of pixels of all views, and features of the cameras are added to its layers; the sampling
loop is the plain one. Left out: pictures and meshes as conditions, and the released script's ancestral steps, because
the protocol's sampler is every method's.
"""

from dataclasses import dataclass
from typing import ClassVar

from .._together import Together


@dataclass(frozen=True, kw_only=True)
class MVAdapter(Together):
    """Every view starts from its own noise; the prompt is the same and both halves of guidance get the cameras."""

    version: ClassVar[int] = 1
    paper: ClassVar[str] = "2412.03632"
    licence: ClassVar[str] = "Apache-2.0"
    requires: ClassVar[tuple[str, ...]] = ("joint", "camera", "rows")
