"""What cameras see of a mesh at each pixel: the one ray caster behind atlases, truth, drawing and baking.

`cast` gives the first hits of one camera in double precision; `surface_buffers` stacks what methods and metrics read of
several cameras, as tensors.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from .camera import Array, Cameras, inverse
from .charts import Unwrapped
from .mesh import Ids, Mesh


@dataclass(frozen=True, eq=False)
class Cast:
    """The k pixels of one camera whose rays hit a mesh, in order."""

    hit: Ids
    """Flat numbers (k,) of the pixels."""
    face: Ids
    """First face (k,) that each ray hits."""
    weights: Array
    """Barycentric weights (k, 3) of the face's corners at the hit."""
    depth: Array
    """Camera z (k,) of the hit."""
    points: Array
    """The hit (k, 3), in the mesh's coordinates."""
    normal: Array
    """Unit normal (k, 3) of the face in camera axes, on the side that the camera sees."""
    cosine: Array
    """Cosine (k,) of the angle between ray and normal, in [0, 1]."""
    directions: Array
    """Directions (k, 3) of the rays, with camera z 1, in the mesh's coordinates."""


def cast(mesh: Mesh, cameras: Cameras, number: int, shift: tuple[float, float] = (0.0, 0.0)) -> Cast:
    """The first hits of camera `number`, whose rays go through pixel centres moved by `shift` (column, row) pixels.

    Cameras are in the mesh's coordinates; a pose in their extrinsics that stretches the mesh turns its normals rightly.
    """
    origin, directions = cameras.rays(number, cameras.pixels + np.array(shift) if any(shift) else None)
    flat = directions.reshape(-1, 3)
    origins = np.broadcast_to(origin, directions.shape).reshape(-1, 3) if origin.ndim > 1 else origin
    face, along = mesh.first(origins, flat)
    hit = np.flatnonzero(face >= 0)
    face, along, flat = face[hit], along[hit], flat[hit]
    points = (origins[hit] if origins.ndim > 1 else origins) + along[:, None] * flat
    normal, cosine = facing(mesh, cameras, number, face, flat)
    return Cast(hit, face, mesh.barycentric(face, points), along, points, normal, cosine, flat)


def facing(mesh: Mesh, cameras: Cameras, number: int, face: Ids, directions: Array) -> tuple[Array, Array]:
    """Unit normals (k, 3) of faces (k,) in camera axes, towards the camera, and cosines (k,) of the viewing angle.

    `directions` (k, 3) are those of the rays to the faces, in the mesh's coordinates.
    """
    turn = cameras.extrinsics[number, :3, :3]
    # In camera axes, because a pose that stretches the mesh turns its normals.
    towards, normal = directions @ turn.T, mesh.normals[face] @ inverse(turn)
    normal = normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-300)
    along = np.einsum("ij,ij->i", towards, normal)
    normal[along > 0] *= -1
    return normal, np.abs(along) / np.linalg.norm(towards, axis=1)


def jacobian(mesh: Mesh, cameras: Cameras, number: int, seen: Cast, corners: Array) -> Array:
    """Derivatives (k, 2, 2) of texture coordinates (column, row: first index) by a pixel's column and row (second).

    `corners` (m, 3, 2) are the texture coordinates of the faces' corners. The derivative is that of the face's own
    plane, exact also in perspective.
    """
    ahead = np.array([[0.5, 0.5], [1.5, 0.5], [0.5, 1.5]])
    origin, direction = cameras.rays(number, ahead)
    slope = direction[1:] - direction[:1]
    move = origin[1:] - origin[:1] if origin.ndim > 1 else np.zeros((2, 3))
    plane = mesh.normals[seen.face]
    through = np.einsum("ij,ij->i", plane, seen.directions)
    first = mesh.triangles[seen.face, 0]
    own = corners[seen.face]
    made = np.zeros((len(seen.hit), 2, 2))
    for axis in range(2):
        shift = move[axis] + seen.depth[:, None] * slope[axis]
        shift = shift - (np.einsum("ij,ij->i", plane, shift) / through)[:, None] * seen.directions
        change = mesh.barycentric(seen.face, first + shift) - np.array([1.0, 0, 0])
        made[:, :, axis] = np.einsum("ni,nij->nj", change, own)
    return made


@dataclass(frozen=True, eq=False)
class SurfaceBuffers:
    """What n views of h x w pixels show of a mesh and its texture, 0 (or -1) where a pixel shows none of it."""

    face: Int[Tensor, "n h w"]
    """Number of the face; -1 off the mesh."""
    weights: Float[Tensor, "n 3 h w"]
    """Barycentric weights of the face's corners."""
    texel: Int[Tensor, "n h w"]
    """Flat number of the texel that holds the point, as in the atlas's canvas; -1 off the mesh."""
    at: Float[Tensor, "n 2 h w"]
    """Texture coordinates in texels: column, row; the centre of the first texel is (0.5, 0.5)."""
    depth: Float[Tensor, "n h w"]
    """Camera z in world units."""
    position: Float[Tensor, "n 3 h w"]
    """The point in the mesh's coordinates."""
    normal: Float[Tensor, "n 3 h w"]
    """Unit normal in camera axes (x right, y down, z forward), towards the camera."""
    cosine: Float[Tensor, "n h w"]
    """Cosine of the viewing angle, in [0, 1]."""
    jacobian: Float[Tensor, "n 2 2 h w"]
    """Derivatives of column and row of the texture (first) by column and row of the view (second)."""

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
        seen = torch.zeros(len(self.face), texels + 1, dtype=torch.bool)
        for view, texel in zip(seen, self.texel, strict=True):
            view[texel.reshape(-1)] = True  # -1 is the last one, which is left out
        return seen[:, :texels]


def surface_buffers(mesh: Mesh, cameras: Cameras, charts: Unwrapped) -> SurfaceBuffers:
    """The buffers of all cameras, which are in the mesh's coordinates; about 90 bytes a pixel, so slice many."""
    views = [_stacked(mesh, cameras, charts, number) for number in range(len(cameras))]
    return SurfaceBuffers(**{name: torch.stack([view[name] for view in views]) for name in views[0]})


def _stacked(mesh: Mesh, cameras: Cameras, charts: Unwrapped, number: int) -> dict[str, Tensor]:
    """The fields of `SurfaceBuffers` of one camera, without their first axis."""
    shape, seen = (cameras.height, cameras.width), cast(mesh, cameras, number)

    def ids(values: Ids) -> Tensor:
        full = np.full(shape[0] * shape[1], -1, np.int64)
        full[seen.hit] = values
        return torch.from_numpy(full.reshape(shape))

    def numbers(values: npt.NDArray[np.floating]) -> Tensor:
        full = np.zeros((*values.shape[1:], shape[0] * shape[1]), np.float32)
        full[..., seen.hit] = np.moveaxis(values, 0, -1)
        return torch.from_numpy(full.reshape(*values.shape[1:], *shape))

    return {
        "face": ids(seen.face),
        "weights": numbers(seen.weights),
        "texel": ids(charts.texels(seen.face, seen.weights)),
        "at": numbers(np.einsum("ni,nij->nj", seen.weights, charts.corners[seen.face])),
        "depth": numbers(seen.depth),
        "position": numbers(seen.points),
        "normal": numbers(seen.normal),
        "cosine": numbers(seen.cosine),
        "jacobian": numbers(jacobian(mesh, cameras, number, seen, charts.corners)),
    }
