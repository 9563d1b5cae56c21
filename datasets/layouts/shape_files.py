"""Shapes with known correspondences in folders as published: SHREC'19 (remeshed) and TOSCA.

SHREC'19 (Melzi et al. 2019), remeshed as in DPC and Diff3F: `off_2/1.off` and on, and `groundtruth/1_2.map`, which has
for each vertex of shape 1 the number, from 1, of the same one of shape 2. TOSCA (Bronstein et al. 2008): `cat0.off` or
`cat0.mat` (a struct `surface` of X, Y, Z and TRIV) and so on, in the folder or in its `Meshes`; shapes of one name have
the same vertices.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import loadmat

from ...bench.errors import SyncbenchError, quoted
from ...bench.files.reading import is_file, is_folder, read_bytes, read_text
from ...bench.surfaces.beside import Beside
from ...bench.surfaces.mesh import Ids, Mesh, checked_mesh, joined_parts, mesh_parts
from .._shapes import Shape

HUMANS = ("david", "michael", "victoria")
"""TOSCA's people, which evaluations of features on animals leave out."""
MAP, NAMED = re.compile(r"(\d{1,6})_(\d{1,6})"), re.compile(r"([a-z]+)(\d{1,6})")
KNOWN = (
    "a folder of SHREC'19 as remeshed for DPC (off_2/1.off, groundtruth/1_2.map) or of TOSCA (cat0.off or cat0.mat ...)"
)
"""What `shape_pairs.path` may be, for messages."""


@dataclass(frozen=True, eq=False)
class Filed:
    """A shape as its file has it."""

    file: Path
    raw: Mesh
    up: str
    number: Ids = field(init=False)
    """The vertex (n,) of the mesh that each vertex of the file is; -1 for those that no face names."""

    def __post_init__(self) -> None:
        number = np.full(len(self.raw.vertices), -1, np.int64)
        faces = self.raw.faces
        if len(faces) and faces.min() >= 0 and faces.max() < len(number):  # `checked_mesh` refuses all others
            used = np.unique(faces)
            number[used] = np.arange(len(used))
        object.__setattr__(self, "number", number)

    def mesh(self) -> Mesh:
        """The mesh at the world's size. Raises SyncbenchError for one that cannot be shown."""
        return checked_mesh(self.raw, quoted(self.file), self.up)

    def onto(self, other: "Filed", there: Ids) -> Ids:
        """A match of the files' vertices, `there` (n,) of the other file, as one of the meshes' vertices."""
        found = np.full(int(self.number.max(initial=-1)) + 1, -1, np.int64)
        found[self.number[self.number >= 0]] = other.number[there[self.number >= 0]]
        return found


def filed_shapes(path: str, up: str, prompt: str, humans: bool) -> list[Shape]:
    """The shapes of a folder in order, each with its matches. `prompt` is for all of them, or empty: then it is that of
    the layout, a name of TOSCA or "human".

    Raises SyncbenchError where nothing of KNOWN is found, for a damaged file, and for maps that do not fit their
    shapes.
    """
    if not path:
        raise SyncbenchError(f"no shapes given: add --set shape_pairs.path=FOLDER, which is {KNOWN}")
    root = Path(path).expanduser()
    if not is_folder(root):
        raise SyncbenchError(f"no folder '{quoted(path)}': shape_pairs.path is {KNOWN}")
    if is_folder(root / "off_2"):
        found = _shrec(root, up, prompt or "human")
    else:
        found = _tosca(root / "Meshes" if is_folder(root / "Meshes") else root, up, prompt, humans)
    if not any(shape.matches for shape in found):
        raise SyncbenchError(f"{quoted(path)}: no two shapes with a known correspondence; shape_pairs.path is {KNOWN}")
    return found


def _shrec(root: Path, up: str, prompt: str) -> list[Shape]:
    files = {file.stem: file for file in (root / "off_2").glob("*.off") if file.stem.isdigit() and is_file(file)}
    filed = {name: Filed(files[name], _off(files[name]), up) for name in sorted(files, key=int)}
    matches: dict[str, dict[str, Ids]] = {name: {} for name in filed}
    for file in sorted((root / "groundtruth").glob("*.map")):
        named = MAP.fullmatch(file.stem)
        if named is None:
            raise SyncbenchError(f"{quoted(file)}: a map of SHREC'19 is called 1_2.map, after its two shapes")
        source, target = named.groups()
        for name in (source, target):
            if name not in filed:
                raise SyncbenchError(f"{quoted(file)}: shape {name} has no file off_2/{name}.off beside groundtruth")
        there = _map(file, len(filed[source].raw.vertices), len(filed[target].raw.vertices))
        matches[source][target] = filed[source].onto(filed[target], there)
    return [Shape(name, own.mesh(), prompt, matches[name]) for name, own in filed.items()]


def _map(file: Path, count: int, most: int) -> Ids:
    """The vertices (count,), from 0, that a map names."""
    try:
        numbers = np.array(read_text(file).split(), dtype=np.float64)
    except ValueError as error:
        raise SyncbenchError(f"{quoted(file)}: this is no list of numbers of vertices") from error
    if len(numbers) != count:
        raise SyncbenchError(f"{quoted(file)}: {len(numbers):,} numbers, but its first shape has {count:,} vertices")
    if not ((numbers >= 1) & (numbers <= most) & (numbers == np.floor(numbers))).all():
        raise SyncbenchError(
            f"{quoted(file)}: numbers of vertices count from 1 to {most:,}, the vertices of its second shape"
        )
    return numbers.astype(np.int64) - 1


def _tosca(root: Path, up: str, prompt: str, humans: bool) -> list[Shape]:
    files: dict[tuple[str, int], Path] = {}
    for file in sorted(root.iterdir()):
        named = NAMED.fullmatch(file.stem)
        wanted = named is not None and (humans or named[1] not in HUMANS)
        if named is not None and wanted and file.suffix.lower() in READERS and is_file(file):
            files.setdefault((named[1], int(named[2])), file)
    filed = {key: Filed(file, READERS[file.suffix.lower()](file), up) for key, file in sorted(files.items())}
    found: list[Shape] = []
    for (name, number), own in filed.items():
        matches: dict[str, Ids] = {}
        for (other, count), there in filed.items():
            if other != name or count == number:
                continue
            if len(there.raw.vertices) != len(own.raw.vertices):
                raise SyncbenchError(
                    f"{quoted(own.file)} has {len(own.raw.vertices):,} vertices and {quoted(there.file.name)} "
                    f"{len(there.raw.vertices):,}, but shapes of one name in TOSCA have the same ones"
                )
            matches[f"{other}{count}"] = own.onto(there, np.arange(len(own.raw.vertices)))
        found.append(Shape(f"{name}{number}", own.mesh(), prompt or name, matches))
    return found


def _off(file: Path) -> Mesh:
    return replace(joined_parts(mesh_parts(file, Beside(file, ()))), uv=None)


def _mat(file: Path) -> Mesh:
    """The mesh in a MATLAB file of TOSCA."""
    data = read_bytes(file)
    try:
        surface: Any = loadmat(BytesIO(data), squeeze_me=True, struct_as_record=False)["surface"]
        vertices = np.stack([np.asarray(getattr(surface, axis), np.float64).reshape(-1) for axis in "XYZ"], 1)
        faces = np.asarray(surface.TRIV, np.int64).reshape(-1, 3) - 1
    except Exception as error:  # SciPy raises whatever a damaged file leads to
        raise SyncbenchError(
            f"{quoted(file)}: this is no MATLAB file (up to version 7) with a struct `surface` of X, Y, Z and TRIV"
        ) from error
    return Mesh(vertices, faces)


READERS: dict[str, Callable[[Path], Mesh]] = {".off": _off, ".mat": _mat}
"""What reads TOSCA's files, by their endings."""
