"""Correspondence

Share of a shape's vertices whose match on another shape, by features, lies within 1 % of that shape's diameter of the
true place: acc(gamma) of DPC (Lang et al., 3DV 2021) and Diff3F. The diameter is the largest straight distance between
two vertices, and so is the error measured. Higher is better, range [0, 100] %. An item has the mean over the shapes
that it is to be matched with; the match has the largest cosine of features.

Source: Diff3F (Dutt et al., CVPR 2024, arXiv 2311.17024, section 5), whose code matches 1,024 random vertices of each
shape with 1,024 of the other. Here the same number is matched with all vertices of the other shape, which is harder:
of random features, one in n vertices and those near it are found. Numbers of unlike numbers of candidates do not
compare.

Traps. A ball has no place that its features could name: only what is marked can be matched. Features that are the
coordinates of a mesh at rest have 100 % on its copy: read the item's deformation. Symmetric errors look as any other;
`side_flips` tells them.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch

from ..bench.limits import Fraction
from ..bench.types import Family, Role
from .shapes.distances import diameter
from .shapes.matching import Matched, Matching


@dataclass(frozen=True, kw_only=True)
class Correspondence(Matching):
    """Share of matches that are nearly right."""

    version: ClassVar[int] = 1
    role: ClassVar[Role] = "quality"
    direction: ClassVar[str] = "higher"
    unit: ClassVar[str] = "%"
    families: ClassVar[tuple[Family, ...]] = ("geometry",)

    tolerance: Fraction = 0.01
    """Largest error of a match that counts, as a fraction of the target's diameter."""

    def fingerprint(self) -> str:
        """One line that names the matches and the tolerance."""
        return f"within {self.tolerance:g} of the target's Euclidean diameter, {super().fingerprint()}"

    def judge(self, matched: Matched) -> tuple[float, float]:
        """The share of a pair, of all its matches."""
        vertices = matched.target.truth["vertices"].double()
        error = (vertices[matched.found] - vertices[matched.true]).norm(dim=1)
        near = error <= self.tolerance * diameter(vertices.float())
        return 100 * float(near.to(torch.float64).mean()), 1.0
