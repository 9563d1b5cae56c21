"""Files that are whole or absent: temporary names, renames, fsync, and disk errors as one sentence.

A temporary name tells who writes it: `.tmp-<host>-<pid>-<name>`. Whatever a process left behind that was killed is
*stale*: on the same host as soon as its process is gone; on another host, or in another container, when neither the
file nor its owner's heartbeat (see `claims`) has changed for STALE seconds by the clock of the disk.
"""

import errno
import glob
import hashlib
import json
import os
import re
import shutil
import socket
import stat
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, cast

import psutil
from pydantic_core import from_json

from .errors import SyncbenchError, quoted

STALE = 180.0
"""Seconds without a sign of life after which what another host is writing counts as left behind."""


def read_json(path: Path) -> Any:
    """A JSON file of the results folder. Raises SyncbenchError naming it."""
    try:
        return from_json(path.read_bytes())  # pydantic's parser: folders hold thousands of these
    except (OSError, ValueError) as error:
        raise SyncbenchError(f"cannot read {path}: {error}") from error


def read_text(path: Path, most: int = 2**26) -> str:
    """The text of a user's file, UTF-8 with or without a mark at its beginning, its ends of line as they are.

    Raises SyncbenchError, in one sentence, for what is no file, no text or has more than `most` bytes.
    """
    return decoded(read_bytes(path, most), path)


def read_bytes(path: Path, most: int) -> bytes:
    """The content of a regular file of at most `most` bytes. Raises SyncbenchError."""
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
            raise SyncbenchError(f"cannot read {quoted(path)}: it is a device or a pipe, not a file")
        if found.st_size > most:
            raise SyncbenchError(
                f"{quoted(path)} has {found.st_size / 2**20:,.0f} MiB, more than the {most / 2**20:,.0f} that are read"
            )
        return path.read_bytes()
    except OSError as error:
        raise SyncbenchError(f"cannot read {quoted(path)}: {error.strerror}") from error


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object that a stranger wrote. Raises SyncbenchError naming the file."""
    try:
        found = from_json(read_bytes(path, 2**24))
    except ValueError as error:
        raise SyncbenchError(f"{quoted(path)} cannot be read as JSON: {quoted(error)}") from error
    if not isinstance(found, dict):
        raise SyncbenchError(f"{quoted(path)} cannot be read: it holds no JSON object")
    return cast(dict[str, Any], found)


def decoded(data: bytes, path: Path) -> str:
    """UTF-8 as text. Raises SyncbenchError that names the line."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise SyncbenchError(f"{quoted(path)}:{line}: not UTF-8; save the file as UTF-8") from error


def is_file(path: Path | str) -> bool:
    """Whether there is a regular file; False too for what can be no path (too long, say)."""
    return _is(path, stat.S_ISREG)


def is_folder(path: Path | str) -> bool:
    """Whether there is a folder; False too for what can be no path."""
    return _is(path, stat.S_ISDIR)


def _is(path: Path | str, kind: Callable[[int], bool]) -> bool:
    try:
        return kind(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file whole or not at all."""
    with temporary(path) as draft:
        write_bytes(draft, dump_json(content))
        draft.replace(path)
    flush(path.parent)


@contextmanager
def temporary(path: Path) -> Generator[Path]:
    """A name beside `path` that tells whose it is; whatever is left there on leaving is removed."""
    draft = path.parent / f".tmp-{owner()}-{path.name}"
    _drafts.add(draft.name)
    try:
        yield draft
    finally:
        _drafts.discard(draft.name)
        remove(draft)


@contextmanager
def disk(root: Path) -> Generator[None]:
    """Turn what the disk says no to, or is no place for a file, into one sentence."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise SyncbenchError(
                f"no space left for '{root}': finished jobs are safe; free some space and start again to go on"
            ) from error
        raise SyncbenchError(f"cannot write to '{root}': {error.strerror or error}; choose another --out") from error


def write_bytes(path: Path, data: bytes) -> None:
    """Write and wait until the disk has it."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def flush(folder: Path) -> None:
    """Make a rename or new names in `folder` durable, where the system can."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)


def dump_json(content: Any) -> bytes:
    """JSON as it is written: indented, UTF-8, never NaN."""
    return (json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False) + "\n").encode()


def host() -> str:
    """Where this process runs, as file names say it: the host's name, and a tag of its boot and process namespace.

    Process ids mean the same only where both are the same. `SYNCBENCH_HOST` in the environment takes its place.
    """
    return _safe(os.environ.get("SYNCBENCH_HOST", "")) or _host()


def owner() -> str:
    """This process, as file names and claims say it: host and process id."""
    return f"{host()}-{os.getpid()}"


def started() -> float:
    """When this process began: with its id it is told from a later process of the same id."""
    return psutil.Process().create_time()


def alive(name: str, path: Path, root: Path | None = None, since: float | None = None) -> bool:
    """Whether the owner called `name` of the file or folder at `path` may still be at work on it.

    `since` is when the owner began, if known. `root` is the results folder where owners on other hosts show their
    heartbeat; elsewhere the file's age decides.
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
    """Remove the stale temporary files and folders in `folder`; with a `name` only those that stand for it."""
    for path in folder.glob(f".tmp-*-{glob.escape(name) if name else '*'}"):
        found = re.match(r"\.tmp-(.+?-\d+)-", path.name)
        if found is not None and not alive(found[1], path, root):
            remove(path)


def remove(path: Path) -> None:
    """Remove a file or a folder, as far as that is possible."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def touch(path: Path) -> None:
    """Give a file the present as its time of change; make it if it is missing."""
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
    """Whether the process `pid` of this host runs and is the one that began at `since`."""
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
    """The time by the disk's clock, which other hosts' files have too; this host's where nothing can be written."""
    probe = folder / f".now-{owner()}"
    try:
        touch(probe)
        return probe.stat().st_mtime
    except OSError:
        return time.time()
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)
