"""Motion fidelity

mean over neighbouring frames (t, t + 1) of mean over M of |f_output - f_source|, the end-point error in pixels between
the output's flow and that of its source clip. M holds the pixels whose flow in the source agrees forward and backward
and that are off motion boundaries (`bench.backbones.matching`). Lower is better: the edit moves as its source does.

Source: "motion alignment" of V2VBench (Sun et al. 2024, arXiv 2407.07111), which is its negative by GMFlow over all
pixels. `relative` divides by the mean length of f_source over M: a clip that does not move at all scores 1 there, at
any size of a frame. `exact` takes the item's exact flow and visibility for those of the source (reference world only).

Traps. Flow is estimated on both clips, and where a picture is flat or repeats itself the estimate is a guess: the value
of a perfect edit is not 0, because it has other textures than its source. Handing back the source scores 0: read it
beside `edit_strength`. Noise and flicker mislead the flow of the output, so the metric also rises with what is no
motion. An edit that is meant to change shape is meant to move otherwise.
"""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Interval
from jaxtyping import Bool, Float
from torch import Tensor

from ..bench.backbones.matching import CHECKED, Flow
from ..bench.types import Artifact, Family, Item, Role, Score
from .views.motion import absent, between, described, estimator, matched, refusal, source_of, unlike


@dataclass(frozen=True, kw_only=True)
class MotionFidelity:
    """End-point error between the flow of the output and that of its source."""

    version: ClassVar[int] = 1
    role: ClassVar[Role] = "quality"
    direction: ClassVar[str] = "lower"
    families: ClassVar[tuple[Family, ...]] = ("frames",)
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "raft": {"flow": "raft_large"},
        "dis": {"flow": "dis"},
        "reference": {"flow": "reference"},
        "relative": {"over": "motion"},
        "exact": {"against": "truth"},
    }

    flow: Literal["auto", "raft_large", "raft_small", "reference", "dis"] = "auto"
    """How flow is estimated; `auto` is `raft_large` if its weights are fetched, else `dis`."""
    folder: str | None = None
    """Folder of a trained network that the flow `reference` loads; None takes the bundled one."""
    against: Literal["source", "truth"] = "source"
    """What the output's flow is compared with: estimated flow of the `source`, or the item's exact flow (`truth`)."""
    over: Literal["one", "motion"] = "one"
    """What the error is divided by: 1, or the mean length of the source's flow (`motion`)."""
    least: Annotated[float, Interval(ge=0, le=1)] = 0.1
    """Smallest fraction of pixels whose flow in the source can be believed; below it the score is null."""
    slowest: Annotated[float, Interval(ge=0, le=1e3)] = 0.1
    """Smallest mean length in pixels of the source's flow by which an error is divided."""

    @property
    def unit(self) -> str:
        """`px`, or `ratio` where the error is divided."""
        return "px" if self.over == "one" else "ratio"

    @property
    def _which(self) -> str | None:
        """The flow's name for `bench.backbones.flow`."""
        return None if self.flow == "auto" else self.flow

    def fingerprint(self) -> str:
        """One line that names the flow, what it is compared with, the mask and the divisor."""
        to = f"the source's, {CHECKED}" if self.against == "source" else "the true flow, visible pixels"
        over = "" if self.over == "one" else " / mean length of the latter"
        return (
            f"end-point error of flow to {to}{over}, gap 1, mean of pairs, {described(self._which, self.folder)}, rgb8"
        )

    def lacks(self) -> str | None:
        """Why the metric is null on every item of this machine: weights that are not here; None where it is not."""
        return absent(self._which, self.folder)

    def __call__(self, artifact: Artifact, item: Item) -> Score:
        """The error; coverage is the mean fraction of a frame's pixels that were compared."""
        why = self._unfit(artifact, item)
        if why:
            return Score.none(why)
        found = estimator(self._which, self.folder)
        count = len(artifact.views) - 1
        errors: list[float] = []
        lengths: list[float] = []
        share = 0.0
        for t in range(count):
            wanted, known = self._wanted(item, t, found)
            share += float(known.double().mean()) / count
            if bool(known.any()):
                gap = (between(artifact.views, t, t + 1, found) - wanted).norm(dim=0)
                errors.append(float(gap[known].double().mean()))
                lengths.append(float(wanted.norm(dim=0)[known].double().mean()))
        if share < self.least or not errors:
            return Score.none(f"only {share:.1%} of the source's pixels have a flow that can be believed")
        error, length = sum(errors) / len(errors), sum(lengths) / len(lengths)
        if self.over == "one":
            return Score(value=error, coverage=share)
        if length < self.slowest:
            return Score.none(f"the source moves by {length:.2f} px a frame: there is nothing to divide by")
        return Score(value=error / length, coverage=share)

    def _wanted(self, item: Item, t: int, found: Flow) -> tuple[Float[Tensor, "2 h w"], Bool[Tensor, "h w"]]:
        """The flow that the output ought to have from frame t on, and where it is known."""
        source = source_of(item)
        if self.against == "truth" or source is None:
            return item.truth["flow"][t].nan_to_num(), item.truth["visible"][t, 0] > 0.5
        match = matched(source, t, t + 1, found)
        return match.flow, match.visible[0]

    def _unfit(self, artifact: Artifact, item: Item) -> str | None:
        """Why the artifact of an item cannot be scored; None where it can."""
        views, source = artifact.views, source_of(item)
        if self.against == "truth":
            lacking = [name for name in ("flow", "visible") if name not in item.truth]
            if lacking:
                return f"the item's truth has no {', '.join(lacking)}"
            flow = item.truth["flow"]
            if (len(views), *views.shape[2:]) != (len(flow) + 1, *flow.shape[2:]):
                return "the output is of another length or size than the true flow"
        elif source is None:
            return "the item has no source clip whose motion could be kept"
        elif why := unlike(views, source):
            return why
        if len(views) < 2:
            return "there is only one frame"
        return refusal(self._which, self.folder, item)
