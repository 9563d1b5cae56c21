"""Cameras of published methods around a mesh, by name: angles, lens and distance as in their papers or released code.

Azimuth and elevation are those of `camera.orbit`: azimuth 0 is the front. All cameras look at the middle of the mesh's
box. One rule is ours: where a published camera would cut off a part of the mesh, all cameras of the rig step back (or
an orthographic frame grows) until the mesh fits.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from .camera import Array, Cameras, orbit, orthographic, pinhole

RigName = Literal["texture", "text2tex", "syncmvd", "synctweedies", "texpainter", "paint3d", "diff3f"]
MARGIN = 1.02
"""Smallest size of the frame, in units of what the mesh needs."""
AROUND = (0, 45, 90, 135, 180, 225, 270, 315)


@dataclass(frozen=True)
class Rig:
    """Cameras around a mesh."""

    azimuth: tuple[float, ...]
    """In degrees, in the order in which the method visits them."""
    elevation: tuple[float, ...]
    """In degrees; above 90 a camera has passed the pole and stands upright behind it."""
    angle: float | None
    """Field of view in degrees; None for orthographic cameras."""
    distance: float
    """Distance from the middle (or half the frame's width, if orthographic) in units of `size`."""
    size: Literal["ball", "box", "diagonal"]
    """What of the mesh is 1: the radius of the ball around it, half its box's longest side, or the box's diagonal."""
    paper: str


RIGS: dict[RigName, Rig] = {
    "texture": Rig((0, 45, 315, 90, 270, 135, 225, 180, 180, 180), (*[30] * 8, 60, -60), 60, 2.5, "ball", "2302.01721"),
    "text2tex": Rig((*AROUND, 0, 0), (*[15] * 8, 90, -90), 60, 2.0, "ball", "2303.11396"),
    "syncmvd": Rig((*AROUND, 0, 180), (*[0] * 8, 30, 30), None, 1.0, "box", "2311.12891"),
    "synctweedies": Rig((*AROUND, 0, 180), (*[0] * 8, 30, 30), 60, 2.0, "box", "2403.14370"),
    "texpainter": Rig(AROUND, (30,) * 8, 35, 2.5, "ball", "2406.18539"),
    "paint3d": Rig((0, 180, 45, 315, 0, 0), (*[30] * 4, 90, -90), 54, 2.5, "ball", "2312.13913"),
    "diff3f": Rig(
        tuple(36.0 * k for k in range(10) for _ in range(10)),
        tuple(36.0 * k for _ in range(10) for k in range(10)),
        60,
        0.65,
        "diagonal",
        "2311.17024",
    ),
}
"""Published cameras, in the order in which the methods visit them.

TEXTure: ten, the last two high and low behind. Text2Tex: its ten first views of Objaverse; it adds 20 of its choice.
SyncMVD: ten, orthographic; SyncTweedies: the same ones in perspective. TexPainter: eight, at its distance of 1.5 as if
from meshes as large as TEXTure's (a ball of radius 0.6, seen from 1.5 too); with its narrow lens all cameras step back
to 3.4 balls, so that the mesh fits. Paint3D: three pairs of its coarse stage, the last above and below. Diff3F: a
hundred. Text2Tex's and Paint3D's meshes are of a size that the frame holds, which here is the ball; fields of view that
no paper names are 60 degrees, the renderers' default.
"""


def published_cameras(name: RigName, held: int, vertices: Array, size: int) -> tuple[Cameras, Cameras]:
    """The rig's cameras around vertices (n, 3), of `size` x `size` pixels, and `held` held-out ones.

    Held-out cameras have the rig's lens and distance and stand evenly around the mesh from azimuth 22.5 on, all of them
    20 degrees up, where no rig has a camera. Of many (16) some have the azimuth of a rig's.
    """
    rig = RIGS[name]
    azimuth = tuple(22.5 + 360 / held * k for k in range(held))
    shown = _cameras(rig, rig.azimuth, rig.elevation, vertices, size)
    return shown, _cameras(rig, azimuth, (20.0,) * held, vertices, size)


def _cameras(rig: Rig, azimuth: tuple[float, ...], elevation: tuple[float, ...], vertices: Array, size: int) -> Cameras:
    low, high = vertices.min(0), vertices.max(0)
    middle = (low + high) / 2
    ball = float(np.linalg.norm(vertices - middle, axis=1).max())
    units = {"ball": ball, "box": float((high - low).max()) / 2, "diagonal": float(np.linalg.norm(high - low))}
    reach = rig.distance * units[rig.size]
    centre = (size / 2, size / 2)
    if rig.angle is None:
        lens = orthographic(len(azimuth), size / 2 / max(reach, MARGIN * ball), centre)
        reach = 4 * ball
    else:
        half = np.radians(rig.angle / 2)
        reach = max(reach, MARGIN * ball / float(np.sin(half)))
        lens = pinhole(len(azimuth), size / 2 / float(np.tan(half)), centre)
    return Cameras(orbit(azimuth, elevation, reach, middle), lens, size, size)
