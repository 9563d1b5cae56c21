"""Rigs: the poses that published multi-view networks were trained with, in this package's convention of cameras.

Azimuths count from the front view, which stands at the azimuth of `camera` where a picture is given, from +x towards +y
(counter-clockwise seen from above), elevations from the ground up. See `camera` for the axes and `docs/conventions.md`
for a drawing and for what every network reads of a camera.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class NetworkRig:
    """Poses of the views, in degrees."""

    azimuth: tuple[float, ...]
    """From the front view or, where a picture is given, from that picture's view."""
    elevation: tuple[float, ...]
    """Absolute, one for each view."""
    given: float | None = None
    """Elevation of the picture that is given; None: the views are made of text."""


def _ring(count: int, start: float = 0.0) -> tuple[float, ...]:
    return tuple(start + 360 / count * i for i in range(count))


PUBLISHED: dict[str, NetworkRig] = {
    "mvdream": NetworkRig(_ring(4), (15.0,) * 4),
    "imagedream": NetworkRig(_ring(4), (5.0,) * 4, given=5.0),
    "mvadapter": NetworkRig((0.0, 45.0, 90.0, 180.0, 270.0, 315.0), (0.0,) * 6),
    "zero123plus-v1.1": NetworkRig(_ring(6, 30.0), (30.0, -20.0) * 3, given=10.0),
    "zero123plus-v1.2": NetworkRig(_ring(6, 30.0), (20.0, -10.0) * 3, given=10.0),
}
"""By name. MVDream and ImageDream are trained with elevations of 0 to 30 degrees, of which these are the scripts' own.
Zero123++ reads pictures of any elevation; 10 degrees are ours."""
