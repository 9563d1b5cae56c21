"""Symmetric epipolar distance of SIFT matches

SED of a match (p1, p2) = (d(p2, F p1) + d(p1, F^T p2)) / 2, the distances of each point from the line on which the
cameras allow it; F is the fundamental matrix of the item's cameras. The value is the median over the matches of a pair
of views, averaged over the pairs that have enough. In pixels of a view whose shorter side has 256; lower is better.
No geometry, depth or true picture is used, so that any posed views can be scored.

Yu et al., Long-Term Photometric Consistent Novel View Synthesis with Diffusion Models, ICCV 2023, arXiv 2304.10700,
whose TSED thresholds this distance (see `tsed`). Matches are OpenCV's with a ratio test, those of the paper COLMAP's
without.

Traps. A match may slide along its line at no cost, and colour does not matter at all: read it beside `reprojection`
where geometry is known. Repeated patterns and views far apart give false matches, which can make the true views score
badly; the report card says how far. Pairs with few matches do not count, so a method may gain by blurring what does not
match: coverage falls then, and `tsed` counts such pairs.
"""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from annotated_types import Interval

from ..bench.types import Artifact, Family, Item, Role, Score
from .views.epipolar import Pairs, cameras_of, distances, seen_keypoints, view_pairs
from .views.matches import HOW


@dataclass(frozen=True, kw_only=True)
class EpipolarDistance:
    """Median distance, in pixels, of matched points from their epipolar lines."""

    version: ClassVar[int] = 1
    role: ClassVar[Role] = "consistency"
    direction: ClassVar[str] = "lower"
    unit: ClassVar[str] = "px"
    families: ClassVar[tuple[Family, ...]] = ("geometry", "prior")
    estimates: ClassVar[str] = "reprojection"
    presets: ClassVar[dict[str, dict[str, Any]]] = {"all": {"pairs": "all"}}

    pairs: Pairs = "neighbours"
    """Which views are matched: each with the next one, or every two (`all`)."""
    matches: Annotated[int, Interval(ge=1, le=10_000)] = 5
    """Smallest number of matches with which a pair counts."""
    side: Annotated[int, Interval(ge=32, le=4096)] = 256
    """Length of the shorter side to which views are resized before key points are found, and the unit of the value."""

    def fingerprint(self) -> str:
        """One line that names the pairs, the matches and the unit."""
        return f"median SED, px at {self.side}, {self.pairs}, from {self.matches} matches, {HOW}, given cameras, rgb8"

    def __call__(self, artifact: Artifact, item: Item) -> Score:
        """The mean over pairs of the median; coverage is the fraction of the pairs that have enough matches."""
        cameras = cameras_of(artifact, item)
        if isinstance(cameras, str):
            return Score.none(cameras)
        found, pairs = seen_keypoints(artifact, self.side), view_pairs(len(artifact.views), self.pairs)
        scale = self.side / min(artifact.views.shape[2:])
        medians: list[float] = []
        for pair in pairs:
            off = distances(found, pair, cameras)
            if off is not None and len(off) >= self.matches:
                medians.append(scale * float(off.quantile(0.5)))
        if not medians:
            return Score.none(f"no pair of views has {self.matches} matches from two places")
        return Score(value=sum(medians) / len(medians), coverage=len(medians) / len(pairs))
