"""Self-reconstruction error

A small field of density and colour is fitted to three quarters of the views, with the item's cameras. The value is
255 * mean |I - R| over the other views I, what the field shows there R, channels, and the pixels whose rays pass the
middle of the scene within a quarter of the cameras' distance. In 8-bit levels; lower is better. No geometry or true
picture is used, so that any posed views can be scored.

The idea is 3-D consistency scoring of 3DiM (Watson et al., ICLR 2023, arXiv 2210.04628), which trains a NeRF on part of
the generated views; the field is ours (`views.voxels`): 32^3 trilinear voxels, 150 steps, views of 48 px, one thread.
It takes about 1.5 seconds of one CPU core, whatever the size of the views, and little memory.

Traps. Even true views have an error, that of a field from few views, here of 25 levels on average (views drawn one by
one have 35): compare methods on the same items and cameras only. Smooth, blurred or blank views are easy to predict and
score better than the truth: read it beside `sharpness`. Mild noise is averaged away and hardly noticed, and so is a
shift of a few pixels. The background counts too. Views a quarter turn apart do not determine a field, true or not, and
those of six cameras around an object hardly do: there is no value unless every scored view has a fitted one within 50
degrees, which takes eight cameras around an object.
"""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
import torch.nn.functional as F
from annotated_types import Interval

from ..bench.isolation.guard import threaded
from ..bench.types import Artifact, Family, Item, Role, Score
from .views.epipolar import cameras_of
from .views.images import stored_views
from .views.voxels import Rays, common_focus, fit_voxels, view_rays

EVERY = 4
"""One in so many views is scored, and not fitted."""
WIDEST = 50.0
"""Largest angle in degrees, at the middle of the scene, between a scored view and the nearest fitted one."""
CENTRAL = 0.25
"""How far from the middle of the scene a scored pixel's ray may pass, in units of the cameras' distance."""
SIDE = 48
"""Length in pixels of the shorter side to which views are reduced."""


@dataclass(frozen=True, kw_only=True)
class SelfReconstruction:
    """Error of a field that was fitted to the other views."""

    version: ClassVar[int] = 1
    role: ClassVar[Role] = "consistency"
    direction: ClassVar[str] = "lower"
    unit: ClassVar[str] = "levels"
    families: ClassVar[tuple[Family, ...]] = ("geometry", "prior")
    estimates: ClassVar[str] = "reprojection"
    presets: ClassVar[dict[str, dict[str, Any]]] = {}

    steps: Annotated[int, Interval(ge=2, le=10_000)] = 150
    """Steps of the fit."""
    seed: Annotated[int, Interval(ge=0, le=2**31)] = 0
    """Seed of the rays that are drawn in the fit."""

    def fingerprint(self) -> str:
        """One line that names the split, the field and its fit."""
        split = f"one view in {EVERY} scored, <= {WIDEST:g} degrees from a fitted one, rays within {CENTRAL:g}"
        return f"l1, {split}, voxels of 32^3, {self.steps} steps, seed {self.seed}, {SIDE} px (area), rgb8"

    def __call__(self, artifact: Artifact, item: Item) -> Score:
        """The mean error; coverage is the fraction of the views that were scored."""
        cameras = cameras_of(artifact, item)
        if isinstance(cameras, str):
            return Score.none(cameras)
        extrinsics, intrinsics = cameras
        focus = common_focus(extrinsics)
        if focus is None:
            return Score.none("the cameras do not look at one place")
        count = len(extrinsics)
        scored, fitted = split_views(count)
        if len(fitted) < EVERY:
            return Score.none(f"{count} views are too few: 8 cameras around an object are needed, or 5 closer together")
        apart = (focus.directions[scored] @ focus.directions[fitted].T).amax(1).clamp(-1, 1).acos().rad2deg()
        if float(apart.max()) > WIDEST:
            return Score.none(
                f"the views are {float(apart.max()):.0f} degrees apart, which determines no field: at most {WIDEST:g} "
                "are needed, as of 8 cameras around an object"
            )
        views = stored_views(artifact)
        high, wide = views.shape[2:]
        scale = min(1.0, SIDE / min(high, wide))
        reduced = (max(1, round(scale * high)), max(1, round(scale * wide)))
        colours = F.interpolate(views, reduced, mode="area").flatten(2).mT
        rays = [view_rays(e, k, (high, wide), reduced, focus) for e, k in zip(extrinsics, intrinsics, strict=True)]
        every = Rays(
            origin=torch.cat([rays[k].origin for k in fitted]), direction=torch.cat([rays[k].direction for k in fitted])
        )
        gaps: list[torch.Tensor] = []
        with threaded(1):  # so that sums, and with them the fit, are the same everywhere
            with torch.enable_grad():
                field = fit_voxels(every, colours[fitted].flatten(0, 1), focus.distance, self.steps, self.seed)
            with torch.no_grad():
                for k in scored:
                    central = (rays[k].off_centre < CENTRAL).nonzero()[:, 0]
                    gaps += [(field.render(rays[k][central])[0] - colours[k][central]).abs().flatten()]
        gap = torch.cat(gaps).double()
        if not len(gap):
            return Score.none("the views do not show the middle at which the cameras look")
        return Score(value=255 * float(gap.mean()), coverage=len(scored) / count)


def split_views(count: int) -> tuple[list[int], list[int]]:
    """Numbers of the views that are scored, evenly among all and none at an end, and of those that are fitted."""
    scored = [k for k in range(count - 1) if k % EVERY == EVERY // 2]
    return scored, [k for k in range(count) if k not in scored]
