"""The six shapes of the grammar as meshes, and compositions of them; each stands on z = 0, its front facing +x.

A shape is about one unit high. Round ones are tessellated to within a hundredth of a pixel of a picture of 128 x 128
and have the normals of the smooth surface at their corners; edges sharper than CREASE stay edges.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import trimesh
from trimesh.creation import box, cylinder, icosphere, revolve, torus

from ..surfaces.mesh import Mesh, read_mesh
from .grammar import SHAPES

COMPOSED = {"tower": "cube", "fir": "cone", "snowman": "ball"}
"""Compositions by name, each with the shape's word that captions use for it."""

SOLIDS = (*SHAPES, *COMPOSED)
SPOTS = 8
"""Ways to place the dots of a solid."""
CREASE = 25.0
"""Angle between neighbouring faces, in degrees, from which on their edge stays sharp."""


@dataclass(frozen=True, eq=False)
class Solid:
    """A mesh, and how patterns are laid on it."""

    name: str
    word: str
    """The shape's word in a caption; empty for a mesh file, for which the grammar has no word."""
    mesh: Mesh
    chart: str
    """How patterns lie on it: `turned` (around z), `ring` (around x), or `box` (flat on each side)."""
    around: int
    """Number of cells of the pattern `checks` around it, even; 0 for `box`."""
    spots: tuple[np.ndarray, ...]
    """Centres (k, 3) of the pattern `dots`, evenly spread over the surface in `SPOTS` different ways."""


@cache
def solid(name: str) -> Solid:
    """The solid of that name: one of SOLIDS, or the path of a mesh file with y up, whose chart is `box`."""
    if name not in _BUILD:
        own = read_mesh(name)
        return Solid(name, "", own, "box", 0, _spots(trimesh.Trimesh(own.vertices, own.faces), spacing=0.27))
    shape, chart, around = _BUILD[name]()
    mesh = Mesh(np.array(shape.vertices), np.array(shape.faces), trusted=True) if chart == "box" else _smooth(shape)
    return Solid(name, COMPOSED.get(name, name), mesh, chart, around, _spots(shape, spacing=0.27))


def _smooth(shape: Any) -> Mesh:
    """The mesh with normals of the smooth surface at its corners, split at sharp edges and at the tip of a cone."""
    split = trimesh.graph.smooth_shade(shape, angle=np.radians(CREASE))
    faces = np.array(split.faces)
    flat = np.array(split.face_normals)[:, None]
    bent = np.array(split.vertex_normals)[faces]
    sharp = (bent * flat).sum(-1, keepdims=True) < np.cos(np.radians(CREASE))
    return Mesh(np.array(split.vertices), faces, np.where(sharp, flat, bent), trusted=True)


def _spots(mesh: trimesh.Trimesh, spacing: float) -> tuple[np.ndarray, ...]:
    """Points (k, 3) of the surface, about `spacing` apart, by farthest-point sampling, from `SPOTS` first points."""
    rng = np.random.default_rng(0)
    areas = mesh.area_faces / mesh.area_faces.sum()
    face = rng.choice(len(areas), 3000, p=areas)
    a, b = np.sqrt(rng.random((3000, 1))), rng.random((3000, 1))
    corner = mesh.triangles[face]
    points = (1 - a) * corner[:, 0] + a * (1 - b) * corner[:, 1] + a * b * corner[:, 2]
    first = [int(points[:, 2].argmin()), *map(int, rng.choice(len(points), SPOTS - 1, replace=False))]
    return tuple(_spread(points, start, spacing) for start in first)


def _spread(points: np.ndarray, first: int, spacing: float) -> np.ndarray:
    chosen = [first]
    far = np.linalg.norm(points - points[first], axis=1)
    while far.max() > spacing * 0.85:
        chosen.append(int(far.argmax()))
        far = np.minimum(far, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return points[chosen].astype(np.float32)


def _moved(mesh: Any, z: float) -> Any:
    return mesh.apply_translation((0, 0, z))


def _ball(radius: float = 0.5) -> Any:
    return _moved(icosphere(subdivisions=4, radius=radius), z=radius)


def _cone(radius: float = 0.43, height: float = 1.0) -> Any:
    rise = np.linspace(0, 1, 17)
    side = np.stack([radius * (1 - rise), height * rise], 1)
    return revolve(np.concatenate([[[0, 0]], side]), sections=96)


def _cube(side: float = 0.7) -> Any:
    return _moved(box((side, side, side)), z=side / 2)


def _ring() -> Any:
    ring = torus(0.345, 0.155, major_sections=96, minor_sections=48)
    ring.apply_transform(trimesh.transformations.rotation_matrix(np.pi / 2, (0, 1, 0)))
    return _moved(ring, z=0.5)


def _star(radius: float = 0.55, notch: float = 0.285, thick: float = 0.17) -> Any:
    """A five-pointed star in the y-z plane with a ridge from its middle to every point, on both sides."""
    angle = np.pi / 2 + np.arange(10) * np.pi / 5
    reach = np.where(np.arange(10) % 2, notch, radius)
    rim = np.stack([np.zeros(10), reach * np.cos(angle), reach * np.sin(angle)], 1)
    vertices = np.concatenate([rim, [[thick, 0, 0], [-thick, 0, 0]]])
    k = np.arange(10)
    n = (k + 1) % 10
    faces = np.concatenate([np.stack([k, n, 0 * k + 10], 1), np.stack([n, k, 0 * k + 11], 1)])
    vertices[:, 2] -= vertices[:, 2].min()
    return trimesh.Trimesh(vertices, faces, process=False)


def _tower() -> Any:
    top = _cube(0.38).apply_transform(trimesh.transformations.rotation_matrix(np.pi / 6, (0, 0, 1)))
    return trimesh.util.concatenate([_cube(0.6), _moved(top, z=0.6)])


def _fir() -> Any:
    parts = [(0.44, 0.46, 0.0), (0.35, 0.44, 0.27), (0.25, 0.46, 0.54)]
    return trimesh.util.concatenate([_moved(_cone(r, h), z=z) for r, h, z in parts])


def _snowman() -> Any:
    return trimesh.util.concatenate([_ball(0.34), _moved(_ball(0.22), z=0.58)])


_BUILD = {
    "ball": lambda: (_ball(), "turned", 14),
    "cube": lambda: (_cube(), "box", 0),
    "cone": lambda: (_cone(), "turned", 10),
    "cylinder": lambda: (_moved(cylinder(0.36, 0.94, sections=96), z=0.47), "turned", 10),
    "ring": lambda: (_ring(), "ring", 12),
    "star": lambda: (_star(), "box", 0),
    "tower": lambda: (_tower(), "box", 0),
    "fir": lambda: (_fir(), "turned", 10),
    "snowman": lambda: (_snowman(), "turned", 10),
}
