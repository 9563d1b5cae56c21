"""The six shapes of the grammar as meshes, and compositions of them; each stands on z = 0, its front facing +x.

A shape is about one unit high. Round ones are tessellated to a hundredth of a pixel in a picture of 128 x 128 and
carry the normals of the smooth surface at their corners; edges sharper than CREASE stay edges.
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
"""Compositions by name, and the shape word that still describes them."""

SOLIDS = (*SHAPES, *COMPOSED)
CREASE = 25.0
"""Degrees between neighbouring faces from which on their edge is sharp."""


@dataclass(frozen=True, eq=False)
class Solid:
    """A mesh with what its patterns need."""

    name: str
    word: str
    """The shape's word in a caption; empty for a mesh file, which the grammar has no word for."""
    mesh: Mesh
    chart: str
    """How patterns lie on it: `turned` (around z), `ring` (around x), or `box` (flat on each side)."""
    around: int
    """Check cells around it, even; 0 for `box`."""
    spots: np.ndarray
    """(k, 3) centres of dots, evenly spread over the surface."""


@cache
def solid(name: str) -> Solid:
    """One of SOLIDS, or a mesh file of one's own (with its y axis up), patterned flat on each side."""
    if name not in _BUILD:
        own = read_mesh(name)
        return Solid(name, "", own, "box", 0, _spots(trimesh.Trimesh(own.vertices, own.faces), spacing=0.27))
    made, chart, around = _BUILD[name]()
    mesh = Mesh(np.array(made.vertices), np.array(made.faces), trusted=True) if chart == "box" else _smooth(made)
    return Solid(name, COMPOSED.get(name, name), mesh, chart, around, _spots(made, spacing=0.27))


def _smooth(made: Any) -> Mesh:
    """With the normals of the smooth surface at the corners, split where it has edges (and at a cone's tip)."""
    split = trimesh.graph.smooth_shade(made, angle=np.radians(CREASE))
    faces = np.array(split.faces)
    flat = np.array(split.face_normals)[:, None]
    bent = np.array(split.vertex_normals)[faces]
    sharp = (bent * flat).sum(-1, keepdims=True) < np.cos(np.radians(CREASE))
    return Mesh(np.array(split.vertices), faces, np.where(sharp, flat, bent), trusted=True)


def _spots(mesh: trimesh.Trimesh, spacing: float) -> np.ndarray:
    """Farthest-point samples of the surface, about `spacing` apart."""
    rng = np.random.default_rng(0)
    areas = mesh.area_faces / mesh.area_faces.sum()
    face = rng.choice(len(areas), 3000, p=areas)
    a, b = np.sqrt(rng.random((3000, 1))), rng.random((3000, 1))
    corner = mesh.triangles[face]
    points = (1 - a) * corner[:, 0] + a * (1 - b) * corner[:, 1] + a * b * corner[:, 2]
    chosen = [int(points[:, 2].argmin())]
    far = np.linalg.norm(points - points[chosen[0]], axis=1)
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
    made = torus(0.345, 0.155, major_sections=96, minor_sections=48)
    made.apply_transform(trimesh.transformations.rotation_matrix(np.pi / 2, (0, 1, 0)))
    return _moved(made, z=0.5)


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
