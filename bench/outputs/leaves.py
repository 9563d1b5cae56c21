"""What a folder of outputs holds: its files, each of them or a whole folder being a possible output of one item."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from ..errors import SyncbenchError, quoted
from ..files.reading import is_file, is_folder
from . import clips, pictures, textured

Kind = Literal["pictures", "clip", "mesh"]
KINDS: tuple[Kind, ...] = get_args(Kind)
MOST = 1_000_000
"""Largest number of files and folders that are looked at."""
DEEPEST = 8
"""Largest number of folders inside each other."""
BESIDE = frozenset({".mtl", ".bin"})
"""Endings of files that belong to a mesh file beside them."""


@dataclass(frozen=True)
class Leaf:
    """One file, or one folder of pictures, that may be an output."""

    parts: tuple[str, ...]
    """Its path below the folder of outputs, without the ending of a file."""
    kind: Kind
    files: tuple[Path, ...]
    """One clip or mesh, or pictures in the order of their numbers."""
    whole: bool = False
    """Whether it is a folder."""

    @property
    def name(self) -> str:
        """Its path for messages."""
        return "/".join(self.parts) + ("/" if self.whole else self.files[0].suffix)


@dataclass(frozen=True)
class Found:
    """Everything below a folder of outputs."""

    leaves: tuple[Leaf, ...]
    extra: tuple[str, ...]
    """Files of other kinds, by path; hidden files are left out, and what belongs to a mesh."""


def kind_of(path: Path) -> Kind | None:
    """What a file is by the ending of its name; None for what is no output."""
    ending = path.suffix.lower()
    if ending in clips.ENDINGS:
        return "clip"
    return "pictures" if ending in pictures.ENDINGS else "mesh" if ending in textured.ENDINGS else None


def natural(path: Path) -> list[tuple[int, int, str]]:
    """A key that sorts names by the numbers in them: 2 before 10."""
    parts = re.split(r"(\d{1,18})", path.name)
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts if part]


def find_leaves(root: Path) -> Found:
    """Everything below `root`, in order. Folders that are links are not entered.

    Raises SyncbenchError for what is no folder, cannot be listed, or holds more than MOST files.
    """
    if is_file(root):
        kind = kind_of(root)
        return Found((Leaf((root.stem,), kind, (root,)),) if kind else (), () if kind else (root.name,))
    if not is_folder(root):
        raise SyncbenchError(f"no folder of outputs '{quoted(root)}'")
    leaves: list[Leaf] = []
    extra: list[str] = []
    count = 0
    for parts, files in _folders(root, ()):
        count += 1 + len(files)
        if count > MOST:
            raise SyncbenchError(f"'{quoted(root)}' has more than {MOST:,} files: name the folder of the outputs alone")
        kinds: dict[Path, Kind | None] = {path: kind_of(path) for path in files}
        own: dict[Kind, list[Path]] = {kind: [p for p in files if kinds[p] == kind] for kind in KINDS}
        leaves += [Leaf((*parts, path.stem), one, (path,)) for path, one in kinds.items() if one is not None]
        whole = _whole(own) if parts else None
        if whole is not None:
            leaves.append(Leaf(parts, whole, tuple(own[whole]), whole=True))
        beside = BESIDE if own["mesh"] else frozenset[str]()
        extra += [
            "/".join((*parts, p.name)) for p, found in kinds.items() if not found and p.suffix.lower() not in beside
        ]
    return Found(tuple(leaves), tuple(extra))


def _whole(own: dict[Kind, list[Path]]) -> Kind | None:
    """What a folder is as one output: its pictures, its only clip or its only mesh; None if it is not one output."""
    counts = {kind: len(files) for kind, files in own.items()}
    if counts["mesh"] == 1 and not counts["clip"]:
        return "mesh"
    if counts["clip"] == 1 and not counts["mesh"] and not counts["pictures"]:
        return "clip"
    return "pictures" if counts["pictures"] and not counts["clip"] and not counts["mesh"] else None


def _folders(folder: Path, parts: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], list[Path]]]:
    """The path below the root, and the files in order, of a folder and of all folders in it."""
    try:
        with os.scandir(folder) as listed:
            entries = [entry for entry in listed if not entry.name.startswith(".")]
        inside = [entry for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError as error:
        raise SyncbenchError(f"cannot list '{quoted(folder)}': {error.strerror or error}") from error
    if inside and len(parts) == DEEPEST:
        raise SyncbenchError(f"'{quoted(folder)}' is {DEEPEST} folders deep: name the folder of the outputs alone")
    own = set(inside)
    yield parts, sorted((Path(entry.path) for entry in entries if entry not in own), key=natural)
    for entry in sorted(inside, key=lambda one: natural(Path(one.name))):
        yield from _folders(Path(entry.path), (*parts, entry.name))
