"""Shapes of the reference world, deformed, whose correspondence is exact: for features of surfaces.

Six marked bodies, each at rest, copied, turned, stretched, bent and twisted. Every deformed shape is to be matched with
the one at rest, and that one with each of them. The deformed have their vertices in another order.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from ..bench.limits import Density, Length, Views
from ..bench.surfaces.camera import Array, Cameras
from ..bench.surfaces.mesh import Ids
from ..bench.surfaces.rigs import RigName, published_cameras
from ..bench.types import Family, Item, Sampling
from ..bench.world.bodies import BODIES, DEFORMATIONS, body, deformed
from ..bench.world.stage import orbit_cameras
from ._shapes import Shape, inverse_match, shape_item
from .world_meshes import CAPTIONS


@dataclass(frozen=True, kw_only=True)
class WorldShapes:
    """One item for each body and deformation; for its truth see `_shapes`. Depth is of the object alone."""

    version: ClassVar[int] = 1
    family: ClassVar[Family] = "geometry"

    rig: Literal["orbit"] | RigName = "orbit"
    """Where the cameras stand: on an `orbit` of `views` cameras, or as a published method's; `diff3f` has 100."""
    views: Views = 8
    """Number of cameras of the `orbit`, alternately low and high."""
    held: Views = 4
    """Number of held-out cameras, which stand between the others and which no method sees."""
    size: Length = 128
    """Height and width of a view in pixels; the bundled model's native size."""
    density: Density = 1.0
    """Texels of the texture atlas per pixel of a view, along an edge."""

    def items(self) -> list[Item]:
        """Six items of each body, the one at rest first."""
        return [item for number, name in enumerate(BODIES) for item in self._items(name, number)]

    def _items(self, name: str, number: int) -> list[Item]:
        made = {how: deformed(name, how, 10 * number + k) for k, how in enumerate(DEFORMATIONS)}
        side = body(name).side
        count = len(side)
        items: list[Item] = []
        for how, (mesh, order) in made.items():
            back = inverse_match(order, count)  # of each vertex, the body's vertex
            matches: dict[str, Ids] = (
                {f"{name}-{other}": there[1] for other, there in made.items() if other != how}
                if how == "rest"
                else {f"{name}-rest": back}
            )
            shape = Shape(f"{name}-{how}", mesh, CAPTIONS[name][0], matches, side[back])
            shown, apart = self._cameras(mesh.vertices)
            items.append(shape_item(shape, shown, apart, self.density, Sampling(steps=16, guidance=4.0), world=True))
        return items

    def _cameras(self, vertices: Array) -> tuple[Cameras, Cameras]:
        """The cameras of the views, and the held-out ones, around vertices (n, 3)."""
        if self.rig != "orbit":
            return published_cameras(self.rig, self.held, vertices, self.size)
        every, turn = np.arange(self.views), 360 / self.views
        shown = orbit_cameras(turn * every, np.where(every % 2, 35, 10), 2.0, self.size)
        return shown, orbit_cameras(turn / 2 + 360 / self.held * np.arange(self.held), 20, 2.0, self.size)
