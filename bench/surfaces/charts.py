"""Where the faces of a mesh lie in its texture; and the texture coordinates of mesh files, where they can be used."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..errors import SyncbenchError
from .camera import Array
from .mesh import Ids, Mesh
from .texels import texels

GLANCE = 512
"""Side in texels of the texture in which it is looked whether a file's own texture coordinates overlap."""
OVERLAP = 1.05
"""Largest ratio of the faces' areas in the texture to the area that they cover together."""
WIDEST = 8192
"""Largest side in texels of a file's own texture."""


@dataclass(frozen=True, eq=False)
class Unwrapped:
    """Where the faces of a mesh lie in a texture of (height, width) texels."""

    corners: Array
    """Texture coordinates (m, 3, 2) of each face's corners in texels: column, row from the top left."""
    height: int
    width: int

    def texels(self, face: Ids, weights: Array) -> Ids:
        """Flat texel numbers (n,) at barycentric `weights` (n, 3) of faces (n,)."""
        at = np.einsum("ni,nij->nj", weights, self.corners[face])
        column = np.clip(np.floor(at[:, 0]), 0, self.width - 1).astype(np.int64)
        return np.clip(np.floor(at[:, 1]), 0, self.height - 1).astype(np.int64) * self.width + column


def usable(mesh: Mesh) -> bool:
    """Whether the file's own texture coordinates give each point of the surface texels of its own.

    They must lie in one texture (0 to 1), give nearly all of the surface an area, and not overlap, as those of mirrored
    halves or of several textures do.
    """
    return _own_areas(mesh) is not None


def own_charts(mesh: Mesh, density: float) -> Unwrapped:
    """The file's own texture with `density` texels per world unit on average. Raises SyncbenchError if not `usable`."""
    areas = _own_areas(mesh)
    if areas is None or mesh.uv is None:
        raise SyncbenchError("the mesh file's texture coordinates are missing, overlap or leave the texture: unwrap it")
    side = min(max(1, round(density * (areas[0] / areas[1]) ** 0.5)), WIDEST)
    return Unwrapped(np.stack([mesh.uv[..., 0], 1 - mesh.uv[..., 1]], -1).clip(0, 1) * side, side, side)


@lru_cache(maxsize=8)
def _own_areas(mesh: Mesh) -> tuple[float, float] | None:
    """Areas of the surface and of its usable texture coordinates; None where they cannot be used."""
    if mesh.uv is None or mesh.uv.min() < -1e-3 or mesh.uv.max() > 1 + 1e-3:
        return None
    edge = mesh.uv[:, 1:] - mesh.uv[:, :1]
    flat = np.abs(edge[:, 0, 0] * edge[:, 1, 1] - edge[:, 0, 1] * edge[:, 1, 0]) / 2
    side = mesh.triangles[:, 1:] - mesh.triangles[:, :1]
    solid = np.linalg.norm(np.cross(side[:, 0], side[:, 1]), axis=1) / 2
    if solid[flat < 1e-12].sum() > 0.01 * solid.sum():
        return None
    covered = texels(mesh, mesh.uv * GLANCE, GLANCE, GLANCE).covered.mean()
    return (float(solid.sum()), float(flat.sum())) if flat.sum() < OVERLAP * covered else None
