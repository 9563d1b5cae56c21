"""Manifests: files that say which output is of which item, in the forms in which benchmarks of this field write them.

csv, jsonl, json and yaml; a row has a path and names its item by id, or by the name of its source and its prompt:

    own          item (or id), path, seed
    IVEBench     src_video_name, target_prompt; outputs are named like their sources
    TGVE         "Video name", "Style Change Caption", ... (csv), or `train_data` and `validation_data.prompts` (yaml);
                 outputs are <video>/<style|object|background|multiple>
    V2VBench     video_id, edit: [{prompt}, ...] (yaml or json); outputs are <video_id>/<number of the prompt>

Paths are relative to the folder of outputs; endings and folders above may be left out.
"""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, cast

import yaml

from ..errors import SyncbenchError, quoted
from ..files.reading import read_text
from ..limits import ITEMS, SEED
from ..types import Item
from .leaves import Found, Leaf
from .match import Matched, Output, item_names, ordered_files

ENDINGS = (".csv", ".jsonl", ".json", ".yaml", ".yml")
ITEM = ("item", "item_id", "id")
PATH = ("path", "output", "output_path", "file", "result", "prediction")
SOURCE = ("src_video_name", "video_name", "Video name", "video_id", "video", "name")
PROMPT = ("target_prompt", "prompt", "caption")
CHANGES = {
    "Style Change Caption": "style",
    "Object Change Caption": "object",
    "Background Change Caption": "background",
    "Multiple Changes Caption": "multiple",
}
"""TGVE's columns of prompts, and the folders of their outputs."""


@dataclass(frozen=True)
class Row:
    """One output as a manifest names it."""

    where: str
    """Place of the row, for messages."""
    path: str
    item: str = ""
    source: str = ""
    """Name of what the item was made from, without an ending."""
    prompt: str = ""
    seed: int | None = None


def read_manifest(path: Path) -> list[Row]:
    """The rows of a manifest. Raises SyncbenchError that names file and row of one that cannot be used."""
    name, ending = quoted(path), path.suffix.lower()
    if ending not in ENDINGS:
        raise SyncbenchError(f"{name}: a manifest ends in {', '.join(ENDINGS)}")
    rows: list[Row] = []
    for where, given in _tables(name, read_text(path, 2**24), ending):
        if not isinstance(given, dict):
            raise SyncbenchError(f'{where}: expected an object such as {{"item": "...", "path": "..."}}')
        rows += _rows(where, cast(dict[str, Any], given))
        if len(rows) > ITEMS:
            raise SyncbenchError(f"{name}: more than {ITEMS:,} rows: split the file")
    if not rows:
        raise SyncbenchError(f"{name}: no rows in this manifest")
    return rows


def match_rows(rows: Sequence[Row], found: Found, items: Sequence[Item], seed: int = 0) -> Matched:
    """The outputs of items by the rows of a manifest; rows without a seed have `seed`.

    Rows whose item the data set has not are listed as unmatched, and outputs that no row names as extra. Raises
    SyncbenchError for a row that names no output, or several.
    """
    matched, used = Matched(), set[Path]()
    names = item_names(items)
    for row in rows:
        item = _item(row, items, names)
        if item is None:
            matched.unmatched.append(f"{row.path} ({row.where})")
            continue
        leaf = _leaf(row, found)
        if leaf is None:
            continue  # finish() lists its item as missing
        files, _ = ordered_files(leaf, tuple(getattr(item.surface, "names", ())))
        matched.add(item.id, seed if row.seed is None else row.seed, Output(leaf.name, leaf.kind, files))
        matched.seeds_told |= row.seed is not None
        used.update(leaf.files)
    rest = [leaf for leaf in found.leaves if used.isdisjoint(leaf.files)]
    whole = {path for leaf in rest if leaf.whole for path in leaf.files}
    matched.extra = [leaf.name for leaf in rest if leaf.whole or whole.isdisjoint(leaf.files)]
    matched.finish(items)
    return matched


def _tables(name: str, text: str, ending: str) -> Iterator[tuple[str, Any]]:
    """The place and the content of each row of a file."""
    try:
        if ending == ".csv":
            reader = csv.DictReader(io.StringIO(text, newline=""), strict=True, skipinitialspace=True)
            for row in reader:
                yield f"{name}:{reader.line_num}", {key: value for key, value in row.items() if value}
        elif ending == ".jsonl":
            for number, line in enumerate(text.split("\n"), 1):
                if line.strip():
                    yield f"{name}:{number}", json.loads(line)
        else:
            content = json.loads(text) if ending == ".json" else yaml.safe_load(text)
            if isinstance(content, dict):
                content = cast(dict[str, Any], content).get("data", [cast(Any, content)])
            if not isinstance(content, list):
                raise SyncbenchError(f"{name}: expected a list of rows")
            for number, row in enumerate(cast(list[Any], content), 1):
                yield f"{name}: row {number}", row
    except (csv.Error, ValueError, yaml.YAMLError, RecursionError) as error:
        cause = (str(error).splitlines() or [type(error).__name__])[0]
        raise SyncbenchError(f"{name} cannot be read as {ending[1:]}: {quoted(cause, 120)}") from error


def _rows(where: str, given: dict[str, Any]) -> list[Row]:
    """The outputs that one row of a file names: one, or one for each prompt of a source."""
    training, validation = given.get("train_data"), given.get("validation_data")
    if isinstance(training, dict) and isinstance(validation, dict):
        source = PurePosixPath(_text(cast(Any, training), ("video_path",), where)).name
        edits: Any = cast(dict[str, Any], validation).get("prompts")
        return [Row(where, f"{source}/{kind}", "", source, str(prompt)) for kind, prompt in dict(edits or {}).items()]
    source = _stem(_text(given, SOURCE, where))
    edit = given.get("edit")
    if isinstance(edit, list):
        prompts = [_text(one, PROMPT, where) for one in cast(list[Any], edit) if isinstance(one, dict)]
        return [Row(where, f"{source}/{number}", "", source, prompt) for number, prompt in enumerate(prompts)]
    changes = {kind: given[column] for column, kind in CHANGES.items() if given.get(column)}
    if changes:
        return [Row(where, f"{source}/{kind}", "", source, str(text)) for kind, text in changes.items()]
    item, path, prompt = (_text(given, names, where) for names in (ITEM, PATH, PROMPT))
    if source and "src_video_name" in given:
        item, path = "", path or source  # IVEBench's id is a number of its own
    if not path or not (item or source or prompt):
        has = ", ".join(quoted(key, 40) for key in given) or "nothing"
        raise SyncbenchError(f"{where}: a row needs 'item' and 'path' (there is {has})")
    return [Row(where, path, item, source, prompt, _seed(given.get("seed"), where))]


def _text(given: dict[str, Any], names: Sequence[str], where: str) -> str:
    """The first of some columns that a row has, as text; empty where it has none."""
    for name in names:
        value = given.get(name)
        if isinstance(value, bool | dict | list):
            raise SyncbenchError(f"{where}: '{name}' must be text")
        if value is not None and str(value).strip():
            return str(value).strip()
    return ""


def _seed(value: Any, where: str) -> int | None:
    if value is None or value == "":
        return None
    text = str(value)
    if not (text.isascii() and text.isdigit() and int(text) <= SEED):
        raise SyncbenchError(f"{where}: the seed '{quoted(text, 40)}' is no whole number from 0")
    return int(text)


def _stem(name: str) -> str:
    path = PurePosixPath(name)
    return path.stem if path.suffix.lower() in (".mp4", ".mov", ".avi", ".webm", ".mkv", ".gif") else path.name


def _item(row: Row, items: Sequence[Item], names: dict[str, str]) -> Item | None:
    """The item that a row means: by id, or else the only one with its prompt, or with its source and prompt."""
    by_id = {item.id: item for item in items}
    if row.item:
        return by_id.get(names.get(row.item, ""))
    of_source = [item for item in items if row.source and item.id.startswith(row.source)]
    for some in (of_source, [] if of_source else items):
        same = [item for item in some if row.prompt and row.prompt in item.prompts]
        if len(same) == 1:
            return same[0]
    return by_id.get(names.get(row.source, ""))


def _leaf(row: Row, found: Found) -> Leaf | None:
    """The output that a row's path names; None where it is not there."""
    path = PurePosixPath(row.path)
    if path.is_absolute() or ".." in path.parts:
        raise SyncbenchError(f"{row.where}: '{quoted(row.path)}' leads out of the folder of outputs")
    wanted = [part for part in path.parts if part != "."]
    exact = [leaf for leaf in found.leaves if not leaf.whole and f"{'/'.join(wanted)}" == leaf.name]
    ends = [leaf for leaf in found.leaves if list(leaf.parts[-len(wanted) :]) == wanted]
    dotted = [leaf for leaf in found.leaves if not leaf.whole and leaf.name.endswith("/" + "/".join(wanted))]
    options = exact or [leaf for leaf in ends if leaf.whole] or ends or dotted
    if len(options) > 1:
        raise SyncbenchError(
            f"{row.where}: '{quoted(row.path)}' is '{options[0].name}' or '{options[1].name}': write the whole path"
        )
    return options[0] if options else None
