"""Geodesic error

Mean length of the way on the surface between a vertex's match, by features, and its true place on another shape, in
percent of the square root of that shape's area. Lower is better; 0 is exact. An item has the mean over the shapes that
it is to be matched with; the match has the largest cosine of features among all vertices.

Source: the Princeton protocol (Kim, Lipman, Funkhouser, SIGGRAPH 2011), which measures geodesic distances so. Ways run
along edges (Dijkstra), up to a sixth longer than across faces; between parts that no edge joins, the straight
distance counts. Diff3F's `err` is another number: the paper's is a mean straight distance, its code's the mean of
squares.

Traps. The mean is ruled by wrong halves: one vertex on the wrong hand weighs as much as many small errors. Read it
beside `correspondence` and `side_flips`.
"""

from dataclasses import dataclass
from typing import ClassVar

from ..bench.types import Family, Role
from .shapes.distances import area, geodesic_distances
from .shapes.matching import Matched, Matching


@dataclass(frozen=True, kw_only=True)
class GeodesicError(Matching):
    """Mean distance on the surface between matches and true places."""

    version: ClassVar[int] = 1
    role: ClassVar[Role] = "quality"
    direction: ClassVar[str] = "lower"
    unit: ClassVar[str] = "%"
    families: ClassVar[tuple[Family, ...]] = ("geometry",)

    def fingerprint(self) -> str:
        """One line that names the matches and the distance."""
        return f"ways along edges by the root of the target's area, {super().fingerprint()}"

    def judge(self, matched: Matched) -> tuple[float, float] | str:
        """The mean of a pair, of all its matches."""
        vertices, faces = matched.target.truth["vertices"], matched.target.truth["faces"]
        size = area(vertices, faces) ** 0.5
        if size == 0:
            return f"shape {matched.target.id} has no area"
        return 100 * float(geodesic_distances(vertices, faces, matched.true, matched.found).mean()) / size, 1.0
