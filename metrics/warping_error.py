"""Warping error by exact flow

E = mean over pairs (t, t + gap) of mean over M of (warp(O_{t+gap}) - O_t)^2, values in [0, 1]; warp looks frame
t + gap up (bilinearly) where the true flow takes each pixel of frame t. M holds the pixels of t whose point stays
visible up to t + gap and that neither start nor land within 2 px of a depth edge or of another object. In units of
1e-3; lower is better.

Lai et al., Learning Blind Video Temporal Consistency, ECCV 2018, arXiv 1808.00449, with the item's exact flow and
occlusion in the place of an estimate and its checks. Over a gap above 1 flows are chained, so a point that hides in
between is left out. `relative` divides by the same error of the true clip, which is not 0: bilinear lookup softens
texture, and a turning object's shading changes. `normalised` divides by twice the variance of the compared pixels,
the error of pixels paired at random, so that low contrast does not help.

Traps. Blurred clips, clips in one colour and low contrast win (E scales with contrast squared): read it beside
`sharpness`. So does handing back an edit's source: read it beside `edit_strength`. A frozen clip of a moving scene
does not win here. Neighbouring frames cannot show slow drift: `long` can; its gap is odd, because an even one cannot
see brightness that alternates from frame to frame. Published tables mix up powers of ten, MSE with RMSE and masks;
these values are comparable with none of them.
"""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from annotated_types import Interval
from jaxtyping import Bool, Float
from scipy.ndimage import map_coordinates
from torch import Tensor

from ..bench.types import Artifact, Family, Item, Role, Score
from .views.images import eight_bit, stored_views
from .views.sampling import bilinear, follow_flow, in_image, lookup_inside, surface_edges

NEEDS = ("flow", "visible")


@dataclass(frozen=True, kw_only=True)
class WarpingError:
    """Mean squared difference between frames along the true flow."""

    version: ClassVar[int] = 1
    role: ClassVar[Role] = "consistency"
    primary: ClassVar[dict[str, int]] = {"frames": 1}
    direction: ClassVar[str] = "lower"
    families: ClassVar[tuple[Family, ...]] = ("frames",)
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "relative": {"over": "truth"},
        "normalised": {"over": "variance"},
        "long": {"gap": 5},
        "long_relative": {"gap": 5, "over": "truth"},
    }

    gap: Annotated[int, Interval(ge=1, le=1_000)] = 1
    """How many frames apart the two are that are compared; 1 compares neighbours."""
    over: Literal["one", "truth", "variance"] = "one"
    """What the error is divided by: 1, the error of the true clip (`truth`), or twice the `variance`."""
    least: Annotated[float, Interval(ge=0, le=1)] = 0.1
    """Smallest fraction of pixels that can be followed; below it the score is null."""

    @property
    def unit(self) -> str:
        """`x1e-3` for the plain error, `ratio` for one that is divided."""
        return "x1e-3" if self.over == "one" else "ratio"

    def fingerprint(self) -> str:
        """One line that names the divisor, the gap, the mask and the interpolation."""
        over = {"one": "", "truth": " / that of the true clip", "variance": " / 2 var"}[self.over]
        return f"mse{over}, gap {self.gap}, true flow and visibility, 2 px off edges, bilinear, mean of pairs, rgb8"

    def __call__(self, artifact: Artifact, item: Item) -> Score:
        """The error; coverage is the mean fraction of a frame's pixels that were compared."""
        lacking = [name for name in (*NEEDS, *(["views"] if self.over == "truth" else [])) if name not in item.truth]
        if lacking:
            return Score.none(f"the item's truth has no {', '.join(lacking)}")
        flow, frames = item.truth["flow"], stored_views(artifact)
        if frames.shape[2:] != flow.shape[2:] or len(frames) != len(flow) + 1:
            size, true = (f"{n} frames of {h}x{w} px" for n, _, h, w in (frames.shape, flow.shape))
            return Score.none(f"the clip has {size}, the true flow starts from {true}")
        if len(frames) <= self.gap:
            return Score.none(f"a clip of {len(frames)} frames has no two that are {self.gap} apart")
        error, spread, coverage = _errors(frames, item, self.gap)
        if coverage < self.least or error is None:
            return Score.none(f"only {coverage:.1%} of the pixels can be followed over {self.gap} frames")
        if self.over == "one":
            return Score(value=1000 * error, coverage=coverage)
        base = 2 * spread if self.over == "variance" else _errors(eight_bit(item.truth["views"]), item, self.gap)[0]
        if not base or base < 1e-9:
            why = "the clip is constant" if self.over == "variance" else "the true clip has no warping error"
            return Score.none(f"{why}: the ratio is undefined")
        return Score(value=error / base, coverage=coverage)

    def reference(self, artifact: Artifact, item: Item) -> float | None:
        """The error with SciPy's lookup, to check the metric; None if it is divided or the gap is not 1."""
        if self.over != "one" or self.gap != 1:
            return None
        clip, flow, clear = stored_views(artifact).double().numpy(), item.truth["flow"].nan_to_num(), _clear(item)
        visible = item.truth["visible"] > 0.5
        means: list[float] = []
        for t in range(len(flow)):
            xy, ok = follow_flow(flow[t : t + 1], visible[t : t + 1] & clear[t : t + 1])
            ok = (ok & in_image(xy, *flow.shape[2:]) & lookup_inside(clear[t + 1], xy)).numpy()
            if ok.any():
                at = xy.flip(0).numpy()[:, ok] - 0.5
                there = np.stack([map_coordinates(plane, at, order=1, mode="nearest") for plane in clip[t + 1]])
                means.append(float(np.mean((there - clip[t].reshape(3, -1)[:, ok]) ** 2)))
        return 1000 * float(np.mean(means)) if means else None


def _clear(item: Item) -> Bool[Tensor, "t 1 h w"]:
    """Pixels of every frame that are off the edges of depth and of objects."""
    flow, depth, ids = item.truth["flow"], item.truth.get("depth"), item.truth.get("object")
    count = len(flow) + 1
    if depth is None and ids is None:
        return torch.ones(count, 1, *flow.shape[2:], dtype=torch.bool)
    near_edge = [
        surface_edges(None if depth is None else depth[t], None if ids is None else ids[t]) for t in range(count)
    ]
    return ~torch.stack(near_edge)


def _errors(clip: Float[Tensor, "t 3 h w"], item: Item, gap: int) -> tuple[float | None, float, float]:
    """Mean squared error over the pairs that have comparable pixels, their mean variance, the mean share compared."""
    flow, visible, clear = item.truth["flow"].nan_to_num(), item.truth["visible"] > 0.5, _clear(item)
    count, height, width = len(clear), *flow.shape[2:]
    errors: list[float] = []
    spreads: list[float] = []
    share = 0.0
    for t in range(count - gap):
        xy, ok = follow_flow(flow[t : t + gap], visible[t : t + gap] & clear[t : t + gap])
        ok = ok & in_image(xy, height, width) & lookup_inside(clear[t + gap], xy)
        share += float(ok.double().mean()) / (count - gap)
        if bool(ok.any()):
            here = clip[t].flatten(1)[:, ok].double()
            errors.append(float((bilinear(clip[t + gap], xy[:, ok]) - here).square().mean()))
            spreads.append(float(here.var(1, correction=0).mean()))
    if not errors:
        return None, 0.0, share
    return sum(errors) / len(errors), sum(spreads) / len(spreads), share
