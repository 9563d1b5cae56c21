"""Reprojection error between views, with known geometry

255 * mean |I_i(p) - I_j(p')| over ordered pairs of views i, j, pixels p of the object in i, and channels; p' is where
the true point behind p appears in j (bilinear). A pixel counts if j sees the point (depth within 0.5 %, so nothing
hides it), both views see it at less than 73 degrees, and neither on a depth edge. In 8-bit levels; lower is better.

Source: our definition; the tolerances follow common practice for reprojection with rendered depth. `rms` is the root
mean square: PSNR = 20 log10(255 / rms).

Traps. The error is blind to anything that stays the same in all views: blank and blurred views win, so read it beside
`sharpness`; swapping the colour channels changes nothing, so read it beside `clip_text`. The truth does not score 0,
because bilinear lookup softens texture. Values depend on how far apart the cameras are: compare within one set of
cameras, or among pairs that see a point from within 75 degrees (`narrow`) and from more than that (`wide`). In the
family `prior` the object is imagined: a consistent object of another shape than the true one scores badly.
"""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
from annotated_types import Interval

from ..bench.types import Artifact, Family, Item, Role, Score
from .views.images import mismatch, stored_views
from .views.sampling import bilinear
from .views.shots import COSINE, NEEDS, RULES, Region, surface_points, view_cameras


@dataclass(frozen=True, kw_only=True)
class Reprojection:
    """Difference between a view and what the other views show of the same points."""

    version: ClassVar[int] = 1
    role: ClassVar[Role] = "consistency"
    direction: ClassVar[str] = "lower"
    unit: ClassVar[str] = "levels"
    families: ClassVar[tuple[Family, ...]] = ("geometry", "prior")
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "rms": {"statistic": "rms"},
        "narrow": {"widest": 75.0},
        "wide": {"narrowest": 75.0},
    }

    region: Region = "object"
    """Which pixels are scored: the `object`, or every `surface` (the ground too)."""
    statistic: Literal["l1", "rms"] = "l1"
    """`l1`: mean absolute difference; `rms`: root mean square."""
    narrowest: Annotated[float, Interval(ge=0, le=180)] = 0.0
    """Smallest angle in degrees, at the point, between the directions to both cameras (the baseline's)."""
    widest: Annotated[float, Interval(ge=0, le=180)] = 180.0
    """Largest such angle."""
    least: Annotated[float, Interval(ge=0, le=1)] = 0.05
    """Smallest fraction of the region's pixels that another view must see; below it the score is null."""

    def fingerprint(self) -> str:
        """One line that names the pairs, the rules of visibility and the statistic."""
        apart = "" if self._all else f" {self.narrowest:g} to {self.widest:g} degrees apart"
        return (
            f"{self.statistic} over ordered pairs of views{apart}, pixels of the {self.region}, bilinear, {RULES}, rgb8"
        )

    @property
    def _all(self) -> bool:
        return (self.narrowest, self.widest) == (0.0, 180.0)

    def __call__(self, artifact: Artifact, item: Item) -> Score:
        """The mean; coverage is the fraction of the region's pixels that were compared with at least one view."""
        reason = mismatch(artifact, item, NEEDS)
        if reason:
            return Score.none(reason)
        if len(artifact.views) < 2:
            return Score.none("there is only one view")
        views, cameras = stored_views(artifact).double(), view_cameras(item.truth, self.region)
        gaps: list[torch.Tensor] = []
        compared, pixels = 0, 0
        for i, here in enumerate(cameras):
            at, normal, inner = surface_points(item.truth, i, self.region)
            if not at.shape[1]:
                continue
            usable = here.clear[inner] & (here.facing(at, normal) >= COSINE)
            colour, matched = views[i][:, inner[0]], torch.zeros(at.shape[1], dtype=torch.bool)
            for j, there in enumerate(cameras):
                if i == j:
                    continue
                xy, seen = there.sees(at, normal)
                seen &= usable
                if not self._all:
                    cosine = (here.towards(at) * there.towards(at)).sum(0)
                    angle = cosine.clamp(-1, 1).acos().rad2deg()
                    seen &= (angle >= self.narrowest) & (angle <= self.widest)
                gaps.append((bilinear(views[j], xy[:, seen]) - colour[:, seen]).flatten())
                matched |= seen
            compared, pixels = compared + int(matched.sum()), pixels + at.shape[1]
        if not gaps:
            return Score.none(f"no view sees any {self.region}")
        coverage = compared / pixels
        if coverage < self.least or not compared:
            apart = "" if self._all else f" {self.narrowest:g} to {self.widest:g} degrees apart"
            return Score.none(f"only {coverage:.1%} of the pixels are seen by another view{apart}")
        every = torch.cat(gaps)
        value = every.abs().mean() if self.statistic == "l1" else every.square().mean().sqrt()
        return Score(value=255 * float(value), coverage=coverage)
