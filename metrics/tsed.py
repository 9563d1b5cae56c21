"""TSED, thresholded symmetric epipolar distance

The fraction of pairs of neighbouring views that are consistent: they have at least 10 SIFT matches, and the median of
the matches' symmetric epipolar distances (see `epipolar_distance`) is below 2 px, where the shorter side has 256. Range
[0, 1]; higher is better.

Yu et al., Long-Term Photometric Consistent Novel View Synthesis with Diffusion Models, ICCV 2023, arXiv 2304.10700;
thresholds are those of its code (`--te 2 --tm 10`; others report 4 or 8 px). Matches are OpenCV's with a ratio test
instead of COLMAP's without one, so values are not comparable with published ones.

Traps. The score is binary by pair: with few views it has few values, and differences vanish in them. Views that are far
apart, smooth or full of repeated patterns have too few true matches for 10, whoever made them: then even the truth is
at 0, as on most views of this benchmark's world, and the score tells nothing. A pair may match in a few points while
half of the image differs. As in the paper a pair without key points is inconsistent; coverage is the fraction of the
pairs in which both views have 10, and without any such pair there is no value.
"""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from annotated_types import Interval

from ..bench.types import Artifact, Family, Item, Role, Score
from .views.epipolar import Pairs, cameras_of, distances, seen_keypoints, view_pairs
from .views.matches import HOW


@dataclass(frozen=True, kw_only=True)
class Tsed:
    """Fraction of pairs of views whose matches lie on their epipolar lines."""

    version: ClassVar[int] = 1
    role: ClassVar[Role] = "consistency"
    direction: ClassVar[str] = "higher"
    unit: ClassVar[str] = ""
    families: ClassVar[tuple[Family, ...]] = ("geometry", "prior")
    estimates: ClassVar[str] = "reprojection"
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "4px": {"error": 4.0},
        "8px": {"error": 8.0},
    }

    error: Annotated[float, Interval(gt=0, le=1000)] = 2.0
    """Median distance in pixels, at `side`, below which a pair is consistent."""
    matches: Annotated[int, Interval(ge=1, le=10_000)] = 10
    """Smallest number of matches of a consistent pair."""
    pairs: Pairs = "neighbours"
    """Which views are matched: each with the next one, or every two (`all`)."""
    side: Annotated[int, Interval(ge=32, le=4096)] = 256
    """Length of the shorter side to which views are resized before key points are found, and the unit of `error`."""

    def fingerprint(self) -> str:
        """One line that names both thresholds, the pairs and the matches."""
        thresholds = f"median SED < {self.error:g} px at {self.side}, >= {self.matches} matches"
        return f"share of pairs, {thresholds}, {self.pairs}, {HOW}, given cameras, rgb8"

    def __call__(self, artifact: Artifact, item: Item) -> Score:
        """The fraction; coverage is the fraction of pairs of which both views have enough key points."""
        cameras = cameras_of(artifact, item)
        if isinstance(cameras, str):
            return Score.none(cameras)
        found, pairs = seen_keypoints(artifact, self.side), view_pairs(len(artifact.views), self.pairs)
        scale = self.side / min(artifact.views.shape[2:])
        apart = [(pair, off) for pair in pairs if (off := distances(found, pair, cameras)) is not None]
        if not apart:
            return Score.none("all cameras are in one place: every match is possible")
        rich = [pair for pair, _ in apart if min(len(found[k].at) for k in pair) >= self.matches]
        if not rich:
            return Score.none(f"no two views to be matched have {self.matches} key points")
        fine = [len(off) >= self.matches and scale * float(off.quantile(0.5)) < self.error for _, off in apart]
        return Score(value=sum(fine) / len(fine), coverage=len(rich) / len(apart))
