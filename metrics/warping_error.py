"""Warping error by exact flow, or by estimated flow on real clips

E = mean over pairs (t, t + gap) of mean over M of (warp(O_{t+gap}) - O_t)^2, values in [0, 1]; warp looks frame
t + gap up (bilinearly) where the true flow takes each pixel of frame t. M holds the pixels of t whose point stays
visible up to t + gap and that neither start nor land within 2 px of a depth edge or of another object. In units of
1e-3; lower is better.

Lai et al., Learning Blind Video Temporal Consistency, ECCV 2018, arXiv 1808.00449, with the item's exact flow and
occlusion in the place of an estimate and its checks. Over a gap above 1 flows are chained, so a point that hides in
between is left out.

`raft`, `dis` and `reference` serve clips without exact flow, in the published form: flow is estimated on the source
clip (on the output itself where an item has no source, as for text-to-video), from frame t straight to t + gap, and M
holds the pixels where flow forward and backward agrees, off motion boundaries, by the constants of Lai et al.
(`bench.backbones.matching`). They also run on the reference world, where they can be held against the exact number.

`relative` divides by the same error of the true clip, which is not 0: bilinear lookup softens texture, and a turning
object's shading changes. `dis_relative` and `raft_relative` divide by the error of the source clip. `normalised`
divides by twice the variance of the compared pixels, the error of pixels paired at random, so that low contrast does
not help.

Traps. Blurred clips, clips in one colour and low contrast win (E scales with contrast squared): read it beside
`sharpness`. So does handing back an edit's source: read it beside `edit_strength`. A frozen clip of a moving scene does
not win here, but does where flow is estimated on the output itself. A flow's own errors are in the value, of the source
clip too; a method that moves along tracks of the very flow that judges is not scored. Neighbouring frames cannot show
slow drift: `long` can; its gap is odd, because an even one cannot see brightness that alternates from frame to frame.
Published tables mix up powers of ten, MSE with RMSE and masks; these values are comparable with none of them.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from annotated_types import Interval
from jaxtyping import Bool, Float
from scipy.ndimage import map_coordinates
from torch import Tensor

from ..bench.backbones.matching import CHECKED
from ..bench.types import Artifact, Family, Item, Role, Score
from .views.images import eight_bit, stored_views
from .views.motion import Way, absent, described, estimated_ways, estimator, refusal, source_of, unlike
from .views.sampling import bilinear, follow_flow, in_image, lookup_inside, surface_edges

NEEDS = ("flow", "visible")
_CLIPS = {"truth": "true clip", "source": "source clip"}


@dataclass(frozen=True, kw_only=True)
class WarpingError:
    """Mean squared difference between frames along the true or estimated flow."""

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
        "estimated": {"flow": "auto"},
        "raft": {"flow": "raft_large"},
        "dis": {"flow": "dis"},
        "reference": {"flow": "reference"},
        "raft_relative": {"flow": "raft_large", "over": "source"},
        "dis_relative": {"flow": "dis", "over": "source"},
    }

    gap: Annotated[int, Interval(ge=1, le=1_000)] = 1
    """How many frames apart the two are that are compared; 1 compares neighbours."""
    over: Literal["one", "truth", "source", "variance"] = "one"
    """What the error is divided by: 1, the error of the true clip (`truth`) or of the `source` clip, or twice the
    `variance`."""
    flow: Literal["true", "auto", "raft_large", "raft_small", "reference", "dis"] = "true"
    """The item's exact flow (`true`) or an estimate; `auto` is `raft_large` if its weights are fetched, else `dis`."""
    folder: str | None = None
    """Folder of a trained network that the flow `reference` loads; None takes the bundled one."""
    least: Annotated[float, Interval(ge=0, le=1)] = 0.1
    """Smallest fraction of pixels that can be followed; below it the score is null."""

    @property
    def unit(self) -> str:
        """`x1e-3` for the plain error, `ratio` for one that is divided."""
        return "x1e-3" if self.over == "one" else "ratio"

    def fingerprint(self) -> str:
        """One line that names the divisor, the gap, the flow, the mask and the interpolation."""
        names = {
            "one": "",
            "truth": " / that of the true clip",
            "source": " / that of the source",
            "variance": " / 2 var",
        }
        told = f"mse{names[self.over]}, gap {self.gap}"
        if self.flow == "true":
            return f"{told}, true flow and visibility, 2 px off edges, bilinear, mean of pairs, rgb8"
        found = f"flow of the source, else of the output, by {described(self._which, self.folder)}, {CHECKED}"
        return f"{told}, {found}, bilinear, mean of pairs, rgb8"

    def lacks(self) -> str | None:
        """Why the metric is null on every item of this machine: weights that are not here; None where it is not."""
        return None if self.flow == "true" else absent(self._which, self.folder)

    def __call__(self, artifact: Artifact, item: Item) -> Score:
        """The error; coverage is the mean fraction of a frame's pixels that were compared."""
        frames, source = stored_views(artifact), source_of(item)
        why = self._unfit(artifact, item)
        if why:
            return Score.none(why)
        if len(frames) <= self.gap:
            return Score.none(f"a clip of {len(frames)} frames has no two that are {self.gap} apart")
        if self.flow == "true":
            ways = list(_exact_ways(item, self.gap))
        else:
            moving = artifact.views if source is None else source
            ways = list(estimated_ways(moving, self.gap, estimator(self._which, self.folder)))
        error, spread, coverage = _errors(frames, ways, self.gap)
        if coverage < self.least or error is None:
            return Score.none(f"only {coverage:.1%} of the pixels can be followed over {self.gap} frames")
        if self.over == "one":
            return Score(value=1000 * error, coverage=coverage)
        if self.over == "variance":
            base, why = 2 * spread, "the clip is constant"
        else:
            other = item.truth["views"] if self.over == "truth" or source is None else source
            base, why = _errors(eight_bit(other), ways, self.gap)[0], f"the {_CLIPS[self.over]} has no warping error"
        if not base or base < 1e-9:
            return Score.none(f"{why}: the ratio is undefined")
        return Score(value=error / base, coverage=coverage)

    @property
    def estimates(self) -> str | None:
        """The preset that has exact flow in the place of this one's estimate, where there is one; None for that."""
        if self.flow == "true":
            return None
        kind = {"one": "", "truth": "relative", "source": "relative", "variance": "normalised"}[self.over]
        exact = {(1, ""): "", (5, ""): "@long", (5, "relative"): "@long_relative"}.get((self.gap, kind), f"@{kind}")
        return f"warping_error{exact}" if self.gap == 1 or exact.startswith("@long") else None

    @property
    def _which(self) -> str | None:
        """The flow's name for `bench.backbones.flow`."""
        return None if self.flow == "auto" else self.flow

    def _unfit(self, artifact: Artifact, item: Item) -> str | None:
        """Why the artifact of an item cannot be scored; None where it can."""
        source, exact = source_of(item), self.flow == "true"
        lacking = [
            name
            for name, needed in (*((name, exact) for name in NEEDS), ("views", self.over == "truth"))
            if needed and name not in item.truth
        ]
        if lacking:
            cure = ": warping_error@dis estimates it" if "flow" in lacking else ""
            return f"the item's truth has no {', '.join(lacking)}{cure}"
        if self.over == "source" and source is None:
            return "the item has no source clip to divide by"
        views = artifact.views
        if exact:
            flow = item.truth["flow"]
            if views.shape[2:] != flow.shape[2:] or len(views) != len(flow) + 1:
                size, true = (f"{n} frames of {h}x{w} px" for n, _, h, w in (views.shape, flow.shape))
                return f"the clip has {size}, the true flow starts from {true}"
        elif why := refusal(self._which, self.folder, item):
            return why
        elif str(artifact.notes.get("followed", "")).startswith(estimator(self._which, self.folder).fingerprint):
            return (
                "the method moved along this very flow, so that it says nothing: take another, such as "
                "warping_error@raft (syncbench fetch raft), or tracks of another (videos.motion)"
            )
        if self.over == "truth" and unlike(views, item.truth["views"]):
            return "the true clip is of another length or size than the output"
        if source is not None and (not exact or self.over == "source"):
            return unlike(views, source)
        return None

    def reference(self, artifact: Artifact, item: Item) -> float | None:
        """The error with SciPy's lookup, to check the metric; None if it is divided, chained, or by estimated flow."""
        if self.over != "one" or self.gap != 1 or self.flow != "true":
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


def _exact_ways(item: Item, gap: int) -> Iterator[Way]:
    """For every frame t, the way of its pixels to frame t + gap by the true flow, without pixels near edges."""
    flow, visible, clear = item.truth["flow"].nan_to_num(), item.truth["visible"] > 0.5, _clear(item)
    for t in range(len(clear) - gap):
        xy, ok = follow_flow(flow[t : t + gap], visible[t : t + gap] & clear[t : t + gap])
        yield xy, ok & in_image(xy, *flow.shape[2:]) & lookup_inside(clear[t + gap], xy)


def _errors(clip: Float[Tensor, "t 3 h w"], ways: Iterable[Way], gap: int) -> tuple[float | None, float, float]:
    """Mean squared error over the pairs that have comparable pixels, their mean variance, the mean share compared."""
    errors: list[float] = []
    spreads: list[float] = []
    share = 0.0
    for t, (xy, ok) in enumerate(ways):
        share += float(ok.double().mean()) / (len(clip) - gap)
        if bool(ok.any()):
            here = clip[t].flatten(1)[:, ok].double()
            errors.append(float((bilinear(clip[t + gap], xy[:, ok]) - here).square().mean()))
            spreads.append(float(here.var(1, correction=0).mean()))
    if not errors:
        return None, 0.0, share
    return sum(errors) / len(errors), sum(spreads) / len(spreads), share
