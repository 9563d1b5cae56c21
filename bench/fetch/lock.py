"""Which commit of a repository was fetched: a small JSON file beside the hub's cache, read when a model asks for it."""

from pathlib import Path
from typing import Any

from ..errors import SyncbenchError
from ..files import is_file, read_object, write_json

NAME = "syncbench.lock.json"


def cache_folder() -> Path:
    """Where the hub's client keeps repositories on this machine (`HF_HUB_CACHE`, or `HF_HOME`/hub)."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def lock_file() -> Path:
    """The lock file; it need not be there."""
    return cache_folder() / NAME


def locked(name: str) -> dict[str, Any]:
    """What is known of a fetched repository or file: `commit` or `sha256`, `whole`, `from`, `fetched`; empty: nothing.

    A repository that was fetched by another program is not in the lock. A damaged lock file is as good as none.
    """
    found = _read().get(name, {})
    return found if isinstance(found, dict) else {}


def record(name: str, **facts: Any) -> None:
    """Write facts of a repository or file into the lock."""
    everything = _read()
    everything[name] = {**locked(name), **facts}
    lock_file().parent.mkdir(parents=True, exist_ok=True)
    write_json(lock_file(), everything)


def _read() -> dict[str, Any]:
    try:
        return read_object(lock_file()) if is_file(lock_file()) else {}
    except SyncbenchError:
        return {}
