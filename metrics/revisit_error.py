"""Revisit error

mean over pairs (t, u) of frames that should be the same picture of the mean over pixels and channels of (O_t - O_u)^2,
values in [0, 1]. A pair is two frames that are not neighbours and whose true pictures differ nowhere by more than half
an 8-bit level: the camera and all objects have come back. In units of 1e-3; lower is better.

Source: our definition, for the question that ORBIA and WRBench (2026) ask of world models: does a place look the same
when it is seen again? No flow is involved, so that nothing is lost in looking up pixels. Clips that come back are
`world_videos` with `back = true`; the anchors tell what the model's own seeds differ by.

Traps. A frozen clip scores 0, and blur and low contrast win: read it beside `warping_error` and `sharpness`.
"""

from dataclasses import dataclass
from itertools import combinations
from typing import Any, ClassVar

from jaxtyping import Float
from torch import Tensor

from ..bench.types import Artifact, Family, Item, Role, Score
from .views.images import eight_bit, stored_views

SAME = 0.5 / 255
"""Largest difference of two true pictures that are the same."""


@dataclass(frozen=True, kw_only=True)
class RevisitError:
    """Mean squared difference between frames that should be the same picture."""

    version: ClassVar[int] = 1
    role: ClassVar[Role] = "consistency"
    direction: ClassVar[str] = "lower"
    unit: ClassVar[str] = "x1e-3"
    families: ClassVar[tuple[Family, ...]] = ("frames",)
    presets: ClassVar[dict[str, dict[str, Any]]] = {}

    def fingerprint(self) -> str:
        """One line that names the pairs and the difference."""
        return "mse, pairs of non-neighbours whose true pictures are within half a level, mean of pairs, rgb8"

    def __call__(self, artifact: Artifact, item: Item) -> Score:
        """The error; coverage is the share of the frames that are in a pair."""
        true = item.truth.get("views")
        if true is None:
            return Score.none("the item's truth has no views, so it is not known which frames should be alike")
        frames = stored_views(artifact)
        if frames.shape != true.shape:
            return Score.none("the clip is of another length or size than the true one")
        pairs = revisits(eight_bit(true))
        if not pairs:
            return Score.none("no frame of the true clip comes back: take world_videos with back = true")
        errors = [float((frames[a].double() - frames[b].double()).square().mean()) for a, b in pairs]
        found = {frame for pair in pairs for frame in pair}
        return Score(value=1000 * sum(errors) / len(errors), coverage=len(found) / len(frames))


def revisits(clip: Float[Tensor, "t 3 h w"]) -> list[tuple[int, int]]:
    """Pairs of frames of a clip that are the same picture and not neighbours."""
    pairs = ((a, b) for a, b in combinations(range(len(clip)), 2) if b > a + 1)
    return [(a, b) for a, b in pairs if float((clip[a] - clip[b]).abs().max()) <= SAME]
