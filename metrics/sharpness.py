"""Sharpness

Variance of the 4-neighbour Laplacian of luma, in levels^2 (8-bit), averaged over tiles of the canvas that touch no
border of the item's window grid.

Pech-Pacheco et al., ICPR 2000 (variance of the Laplacian), tiled so that a seam is not mistaken for detail. Range
[0, inf); higher is sharper, 0 is constant.

Traps. A guard against blurring and blank output, which consistency metrics reward; not a quality score: noise and
checkerboards are the sharpest images there are. Depends on content: compare methods on the same items only.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch

from ..bench.types import Artifact, Family, Item, Score
from .strips.borders import grid, nearest
from .strips.crops import INPUT, NO_CANVAS, pixels
from .strips.detail import laplacian


@dataclass(frozen=True, kw_only=True)
class Sharpness:
    """Variance of the Laplacian away from the window grid."""

    version: ClassVar[int] = 1
    direction: ClassVar[str] = "higher"
    unit: ClassVar[str] = "levels^2"
    families: ClassVar[tuple[Family, ...]] = ("overlap",)

    tile: int = 16
    """Side of a tile in pixels."""
    clear: int = 4
    """Pixels between a tile and the nearest border of the item's window grid."""

    def fingerprint(self) -> str:
        """Operator, tiles, clearance."""
        return f"laplacian variance of luma, {self.tile} px tiles >={self.clear} px from the grid, {INPUT}"

    def __call__(self, artifact: Artifact, item: Item) -> Score:
        """The mean over tiles; coverage is the fraction of the canvas inside the scored tiles."""
        image = pixels(artifact)
        if image is None:
            return Score.none(NO_CANVAS)
        response = laplacian(image)
        height, width = response.shape
        columns, wraps = grid(item)
        usable = torch.ones(width, dtype=torch.bool)
        if columns:
            usable = nearest(width, columns, wraps) >= self.clear
        values: list[float] = []
        left = 0
        while left + self.tile <= width:
            blocked = (~usable[left : left + self.tile]).nonzero()
            if len(blocked):
                left += int(blocked[-1]) + 1
                continue
            strip = response[:, left : left + self.tile]
            tops = range(0, height - self.tile + 1, self.tile)
            values += [float(strip[top : top + self.tile].var(correction=0)) for top in tops]
            left += self.tile
        if not values:
            return Score.none(f"no tile of {self.tile} px fits between the borders")
        return Score(value=sum(values) / len(values), coverage=len(values) * self.tile**2 / (height * width))
