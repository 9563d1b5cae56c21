"""Shapes with known correspondences as items: a mesh, its cameras, and which vertices of other shapes are the same.

An item's `truth` has, beside the geometry of `bench.surfaces.visible`, `vertices` (n, 3) and `faces` (m, 3) of its
mesh; `match_ID` (n,) for every shape ID that it is to be matched with, the vertex there that each vertex is, -1 where
it is none; and `side` (n,) where left and right are known: 1 left, -1 right, 0 between.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..bench.catalogue.content import digest
from ..bench.surfaces.atlas import Atlas
from ..bench.surfaces.buffers import cast
from ..bench.surfaces.camera import Cameras, closeness
from ..bench.surfaces.lazy import Lazy
from ..bench.surfaces.mesh import Ids, Mesh
from ..bench.surfaces.visible import NAMES, visible_geometry
from ..bench.types import Item, Sampling


@dataclass(frozen=True, eq=False)
class Shape:
    """A mesh whose vertices are known on other meshes."""

    id: str
    mesh: Mesh
    prompt: str
    matches: dict[str, Ids] = field(default_factory=dict[str, Any])
    """For every shape that this one is matched with, by id: its vertex (n,) for each of the mesh's, or -1."""
    side: Ids | None = None
    """1 (left), -1 (right) or 0 for each vertex (n,); None where nobody knows."""


def shape_item(
    shape: Shape, shown: Cameras, apart: Cameras, density: float, sampling: Sampling, world: bool = False
) -> Item:
    """The item of a shape before cameras and held-out ones, which are in its coordinates."""
    mesh = shape.mesh
    seen, held = cache(lambda: visible_geometry(mesh, shown)), cache(lambda: visible_geometry(mesh, apart))
    truth: dict[str, Callable[[], Tensor]] = {name: lambda name=name: seen()[name] for name in NAMES}
    truth |= {f"held_{name}": lambda name=name: held()[name] for name in NAMES}
    truth |= {
        "vertices": lambda: torch.from_numpy(mesh.vertices).float(),
        "faces": lambda: torch.from_numpy(mesh.faces),
    }
    known = {f"match_{name}": match for name, match in shape.matches.items()}
    known |= {} if shape.side is None else {"side": shape.side}
    truth |= {name: lambda ids=ids: torch.from_numpy(ids) for name, ids in known.items()}
    return Item(
        id=shape.id,
        family="geometry",
        world=world,
        prompts=(shape.prompt,),
        surface=Atlas.of(mesh, shown, density=density),
        protocol=sampling,
        conditions=Lazy(
            depth=lambda: _closeness(mesh, shown),
            camera=lambda: torch.from_numpy(shown.to_world).float().reshape(-1, 16),
        ),
        truth=Lazy(**truth),
        content=" ".join([mesh.digest, shown.digest, apart.digest, digest([*sorted(known), *known.values()])]),
    )


def _closeness(mesh: Mesh, cameras: Cameras) -> Tensor:
    """The condition `depth` alone, so that a hundred views need not hold all that is true of them."""
    depth = np.zeros((len(cameras), 1, cameras.height * cameras.width))
    for number in range(len(cameras)):
        seen = cast(mesh, cameras, number)
        depth[number, 0, seen.hit] = seen.depth
    return torch.as_tensor(closeness(depth.reshape(-1, 1, cameras.height, cameras.width)))


def inverse_match(match: Ids, count: int) -> Ids:
    """For each of `count` vertices of the target the first vertex that `match` (n,) sends there; -1 where none is."""
    found = np.full(count, -1, np.int64)
    vertex = np.flatnonzero(match >= 0)[::-1]
    found[match[vertex]] = vertex
    return found
