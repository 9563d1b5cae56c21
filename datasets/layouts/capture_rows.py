"""Captures below a path: which reader serves a file or a folder, and an index file that names several."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ...bench.errors import SyncbenchError, quoted
from ...bench.fetch.public import origin_of
from ...bench.files.reading import is_file, is_folder
from ...bench.limits import ITEMS
from .._rows import TABLES, checked_prompt, rows_of
from .captures import Capture
from .co3d import ANNOTATIONS, co3d_captures
from .colmap import colmap_capture, colmap_folder
from .nerf import NAMES, nerf_capture
from .rigs import RENDERS, gso_capture, navi_capture

DEEPEST = 3
"""How far below a folder captures are looked for."""
KNOWN = (
    "NeRF's transforms.json, COLMAP (sparse/0 beside images, as MVImgNet has), CO3D (frame_annotations.jgz), NAVI "
    "(annotations.json), SyncDreamer's renders (NAME-gt/000.png to 015.png), a folder of such, or a list (jsonl, json, "
    "csv) with cameras and prompt"
)
"""What `posed_views.path` may be, for messages."""
Found = tuple[Capture, str]
"""A capture and its negative prompt."""


def found_captures(path: str, prompt: str) -> list[Found]:
    """Every capture below a path with a prompt: `prompt`, or where it is empty that of the layout or the list.

    Raises SyncbenchError where nothing of KNOWN is found, and for a capture without a prompt.
    """
    if not path:
        raise SyncbenchError(f"no views given: add --set posed_views.path=FILE, which is {KNOWN}")
    place = Path(path).expanduser()
    if not is_folder(place) and not is_file(place) and place.suffix.lower() not in TABLES:
        raise SyncbenchError(f"no views at '{quoted(path)}'{origin_of('posed_views', path)}")
    if place.suffix.lower() in TABLES and not _is_capture(place):
        return list(_listed(place))
    given = checked_prompt(prompt, "posed_views.prompt") if prompt.strip() else ""
    found = [(replace(one, prompt=given or one.prompt), "") for one in _captures(place, DEEPEST)]
    if not found or len(found) > ITEMS:
        many = f"more than {ITEMS:,} captures" if found else "no captures"
        raise SyncbenchError(f"{quoted(path)}: {many} here; posed_views.path is {KNOWN}")
    for one, _ in found:
        if not one.prompt:
            raise SyncbenchError(
                f"{quoted(path)}: capture '{one.id}' needs a prompt, which says what is seen: add --set "
                "posed_views.prompt='...', or list captures with their prompts in a jsonl, json or csv file"
            )
    return found


def _listed(file: Path) -> Iterator[Found]:
    for row in rows_of(str(file), "cameras"):
        found = list(_captures(Path(row["cameras"]), 0))
        if len(found) != 1:
            raise SyncbenchError(
                f"{quoted(row['cameras'])}: {len(found)} captures, and a row names one; one is {KNOWN}"
            )
        yield replace(found[0], id=row["id"], prompt=row["prompt"]), row["negative"]


def _is_capture(file: Path) -> bool:
    """Whether a JSON file describes cameras, by its name."""
    return file.name == "annotations.json" or (file.suffix == ".json" and file.name.startswith("transforms"))


def _captures(place: Path, deep: int) -> Iterator[Capture]:
    """The captures of a file, of a folder, or of the folders in it."""
    if not is_folder(place):
        yield from _of_file(place)
        return
    described = next(
        (place / name for name in (*NAMES, ANNOTATIONS, "annotations.json") if is_file(place / name)), None
    )
    if described is not None:
        yield from _of_file(described)
    elif colmap_folder(place) is not None:
        yield colmap_capture(place)
    elif is_file(place / "000.png") and is_file(place / f"{RENDERS - 1:03d}.png"):
        yield gso_capture(place)
    elif deep:
        for one in sorted(place.iterdir()):
            if is_folder(one) and not one.name.startswith("."):
                yield from _captures(one, deep - 1)


def _of_file(file: Path) -> Iterator[Capture]:
    if file.suffix == ".jgz":
        yield from co3d_captures(file)
    elif file.name == "annotations.json":
        yield navi_capture(file)
    elif file.suffix == ".json":
        yield nerf_capture(file)
    else:
        raise SyncbenchError(f"{quoted(file)}: no views here; posed_views.path is {KNOWN}")
