"""Claims on the jobs of a results folder, by which several sweeps share its jobs and none is done twice.

    DIR/.alive-<host>-<pid>    touched every BEAT seconds by a sweep that is at work
    DIR/jobs/.claim-<key>      names the sweep that is at work on a job (or a group of jobs)

A claim is made with O_EXCL. It counts as long as its owner lives: on the same host as long as its process does, on
another (or in another container) as long as its heartbeat is younger than STALE seconds by the folder's own clock. A
claim whose owner is dead shows that the owner died while it did this job.
"""

import json
import os
import threading
from pathlib import Path
from typing import Literal, Self

from ..files.temporary import alive, owner, started, touch
from ..files.writing import disk

BEAT = 20.0
"""Seconds between heartbeats; much less than STALE, so that a busy machine is not taken for a dead one."""

Taken = Literal["taken", "left", "held"]
"""`taken`: the claim is ours; `left`: it is ours, and its last owner died with it; `held`: a living sweep has it."""


class Claims:
    """The claims of one sweep on the jobs of a results folder. As a context it releases them at its end."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._mine: set[str] = set()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def take(self, key: str) -> Taken:
        """Claim a job. Raises SyncbenchError when the disk is full."""
        self._begin()
        path = self._path(key)
        with disk(self._root):
            found: Taken = "taken"
            while not self._make(path):
                if key in self._mine or self._living(path):
                    return "taken" if key in self._mine else "held"
                path.unlink(missing_ok=True)
                found = "left"
        self._mine.add(key)
        return found

    def release(self, key: str) -> None:
        """Release the claim on a job, done or not."""
        if key in self._mine:
            self._mine.discard(key)
            self._path(key).unlink(missing_ok=True)

    def holder(self, key: str) -> str:
        """Name of the sweep that has claimed a job, for messages; empty if none has."""
        name, _ = self._owner(self._path(key))
        place, _, pid = name.rpartition("-")
        return f"process {pid} on {place.partition('.')[0]}" if place else ""

    def left(self) -> list[str]:
        """Keys that are claimed by sweeps that have died."""
        paths = (self._root / "jobs").glob(".claim-*")
        return sorted(path.name.removeprefix(".claim-") for path in paths if not self._living(path))

    def tidy(self) -> None:
        """Remove the claims of dead sweeps, once everything is done."""
        for key in self.left():
            self._path(key).unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        for key in list(self._mine):
            self.release(key)
        if self._thread is not None:
            self._thread.join()
            self._sign.unlink(missing_ok=True)

    @property
    def _sign(self) -> Path:
        return self._root / f".alive-{owner()}"

    def _path(self, key: str) -> Path:
        return self._root / "jobs" / f".claim-{key}"

    def _begin(self) -> None:
        """Show that this sweep is alive, from its first claim on."""
        if self._thread is None:
            with disk(self._root):
                touch(self._sign)
            self._thread = threading.Thread(target=self._beat, daemon=True)
            self._thread.start()

    def _beat(self) -> None:
        while not self._stop.wait(BEAT):
            try:
                touch(self._sign)
            except OSError:
                return  # the folder is gone, or the disk is: the sweep will find out by itself

    def _make(self, path: Path) -> bool:
        try:
            handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError:
            return False
        with os.fdopen(handle, "w") as file:
            json.dump({"owner": owner(), "since": started()}, file)
        return True

    def _owner(self, path: Path) -> tuple[str, float | None]:
        """Name and begin of a claim's owner; empty while the claim is being written."""
        try:
            found = json.loads(path.read_text())
            return str(found["owner"]), float(found["since"])
        except (OSError, ValueError, TypeError, KeyError):
            return "", None

    def _living(self, path: Path) -> bool:
        """Whether the owner of a claim is alive; a claim that is just being written is."""
        name, since = self._owner(path)
        return path.exists() and alive(name, path, self._root, since)
