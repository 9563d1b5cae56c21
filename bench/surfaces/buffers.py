"""What cameras see of a mesh at each pixel: the one ray caster behind atlases, truth, drawing and baking.

`cast` gives the first hits of one camera in double precision; `surface_buffers` stacks what methods and metrics read of
several cameras, as tensors.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from .camera import Array, Cameras, inverse
from .charts import Unwrapped
from .mesh import Ids, Mesh

BAND = 2**14
"""Rays that are cast together for buffers, few enough for the processor's cache to hold what is computed of them."""


@dataclass(frozen=True, eq=False)
class Cast:
    """The k pixels of one camera, or of a part of it, whose rays hit a mesh, in order.

    What follows from a hit is computed when it is read; of that only the weights are kept.
    """

    mesh: Mesh
    cameras: Cameras
    """In the mesh's coordinates."""
    number: int
    """Which of the cameras it is."""
    hit: Ids
    """Flat numbers (k,) of the pixels."""
    face: Ids
    """First face (k,) that each ray hits."""
    depth: Array
    """Camera z (k,) of the hit."""
    origins: Array
    """Where the rays start, (3,) or of an orthographic camera (k, 3), in the mesh's coordinates."""
    directions: Array
    """Directions (k, 3) of the rays, with camera z 1, in the mesh's coordinates."""

    @property
    def points(self) -> Array:
        """The hit (k, 3), in the mesh's coordinates."""
        return self.origins + self.depth[:, None] * self.directions

    @cached_property
    def weights(self) -> Array:
        """Barycentric weights (k, 3) of the face's corners at the hit."""
        return self.mesh.barycentric(self.face, self.points)

    @property
    def normal(self) -> Array:
        """Unit normal (k, 3) of the face in camera axes, on the side that the camera sees."""
        return facing(self.mesh, self.cameras, self.number, self.face, self.directions)[0]

    @property
    def cosine(self) -> Array:
        """Cosine (k,) of the angle between ray and normal, in [0, 1]."""
        return facing(self.mesh, self.cameras, self.number, self.face, self.directions)[1]


def cast(mesh: Mesh, cameras: Cameras, number: int, shift: tuple[float, float] = (0.0, 0.0)) -> Cast:
    """The first hits of camera `number`, whose rays go through pixel centres moved by `shift` (column, row) pixels.

    Cameras are in the mesh's coordinates; a pose in their extrinsics that stretches the mesh turns its normals rightly.
    """
    return _cast(mesh, cameras, number, *cameras.around(number, mesh.sphere), shift)


def _cast(
    mesh: Mesh, cameras: Cameras, number: int, rows: slice, columns: slice, shift: tuple[float, float] = (0.0, 0.0)
) -> Cast:
    """The first hits of some rows and columns of camera `number`."""
    row, column = np.arange(cameras.height)[rows], np.arange(cameras.width)[columns]
    pixels = np.stack(np.broadcast_arrays(column + (0.5 + shift[0]), row[:, None] + (0.5 + shift[1])), -1)
    origin, directions = cameras.rays(number, pixels.reshape(-1, 2))
    ray, face, depth = mesh.hits(origin, directions)
    origin, directions = origin.take(ray, 0) if origin.ndim > 1 else origin, directions.take(ray, 0)
    hit = (row[:, None] * cameras.width + column).reshape(-1).take(ray)
    return Cast(mesh, cameras, number, hit, face, depth, origin, directions)


def facing(mesh: Mesh, cameras: Cameras, number: int, face: Ids, directions: Array) -> tuple[Array, Array]:
    """Unit normals (k, 3) of faces (k,) in camera axes, towards the camera, and cosines (k,) of the viewing angle.

    `directions` (k, 3) are those of the rays to the faces, in the mesh's coordinates.
    """
    turn = cameras.extrinsics[number, :3, :3]
    # In camera axes, because a pose that stretches the mesh turns its normals. Rows are components: NumPy is several
    # times faster along many pixels than along three components.
    towards, normal = turn @ directions.T, inverse(turn).T @ mesh.normals.take(face, 0).T
    normal /= np.maximum(np.sqrt(np.einsum("in,in->n", normal, normal)), 1e-300)
    along = np.einsum("in,in->n", towards, normal)
    normal *= np.where(along > 0, -1.0, 1.0)
    return normal.T, np.abs(along) / np.sqrt(np.einsum("in,in->n", towards, towards))


def jacobian(seen: Cast, slopes: Array) -> Array:
    """Derivatives (k, 2, 2) of texture coordinates (column, row: first index) by a pixel's column and row (second).

    `slopes` (2, 3, m) are those of `Unwrapped.slopes`. The derivative is that of the face's own plane, exact also in
    perspective.
    """
    ahead = np.array([[0.5, 0.5], [1.5, 0.5], [0.5, 1.5]])
    origin, direction = seen.cameras.rays(seen.number, ahead)
    parallel = origin.ndim > 1
    # How the point moves at depth 1 (at any, of an orthographic camera), before it is brought back to the plane.
    move = ((origin if parallel else direction)[1:] - (origin if parallel else direction)[0]).T
    plane, own, way = seen.mesh.normals.take(seen.face, 0).T, slopes.take(seen.face, 2), seen.directions.T
    back = (move.T @ plane) / np.einsum("in,in->n", plane, way)
    made = np.einsum("abn,bc->acn", own, move)
    made -= np.einsum("abn,bn->an", own, way)[:, None] * back
    if not parallel:
        made *= seen.depth
    return np.moveaxis(made, 2, 0)


@dataclass(frozen=True, eq=False)
class SurfaceBuffers:
    """What n views of h x w pixels show of a mesh and its texture, 0 (or -1) where a pixel shows none of it.

    Each buffer is made when it is first read, and kept.
    """

    casts: tuple[Cast, ...]
    """The hits of the views, in parts."""
    cameras: Cameras
    """Those of the views, in the mesh's coordinates."""
    charts: Unwrapped
    """Where the faces lie in the texture."""

    @cached_property
    def face(self) -> Int[Tensor, "n h w"]:
        """Number of the face; -1 off the mesh."""
        return self._views(lambda seen: seen.face)

    @cached_property
    def weights(self) -> Float[Tensor, "n 3 h w"]:
        """Barycentric weights of the face's corners."""
        return self._views(lambda seen: seen.weights)

    @cached_property
    def texel(self) -> Int[Tensor, "n h w"]:
        """Flat number of the texel that holds the point, as in the atlas's canvas; -1 off the mesh."""
        return self._views(lambda seen: self.charts.texels(seen.face, seen.weights))

    @cached_property
    def at(self) -> Float[Tensor, "n 2 h w"]:
        """Texture coordinates in texels: column, row; the centre of the first texel is (0.5, 0.5)."""
        return self._views(lambda seen: self.charts.at(seen.face, seen.weights))

    @cached_property
    def depth(self) -> Float[Tensor, "n h w"]:
        """Camera z in world units."""
        return self._views(lambda seen: seen.depth)

    @cached_property
    def position(self) -> Float[Tensor, "n 3 h w"]:
        """The point in the mesh's coordinates."""
        return self._views(lambda seen: seen.points)

    @cached_property
    def normal(self) -> Float[Tensor, "n 3 h w"]:
        """Unit normal in camera axes (x right, y down, z forward), towards the camera."""
        return self._views(lambda seen: seen.normal)

    @cached_property
    def cosine(self) -> Float[Tensor, "n h w"]:
        """Cosine of the viewing angle, in [0, 1]."""
        return self._views(lambda seen: seen.cosine)

    @cached_property
    def jacobian(self) -> Float[Tensor, "n 2 2 h w"]:
        """Derivatives of column and row of the texture (first) by column and row of the view (second)."""
        slopes = self.charts.slopes(self.casts[0].mesh)
        return self._views(lambda seen: jacobian(seen, slopes))

    @property
    def visible(self) -> Bool[Tensor, "n h w"]:
        """Whether a pixel shows the mesh."""
        return self.face >= 0

    @property
    def footprint(self) -> Float[Tensor, "n h w"]:
        """Texels that a pixel covers, the absolute determinant of `jacobian`; 0 off the mesh."""
        j = self.jacobian
        return (j[:, 0, 0] * j[:, 1, 1] - j[:, 0, 1] * j[:, 1, 0]).abs()

    def seen_texels(self, texels: int) -> Bool[Tensor, "n texels"]:
        """Which of the first `texels` texels each view sees at a pixel's centre."""
        seen = torch.zeros(len(self.cameras), texels + 1, dtype=torch.bool)
        for view, texel in zip(seen, self.texel, strict=True):
            view[texel.reshape(-1)] = True  # -1 is the last one, which is left out
        return seen[:, :texels]

    def _views(self, values: Callable[[Cast], npt.NDArray[Any]]) -> Tensor:
        """The `values` (k, ...) of each view's hits as (n, ..., h, w): whole numbers, or in single precision."""
        cameras, full = self.cameras, None
        for seen in self.casts:
            given = values(seen)
            if full is None:
                shape = (len(cameras), *given.shape[1:], cameras.height * cameras.width)
                full = np.full(shape, -1) if given.dtype == np.int64 else np.zeros(shape, np.float32)
            planes = full[seen.number].reshape(-1, full.shape[-1])
            rows = np.ascontiguousarray(np.moveaxis(given, 0, -1), full.dtype).reshape(len(planes), len(seen.hit))
            for plane, row in zip(planes, rows, strict=True):
                plane[seen.hit] = row
        return torch.from_numpy(full).unflatten(-1, (cameras.height, cameras.width))


def surface_buffers(mesh: Mesh, cameras: Cameras, charts: Unwrapped) -> SurfaceBuffers:
    """The buffers of all cameras, which are in the mesh's coordinates.

    All of them take about 90 bytes a pixel, and 80 more one that shows the mesh, so slice many cameras.
    """
    casts: list[Cast] = []
    for number in range(len(cameras)):
        rows, columns = cameras.around(number, mesh.sphere)
        step = max(1, BAND // max(1, columns.stop - columns.start))
        for top in range(rows.start, max(rows.stop, rows.start + 1), step):
            casts.append(_cast(mesh, cameras, number, slice(top, min(top + step, rows.stop)), columns))
    return SurfaceBuffers(tuple(casts), cameras, charts)
