"""Marigold-IID: albedo, normal and shading of a picture denoised together, as channels of one latent.

Ke, Qu, Wang, Metzger, Obukhov et al. 2025, arXiv 2505.09358. One network reads the picture's latent beside the stacked
noisy ones, so the channels agree because they are one sample. Training is `syncbench train channels_joint`. Left out:
ensembles of several samples. Upstream has two models and normals in neither: albedo, roughness and metallicity,
or albedo, shading and a residual. Here normals take their places, and there is no residual, because the reference
world's pictures are albedo times shading.
"""

from dataclasses import dataclass
from typing import ClassVar

from .._together import Together


@dataclass(frozen=True, kw_only=True)
class MarigoldIID(Together):
    """Denoises all channels of a picture as one sample; the views are the channels, in the dataset's order."""

    version: ClassVar[int] = 1
    paper: ClassVar[str] = "2505.09358"
    licence: ClassVar[str] = "Apache-2.0"
    requires: ClassVar[tuple[str, ...]] = ("joint", "channels")
