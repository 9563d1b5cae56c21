"""Side flips

Share of a shape's vertices on the left or the right whose match on another shape, by features, lies on the other side.
Lower is better, range [0, 100] %; what tells no sides apart has 50 %, a mirror image 100 %. An item has the mean over
the shapes that it is to be matched with. Coverage is the share of matched vertices that are on a side and whose match
is on one.

Source: left and right hands, legs and ears are what features of pictures are known to confuse (Zhang et al., Telling
Left from Right, CVPR 2024, arXiv 2311.17034); sides are exact in the world's shapes. Null where the truth knows none,
as in SHREC'19 and TOSCA.

Traps. It does not tell whether a match is near: features that only say "left" have 0. Read it beside `correspondence`.
"""

from dataclasses import dataclass
from typing import ClassVar

from ..bench.types import Family, Role
from .shapes.matching import Matched, Matching


@dataclass(frozen=True, kw_only=True)
class SideFlips(Matching):
    """Share of matches that change sides."""

    version: ClassVar[int] = 1
    role: ClassVar[Role] = "quality"
    direction: ClassVar[str] = "lower"
    unit: ClassVar[str] = "%"
    families: ClassVar[tuple[Family, ...]] = ("geometry",)

    def fingerprint(self) -> str:
        """One line that names the matches."""
        return f"opposite sides, {super().fingerprint()}"

    def judge(self, matched: Matched) -> tuple[float, float] | str:
        """The share of a pair, of the matches between sides."""
        if "side" not in matched.source.truth or "side" not in matched.target.truth:
            return "the truth does not know left from right"
        product = matched.source.truth["side"][matched.queries] * matched.target.truth["side"][matched.found]
        judged = product != 0
        if not bool(judged.any()):
            return "no match goes from one side to one"
        return 100 * float((product[judged] < 0).double().mean()), float(judged.double().mean())
