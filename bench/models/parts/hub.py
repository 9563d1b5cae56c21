"""Checkpoints in the model hub's cache on this machine. Nothing is downloaded here: `syncbench fetch` does that."""

from pathlib import Path

from ...errors import SyncbenchError, quoted


def snapshot(path: str, commit: str = "", what: str = "checkpoint") -> Path:
    """The cached folder of a hub id; its name is the commit. Raises SyncbenchError where it is not on this machine."""
    if not path:
        raise SyncbenchError(f"no {what} is named: give a folder, or a hub id owner/name")
    from ...fetch.hub import cached_snapshot
    from ...fetch.lock import locked
    from ...fetch.manifest import HUB_ID

    if not HUB_ID.fullmatch(path):
        raise SyncbenchError(f"no folder '{quoted(path)}': give a folder with a {what}, or a hub id (owner/name)")
    found = cached_snapshot(path, commit)
    if found is not None and (locked(path).get("commit") != found.name or locked(path).get("whole", True)):
        return found
    if found is not None:
        raise SyncbenchError(f"'{path}' was not brought to its end: syncbench fetch {path} goes on")
    at = f" at commit {quoted(commit, 40)}" if commit else ""
    raise SyncbenchError(f"'{path}' is not on this machine{at}: syncbench fetch {path} brings it from the hub")
