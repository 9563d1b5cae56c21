"""The lock file: a small JSON file in the hub's cache that names the commit of every fetched repository."""

from pathlib import Path
from typing import Any

from ..errors import SyncbenchError
from ..files.reading import is_file, read_object
from ..files.writing import write_json

NAME = "syncbench.lock.json"


def cache_folder() -> Path:
    """The folder in which the hub's client keeps repositories on this machine (`HF_HUB_CACHE`, or `HF_HOME`/hub)."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def lock_file() -> Path:
    """The path of the lock file, which need not exist."""
    return cache_folder() / NAME


def locked(name: str) -> dict[str, Any]:
    """Facts of a fetched repository or file: `commit` or `sha256`, `whole`, `from`, `fetched`; empty if not listed.

    A repository that another program fetched is not listed. A damaged lock file counts as empty.
    """
    facts = _read().get(name, {})
    return facts if isinstance(facts, dict) else {}


def record_fetch(name: str, **facts: Any) -> None:
    """Add facts of a repository or file to the lock file."""
    everything = _read()
    everything[name] = {**locked(name), **facts}
    lock_file().parent.mkdir(parents=True, exist_ok=True)
    write_json(lock_file(), everything)


def _read() -> dict[str, Any]:
    try:
        return read_object(lock_file()) if is_file(lock_file()) else {}
    except SyncbenchError:
        return {}
