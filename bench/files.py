"""Files that are whole or absent: limits on reading, temporary names, renames, fsync, checksums, disk errors.

A temporary file's name tells which process writes it: `.tmp-<host>-<pid>-<name>`. A temporary file that a killed
process left behind is *stale*: on the same host as soon as its process is gone; on another host, or in another
container, once neither the file nor its owner's heartbeat (see `run.claims`) has changed for STALE seconds by the clock
of the disk.
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
import tempfile
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, cast

import psutil
from pydantic_core import from_json

from .errors import SyncbenchError, quoted

STALE = 180.0
"""Seconds without a change after which a file that another host writes counts as stale."""
LARGEST = 2**28
"""Bytes of the largest file that is read whole, so that an untrusted file cannot fill the memory."""
SEAL = b'{"sha256": "%s",'
"""Beginning of a sealed file; the digest is that of all bytes after it."""


def read_bytes(path: Path, most: int = LARGEST) -> bytes:
    """Content of a regular file. Raises SyncbenchError for anything else, and for more than `most` bytes."""
    try:
        with open(path, "rb", buffering=0, opener=_at_once) as file:
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode):
                raise SyncbenchError(f"cannot read {quoted(path)}: it is a device or a pipe, not a file")
            if facts.st_size > most:
                raise SyncbenchError(
                    f"{quoted(path)} has {_amount(facts.st_size)}, and at most {_amount(most)} are read"
                )
            return file.readall()
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        raise SyncbenchError(f"cannot read {quoted(path)}: {getattr(error, 'strerror', None) or error}") from error


def _at_once(path: str, flags: int) -> int:
    """Opens a file without waiting for a writer at the other end of a pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _amount(size: int) -> str:
    return f"{size:,} bytes" if size < 2**20 else f"{size / 2**20:,.0f} MiB"


def read_text(path: Path, most: int = 2**26) -> str:
    """The text of a UTF-8 file without its byte order mark, with the line ends that the file has.

    Raises SyncbenchError for what is no file or no UTF-8, and for more than `most` bytes.
    """
    data = read_bytes(path, most)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise SyncbenchError(f"{quoted(path)}:{line}: not UTF-8; save the file as UTF-8") from error


def parse_json(data: bytes, path: Path) -> Any:
    """The JSON value in `data`, which was read from `path`. Raises SyncbenchError that names the file.

    NaN and infinity are errors.
    """
    try:
        return from_json(data, allow_inf_nan=False)  # pydantic's parser: folders hold thousands of these
    except ValueError as error:
        raise SyncbenchError(f"{quoted(path)} cannot be read as JSON: {error}") from error


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file of at most 16 MiB. Raises SyncbenchError that names the file."""
    content = parse_json(read_bytes(path, 2**24), path)
    if not isinstance(content, dict):
        raise SyncbenchError(f"{quoted(path)} cannot be read: it holds no JSON object")
    return cast(dict[str, Any], content)


def is_file(path: Path | str) -> bool:
    """Whether there is a regular file at `path`; False also for what cannot be a path, such as a name too long."""
    return _is(path, stat.S_ISREG)


def is_folder(path: Path | str) -> bool:
    """Whether there is a folder at `path`; False also for what cannot be a path."""
    return _is(path, stat.S_ISDIR)


def _is(path: Path | str, kind: Callable[[int], bool]) -> bool:
    try:
        return kind(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def write_json(path: Path, content: Any) -> None:
    """Write `content` to a JSON file, all of it or nothing."""
    _replace(path, dump_json(content))


def seal(content: Mapping[str, Any]) -> bytes:
    """A JSON object of `content` that begins with the SHA-256 of the rest of its bytes, for `unseal`.

    The checksum reveals damage and edits. It does not stop a forger, who can compute it as well.
    """
    body = dump_json(content).removeprefix(b"{")
    return SEAL % hashlib.sha256(body).hexdigest().encode() + body


def unseal(path: Path) -> bytes:
    """The bytes of the JSON object in a file that `write_sealed` wrote, without the checksum.

    Raises SyncbenchError for a file without a checksum, or one that was changed since it was written.
    """
    data = read_bytes(path)
    start = SEAL.index(b"%s")
    digest = data[start : start + 64]
    head = SEAL % digest
    body = data[len(head) :]
    if not data.startswith(head) or hashlib.sha256(body).hexdigest().encode() != digest:
        raise SyncbenchError(f"{path} does not match its checksum: it was damaged or edited after it was written")
    return b"{" + body


def write_sealed(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON object with its checksum (see `seal`), all of it or nothing."""
    _replace(path, seal(content))


def write_whole(path: Path, data: bytes | str, *, follow: bool = True) -> None:
    """Write `data` to a file that a user named with `--out`, all of it or nothing; see `whole`. Text becomes UTF-8."""
    with whole(path, follow=follow) as draft:
        write_bytes(draft, data.encode() if isinstance(data, str) else data)


@contextmanager
def whole(path: Path, *, follow: bool = True) -> Generator[Path]:
    """A context with a path to write to; its file replaces `path` on leaving, or is removed after an exception.

    Symbolic links are followed, so that the file they lead to is replaced and the link stays. Without `follow` the link
    is replaced, for names that the user did not choose, in results that may be untrusted. What exists and is no
    regular file (a pipe, a device, anything below /dev or /proc) is written into. Stale temporary files of `path` are
    removed. Raises SyncbenchError for a folder, and for what cannot be written.
    """
    with disk(path):
        target = Path(os.path.realpath(path)) if follow else path
        if follow and target.is_symlink():
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        if path.is_dir() and (follow or not path.is_symlink()):
            raise SyncbenchError(f"'{path}' is a folder: --out names the file to write")
        if follow and _special(path):
            with tempfile.TemporaryDirectory() as room:
                draft = Path(room) / "draft"
                yield draft
                with draft.open("rb") as source, path.open("wb") as file:
                    shutil.copyfileobj(source, file)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        clear_stale(target.parent, target.name)
        with temporary_file(target) as draft:
            yield draft
            if target.is_file() and not target.is_symlink():
                shutil.copymode(target, draft)
            draft.replace(target)
        sync_folder(target.parent)


def _special(path: Path) -> bool:
    """Whether `path` is a pipe, a device or the like, which must not be replaced by a file."""
    if os.path.abspath(path).startswith(("/dev/", "/proc/")):
        return True
    return path.exists() and not path.is_file()


def _replace(path: Path, data: bytes) -> None:
    with temporary_file(path) as draft:
        write_bytes(draft, data)
        if path.is_dir() and not path.is_symlink():
            remove(path)  # what stands in the place of a file of a results folder is damage
        draft.replace(path)
    sync_folder(path.parent)


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


@contextmanager
def disk(root: Path) -> Generator[None]:
    """A context in which an OSError becomes a SyncbenchError that explains why `root` could not be written."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise SyncbenchError(
                f"no space left for '{root}': finished jobs are safe; free some space and start again to go on"
            ) from error
        raise SyncbenchError(f"cannot write to '{root}': {error.strerror or error}; choose another --out") from error


def write_bytes(path: Path, data: bytes) -> None:
    """Write a new file, never through a link, and wait until its bytes are on the disk (fsync)."""
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until renames and new names in `folder` are on the disk (fsync), where the system can."""
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
    """JSON of `content` as files hold it: indented, UTF-8, with a line end. Raises ValueError for NaN and infinity."""
    return (json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False) + "\n").encode()


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
