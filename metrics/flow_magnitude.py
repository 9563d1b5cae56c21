"""Mean flow magnitude

100 * mean over neighbouring frames and all pixels of |f|, the length of the output's optical flow, over the shorter
side of a frame: how far a clip moves from one frame to the next, in percent of its side.

Source: the quantity that VBench (Huang et al. 2024, arXiv 2311.17982) thresholds as "dynamic degree", here as a number
and over all pixels. `ratio` divides by that of the source clip: 1 moves as much as the source.

Traps. It is a guard and no goal: consistency metrics reward clips that hardly move, and this one shows them. Noise and
flicker have long flow, too, so that more is not better. It says how far and not whereto, which `motion_fidelity` does.
Moving cameras move everything: compare on the same items only.
"""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Interval
from jaxtyping import Float
from torch import Tensor

from ..bench.backbones.matching import Flow
from ..bench.types import Artifact, Family, Item, Role, Score
from .views.images import eight_bit
from .views.motion import absent, between, described, estimator, refusal, source_of, unlike


@dataclass(frozen=True, kw_only=True)
class FlowMagnitude:
    """Mean length of optical flow in percent of a frame's shorter side."""

    version: ClassVar[int] = 1
    role: ClassVar[Role] = "variety"
    direction: ClassVar[str] = "higher"
    families: ClassVar[tuple[Family, ...]] = ("frames",)
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "raft": {"flow": "raft_large"},
        "dis": {"flow": "dis"},
        "reference": {"flow": "reference"},
        "ratio": {"over": "source"},
    }

    flow: Literal["auto", "raft_large", "raft_small", "reference", "dis"] = "auto"
    """How flow is estimated; `auto` is `raft_large` if its weights are fetched, else `dis`."""
    folder: str | None = None
    """Folder of a trained network that the flow `reference` loads; None takes the bundled one."""
    over: Literal["one", "source"] = "one"
    """What the magnitude is divided by: 1, or that of the `source` clip."""
    slowest: Annotated[float, Interval(ge=0, le=1e3)] = 0.1
    """Smallest mean length in pixels of the source's flow by which a magnitude is divided."""

    def __post_init__(self) -> None:
        if self.over == "source":
            object.__setattr__(self, "direction", "target:1")

    @property
    def unit(self) -> str:
        """`x100`, of the shorter side, or `ratio` where it is divided."""
        return "x100" if self.over == "one" else "ratio"

    @property
    def _which(self) -> str | None:
        """The flow's name for `bench.backbones.flow`."""
        return None if self.flow == "auto" else self.flow

    def fingerprint(self) -> str:
        """One line that names the flow and the divisor."""
        over = "over the shorter side" if self.over == "one" else "over that of the source"
        return f"mean length of flow {over}, gap 1, all pixels, {described(self._which, self.folder)}, rgb8"

    def lacks(self) -> str | None:
        """Why the metric is null on every item of this machine: weights that are not here; None where it is not."""
        return absent(self._which, self.folder)

    def __call__(self, artifact: Artifact, item: Item) -> Score:
        """The magnitude; coverage is 1."""
        eight_bit(artifact.views)  # refuses what is no picture
        source = source_of(item)
        if len(artifact.views) < 2:
            return Score.none("there is only one frame")
        if self.over == "source" and source is None:
            return Score.none("the item has no source clip to divide by")
        if self.over == "source" and source is not None and (why := unlike(artifact.views, source)):
            return Score.none(why)
        why = refusal(self._which, self.folder, item)
        if why:
            return Score.none(why)
        found = estimator(self._which, self.folder)
        length = _mean_length(artifact.views, found)
        if self.over == "one" or source is None:
            return Score(value=100 * length / min(artifact.views.shape[2:]))
        base = _mean_length(source, found)
        if base < self.slowest:
            return Score.none(f"the source moves by {base:.2f} px a frame: there is nothing to divide by")
        return Score(value=length / base)


def _mean_length(clip: Float[Tensor, "t 3 h w"], found: Flow) -> float:
    """Mean length in pixels of the flow between neighbouring frames."""
    pairs = [between(clip, t, t + 1, found).double().norm(dim=0).mean() for t in range(len(clip) - 1)]
    return float(sum(map(float, pairs)) / len(pairs))
