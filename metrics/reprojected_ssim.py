"""Reprojected SSIM, masked

Structural similarity between a view and its composite: the same view with the colours that its neighbour shows of the
same points, looked up by the true geometry, wherever both see them. The map of SSIM is averaged over those pixels only,
then over all of them in both directions of every two neighbours. Range [-1, 1]; higher is better.

Wang, Bovik, Sheikh, Simoncelli, IEEE Trans. Image Process. 2004, by torchmetrics (11 px Gaussian window, data range 1).
Source of the composite: our definition, after masked scores of warped views; visibility is that of `reprojection`.

Traps. Blank and smooth views are similar to anything: read it beside `sharpness`. Near the edge of what both see, the
window holds pixels of the view itself, which raises the score. Bilinear lookup softens texture, so the truth does not
score 1. Values depend on how far apart neighbours are: compare within one set of cameras.
"""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from annotated_types import Interval
from jaxtyping import Bool, Float
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from ..bench.types import Artifact, Family, Item, Role, Score
from .views.composites import neighbour_composites, obstacle
from .views.shots import RULES, Region

SMALLEST = 11
"""Side of the window of SSIM in pixels."""


@dataclass(frozen=True, kw_only=True)
class ReprojectedSsim:
    """Similarity of structure between a view and what its neighbours show of the same points."""

    version: ClassVar[int] = 1
    role: ClassVar[Role] = "consistency"
    direction: ClassVar[str] = "higher"
    unit: ClassVar[str] = ""
    families: ClassVar[tuple[Family, ...]] = ("geometry", "prior")
    presets: ClassVar[dict[str, dict[str, Any]]] = {"surface": {"region": "surface"}}

    region: Region = "object"
    """Which pixels are scored: the `object`, or every `surface` (the ground too)."""
    least: Annotated[float, Interval(ge=0, le=1)] = 0.05
    """Smallest fraction of the region's pixels that a neighbour must see; below it the score is null."""

    def fingerprint(self) -> str:
        """One line that names the pairs, the rules of visibility and the window."""
        return f"masked ssim 11 px of views and neighbours' composites, pixels of the {self.region}, {RULES}, rgb8"

    def __call__(self, artifact: Artifact, item: Item) -> Score:
        """The mean; coverage is the fraction of the region's pixels, over pairs, that were compared."""
        if reason := obstacle(artifact, item):
            return Score.none(reason)
        if min(artifact.views.shape[2:]) < SMALLEST:
            return Score.none(f"views are smaller than the {SMALLEST} px window of SSIM")
        total, compared, pixels = 0.0, 0, 0
        for view, composite, mask, count in neighbour_composites(artifact, item, self.region):
            pixels += count
            if not mask.any():
                continue
            total += float(_similarity(view, composite, mask).sum())
            compared += int(mask.sum())
        coverage = compared / pixels if pixels else 0.0
        if coverage < self.least or not compared:
            return Score.none(f"only {coverage:.1%} of the pixels of the {self.region} are seen by a neighbour")
        return Score(value=total / compared, coverage=coverage)


def _similarity(
    view: Float[Tensor, "3 h w"], composite: Float[Tensor, "3 h w"], mask: Bool[Tensor, "h w"]
) -> Float[Tensor, " p"]:
    """SSIM, mean over channels, at the pixels of the mask; computed in double precision on the part that has them."""
    cut = tuple(
        slice(max(0, int(at.min()) - SMALLEST), int(at.max()) + SMALLEST + 1) for at in mask.nonzero(as_tuple=True)
    )
    seen, true = (image[(slice(None), *cut)][None].double() for image in (composite, view))
    answer: Any = structural_similarity_index_measure(seen, true, data_range=1.0, return_full_image=True)
    return answer[1][0].mean(0)[mask[cut]]
