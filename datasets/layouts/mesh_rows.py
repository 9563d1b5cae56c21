"""Meshes and their prompts in folders: Google Scanned Objects, Text2Tex, Objaverse, or mesh files side by side."""

import gzip
import json
import re
import zlib
from collections import Counter
from pathlib import Path
from typing import Any, cast

from ...bench.errors import SyncbenchError, quoted
from ...bench.fetch.public import origin_of
from ...bench.files.reading import is_file, is_folder, read_bytes, read_text
from ...bench.limits import ITEMS
from ...bench.surfaces.mesh import FORMATS
from .._rows import TABLES, checked_prompt, name_prompt, named_id, rows_of

Row = dict[str, str]
TEXT2TEX = "objaverse_subset.txt"
"""Name of Text2Tex's list: a line for each mesh, a category with underscores, an underscore, and 32 hex digits."""
UID = re.compile(r"[0-9a-f]{32}")
LVIS = "lvis-annotations.json.gz"
"""Name of Objaverse's file of categories: a JSON object of lists of ids."""
UNPACKED = 2**26
"""Largest number of bytes to which that file may unpack."""
KNOWN = (
    "a mesh file, a list of meshes (jsonl, json, csv), a folder of mesh files, of Google Scanned Objects "
    f"(NAME/meshes/model.obj), of Text2Tex ({TEXT2TEX}, objaverse/UID/mesh.obj) or of Objaverse (glbs/*/UID.glb)"
)
"""What `meshes.path` may be, for messages."""


def mesh_rows(path: str, prompt: str) -> list[Row]:
    """Rows with `mesh` (a path), `prompt`, `id`, `negative` and `up` (empty: not known), in the order of names.

    `prompt` is for all meshes, or empty: then it comes from the list, or is the category or name that a layout gives.
    Raises SyncbenchError where nothing of KNOWN is found, and for a mesh without a prompt.
    """
    if not path:
        raise SyncbenchError(f"no mesh given: add --set meshes.path=FILE, which is {KNOWN}")
    place = Path(path).expanduser()
    if place.name == TEXT2TEX:
        place = place.parent
    if not is_folder(place) and not is_file(place) and place.suffix.lower() not in TABLES:
        raise SyncbenchError(f"no mesh file '{quoted(path)}'{origin_of('meshes', path)}")
    if place.suffix.lower() in TABLES:
        return rows_of(str(place), "mesh", ("up",), prompted=True)
    found = _layout(place) if is_folder(place) else [_row(place, place.stem, "", "")]
    if not found or len(found) > ITEMS:
        many = f"more than {ITEMS:,} meshes" if found else "no meshes"
        raise SyncbenchError(f"{quoted(path)}: {many} in this folder; meshes.path is {KNOWN}")
    given = checked_prompt(prompt, "meshes.prompt") if prompt.strip() else ""
    for row in found:
        row["prompt"] = given or row["prompt"]
        if not row["prompt"]:
            raise SyncbenchError(
                f"{quoted(row['mesh'])}: a mesh needs a prompt: add --set meshes.prompt='...', or list meshes with "
                "their prompts in a jsonl, json or csv file"
            )
    return found


def _layout(root: Path) -> list[Row]:
    """Rows of a folder in one of the layouts; none where it has none of them."""
    if is_file(root / TEXT2TEX):
        return _text2tex(root)
    scans = [root] if is_file(root / "meshes" / "model.obj") else sorted(root.glob("*/"))
    scans = [scan for scan in scans if is_file(scan / "meshes" / "model.obj")]
    if scans:
        return [_row(scan / "meshes" / "model.obj", scan.name, name_prompt(scan.name), "z") for scan in scans]
    for base in (root, root / "hf-objaverse-v1"):
        if is_folder(base / "glbs"):
            return _objaverse(base)
    flat = sorted(file for file in root.iterdir() if file.suffix.lower() in FORMATS and is_file(file))
    stems = Counter(file.stem for file in flat)
    return [_row(file, file.stem if stems[file.stem] == 1 else file.name, "", "") for file in flat]


def _text2tex(root: Path) -> list[Row]:
    """Rows of Text2Tex's list, whose prompts are the categories. Raises SyncbenchError for a missing mesh."""
    rows: list[Row] = []
    for number, line in enumerate(read_text(root / TEXT2TEX).split("\n"), 1):
        if not (name := line.strip()):
            continue
        category, _, uid = name.rpartition("_")
        if not category or not UID.fullmatch(uid):
            raise SyncbenchError(
                f"{quoted(root / TEXT2TEX)}:{number}: '{quoted(name, 60)}' is no category, underscore and 32 hex digits"
            )
        choices = [root / "objaverse" / uid / "mesh.obj", root / uid / "mesh.obj"]
        mesh = next((choice for choice in choices if is_file(choice)), None)
        if mesh is None:
            raise SyncbenchError(
                f"{quoted(root / TEXT2TEX)}:{number}: no file objaverse/{uid}/mesh.obj beside this list; Text2Tex's "
                "scripts/download_objaverse_subset.py makes it"
            )
        rows.append(_row(mesh, name, name_prompt(category), "y"))
    return rows


def _objaverse(base: Path) -> list[Row]:
    """Rows of Objaverse's GLB files, whose prompts are their LVIS categories where the file of them is there."""
    categories: dict[str, str] = {}
    listed = base / LVIS
    if is_file(listed):
        try:
            unpack = zlib.decompressobj(wbits=31)
            content = json.loads(unpack.decompress(read_bytes(listed), UNPACKED))
            for category, uids in cast(dict[str, list[Any]], content).items():
                categories.update({str(uid): name_prompt(category) for uid in uids})
        except (ValueError, AttributeError, TypeError, RecursionError, zlib.error, gzip.BadGzipFile) as error:
            raise SyncbenchError(
                f"{quoted(listed)}: this is no gzipped JSON object of lists of ids; download it again"
            ) from error
    files = sorted(base.glob("glbs/*/*.glb"))
    return [_row(file, file.stem, categories.get(file.stem, ""), "y") for file in files if is_file(file)]


def _row(mesh: Path, name: str, prompt: str, up: str) -> Row:
    return {"id": named_id(name), "mesh": str(mesh), "prompt": prompt, "negative": "", "up": up}
