"""Temporary files, and the processes that they belong to.

A temporary file's name tells which process writes it: `.tmp-<host>-<pid>-<name>`. A temporary file that a killed
process left behind is *stale*: on the same host as soon as its process is gone; on another host, or in another
container, once neither the file nor its owner's heartbeat (see `run.claims`) has changed for STALE seconds by the clock
of the disk.
"""

import glob
import hashlib
import os
import re
import shutil
import socket
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import psutil

STALE = 180.0
"""Seconds without a change after which a file that another host writes counts as stale."""


@contextmanager
def temporary_file(path: Path) -> Generator[Path]:
    """A context with a temporary path beside `path` that names this process; a file left there is removed."""
    draft = path.parent / f".tmp-{owner()}-{path.name}"
    remove(draft)  # of an earlier process of this number
    _drafts.add(draft.name)
    try:
        yield draft
    finally:
        _drafts.discard(draft.name)
        remove(draft)


def host() -> str:
    """Where this process runs, as a part of file names: the host's name and 6 hex digits of its boot and PID namespace.

    Process ids can be compared only where both are equal. `SYNCBENCH_HOST` in the environment replaces the name.
    """
    return _safe(os.environ.get("SYNCBENCH_HOST", "")) or _host()


def owner() -> str:
    """Name of this process in file names and claims: `<host>-<pid>`."""
    return f"{host()}-{os.getpid()}"


def started() -> float:
    """Time at which this process began, in seconds since 1970: distinguishes it from a later one with its id."""
    return psutil.Process().create_time()


def alive(name: str, path: Path, root: Path | None = None, since: float | None = None) -> bool:
    """Whether the process `name` (see `owner`) may still be writing the file or folder at `path`.

    `since` is the time at which the process began, if known. `root` is the results folder in which processes of other
    hosts touch their heartbeat files; without it the age of `path` decides for other hosts.
    """
    place, _, pid = name.rpartition("-")
    if place == host() and pid.isdigit():
        return _runs(int(pid), path, since)
    signs = [path, *path.rglob("*")] if path.is_dir() else [path]
    if root is not None and name:
        signs.append(root / f".alive-{name}")
    changed = max((_changed(sign) for sign in signs), default=0.0)
    return _now(path.parent) - changed < STALE


def clear_stale(folder: Path, name: str = "", root: Path | None = None) -> None:
    """Remove the stale temporary files and folders in `folder`; with a `name`, only those that would become it."""
    for path in folder.glob(f".tmp-*-{glob.escape(name) if name else '*'}"):
        writer = re.match(r"\.tmp-(.+?-\d+)-", path.name)
        if writer is not None and not alive(writer[1], path, root):
            remove(path)


def remove(path: Path) -> None:
    """Remove a file, a link or a folder with its content; what cannot be removed stays, without an error."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def touch(path: Path) -> None:
    """Set a file's modification time to now, and create the file if it is missing."""
    path.touch()
    os.utime(path)


_drafts: set[str] = set()
"""Temporary names that this process is writing now."""


def _safe(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "_", text)[:40]


@cache
def _host() -> str:
    facts = [socket.gethostname()]
    for fact in (Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")):
        with suppress(OSError):
            facts.append(os.readlink(fact) if fact.is_symlink() else fact.read_text())
    return f"{_safe(facts[0])}.{hashlib.sha256(' '.join(facts).encode()).hexdigest()[:6]}"


def _runs(pid: int, path: Path, since: float | None) -> bool:
    """Whether the process `pid` of this host runs and is the one that began at `since` (None: whenever it began)."""
    if pid == os.getpid() and since is None:
        return path.name in _drafts
    try:
        process = psutil.Process(pid)
        same = since is None or abs(process.create_time() - since) < 1
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return True


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _now(folder: Path) -> float:
    """The time by the clock of the disk, which dates other hosts' files; by this host's if nothing can be written."""
    probe = folder / f".now-{owner()}"
    try:
        touch(probe)
        return probe.stat().st_mtime
    except OSError:
        return time.time()
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)
