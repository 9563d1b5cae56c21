"""Texel variance over held-out cameras

255 * sqrt(mean over points and channels of the variance over views). The points are those of the true surface that
the item's held-out cameras see; each is looked up (bilinearly) in every generated view that sees it, and counts if at
least two do. The variance is unbiased, so views of independent noise of s levels give s for any number of views. In
8-bit levels; lower is better.

Source: our definition, after the texel variance of texturing papers, without their texture: positions come from
cameras no method is given and are never rounded to an atlas. `normalised` divides by the standard deviation of all
the looked-up values, so that neither grey nor low contrast helps: at 0 views agree, at 1 they are independent draws of
one palette.

Traps. Views that are constant, or blurred, agree: read it beside `sharpness`. Views looked up in one baked texture
agree by construction. The truth does not score 0, because fine texture differs between two bilinear lookups. In the
family `prior` the object is imagined: a consistent object of another shape than the true one scores badly. The preset
`surface` is fairer there, because most of it is the ground, whose shape is known whatever object is imagined.
"""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from annotated_types import Interval
from scipy.ndimage import map_coordinates

from ..bench.types import Artifact, Family, Item, Role, Score
from .views.images import mismatch, stored_views
from .views.sampling import bilinear
from .views.shots import HELD, NEEDS, RULES, Region, surface_points, view_cameras


@dataclass(frozen=True, kw_only=True)
class TexelVariance:
    """Standard deviation, over the views that see a surface point, of its colour."""

    version: ClassVar[int] = 1
    role: ClassVar[Role] = "consistency"
    primary: ClassVar[dict[str, int]] = {"geometry": 1, "prior@surface": 1, "prior": 2}
    direction: ClassVar[str] = "lower"
    families: ClassVar[tuple[Family, ...]] = ("geometry", "prior")
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "normalised": {"normalised": True},
        "surface": {"region": "surface"},
    }

    region: Region = "object"
    """Which points are scored: those of the `object`, or of every `surface` (the ground too)."""
    normalised: bool = False
    """Whether the value is divided by the standard deviation over all points and views."""
    least: Annotated[float, Interval(ge=0, le=1)] = 0.05
    """Smallest fraction of the held-out points that two views must see; below it the score is null."""

    @property
    def unit(self) -> str:
        """`levels`; empty if `normalised`, because the value is a ratio then."""
        return "" if self.normalised else "levels"

    def fingerprint(self) -> str:
        """One line that names the points, the rules of visibility and the statistic."""
        over = " / std over all" if self.normalised else ""
        return f"rms std over views{over}, held-out points of the {self.region}, bilinear, {RULES}, rgb8"

    def __call__(self, artifact: Artifact, item: Item) -> Score:
        """The deviation; coverage is the fraction of held-out points that at least two views see."""
        reason = mismatch(artifact, item, (*NEEDS, *HELD))
        if reason:
            return Score.none(reason)
        truth, views = item.truth, stored_views(artifact).double()
        cameras = view_cameras(truth, self.region)
        held = [surface_points(truth, k, self.region, "held_")[:2] for k in range(len(truth["held_position"]))]
        at, normal = (torch.cat(parts, 1) for parts in zip(*held, strict=True))
        if not at.shape[1]:
            return Score.none(f"the held-out cameras see no {self.region}")
        looks = [camera.sees(at, normal) for camera in cameras]
        seen = torch.stack([ok for _, ok in looks])
        twice = seen.sum(0) >= 2
        coverage = float(twice.double().mean())
        if coverage < self.least or not coverage:
            return Score.none(f"only {coverage:.1%} of the held-out points are seen by two views")
        colour = torch.stack([bilinear(view, xy[:, twice]) for view, (xy, _) in zip(views, looks, strict=True)])
        weight = seen[:, None, twice].double()
        count = weight.sum(0)
        mean = (colour * weight).sum(0) / count
        within = float((((colour - mean).square() * weight).sum(0) / (count - 1)).mean())
        if not self.normalised:
            return Score(value=255 * within**0.5, coverage=coverage)
        every = colour.movedim(1, 0)[:, seen[:, twice]]
        total = float(every.var(1).mean())
        if total < 1e-8:
            return Score.none("the views are constant where they are compared")
        return Score(value=(within / total) ** 0.5, coverage=coverage)

    def reference(self, artifact: Artifact, item: Item) -> float | None:
        """The deviation with SciPy's lookup and NumPy's variance, to check the metric; None if `normalised`."""
        if self.normalised:
            return None
        truth, views = item.truth, stored_views(artifact).double().numpy()
        cameras = view_cameras(truth, self.region)
        held = [surface_points(truth, k, self.region, "held_")[:2] for k in range(len(truth["held_position"]))]
        at, normal = (torch.cat(parts, 1) for parts in zip(*held, strict=True))
        colours = np.full((len(views), 3, at.shape[1]), np.nan)
        for view, camera, colour in zip(views, cameras, colours, strict=True):
            xy, ok = camera.sees(at, normal)
            where = xy[:, ok].flip(0).numpy() - 0.5
            colour[:, ok.numpy()] = [map_coordinates(plane, where, order=1, mode="nearest") for plane in view]
        twice = (~np.isnan(colours[:, 0])).sum(0) >= 2
        return 255 * float(np.nanvar(colours[:, :, twice], axis=0, ddof=1).mean() ** 0.5) if twice.any() else None
