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
"""Largest side in texels of what is used of a file's own texture."""
MARGIN = 8
"""Empty texels that are kept around the used part of a file's own texture."""


@dataclass(frozen=True, eq=False)
class Unwrapped:
    """Where the faces of a mesh lie in a texture of (height, width) texels."""

    corners: Array
    """Texture coordinates (m, 3, 2) of each face's corners in texels: column, row from the top left."""
    height: int
    width: int

    def at(self, face: Ids, weights: Array) -> Array:
        """Texture coordinates (n, 2) at barycentric `weights` (n, 3) of faces (n,)."""
        return np.einsum("ni,nij->nj", weights, self.corners.take(face, 0))

    def slopes(self, mesh: Mesh) -> Array:
        """Gradients (2, 3, m) of the texture's column and row along the plane of each face of the mesh."""
        edges = np.ascontiguousarray((self.corners[:, 1:] - self.corners[:, :1]).transpose(2, 1, 0))
        return np.einsum("cim,ijm->cjm", edges, mesh.gradients, order="C")

    def texels(self, face: Ids, weights: Array) -> Ids:
        """Flat texel numbers (n,) at barycentric `weights` (n, 3) of faces (n,)."""
        at = self.at(face, weights)
        column = np.clip(np.floor(at[:, 0]), 0, self.width - 1).astype(np.int64)
        return np.clip(np.floor(at[:, 1]), 0, self.height - 1).astype(np.int64) * self.width + column


def usable(mesh: Mesh, density: float) -> bool:
    """Whether the file's own texture coordinates give each point of the surface texels of its own.

    They must lie in one texture (0 to 1), give nearly all of the surface an area, and not overlap, as those of mirrored
    halves or of several textures do. What is used of the texture must not be wider than WIDEST at `density` texels per
    world unit, as it is where small islands lie far apart.
    """
    return _own_charts(mesh, density) is not None


def own_charts(mesh: Mesh, density: float) -> Unwrapped:
    """The file's own texture with `density` texels per world unit on average, cut to the part that is used.

    Raises SyncbenchError if not `usable`.
    """
    charts = _own_charts(mesh, density)
    if charts is None:
        raise SyncbenchError(
            "the mesh file's texture coordinates are missing, overlap, leave the texture or use little of it: unwrap it"
        )
    return charts


def _own_charts(mesh: Mesh, density: float) -> Unwrapped | None:
    """What is used of the file's own texture; None where its coordinates cannot be used."""
    areas = _own_areas(mesh)
    if areas is None or mesh.uv is None:
        return None
    side = max(1, round(density * (areas[0] / areas[1]) ** 0.5))
    corners = np.stack([mesh.uv[..., 0], 1 - mesh.uv[..., 1]], -1).clip(0, 1) * side
    low = np.maximum(np.floor(corners.min((0, 1))) - MARGIN, 0)
    wide, high = (np.minimum(np.ceil(corners.max((0, 1))) + MARGIN, side) - low).astype(int).tolist()
    return Unwrapped(corners - low, high, wide) if max(wide, high) <= WIDEST else None


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
    low = mesh.uv.min((0, 1))
    extent = float((mesh.uv.max((0, 1)) - low).max())
    covered = texels(mesh, (mesh.uv - low) * (GLANCE / extent), GLANCE, GLANCE).covered.mean() * extent**2
    return (float(solid.sum()), float(flat.sum())) if flat.sum() < OVERLAP * covered else None
