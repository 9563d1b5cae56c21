"""Stable Video Diffusion: a network trained on clips denoises all frames of one that begins with a given picture.

Blattmann, Dockhorn, Kulal et al. 2023, arXiv 2311.15127 (diffusers' StableVideoDiffusionPipeline read, Apache-2.0). The
picture's latent stands beside every noisy frame and its embedding in the place of words; guidance rises along the clip,
from 1 at the first frame to the protocol's scale at the last (see the model `svd`); the sampling loop is the plain one.
Left out: Euler steps with churn, because the protocol's sampler is every method's, and noise on the picture that is
drawn afresh for each sample.
"""

from dataclasses import dataclass
from typing import ClassVar

from .._together import Together


@dataclass(frozen=True, kw_only=True)
class StableVideo(Together):
    """Every frame starts from its own noise; the item gives the picture, or a clip whose first frame it is."""

    version: ClassVar[int] = 1
    paper: ClassVar[str] = "2311.15127"
    licence: ClassVar[str] = "code Apache-2.0, weights Stability AI Community"
    requires: ClassVar[tuple[str, ...]] = ("joint", "time", "image", "video")
