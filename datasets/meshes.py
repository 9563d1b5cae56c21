"""Meshes of your own to be textured: mesh files with prompts, seen by cameras all around.

One mesh: `path=cow.obj` and `prompt=...`. Several: `path` names a jsonl, json or csv file with `mesh` (a path, relative
to that file) and `prompt`, and if wanted `id`, `negative` and `up`; or a folder of mesh files, of Google Scanned
Objects, of Text2Tex or of Objaverse (see `layouts.mesh_rows`). Formats: OBJ, PLY, STL, OFF, GLB and glTF. A file that
has textures or vertex colours says what the mesh looks like: renders of it are the truth.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, ClassVar, Literal

import numpy as np
from torch import Tensor

from ..bench.errors import quoted
from ..bench.limits import Density, Length, Views, check_size
from ..bench.surfaces.atlas import Atlas
from ..bench.surfaces.buffers import cast
from ..bench.surfaces.camera import Cameras, orbit, pinhole
from ..bench.surfaces.lazy import Lazy
from ..bench.surfaces.mesh import Mesh, read_mesh
from ..bench.surfaces.paint import painted_views, read_painted
from ..bench.surfaces.rigs import RIGS, RigName, published_cameras
from ..bench.surfaces.visible import NAMES, visible_geometry
from ..bench.types import Family, Item, Sampling, SyncbenchError
from ..bench.world.grammar import is_caption
from .layouts.mesh_rows import mesh_rows

GLANCE = 64
"""Side in pixels of the views by which it is measured how much of a view the mesh fills."""
FAINTEST = 0.002
"""Smallest fraction of its views that a mesh may fill; a pole 100 times as long as wide fills three times as much."""


@dataclass(frozen=True, kw_only=True)
class Meshes:
    """One item per mesh and prompt. Geometry is exact, as in `world.truth.truth`; pictures where files have colours."""

    version: ClassVar[int] = 1
    family: ClassVar[Family] = "geometry"
    located_by: ClassVar[tuple[str, ...]] = ("path",)

    path: str = ""
    """A mesh file, a folder, or a jsonl, json or csv file that names several. It is no part of a result's identity."""
    prompt: str = ""
    """What the meshes of a path without prompts of its own are to look like."""
    colours: bool = True
    """Whether the file's textures or vertex colours, where it has some, are the true picture: the ceiling. Rendered
    without light on white."""
    up: str = "y"
    """Which axis of the mesh file points up: `y` (as in most formats), `z` or `x`. Scanned Objects have z up anyway."""
    rig: Literal["orbit"] | RigName = "orbit"
    """Where the cameras stand: on an `orbit` of `views` cameras, or as a published method's (`surfaces.rigs`)."""
    views: Views = 8
    """Number of cameras of the `orbit`, alternately low and high. Published rigs have their own number."""
    held: Views = 4
    """Number of held-out cameras, which stand between the others and which no method sees."""
    size: Length = 512
    """Height and width of a view in pixels; the model's native size."""
    uv: Literal["xatlas", "own"] = "xatlas"
    """The texture that views share: unwrapped by `xatlas`, or the file's `own` wherever its coordinates can be used
    (in one texture, without overlaps)."""
    density: Density = 1.0
    """Texels of the texture atlas per pixel of a view, along an edge."""

    def items(self) -> list[Item]:
        """One item for each mesh and prompt, in order. Raises SyncbenchError for a file that cannot be used."""
        if min(self.views, self.held, self.size) < 1:
            raise SyncbenchError("meshes needs at least one view, one held-out camera and one pixel")
        count = self.views if self.rig == "orbit" else len(RIGS[self.rig].azimuth)
        check_size("an item", count + self.held, self.size, self.size)
        return [self._item(row) for row in mesh_rows(self.path, self.prompt)]

    def _item(self, row: dict[str, str]) -> Item:
        up = row["up"] or self.up
        mesh, paint = read_painted(row["mesh"], up) if self.colours else (read_mesh(row["mesh"], up), None)
        shown, apart = self._rig(mesh)
        check_fills(mesh, replace(self, size=GLANCE)._cameras(45 * np.arange(8), 20, mesh), row["mesh"])
        seen, held = cache(lambda: visible_geometry(mesh, shown)), cache(lambda: visible_geometry(mesh, apart))
        truth: dict[str, Callable[[], Tensor]] = {name: lambda name=name: seen()[name] for name in NAMES}
        truth |= {f"held_{name}": lambda name=name: held()[name] for name in NAMES}
        if paint is not None:
            truth["views"] = partial(painted_views, mesh, paint, shown)
            truth["held_views"] = partial(painted_views, mesh, paint, apart)
        return Item(
            id=row["id"],
            family=self.family,
            world=is_caption(row["prompt"]),
            prompts=(row["prompt"],),
            surface=Atlas.of(mesh, shown, density=self.density, own=self.uv == "own"),
            protocol=Sampling(negative=row["negative"]),
            conditions=Lazy(depth=lambda: seen()["closeness"], camera=lambda: seen()["camera"]),
            truth=Lazy(**truth),
            content=" ".join([mesh.digest, shown.digest, apart.digest, *([paint.digest] if paint else [])]),
        )

    def _rig(self, mesh: Mesh) -> tuple[Cameras, Cameras]:
        """The cameras of the views, and the held-out ones."""
        if self.rig != "orbit":
            return published_cameras(self.rig, self.held, mesh.vertices, self.size)
        every = np.arange(self.views)
        shown = self._cameras(360 / self.views * every, np.where(every % 2, 30, 10), mesh)
        return shown, self._cameras(180 / self.views + 360 / self.held * np.arange(self.held), 20, mesh)

    def _cameras(self, azimuth: Any, elevation: Any, mesh: Mesh) -> Cameras:
        """Cameras on an orbit (angles in degrees) from which the whole mesh fills about three quarters of a view."""
        poses = orbit(azimuth, elevation, 2.0, (0.0, 0.0, float(mesh.sphere[0][2])))
        lens = pinhole(len(poses), 1.15 * self.size, (self.size / 2, self.size / 2))
        return Cameras(poses, lens, self.size, self.size)


def check_fills(mesh: Mesh, cameras: Cameras, name: str) -> None:
    """Raises SyncbenchError for a mesh that fills less than FAINTEST of what the cameras see; `name` is its file."""
    hits = sum(len(cast(mesh, cameras, number).hit) for number in range(len(cameras)))
    filled = hits / (len(cameras) * cameras.height * cameras.width)
    if filled < FAINTEST:
        raise SyncbenchError(
            f"{quoted(name)}: the mesh fills {filled:.2%} of its views, as if a few vertices lay far away from all "
            "others: delete what is far off (Blender: Separate, Delete)"
        )
