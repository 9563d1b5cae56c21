"""Rows of a user's file, one an item, from txt, jsonl, json or csv: where each stands, and what it may say.

txt: one prompt a line; blank lines and lines starting with # are skipped. jsonl: an object a line. json: a list of
texts or objects, or COCO's captions. csv: a header, then a row an item. Lines end with a line feed: other characters
that Unicode counts as ends of lines belong to the prompt.
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
from ..bench.files import read_text
from ..bench.limits import ITEMS, TEXT
from ..bench.run.plan import check_id

Rows = Iterator[tuple[str, Any]]
"""A row's place in its file, in words, and the row."""
Words = tuple[str, ...]
"""Columns of which a table needs one; a row that is a text alone is the first."""
PROMPT: Words = ("prompt", "caption")
WEIGHTS = re.compile(r"<(?:lora|lyco|hypernet):[^>]*>|\([^()]*:\s*\d*\.\d+\s*\)")
"""What some programs take for instructions, and a text encoder for words."""


def read_rows(
    path: str,
    needs: Sequence[str] = (),
    takes: Sequence[str] = (),
    formats: Sequence[str] = (),
    prompted: bool = True,
) -> list[dict[str, str]]:
    """Rows with `prompt`, `id`, `negative`, the columns it `needs` and those it `takes` (empty where a row has none).

    They are in order, and an id defaults to its row's place in the file. A prompt may be called `caption`, too, and an
    id may be a whole number. Where rows are not `prompted` a prompt may be missing (it is empty then), and a row that
    is a text alone is the first column that they need. Raises SyncbenchError naming file and line of a row that cannot
    be used, or that says the same as an earlier one.
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
    words = PROMPT if prompted else tuple(needs[:1])
    for place, given in reader(name, read_text(file), words):
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


def checked_prompt(text: str, where: str) -> str:
    """A prompt without spaces around it. Raises SyncbenchError for an empty or endless one, and for weights."""
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
    prompt = row.get("prompt", row.get("caption"))
    names = ", ".join(quoted(name, 40) for name in row) or "nothing"
    for name in (*PROMPT[:prompted], *needs):
        if name not in row and not (name == "prompt" and "caption" in row):
            raise SyncbenchError(f"{where}: no '{name}' (there is {names})")
    number = row.get("id")
    if isinstance(number, int) and not isinstance(number, bool):
        row = {**row, "id": str(number) if abs(number) < 10**18 else "?"}
    for name, value in {**row, "prompt": prompt}.items():
        if name in ("prompt", "id", "negative", *needs, *takes) and value is not None and not isinstance(value, str):
            raise SyncbenchError(f"{where}: '{name}' must be text, not {quoted(json.dumps(value), 40)}")
    found = {name: check_text(row.get(name) or "", where).strip() for name in ("id", "negative", *needs, *takes)}
    for name in needs:
        if not found[name]:
            raise SyncbenchError(f"{where}: '{name}' is empty")
    if found["id"]:
        check_id(found["id"], where)
        if set(found["id"]) & set("/\\,") or found["id"] in {".", ".."}:
            raise SyncbenchError(f"{where}: id '{found['id']}' is a name, so leave out slashes and commas")
    checked_prompt(found["negative"] or "none", where)
    said = checked_prompt(prompt or "", where) if prompted or prompt else ""
    return {"prompt": said, **found}


def _txt(name: str, text: str, words: Words) -> Rows:
    for line, content in enumerate(_lines(text), 1):
        if content.strip() and not content.lstrip().startswith("#"):
            yield f"line {line}", {words[0]: content}


def _jsonl(name: str, text: str, words: Words) -> Rows:
    for line, content in enumerate(_lines(text), 1):
        if content.strip():
            yield f"line {line}", _parsed(content, f"{name}:{line}")


def _json(name: str, text: str, words: Words) -> Rows:
    found = _parsed(text, name)
    if isinstance(found, dict) and "annotations" in found:  # COCO's captions
        found = cast(dict[str, Any], found)["annotations"]
    if not isinstance(found, list):
        raise SyncbenchError(f'{name}: expected a list of prompts, or of objects such as {{"prompt": "..."}}')
    for number, row in enumerate(cast(list[Any], found), 1):
        yield f"entry {number}", {words[0]: row} if isinstance(row, str) else row


def _csv(name: str, text: str, words: Words) -> Rows:
    lines = csv.DictReader(io.StringIO("\n".join(_lines(text)), newline=""), strict=True, skipinitialspace=True)
    start = 1
    try:
        header = lines.fieldnames or ()
        if not set(words) & set(header):
            shown = ", ".join(quoted(column, 40) for column in header) or "nothing"
            raise SyncbenchError(f"{name}:1: the header has no '{words[0]}' column (it has {shown})")
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


READERS: dict[str, Callable[[str, str, Words], Rows]] = {".txt": _txt, ".jsonl": _jsonl, ".csv": _csv, ".json": _json}
TABLES = (".jsonl", ".csv", ".json")
"""Formats of rows with more than a prompt."""
