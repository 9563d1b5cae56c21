"""Cameras: one convention for every family that looks at three dimensions.

The world is right-handed with z up; objects stand on the ground plane z = 0 around the origin. Camera axes are
OpenCV's: x right, y down, z forward. Azimuth is counted from +x towards +y, elevation from the ground up; the
front of an object faces +x, so azimuth 0 sees it from the front.

          z up                          image
          |    .  camera                (0,0)------------> u (columns, x right)
          |   /                           |
          |  / radius                     |      . principal point (cx, cy)
          | /_) elevation                 |
          |/__________ y                  v  v (rows, y down)
          /\\_)
         /   azimuth                    u = fx x/z + cx,  v = fy y/z + cy  of a point (x, y, z)
        x  front of the object          in camera axes; the centre of the top-left pixel is (0.5, 0.5)

`extrinsics` (n, 4, 4) take world to camera, `intrinsics` (n, 3, 3) are in pixels of the image, and depth is the
camera's z (not the ray's length) in world units, 0 where there is no surface.

The last entry of the intrinsics is 1 for perspective cameras, as usual, and 0 for orthographic ones, whose rays are
parallel: u = fx x + cx, v = fy y + cy, where fx and fy are pixels per world unit.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..catalogue.content import digest

Array = npt.NDArray[np.float64]


def inverse(matrix: Array) -> Array:
    """Inverse of (..., k, k) matrices."""
    return np.asarray(np.linalg.inv(matrix), np.float64)


@dataclass(frozen=True, eq=False)
class Cameras:
    """n cameras of one image size (height, width) in pixels, all perspective or all orthographic."""

    extrinsics: Array
    """(n, 4, 4) world to camera."""
    intrinsics: Array
    """(n, 3, 3) in pixels."""
    height: int
    width: int

    def __len__(self) -> int:
        return len(self.extrinsics)

    def __getitem__(self, index: slice) -> "Cameras":
        return Cameras(self.extrinsics[index], self.intrinsics[index], self.height, self.width)

    @property
    def to_world(self) -> Array:
        """(n, 4, 4) camera to world."""
        return inverse(self.extrinsics)

    @property
    def centres(self) -> Array:
        """(n, 3) positions in the world."""
        return self.to_world[:, :3, 3]

    @property
    def digest(self) -> str:
        """12 hex digits of everything that determines what the cameras see."""
        return digest([self.extrinsics, self.intrinsics, self.height, self.width])

    @property
    def orthographic(self) -> bool:
        """Whether the rays of a camera are parallel."""
        return bool(self.intrinsics[0, 2, 2] == 0)

    def coarser(self, factor: int) -> "Cameras":
        """These cameras with `factor` x `factor` pixels merged into one, whose centre is that of the block."""
        scale = np.diag([1 / factor, 1 / factor, 1.0])
        return Cameras(self.extrinsics, scale @ self.intrinsics, self.height // factor, self.width // factor)

    @property
    def pixels(self) -> Array:
        """Pixel centres (height, width, 2): column, row."""
        column, row = np.meshgrid(np.arange(self.width) + 0.5, np.arange(self.height) + 0.5)
        return np.asarray(np.stack([column, row], -1), np.float64)

    def rays(self, number: int, pixels: Array | None = None) -> tuple[Array, Array]:
        """Origin and directions (..., 3) of the rays of camera `number` through `pixels` (..., 2): column, row.

        The direction's camera z is 1, so `origin + depth * direction` is the point at that depth. The origin is the
        camera's place (3,), or of an orthographic camera a point (..., 3) of the plane through it for each pixel.
        Without `pixels` the rays go through all pixel centres.
        """
        at = self.pixels if pixels is None else pixels
        world = self.to_world[number]
        if self.orthographic:
            lens = self.intrinsics[number]
            aside = (at - lens[:2, 2]) / np.diag(lens)[:2]
            origins: Array = world[:3, 3] + aside @ world[:3, :2].T
            return origins, np.broadcast_to(world[:3, 2], origins.shape)
        flat: Array = np.concatenate([at, np.ones((*at.shape[:-1], 1))], -1)
        turn = world[:3, :3] @ inverse(self.intrinsics[number])
        return world[:3, 3], flat @ turn.T

    def around(self, number: int, ball: tuple[Array, float]) -> tuple[slice, slice]:
        """Rows and columns that hold all that camera `number` sees of a ball (centre, radius), with a pixel to spare.

        Those of the ball's outline, a conic (Hartley and Zisserman 2004, section 8.3); all where a part of the ball is
        behind the camera.
        """
        (centre, radius), lens = ball, self.intrinsics[number]
        towards = lens @ self.extrinsics[number, :3]
        if self.orthographic:
            towards = np.vstack([towards[:2] - lens[:2, 2:] * self.extrinsics[number, 2], [0, 0, 0, 1]])
            towards[:2, 3] += lens[:2, 2]
        middle = towards @ np.append(centre, 1.0)
        outline = np.outer(middle, middle) - radius**2 * towards[:, :3] @ towards[:, :3].T
        if middle[2] <= 0 or outline[2, 2] <= 0:
            return slice(0, self.height), slice(0, self.width)
        at = outline[:2, 2] / outline[2, 2]
        reach = np.sqrt(np.maximum(at**2 - np.diag(outline)[:2] / outline[2, 2], 0))
        size = [self.width, self.height]
        low = np.clip(np.floor(at - reach) - 1, 0, size).astype(int)
        high = np.clip(np.ceil(at + reach) + 1, 0, size).astype(int)
        return slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))

    def project(self, number: int, points: Array, directions: bool = False) -> tuple[Array, Array]:
        """Pixels (..., 2) and depth (...) of world points (..., 3) in camera `number`; depth <= 0 is behind it.

        With `directions` the points lie infinitely far away in those directions.
        """
        pose = self.extrinsics[number]
        there = points @ pose[:3, :3].T + (0.0 if directions else pose[:3, 3])
        depth = there[..., 2]
        lens = self.intrinsics[number]
        if self.orthographic:
            return there[..., :2] @ lens[:2, :2].T + lens[:2, 2], depth
        safe = np.where(np.abs(depth) < 1e-12, 1e-12, depth)
        image = there @ lens.T
        return image[..., :2] / safe[..., None], depth


def look_at(eyes: Array, targets: Array) -> Array:
    """Extrinsics (n, 4, 4) of upright cameras at `eyes` (n, 3) that look at `targets` (n, 3)."""
    eyes, targets = np.broadcast_arrays(np.asarray(eyes, float), np.asarray(targets, float))
    forward = targets - eyes
    forward = forward / np.linalg.norm(forward, axis=1, keepdims=True)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    # straight up or down there is no upright: take +y of the world as the image's right
    upright = np.linalg.norm(right, axis=1, keepdims=True) > 1e-9
    right = np.where(upright, right, [0.0, 1.0, 0.0])
    right = right / np.linalg.norm(right, axis=1, keepdims=True)
    rotation = np.stack([right, np.cross(forward, right), forward], 1)
    extrinsics = np.tile(np.eye(4), (len(eyes), 1, 1))
    extrinsics[:, :3, :3] = rotation
    extrinsics[:, :3, 3] = -np.einsum("nij,nj->ni", rotation, eyes)
    return extrinsics


def orbit(
    azimuth: npt.ArrayLike, elevation: npt.ArrayLike, radius: npt.ArrayLike, target: npt.ArrayLike = (0.0, 0.0, 0.5)
) -> Array:
    """Extrinsics (n, 4, 4) of cameras around `target` that look at it. Angles are in degrees; arguments broadcast."""
    a, e, r = np.broadcast_arrays(np.radians(azimuth), np.radians(elevation), np.asarray(radius, float))
    a, e, r = np.atleast_1d(a), np.atleast_1d(e), np.atleast_1d(r)
    centre = np.asarray(target, float)
    offset = np.stack([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)], -1) * r[:, None]
    return look_at(centre + offset, np.broadcast_to(centre, offset.shape))


def pinhole(count: int, focal: float, centre: tuple[float, float]) -> Array:
    """Intrinsics (count, 3, 3) of square pixels: focal length and principal point (cx, cy) in pixels."""
    one = np.array([[focal, 0, centre[0]], [0, focal, centre[1]], [0, 0, 1.0]])
    return np.tile(one, (count, 1, 1))


def orthographic(count: int, scale: float, centre: tuple[float, float]) -> Array:
    """Intrinsics (count, 3, 3) of orthographic cameras: pixels per world unit and the image's centre (cx, cy)."""
    one = np.array([[scale, 0, centre[0]], [0, scale, centre[1]], [0, 0, 0.0]])
    return np.tile(one, (count, 1, 1))


def closeness(depth: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Inverse depth of the views of one item, scaled to 1 at their nearest surface; 0 where there is no surface."""
    solid = depth > 0
    near = depth[solid].min() if solid.any() else 1.0
    return np.where(solid, near / np.where(solid, depth, 1), 0).astype(np.float32)
