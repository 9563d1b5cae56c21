"""Words for where a camera looks from: "front view", "left view" and so on."""

from math import atan2, degrees, hypot

from ..types import Item

FRONT, OVERHEAD = 70.0, 40.0
"""Degrees of azimuth that are the front (and as many the back), and of the cone that is overhead, as TEXTure has it."""


def view_words(item: Item) -> tuple[str, ...]:
    """The words of each view of an item with cameras; () without any."""
    if "camera" not in item.conditions:
        return ()
    places: list[tuple[float, float, float]] = item.conditions["camera"].reshape(-1, 4, 4)[:, :3, 3].tolist()
    return tuple(f"{direction(place)} view" for place in places)


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
