"""Checkpoints in the model hub's cache on this machine. Nothing is downloaded here: `syncbench fetch` does that."""

import re
from pathlib import Path

from ...errors import SyncbenchError, quoted


def snapshot(path: str, commit: str = "", what: str = "checkpoint") -> Path:
    """The cached folder of a hub id, whose name is the commit. SyncbenchError where it is not on this machine."""
    if not path:
        raise SyncbenchError(f"no {what} is named: give a folder, or a hub id owner/name")
    if not re.fullmatch(r"\w[\w.-]*/[\w.-]+", path):
        raise SyncbenchError(f"no folder '{quoted(path)}': give a folder with a {what}, or a hub id (owner/name)")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(path, revision=commit or None, local_files_only=True))
    except LocalEntryNotFoundError as error:
        raise SyncbenchError(
            f"'{path}' is not on this machine: syncbench fetch {path} brings it from the hub"
        ) from error
