"""The files that a mesh file names, for trimesh: only those beside it are read, never others of the computer."""

from hashlib import sha256
from io import BytesIO, UnsupportedOperation
from pathlib import Path
from typing import Any

from PIL import Image
from trimesh.resolvers import Resolver

from ..files.reading import is_file, read_bytes

BUFFERS = (".bin",)
"""Endings of the files that hold the numbers of a glTF."""
NO_PICTURES = (".mtl", *BUFFERS)
"""Endings of files beside a mesh that are no textures."""


class Beside(Resolver):
    """Files that a mesh file names: those in its folder or below, and the textures of Google Scanned Objects.

    With `endings` only files that end so are read; all others count as not there.
    """

    def __init__(self, mesh: Path, endings: tuple[str, ...] | None = None) -> None:
        self._folder, self._endings = mesh.parent, endings
        self._places = (mesh.parent, mesh.parent.parent / "materials" / "textures")
        self.missing, self.seen = list[str](), sha256()

    def get(self, key: str) -> bytes:
        """The bytes of a file that the mesh names. Raises FileNotFoundError for one that is not read."""
        name = Path(key.strip().replace("\\", "/"))
        ending = name.suffix.lower()
        if self._endings is not None and ending not in self._endings:
            raise FileNotFoundError(key)
        own = (self._folder / name).resolve()
        inner = [own] if own.is_relative_to(self._folder.resolve()) else []
        for path in (*inner, *(place / name.name for place in self._places)):
            if is_file(path):
                data = read_bytes(path)
                self.seen.update(data)
                if ending not in NO_PICTURES and not _pictured(data):
                    break
                return data
        if ending not in NO_PICTURES:
            self.missing.append(key.strip())
        raise FileNotFoundError(key)

    def write(self, name: str, data: Any) -> None:
        """Refuse: the files beside a mesh are only read."""
        raise UnsupportedOperation(f"the files beside a mesh are only read, not '{name}' written")

    def namespaced(self, namespace: str) -> "Beside":
        """The same files."""
        return self

    def keys(self) -> list[str]:
        """None: files are read by name alone."""
        return []


def _pictured(data: bytes) -> bool:
    """Whether Pillow knows the header of a picture file."""
    try:
        Image.open(BytesIO(data))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False
    return True
