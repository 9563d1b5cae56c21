"""Words for where a view looks from, added to prompts: "..., front view"."""

from dataclasses import dataclass
from math import atan2, degrees, hypot

from ...bench.sampling.loop import Sync
from ...bench.types import Item

FRONT, OVERHEAD = 70.0, 40.0
"""Degrees of azimuth that are the front (and as many the back), and of the cone that is overhead, as TEXTure has it."""


@dataclass(frozen=True, kw_only=True)
class Directed(Sync):
    """A method whose prompts may end in the word for each view's direction."""

    directions: bool = False
    """Whether each view's prompt ends in "front view", "left view" and so on; not in the reference world, whose models
    have no words for directions."""

    def lacks(self, item: Item) -> str | None:
        """A sentence where directions are asked for and the item has no cameras, or is of the reference world."""
        if self.directions and item.world:
            return "the reference world has no words for the directions of views"
        if self.directions and "camera" not in item.conditions:
            return "the item has no cameras that would tell the directions of views"
        return None

    def prompts(self, item: Item, views: int) -> tuple[str, ...]:
        """The item's prompts, with the direction of each view where `directions` says so."""
        plain = super().prompts(item, views)
        if not self.directions:
            return plain
        words = map(direction, item.conditions["camera"].reshape(-1, 4, 4)[:, :3, 3].tolist())
        return tuple(f"{prompt}, {word} view" for prompt, word in zip(plain, words, strict=True))


def direction(place: tuple[float, float, float]) -> str:
    """The word for a camera at `place` that looks at the origin; the object's front is at +x and up is z.

    >>> [direction(p) for p in ((2, 0.1, 0.5), (0, 2, 0.5), (-2, 0, 0.5), (0, -2, 0.5), (0.1, 0, 2), (0, 0.1, -2))]
    ['front', 'left', 'back', 'right', 'overhead', 'bottom']
    """
    x, y, z = place
    elevation, azimuth = degrees(atan2(z, hypot(x, y))), degrees(atan2(y, x))
    if abs(elevation) > 90 - OVERHEAD:
        return "overhead" if elevation > 0 else "bottom"
    if abs(azimuth) <= FRONT / 2:
        return "front"
    if abs(azimuth) >= 180 - FRONT / 2:
        return "back"
    return "left" if azimuth > 0 else "right"
