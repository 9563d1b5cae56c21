"""Captures: several pictures of one thing with their cameras, in one convention, whatever layout they come from.

Cameras are those of `bench.surfaces.camera`: world to camera, OpenCV's axes (x right, y down, z forward), and the
centre of the top-left pixel is (0.5, 0.5). Readers of layouts convert to it, once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...bench.errors import SyncbenchError, quoted
from ...bench.surfaces.camera import Array

OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])
"""Turns OpenGL's camera axes (x right, y up, z backward) into OpenCV's, and back."""
Map = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Shot:
    """One picture and its camera."""

    image: Path
    extrinsics: Array
    """(4, 4) world to camera."""
    intrinsics: Array
    """(3, 3) in pixels of a picture of `size`."""
    size: tuple[int, int]
    """Height and width in pixels for which the intrinsics are."""
    distortion: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    """OpenCV's k1, k2, p1 and p2."""
    mask: Path | None = None
    """A picture that is bright on the object."""
    depth: Callable[[Path], Map] | None = None
    """Reads camera z (h, w) in world units, 0 where it is not known, from `depth_file`."""
    depth_file: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that the shot is made of."""
        return tuple(file for file in (self.image, self.mask, self.depth_file) if file is not None)


@dataclass(frozen=True, kw_only=True)
class Capture:
    """Several pictures of one thing."""

    id: str
    prompt: str
    """What the thing is; empty where the layout does not say."""
    shots: tuple[Shot, ...]


def rigid(matrix: Any, where: str) -> Array:
    """A pose (4, 4) of finite numbers without shear; a matrix (3, 4) gets its last row.

    Raises SyncbenchError that begins with `where` for anything else.
    """
    try:
        pose = np.asarray(matrix, np.float64)
    except (ValueError, TypeError) as error:
        raise SyncbenchError(f"{where}: a camera's pose is a matrix of 4 x 4 numbers") from error
    if pose.shape == (3, 4):
        pose = np.vstack([pose, [0, 0, 0, 1]])
    if pose.shape != (4, 4) or not np.isfinite(pose).all():
        raise SyncbenchError(f"{where}: a camera's pose is a matrix of 4 x 4 finite numbers")
    turn = pose[:3, :3]
    if np.abs(turn @ turn.T - np.eye(3)).max() > 1e-2 or np.linalg.det(turn) < 0:
        raise SyncbenchError(f"{where}: a camera's pose turns and moves, and this one scales, shears or mirrors")
    u, _, v = np.linalg.svd(turn)
    return np.block([[u @ v, pose[:3, 3:]], [np.zeros((1, 3)), np.ones((1, 1))]])


def turned_by(quaternion: Any, where: str) -> Array:
    """The rotation matrix (3, 3) of a quaternion w, x, y, z. Raises SyncbenchError for one of no length."""
    try:
        w, x, y, z = (float(value) for value in quaternion)
    except (ValueError, TypeError) as error:
        raise SyncbenchError(f"{where}: a turn is four numbers w, x, y, z") from error
    length = float(np.sqrt(w * w + x * x + y * y + z * z))
    if not np.isfinite(length) or length < 1e-6:
        raise SyncbenchError(f"{where}: a turn is four numbers w, x, y, z, not all 0")
    w, x, y, z = w / length, x / length, y / length, z / length
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def posed(rotation: Array, translation: Any, where: str) -> Array:
    """A pose (4, 4) of a rotation (3, 3) and a translation (3,)."""
    try:
        moved = np.asarray(translation, np.float64).reshape(3, 1)
    except (ValueError, TypeError) as error:
        raise SyncbenchError(f"{where}: a camera's place is three numbers") from error
    return rigid(np.hstack([rotation, moved]), where)


def lens(fx: Any, fy: Any, cx: Any, cy: Any, where: str) -> Array:
    """Intrinsics (3, 3). Raises SyncbenchError for focal lengths that are no positive numbers."""
    try:
        a, b, c, d = float(fx), float(fy), float(cx), float(cy)
    except (ValueError, TypeError, OverflowError) as error:
        raise SyncbenchError(f"{where}: focal lengths and the principal point are numbers") from error
    if not np.isfinite([a, b, c, d]).all() or min(a, b) <= 0:
        raise SyncbenchError(f"{where}: focal lengths are positive numbers, not {quoted(a)} and {quoted(b)}")
    return np.array([[a, 0, c], [0, b, d], [0, 0, 1.0]])
