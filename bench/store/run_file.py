"""The file run.json, by which a results folder is known, and what a folder or file without it is."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ..files.reading import parse_json, read_bytes
from ..types import SCHEMA, Json, SyncbenchError
from .stored import StoredRun, parsed

if TYPE_CHECKING:
    pass


def is_begun(root: Path) -> bool:
    """Whether a folder holds nothing but empty `jobs` and `groups`, as a start that was killed at once leaves it."""
    if not root.is_dir():
        return False
    shown = [path for path in root.iterdir() if not path.name.startswith(".")]
    empty = [p for p in shown if p.name in ("jobs", "groups") and p.is_dir() and not any(p.glob("[!.]*"))]
    return len(empty) == len(shown)


def read_run(root: Path) -> StoredRun:
    """The `run.json` of a results folder. Raises SyncbenchError for what is no results folder, or of another schema."""
    if root.exists() and not root.is_dir():
        raise SyncbenchError(f"'{root}' is {_file_kind(root)}")
    if not root.is_dir():
        raise SyncbenchError(f"no results folder '{root}'")
    if not (root / "run.json").is_file():
        raise SyncbenchError(f"'{root}' is not a results folder: it has no run.json")
    path = root / "run.json"
    data = read_bytes(path)
    content = parse_json(data, path)
    schema = cast(Json, content).get("schema") if isinstance(content, dict) else None
    if schema != SCHEMA:
        raise SyncbenchError(
            f"'{root}' has results of schema {schema}, and this syncbench reads schema {SCHEMA}: "
            "use the version that wrote them, or run again into a new folder"
        )
    return parsed(StoredRun, data, path)


def _file_kind(path: Path) -> str:
    """What a file that was named as results is, and what is wanted instead."""
    if not path.is_file():
        return "neither a folder nor a file: name a results folder, or a .parquet file of records"
    if path.suffix == ".parquet":
        return "a file of records, which has no samples: name the results folder that they are of"
    with suppress(OSError), open(path, "rb") as file:
        if file.read(4) == b"PAR1":
            return "a Parquet file under another name: give it a name that ends with .parquet"
    if (path.parent / "run.json").is_file():
        return f"a file in the results folder '{path.parent}': name the folder"
    return "a file, not a results folder: name a folder that `run` wrote, or a .parquet file of records"
