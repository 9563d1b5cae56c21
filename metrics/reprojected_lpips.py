"""Reprojected LPIPS, masked

Sum over pairs of d(view, composite), divided by the sum over pairs of the fraction of the view that was compared. The
composite is the view with the colours that its neighbour shows of the same points, looked up by the true geometry,
wherever both see them, and its own colours elsewhere, so that only compared pixels differ; pairs are neighbours, in
both directions. Lower is better; the range is that of the distance d (LPIPS) over a whole view.

Zhang et al., CVPR 2018, arXiv 1801.03924, on composites as in masked scores of warped views; visibility is that of
`reprojection`.

Traps. Blank and blurred views agree: read it beside `sharpness`. Where a compared region ends, own colours meet looked
up ones, which adds edges if the two differ in brightness. Bilinear lookup softens texture, so the truth does not score
0. Values depend on how far apart neighbours are: compare within one set of cameras.
"""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Interval

from ..bench.backbones.judge import judge_refusal
from ..bench.backbones.perceptual import Perceptual, perceptual
from ..bench.types import Artifact, Family, Item, Role, Score
from .strips.crops import metric_device
from .views.composites import neighbour_composites, obstacle
from .views.shots import RULES, Region


@dataclass(frozen=True, kw_only=True)
class ReprojectedLpips:
    """Perceptual distance between a view and what its neighbours show of the same points."""

    version: ClassVar[int] = 1
    role: ClassVar[Role] = "consistency"
    direction: ClassVar[str] = "lower"
    unit: ClassVar[str] = ""
    families: ClassVar[tuple[Family, ...]] = ("geometry", "prior")
    presets: ClassVar[dict[str, dict[str, Any]]] = {"surface": {"region": "surface"}}

    backbone: str | None = None
    """`vgg`, `reference` or `statistics`; None takes the published weights if they are on the machine."""
    folder: str | None = None
    """Folder of a judge that the backbone `reference` loads; None takes the bundled judge."""
    region: Region = "object"
    """Which pixels are scored: the `object`, or every `surface` (the ground too)."""
    least: Annotated[float, Interval(ge=0, le=1)] = 0.05
    """Smallest fraction of the region's pixels that a neighbour must see; below it the score is null."""

    def provider(self) -> Perceptual:
        """The perceptual distance d."""
        return perceptual(self.backbone, self.folder, metric_device())

    def fingerprint(self) -> str:
        """One line that names the backbone, its weights, the pairs and the rules of visibility."""
        provider = self.provider()
        where = f"neighbours' composites per compared area of the {self.region}, {RULES}"
        return f"{provider.name} to {where}, {provider.fingerprint}, rgb8"

    def __call__(self, artifact: Artifact, item: Item) -> Score:
        """The distance per compared area; coverage is the fraction of the region's pixels that were compared."""
        if reason := obstacle(artifact, item):
            return Score.none(reason)
        provider = self.provider()
        if refusal := judge_refusal(provider.name, self.folder, item, "lpips"):
            return Score.none(refusal)
        if min(artifact.views.shape[2:]) < provider.minimum:
            return Score.none(f"views are smaller than the {provider.minimum} px {provider.name} needs")
        distance, area, compared, pixels = 0.0, 0.0, 0, 0
        for view, composite, mask, count in neighbour_composites(artifact, item, self.region):
            pixels += count
            if not mask.any():
                continue
            pair = (x[None].float().to(metric_device()) for x in (view, composite))
            with torch.no_grad(), torch.backends.cudnn.flags(deterministic=True, allow_tf32=False):
                distance += float(provider.distance(*pair))
            area += float(mask.double().mean())
            compared += int(mask.sum())
        coverage = compared / pixels if pixels else 0.0
        if coverage < self.least or not compared:
            return Score.none(f"only {coverage:.1%} of the pixels of the {self.region} are seen by a neighbour")
        return Score(value=distance / area, coverage=coverage)
