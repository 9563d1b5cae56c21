"""A sphere around the viewer: a full panorama seen by perspective cameras in its middle."""

from dataclasses import dataclass
from math import pi, radians, tan

import numpy as np
import torch

from ..canvas import Canvas
from ..limits import check_factor, check_size
from ..types import SyncbenchError
from .camera import Cameras, look_at, pinhole


@dataclass(frozen=True)
class Sphere:
    """An equirectangular panorama: rows from the zenith down, columns by azimuth from 0 to 360 degrees.

    The number of cells along the equator is such that a cell is about one pixel wide in the middle of a view. Towards
    the poles cells are narrower than a pixel, so some are seen by no view.
    """

    height: int
    width: int
    field_of_view: float
    """Field of view across the width of a view, in degrees."""
    directions: tuple[tuple[float, float], ...]
    """Azimuth and elevation of each view in degrees; see `camera`."""

    def __post_init__(self) -> None:
        if not 0 < self.field_of_view < 180:
            raise SyncbenchError(f"a view's field is between 0 and 180 degrees, not {self.field_of_view}")
        if min(self.height, self.width) < 1 or not self.directions:
            raise SyncbenchError("a sphere needs at least one view with a positive height and width")
        check_size("a sphere", len(self.directions), self.height, self.width)

    @property
    def window(self) -> tuple[int, int]:
        """Height and width of one view in pixels."""
        return self.height, self.width

    @property
    def cameras(self) -> Cameras:
        """The views' cameras, in the middle of the sphere."""
        angle = np.radians(np.array(self.directions))
        level = np.cos(angle[:, 1])
        towards = np.stack([level * np.cos(angle[:, 0]), level * np.sin(angle[:, 0]), np.sin(angle[:, 1])], 1)
        focal = self.width / 2 / tan(radians(self.field_of_view) / 2)
        lens = pinhole(len(towards), focal, (self.width / 2, self.height / 2))
        return Cameras(look_at(np.zeros_like(towards), towards), lens, self.height, self.width)

    @property
    def views(self) -> int:
        """The number of views, one for each direction."""
        return len(self.directions)

    @property
    def picture(self) -> bool:
        """False: the views are the result, because the unrolled sphere is stretched at its poles."""
        return False

    def canvas(self, factor: int = 1, stride: float | None = None) -> Canvas:
        """The canvas of the views, with `factor` pixels to a side of a cell; `stride` is ignored."""
        self.check(factor)
        cameras = self.cameras.coarser(factor)
        high = max(2, round(pi * float(cameras.intrinsics[0, 0, 0])))
        wide = 2 * high
        check_size("the map of a sphere", 1, high, wide)
        rows: list[torch.Tensor] = []
        for number in range(len(cameras)):
            ray = cameras.rays(number)[1]
            ray = ray / np.linalg.norm(ray, axis=-1, keepdims=True)
            row = np.arccos(np.clip(ray[..., 2], -1, 1)) / pi * high
            column = np.arctan2(ray[..., 1], ray[..., 0]) / (2 * pi) % 1 * wide
            cell = np.minimum(row.astype(np.int64), high - 1) * wide + np.minimum(column.astype(np.int64), wide - 1)
            rows.append(torch.as_tensor(cell))
        index = torch.stack(rows)
        return Canvas(index, torch.ones(index.shape), (high, wide), wraps=True)

    def check(self, factor: int = 1, stride: float | None = None) -> int:
        """The number of views. Raises SyncbenchError where `canvas` would, except for the size of the whole sphere."""
        check_factor("views", self.height, self.width, factor)
        return len(self.directions)
