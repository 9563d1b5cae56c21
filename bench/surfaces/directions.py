"""Words for where a camera looks from: "front view", "left view" and so on."""

from math import atan2, degrees, hypot

from ..types import Item

FRONT, OVERHEAD = 70.0, 40.0
"""Degrees of azimuth that are the front (and as many the back), and of the cone that is overhead, as TEXTure has it."""


def view_words(item: Item) -> tuple[str, ...]:
    """The words of each view of an item with cameras; () without any.

    They are those of the axis along which a camera looks: cameras look at the middle of an object, which stands on the
    ground, so that places alone would tell too high an elevation.
    """
    if "camera" not in item.conditions:
        return ()
    away: list[tuple[float, float, float]] = (-item.conditions["camera"].reshape(-1, 4, 4)[:, :3, 2]).tolist()
    return tuple(f"{direction(one)} view" for one in away)


def direction(away: tuple[float, float, float]) -> str:
    """The word for a camera that lies in the direction `away` from what it looks at; the front is at +x and up is z.

    >>> [direction(p) for p in ((2, 0.1, 0.5), (0, 2, 0.5), (-2, 0, 0.5), (0, -2, 0.5), (0.1, 0, 2), (0, 0.1, -2))]
    ['front', 'left', 'back', 'right', 'overhead', 'bottom']
    """
    x, y, z = away
    elevation, azimuth = degrees(atan2(z, hypot(x, y))), degrees(atan2(y, x))
    if abs(elevation) > 90 - OVERHEAD:
        return "overhead" if elevation > 0 else "bottom"
    if abs(azimuth) <= FRONT / 2:
        return "front"
    if abs(azimuth) >= 180 - FRONT / 2:
        return "back"
    return "left" if azimuth > 0 else "right"
