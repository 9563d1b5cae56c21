"""Rows of a user's txt, jsonl, json or csv file, one for each item, with the place of each in the file.

txt: one prompt a line; blank lines and lines starting with # are skipped. jsonl: one object a line. json: a list of
texts or objects, or COCO's captions. csv: a header, then one row for each item. Lines end with a line feed: other
characters that Unicode counts as ends of lines belong to the prompt.
"""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

from ..bench.catalogue.fields import check_text
from ..bench.errors import SyncbenchError, quoted
from ..bench.files.reading import read_text
from ..bench.limits import ITEMS, TEXT
from ..bench.run.plan import check_id
from ..bench.types import Item, Sampling, Surface
from ..bench.world.grammar import is_caption

Rows = Iterator[tuple[str, Any]]
"""The place of a row in its file, e.g. `line 3`, and the row."""
TextColumns = tuple[str, ...]
"""Columns of which a table needs at least one. A row that is a text alone is a value of the first."""
PROMPT: TextColumns = ("prompt", "caption")
WEIGHTS = re.compile(r"<(?:lora|lyco|hypernet):[^>]*>|\([^()]*:\s*\d*\.\d+\s*\)")
"""Weights and LoRAs in a prompt, which some programs obey and which a text encoder here would read as words."""


def read_rows(
    path: str,
    needs: Sequence[str] = (),
    takes: Sequence[str] = (),
    formats: Sequence[str] = (),
    prompted: bool = True,
) -> list[dict[str, str]]:
    """Rows of a file in order: texts of `prompt`, `id`, `negative`, the columns `needs` and the optional ones `takes`.

    Optional columns are empty where a row lacks them. An id defaults to its row's place in the file and may be a whole
    number. The column of prompts may be called `caption` instead. Unless rows are `prompted`, a prompt may be missing
    (it is empty then), and a row that is a text alone is a value of the first column in `needs`. `formats` are the
    allowed endings of the file's name (empty: all). Raises SyncbenchError that names file and line of a row that cannot
    be used or repeats an earlier one.
    """
    file, name = Path(path), quoted(path)
    reader = READERS.get(file.suffix.lower())
    if reader is None or (formats and file.suffix.lower() not in formats):
        raise SyncbenchError(
            f"{name}: a {'prompt file' if prompted else 'list'} ends in {', '.join(formats or READERS)}, not in "
            f"'{quoted(file.suffix)}'"
        )
    rows: list[dict[str, str]] = []
    ids, contents = dict[str, str](), dict[tuple[str, ...], str]()
    text_columns = PROMPT if prompted else tuple(needs[:1])
    for place, given in reader(name, read_text(file), text_columns):
        if len(rows) == ITEMS:
            raise SyncbenchError(
                f"{name}: more than {ITEMS:,} rows, which is all that one plan may have: split the file"
            )
        where = f"{name}:{place.removeprefix('line ')}" if place.startswith("line ") else f"{name}: {place}"
        if not isinstance(given, dict):
            raise SyncbenchError(f'{where}: expected an object such as {{"prompt": "..."}}')
        row = _checked(cast(dict[str, Any], given), where, needs, takes, prompted)
        word, number = place.split()
        row["id"] = row["id"] or f"{word}-{int(number):04d}"
        if row["id"] in ids:
            raise SyncbenchError(f"{where}: id '{row['id']}' is already used in {ids[row['id']]}")
        content = tuple(value for key, value in row.items() if key != "id")
        if content in contents:
            raise SyncbenchError(
                f"{where}: the same as {contents[content]}, and items must differ: delete one, and take more seeds for "
                "more samples of it"
            )
        ids[row["id"]] = contents[content] = place
        rows.append(row)
    if not rows:
        raise SyncbenchError(f"{name}: no {'prompts' if prompted else 'rows'} in this file")
    return rows


def rows_of(path: str, column: str, takes: Sequence[str] = (), prompted: bool = True) -> list[dict[str, str]]:
    """Rows of an index file (jsonl, json, csv), each with a path in `column`, and its optional columns `takes`.

    Paths, in the columns PLACES, lead from the file's folder to places inside of it. Raises SyncbenchError for a row
    that cannot be used (see `read_rows`).
    """
    folder = Path(path).parent
    rows = read_rows(path, (column,), takes, TABLES, prompted)
    return [
        {name: inside(folder, text, path) if name in PLACES and text else text for name, text in row.items()}
        for row in rows
    ]


def inside(folder: Path, name: str, file: str) -> str:
    """The path `name` that `file` gives, below `folder`. Raises SyncbenchError for one that leads out of it."""
    plain = name.replace("\\", "/")
    if plain.startswith(("/", "~")) or plain[1:2] == ":" or ".." in plain.split("/") or "\0" in plain:
        raise SyncbenchError(
            f"{quoted(file)}: '{quoted(name, 80)}' leads out of this file's folder; paths are relative to it"
        )
    return str(folder / plain)


def name_prompt(name: str) -> str:
    """A prompt made of the name of a file or a category: underscores, dashes and dots count as spaces.

    >>> name_prompt("CD_player")
    'CD player'
    """
    return " ".join(re.split(r"[\s_.-]+", name)).strip()


def named_id(name: str) -> str:
    """An id made of a file's name: commas and slashes become underscores, and it is at most 150 characters long."""
    return re.sub(r"[,/\\]", "_", name)[:150]


def prompt_items(owner: str, path: str, surface: Surface) -> list[Item]:
    """One item of the family `overlap` for each row of a prompt file, in order, all of the same surface.

    `owner` is the data set that has the field `path`, for messages. Raises SyncbenchError without a path, and one that
    names file and line for a row that cannot be used.
    """
    if not path:
        raise SyncbenchError(f"{owner} needs a file: add --set {owner}.path=FILE (txt, jsonl, json or csv)")
    return [
        Item(
            id=row["id"],
            family="overlap",
            world=is_caption(row["prompt"]),
            prompts=(row["prompt"],),
            surface=surface,
            protocol=Sampling(negative=row["negative"]),
        )
        for row in read_rows(path)
    ]


def checked_prompt(text: str, where: str) -> str:
    """The prompt without spaces around it. Raises SyncbenchError, beginning with `where`, for an empty prompt, one of
    more than TEXT characters, and one with weights or LoRAs."""
    prompt = check_text(text, where).strip()
    if not prompt:
        raise SyncbenchError(f"{where}: the prompt is empty")
    if len(prompt) > TEXT:
        raise SyncbenchError(f"{where}: a prompt of {len(prompt):,} characters is longer than {TEXT:,}")
    weight = WEIGHTS.search(prompt)
    if weight is not None:
        raise SyncbenchError(
            f"{where}: '{quoted(weight[0], 40)}' would be read as words, because weights and LoRAs in prompts are not "
            "known here: write the prompt without them"
        )
    return prompt


def _checked(
    row: dict[str, Any], where: str, needs: Sequence[str], takes: Sequence[str], prompted: bool
) -> dict[str, str]:
    """The texts of one row by column. Raises SyncbenchError, beginning with `where`, for a row that cannot be used."""
    prompt = row.get("prompt", row.get("caption"))
    names = ", ".join(quoted(name, 40) for name in row) or "nothing"
    for name in (*PROMPT[:prompted], *needs):
        if name not in row and not (name == "prompt" and "caption" in row):
            raise SyncbenchError(f"{where}: no '{name}' (there is {names})")
    for name in ("id", *takes):
        number = row.get(name)
        if isinstance(number, int) and not isinstance(number, bool):
            row = {**row, name: str(number) if abs(number) < 10**18 else "?"}
    for name, value in {**row, "prompt": prompt}.items():
        if name in ("prompt", "id", "negative", *needs, *takes) and value is not None and not isinstance(value, str):
            raise SyncbenchError(f"{where}: '{name}' must be text, not {quoted(json.dumps(value), 40)}")
    texts = {name: check_text(row.get(name) or "", where).strip() for name in ("id", "negative", *needs, *takes)}
    for name in needs:
        if not texts[name]:
            raise SyncbenchError(f"{where}: '{name}' is empty")
    if texts["id"]:
        check_id(texts["id"], where)
        if set(texts["id"]) & set("/\\,") or texts["id"] in {".", ".."}:
            raise SyncbenchError(f"{where}: id '{texts['id']}' is a name, so leave out slashes and commas")
    checked_prompt(texts["negative"] or "none", where)
    return {"prompt": checked_prompt(prompt or "", where) if prompted or prompt else "", **texts}


def _txt(name: str, text: str, columns: TextColumns) -> Rows:
    for line, content in enumerate(_lines(text), 1):
        if content.strip() and not content.lstrip().startswith("#"):
            yield f"line {line}", {columns[0]: content}


def _jsonl(name: str, text: str, columns: TextColumns) -> Rows:
    for line, content in enumerate(_lines(text), 1):
        if content.strip():
            yield f"line {line}", _parsed(content, f"{name}:{line}")


def _json(name: str, text: str, columns: TextColumns) -> Rows:
    content = _parsed(text, name)
    if isinstance(content, dict) and "annotations" in content:  # COCO's captions
        content = cast(dict[str, Any], content)["annotations"]
    if not isinstance(content, list):
        raise SyncbenchError(f'{name}: expected a list of prompts, or of objects such as {{"prompt": "..."}}')
    for number, row in enumerate(cast(list[Any], content), 1):
        yield f"entry {number}", {columns[0]: row} if isinstance(row, str) else row


def _csv(name: str, text: str, columns: TextColumns) -> Rows:
    lines = csv.DictReader(io.StringIO("\n".join(_lines(text)), newline=""), strict=True, skipinitialspace=True)
    start = 1
    try:
        header = lines.fieldnames or ()
        if not set(columns) & set(header):
            present = ", ".join(quoted(column, 40) for column in header) or "nothing"
            raise SyncbenchError(f"{name}:1: the header has no '{columns[0]}' column (it has {present})")
        start = lines.line_num
        for row in lines:
            if None in row:
                raise SyncbenchError(f"{name}:{start + 1}: more cells than the header has columns; quote the commas")
            yield f"line {start + 1}", row
            start = lines.line_num
    except csv.Error as error:
        raise SyncbenchError(f"{name}:{start + 1}: not CSV: {error}") from error


def _lines(text: str) -> list[str]:
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise SyncbenchError(f"{where}: not JSON: {error.msg} at column {error.colno}") from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits; brackets without end
        raise SyncbenchError(f"{where}: nested too deeply, or a number is too long") from error


READERS: dict[str, Callable[[str, str, TextColumns], Rows]] = {
    ".txt": _txt,
    ".jsonl": _jsonl,
    ".csv": _csv,
    ".json": _json,
}
PLACES = ("video", "mesh", "photo", "mask", "depth", "normal", "albedo", "shading", "cameras", "judgements")
"""Columns that hold paths."""
TABLES = (".jsonl", ".csv", ".json")
"""Endings of files whose rows may have more columns than a prompt."""
