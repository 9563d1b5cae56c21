"""The grammar's shapes as one piece of fine triangles each, with a mark that tells left from right, and bent in space.

A body stands on z = 0 with its front to +x, as a solid does. Its mark is a nose in front and a horn on its left (+y),
pushed out of the surface, so that no turn and no mirror brings it onto itself.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import trimesh

from ..surfaces.camera import Array
from ..surfaces.mesh import Ids, Mesh, checked_mesh
from .grammar import SHAPES
from .solids import solid

FINE = 1500
"""Fewest vertices of a body."""
MARKS = (((0.8, 0.0, 0.25), (0.16, 0.0, 0.0)), ((0.0, 0.8, 0.1), (0.0, 0.12, 0.08)))
"""For each mark, a place from the middle whose nearest vertex it is around, and by how much that one is pushed."""
WIDTH = 0.09
"""Standard deviation of a mark's bell, in world units."""
MIDDLE = 0.04
"""Distance from the plane between left and right up to which a vertex is on neither side."""


@dataclass(frozen=True, eq=False)
class Body:
    """A marked shape."""

    vertices: Array
    """(n, 3)"""
    faces: Ids
    side: Ids
    """(n,) 1 on the left (+y), -1 on the right, 0 between."""


@cache
def body(name: str) -> Body:
    """The body of one of the grammar's shapes."""
    whole = solid(name).mesh
    _, first, where = np.unique(whole.vertices.round(9), axis=0, return_index=True, return_inverse=True)
    shape: Any = trimesh.Trimesh(whole.vertices[first], where.reshape(-1)[whole.faces], process=False)
    while len(shape.vertices) < FINE:
        shape = shape.subdivide()
    vertices, faces = np.array(shape.vertices, float), np.array(shape.faces, np.int64)
    middle = (vertices.min(0) + vertices.max(0)) / 2
    side = np.where(np.abs(vertices[:, 1]) < MIDDLE, 0, np.sign(vertices[:, 1])).astype(np.int64)
    moved = vertices.copy()
    for place, push in MARKS:
        tip = vertices[np.linalg.norm(vertices - middle - place, axis=1).argmin()]
        square = ((vertices - tip) ** 2).sum(1)
        moved += np.exp(-square / (2 * WIDTH**2))[:, None] * np.array(push)
    return Body(moved, faces, side)


def _turn(angle: Array | float, x: Array, y: Array, z: Array) -> Array:
    """Points turned about the axis that points up."""
    return np.stack([np.cos(angle) * x - np.sin(angle) * y, np.sin(angle) * x + np.cos(angle) * y, z], 1)


def _bend(x: Array, y: Array, z: Array, rate: float = 0.9) -> Array:
    """Points bent to the front, by `rate` radians for each unit of height."""
    away = 1 / rate - x
    return np.stack([1 / rate - away * np.cos(rate * z), y, away * np.sin(rate * z)], 1)


DEFORMATIONS: dict[str, Callable[[Array, Array, Array], Array]] = {
    "rest": lambda x, y, z: np.stack([x, y, z], 1),
    "copy": lambda x, y, z: np.stack([x, y, z], 1),
    "turn": lambda x, y, z: _turn(np.radians(50), x, y, z),
    "stretch": lambda x, y, z: np.stack([0.8 * x, 0.8 * y, 1.3 * z], 1),
    "bend": _bend,
    "twist": lambda x, y, z: _turn(np.radians(70) * (z - 0.5), x, y, z),
}
"""Maps of space by name, of coordinates x, y and z to points (n, 3)."""


def deformed(name: str, how: str, seed: int) -> tuple[Mesh, Ids]:
    """A body's mesh after a deformation, at the world's size; and the number there (n,) of each of the body's vertices.

    Vertices other than those of `rest` are in an order that `seed` draws, so that numbers tell nothing.
    """
    own = body(name)
    count = len(own.vertices)
    order = np.arange(count) if how == "rest" else np.random.default_rng([seed, 51]).permutation(count)
    vertices = np.empty_like(own.vertices)
    vertices[order] = DEFORMATIONS[how](*own.vertices.T)
    made = checked_mesh(Mesh(vertices, order[own.faces]), f"{name} {how}", "z")
    return Mesh(made.vertices, made.faces, trusted=True), order


BODIES = SHAPES
"""Names of the bodies."""
