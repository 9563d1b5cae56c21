"""What a run was started with, kept in its checkpoint, so that it is not continued with something else.

A note in the folder says what the latest start was given; a checkpoint has the notes of the start that wrote it. So a
fresh start that ends before its first checkpoint leaves the earlier one what it was.
"""

import json
from collections.abc import Callable, Mapping
from inspect import signature
from pathlib import Path
from typing import Any

from ..errors import SyncbenchError
from ..files.reading import is_file, read_object
from ..files.writing import disk, write_json

OPTIONS, CAPTURES = "options.json", "captures.json"
FREE = {"out", "steps", "minutes", "resume", "data", "processes", "save_every", "device", "measured"}
"""Arguments of trainers that may differ from start to start: the budget, and where and how the work is done."""


def options(main: Callable[..., Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """What a call of a trainer's `main` learns by: its arguments but for those in FREE, defaults filled in.

    Paths are made absolute; one that was not given is left out, because it moves with the installation.
    """
    found: dict[str, Any] = {}
    for name, parameter in signature(main).parameters.items():
        value = arguments.get(name, parameter.default)
        if name in FREE or (isinstance(value, Path) and value == parameter.default):
            continue
        found[name] = str(value.resolve()) if isinstance(value, Path) else value
    return found


def of_one_run(out: Path, facts: Mapping[str, Any], resume: bool, note: str = OPTIONS) -> None:
    """Write into the file `note` of the folder `out` the `facts` that its run depends on.

    Raises SyncbenchError if the checkpoint that is to be resumed was made with others; nothing is written then.
    """
    state = out / "state.pt"
    before: dict[str, Any] = {}
    if resume and state.exists():
        from .saved import read  # with torch

        before = read(state, dict, mmap=True).get("notes", {}).get(note, {})
    given: dict[str, Any] = json.loads(json.dumps(dict(facts)))
    other = [f"{name} = {_text(before[name])}" for name in given if name in before and before[name] != given[name]]
    if other:
        raise SyncbenchError(
            f"the run in {out} was started with {', '.join(other)}: go on with the same, choose a fresh --out, or add "
            "--no-resume to start again"
        )
    with disk(out):
        out.mkdir(parents=True, exist_ok=True)
        write_json(out / note, given)


def notes(out: Path) -> dict[str, dict[str, Any]]:
    """The notes in the folder `out` by name, for its checkpoint."""
    return {name: read_object(out / name) for name in (OPTIONS, CAPTURES) if is_file(out / name)}


def _text(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value)
