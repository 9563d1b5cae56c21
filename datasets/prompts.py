"""Panoramas of your own: a prompt file (txt, jsonl or csv), sampled at any width.

txt: one prompt a line; blank lines and lines starting with # are skipped. jsonl: objects with `prompt` and, if
wanted, `id` and `negative`. csv: a header with a `prompt` column and, if wanted, `id` and `negative`.
"""

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from ..bench.files import read_text
from ..bench.geometry.strip import Strip
from ..bench.types import Family, Item, Sampling, SyncbenchError


@dataclass(frozen=True, kw_only=True)
class Prompts:
    """One item per prompt of a file. There is no truth; the defaults are those of Stable Diffusion panoramas."""

    version: ClassVar[int] = 1
    family: ClassVar[Family] = "overlap"
    located_by: ClassVar[tuple[str, ...]] = ("path",)

    path: str = ""
    """The prompt file. Its place is no part of a result's identity; its prompts are."""
    width: int = 2048
    """Width of the panorama in pixels."""
    window: int = 512
    """Width of one view in pixels; the model's native size."""
    height: int | None = None
    """Height in pixels; None: as high as a window is wide."""
    wrap: bool = False
    """Whether the right end continues at the left."""

    def items(self) -> list[Item]:
        """The file's rows in order. Raises SyncbenchError naming file and line of a row it cannot read."""
        surface = Strip(self.window if self.height is None else self.height, self.width, self.window, self.wrap)
        return [
            Item(
                id=row["id"],
                family=self.family,
                prompts=(row["prompt"],),
                surface=surface,
                protocol=Sampling(negative=row["negative"]),
            )
            for row in read_prompts(self.path)
        ]


def read_prompts(path: str) -> list[dict[str, str]]:
    """Rows with `prompt`, `id` and `negative` of a .txt, .jsonl or .csv file; ids default to the line number."""
    if not path:
        raise SyncbenchError("prompts needs a file: add --set prompts.path=FILE (txt, jsonl or csv)")
    file = Path(path)
    reader = READERS.get(file.suffix.lower())
    if reader is None:
        raise SyncbenchError(f"{path}: a prompt file ends in {', '.join(READERS)}, not in '{file.suffix}'")
    try:
        text = read_text(file)
    except UnicodeDecodeError as error:
        line = file.read_bytes()[: error.start].count(b"\n") + 1
        raise SyncbenchError(f"{path}:{line}: not UTF-8; save the file as UTF-8") from error
    rows: list[dict[str, str]] = []
    seen: dict[str, int] = {}
    for line, row in reader(path, text):
        checked = _checked(row, f"{path}:{line}", f"line-{line:04d}")
        if checked["id"] in seen:
            raise SyncbenchError(f"{path}:{line}: id '{checked['id']}' is already used in line {seen[checked['id']]}")
        seen[checked["id"]] = line
        rows.append(checked)
    if not rows:
        raise SyncbenchError(f"{path}: no prompts in this file")
    return rows


def _checked(row: dict[str, Any], where: str, default: str) -> dict[str, str]:
    if "prompt" not in row:
        raise SyncbenchError(f"{where}: no 'prompt' (there is {', '.join(map(str, row)) or 'nothing'})")
    for name in ("prompt", "id", "negative"):
        value = row.get(name)
        if value is not None and not isinstance(value, str):
            raise SyncbenchError(f"{where}: '{name}' must be text, not {json.dumps(value)}")
    prompt, id = (row["prompt"] or "").strip(), (row.get("id") or "").strip()
    if not prompt:
        raise SyncbenchError(f"{where}: the prompt is empty")
    return {"prompt": prompt, "id": id or default, "negative": (row.get("negative") or "").strip()}


def _txt(path: str, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for line, content in enumerate(text.splitlines(), 1):
        if content.strip() and not content.lstrip().startswith("#"):
            yield line, {"prompt": content}


def _jsonl(path: str, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for line, content in enumerate(text.splitlines(), 1):
        if not content.strip():
            continue
        try:
            row = json.loads(content)
        except json.JSONDecodeError as error:
            raise SyncbenchError(f"{path}:{line}: not JSON: {error.msg} at column {error.colno}") from error
        if not isinstance(row, dict):
            raise SyncbenchError(f'{path}:{line}: expected an object such as {{"prompt": "..."}}')
        yield line, row


def _csv(path: str, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    lines = csv.DictReader(text.splitlines(keepends=True), strict=True, skipinitialspace=True)
    start = 1
    try:
        if "prompt" not in (lines.fieldnames or ()):
            raise SyncbenchError(
                f"{path}:1: the header has no 'prompt' column (it has {lines.fieldnames or 'nothing'})"
            )
        start = lines.line_num
        for row in lines:
            if None in row:
                raise SyncbenchError(f"{path}:{start + 1}: more cells than the header has columns; quote the commas")
            yield start + 1, row
            start = lines.line_num
    except csv.Error as error:
        raise SyncbenchError(f"{path}:{start + 1}: not CSV: {error}") from error


READERS: dict[str, Callable[[str, str], Iterator[tuple[int, dict[str, Any]]]]] = {
    ".txt": _txt,
    ".jsonl": _jsonl,
    ".csv": _csv,
}
