"""Marigold-IID: albedo, normal and shading of a picture denoised together, as channels of one latent.

Ke, Qu, Wang, Metzger, Obukhov et al. 2025, arXiv 2505.09358. One network reads the picture's latent beside the stacked
noisy ones, so the channels agree because they are one sample. An ensemble is the median of samples, pixel by pixel;
normals are averaged and brought to unit length. Training is `syncbench train channels_joint`. Left out: for normals the
sample nearest to the average, which upstream prefers to the average. Upstream has two models and normals in neither:
albedo, roughness and metallicity, or albedo, shading and a residual. Here normals take their places, and there is no
residual, because the reference world's pictures are albedo times shading.
"""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Interval

from ...bench.models.interface import Model
from ...bench.types import Artifact, Item
from .._together import Together
from ._ensembles import ensemble_of


@dataclass(frozen=True, kw_only=True)
class MarigoldIID(Together):
    """Denoises all channels of a picture as one sample; the views are the channels, in the dataset's order."""

    version: ClassVar[int] = 1
    paper: ClassVar[str] = "2505.09358"
    licence: ClassVar[str] = "Apache-2.0"
    requires: ClassVar[tuple[str, ...]] = ("joint", "channels")
    presets: ClassVar[dict[str, dict[str, Any]]] = {"ensemble": {"ensemble": 3}}

    ensemble: Annotated[int, Interval(ge=1, le=100)] = 1
    """Number of samples. Two are hardly better than one, because the median of two is one of them."""
    reduction: Literal["median", "mean"] = "median"
    """What becomes of the samples of a pixel."""

    def __call__(self, item: Item, model: Model, seed: int) -> Artifact:
        """The channels. For an ensemble the extra `uncertainty` (views, 1, h, w) is the median absolute deviation."""
        return ensemble_of(super().__call__, item, model, seed, self.ensemble, self.reduction)
