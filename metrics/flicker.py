"""Flicker

Root mean square, in 8-bit levels, of how the mean colour of a frame changes faster than the true clip's: of the
difference d_t = mean(O_t) - mean(S_t), a colour for each frame, the parts with a period of `shortest` to `longest`
frames by the discrete cosine transform, and of them the root mean square over frames and channels. S is the true clip,
else the source clip, else nothing is taken off. Lower is better.

Source: our definition. Warping errors compare pairs of frames at one distance and mix flicker with everything else that
does not fit; brightness and colour that change as a whole are what a viewer sees first. `fast` (periods of 2 to 3
frames), `middle` (3 to 6) and `slow` (6 and longer) tell at which pace, and the squares of the three add up to the
square of all.

Traps. Blur, frozen clips and grey ones win. An edit that should change the light in time is taken for flicker. Local
flicker that cancels in the mean is not seen.
"""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import Interval
from scipy.fft import dct

from ..bench.types import Artifact, Family, Item, Role, Score
from .views.images import eight_bit, stored_views


@dataclass(frozen=True, kw_only=True)
class Flicker:
    """Changes of a frame's mean colour that the true clip does not have, by their period."""

    version: ClassVar[int] = 1
    role: ClassVar[Role] = "consistency"
    direction: ClassVar[str] = "lower"
    unit: ClassVar[str] = "levels"
    families: ClassVar[tuple[Family, ...]] = ("frames",)
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "fast": {"shortest": 2.0, "longest": 3.0},
        "middle": {"shortest": 3.0, "longest": 6.0},
        "slow": {"shortest": 6.0, "longest": 1e6},
    }

    shortest: Annotated[float, Interval(ge=2, le=1e6)] = 2.0
    """Shortest period in frames that counts, itself included."""
    longest: Annotated[float, Interval(ge=2, le=1e6)] = 1e6
    """Longest period in frames, itself not included unless it is the largest number."""

    def fingerprint(self) -> str:
        """One line that names the periods and what is taken off."""
        return (
            f"rms of mean colours less the true clip's, else the source's, periods {self.shortest:g} to "
            f"{self.longest:g} frames by dct, rgb8"
        )

    def __call__(self, artifact: Artifact, item: Item) -> Score:
        """The root mean square; coverage is 1."""
        frames = stored_views(artifact)
        if len(frames) < 3:
            return Score.none("a clip of fewer than 3 frames has no flicker")
        other = item.truth.get("views", item.conditions.get("video"))
        colours = frames.double().mean((2, 3)).numpy()
        if other is not None:
            if len(other) != len(frames):
                return Score.none("the true clip, or the source, is of another length than the output")
            colours = colours - eight_bit(other).double().mean((2, 3)).numpy()
        waves = np.asarray(dct(colours, axis=0, norm="ortho"))
        # number k of n has a period of 2 n / k frames; 0 is the mean, which does not change
        periods = np.array([np.inf, *(2 * len(frames) / k for k in range(1, len(frames)))])
        chosen = (periods >= self.shortest) & (periods < self.longest)
        return Score(value=255 * float(np.sqrt(np.square(waves[chosen]).sum() / colours.size)))
