"""Meshes of your own to be textured: mesh files with prompts, seen by cameras all around.

One mesh: `path=cow.obj` and `prompt=...`. Several: `path` names a jsonl or csv file with `mesh` (a path, relative to
that file) and `prompt`, and if wanted `id`, `negative` and `up`. Formats: OBJ, PLY, STL, OFF, GLB and glTF.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from ..bench.files import read_text
from ..bench.geometry.atlas import Atlas
from ..bench.geometry.camera import Cameras, orbit, pinhole
from ..bench.geometry.look import NAMES, look
from ..bench.geometry.mesh import Mesh, read_mesh
from ..bench.lazy import Lazy
from ..bench.types import Family, Item, Sampling, SyncbenchError
from .prompts import READERS


@dataclass(frozen=True, kw_only=True)
class Meshes:
    """One item per mesh and prompt. There is no true texture; geometry is exact, as in `world.truth.truth`."""

    version: ClassVar[int] = 1
    family: ClassVar[Family] = "geometry"
    located_by: ClassVar[tuple[str, ...]] = ("path",)

    path: str = ""
    """A mesh file, or a jsonl or csv file that names some. Its place is no part of a result's identity."""
    prompt: str = ""
    """What a single mesh is to look like."""
    up: str = "y"
    """Which axis of the file points up: `y` (most formats' habit), `z` or `x`."""
    views: int = 8
    """Cameras around the mesh, alternately low and high."""
    held: int = 4
    """Cameras kept for the metrics, between the others."""
    size: int = 512
    """Height and width of a view in pixels; the model's native size."""
    density: float = 1.0
    """Texels of the atlas per pixel."""

    def items(self) -> list[Item]:
        """The meshes in order. Raises SyncbenchError, in one sentence, for a file that cannot be used."""
        if min(self.views, self.held, self.size) < 1:
            raise SyncbenchError("meshes needs at least one view, one held-out camera and one pixel")
        return [self._item(row) for row in read_rows(self.path, "mesh", self.prompt)]

    def _item(self, row: dict[str, str]) -> Item:
        mesh = read_mesh(row["mesh"], row["up"] or self.up)
        every = np.arange(self.views)
        shown = self._cameras(360 / self.views * every, np.where(every % 2, 30, 10), mesh)
        apart = self._cameras(180 / self.views + 360 / self.held * np.arange(self.held), 20, mesh)
        seen, held = cache(lambda: look(mesh, shown)), cache(lambda: look(mesh, apart))
        truth: dict[str, Callable[[], Tensor]] = {name: lambda name=name: seen()[name] for name in NAMES}
        truth |= {f"held_{name}": lambda name=name: held()[name] for name in NAMES}
        return Item(
            id=row["id"],
            family=self.family,
            prompts=(row["prompt"],),
            surface=Atlas.of(mesh, shown, density=self.density),
            protocol=Sampling(negative=row["negative"]),
            conditions=Lazy(depth=lambda: seen()["closeness"], camera=lambda: seen()["camera"]),
            truth=Lazy(**truth),
        )

    def _cameras(self, azimuth: Any, elevation: Any, mesh: Mesh) -> Cameras:
        """On an orbit from which the whole mesh fills about three quarters of a view."""
        poses = orbit(azimuth, elevation, 2.0, (0.0, 0.0, float(mesh.sphere[0][2])))
        lens = pinhole(len(poses), 1.15 * self.size, (self.size / 2, self.size / 2))
        return Cameras(poses, lens, self.size, self.size)


def read_rows(path: str, column: str, prompt: str) -> list[dict[str, str]]:
    """Rows with `column`, `prompt`, `id`, `negative` and `up` of a jsonl or csv file; or the one file `path` itself.

    Paths in a file are relative to it. Raises SyncbenchError naming file and line of a row it cannot use.
    """
    if not path:
        raise SyncbenchError(f"no {column} given: add --set path=FILE (a {column}, or a jsonl or csv file of them)")
    file = Path(path)
    empty = {"id": file.stem, "negative": "", "up": ""}
    if file.suffix.lower() not in (".jsonl", ".csv"):
        if not prompt.strip():
            raise SyncbenchError(f"{path}: a single {column} needs a prompt: add --set prompt='...'")
        return [{**empty, column: path, "prompt": prompt.strip()}]
    try:
        text = read_text(file)
    except UnicodeDecodeError as error:
        raise SyncbenchError(f"cannot read {path}: {error}") from error
    reader: Callable[[str, str], Any] = READERS[file.suffix.lower()]
    rows: list[dict[str, str]] = []
    for line, row in reader(path, text):
        for name in (column, "prompt"):
            if not isinstance(row.get(name), str) or not row[name].strip():
                raise SyncbenchError(f"{path}:{line}: no '{name}' (there is {', '.join(map(str, row)) or 'nothing'})")
        given = {name: row[name].strip() for name in empty if isinstance(row.get(name), str) and row[name].strip()}
        made = {**empty, "id": f"line-{line:04d}", **given, "prompt": row["prompt"].strip()}
        made[column] = str(file.parent / row[column].strip())
        if made["id"] in {other["id"] for other in rows}:
            raise SyncbenchError(f"{path}:{line}: id '{made['id']}' is used twice")
        rows.append(made)
    if not rows:
        raise SyncbenchError(f"{path}: no rows in this file")
    return rows
