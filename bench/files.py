"""Files that are whole or absent: temporary names, renames, fsync, checksums, and disk errors as one sentence."""

import errno
import hashlib
import io
import json
import os
import shutil
import socket
import stat
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import Any

import psutil
from pydantic_core import from_json

from .errors import SyncbenchError

LARGEST = 2**28
"""Bytes of the largest file that is read whole: what a stranger sends must not fill the memory."""
SEAL = b'{"sha256": "%s",'
"""How a sealed file begins; what follows is what the digest is of."""


def read_bytes(path: Path, most: int = LARGEST) -> bytes:
    """Content of a regular file. Raises SyncbenchError for anything else, and for more than `most` bytes."""
    try:
        with open(path, "rb", buffering=0, opener=_at_once) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise SyncbenchError(f"cannot read {path}: it is no regular file")
            if found.st_size > most:
                raise SyncbenchError(f"{path} has {found.st_size:,} bytes, and at most {most:,} are read")
            return file.readall()
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        raise SyncbenchError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error


def read_text(path: Path) -> str:
    """Text of a regular file in UTF-8, lines ended by a line feed. Raises SyncbenchError, UnicodeDecodeError."""
    return io.TextIOWrapper(io.BytesIO(read_bytes(path)), encoding="utf-8-sig").read()


def _at_once(path: str, flags: int) -> int:
    """Opens without waiting for somebody at the other end of a pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def read_json(path: Path) -> Any:
    """A JSON file's content, without NaN. Raises SyncbenchError naming the file."""
    return parse_json(read_bytes(path), path)


def parse_json(data: bytes, path: Path) -> Any:
    """JSON in `data`, which was read from `path`. Raises SyncbenchError naming it."""
    try:
        return from_json(data, allow_inf_nan=False)  # pydantic's parser: folders hold thousands of these
    except ValueError as error:
        raise SyncbenchError(f"cannot read {path}: {error}") from error


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file whole or not at all."""
    _replace(path, dump_json(content))


def seal(content: Mapping[str, Any]) -> bytes:
    """A JSON object that begins with the SHA-256 of the rest of its bytes, for `unseal`.

    It tells damage and edits from what was written. It does not stop a forger, who can compute it as well.
    """
    body = dump_json(content).removeprefix(b"{")
    return SEAL % hashlib.sha256(body).hexdigest().encode() + body


def unseal(path: Path) -> bytes:
    """The bytes of the JSON object in a file of `seal`, without the checksum.

    Raises SyncbenchError for a file without one, or that was changed since it was written.
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
    """Write a JSON object with its checksum, whole or not at all."""
    _replace(path, seal(content))


def write_whole(path: Path, data: bytes | str, *, follow: bool = True) -> None:
    """Write what a user asked for with `--out`, as `whole` does. Text becomes UTF-8."""
    with whole(path, follow=follow) as draft:
        write_bytes(draft, data.encode() if isinstance(data, str) else data)


@contextmanager
def whole(path: Path, *, follow: bool = True) -> Generator[Path]:
    """A name to write to, whose file becomes `path` on leaving: all of it, or nothing after an exception.

    Symbolic links are followed, so that the file they lead to is replaced and they stay; without `follow` the link is
    replaced, for names that were not the user's choice but stand in somebody's results folder. What exists and is no
    regular file (a pipe, a device, anything below /dev or /proc) is written into. Leftovers of killed writers of the
    same file are removed. Raises SyncbenchError for a folder, and for what cannot be written.
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
        for left in target.parent.glob(f".tmp-*-{escape(target.name)}"):
            if not alive(left.name):
                discard(left)
        with temporary(target) as draft:
            yield draft
            if target.is_file() and not target.is_symlink():
                shutil.copymode(target, draft)
            draft.replace(target)
        flush(target.parent)


def _special(path: Path) -> bool:
    """Whether something is there that must not be replaced by a file."""
    if os.path.abspath(path).startswith(("/dev/", "/proc/")):
        return True
    return path.exists() and not path.is_file()


def _replace(path: Path, data: bytes) -> None:
    with temporary(path) as draft:
        write_bytes(draft, data)
        if path.is_dir() and not path.is_symlink():
            discard(path)  # what stands in the place of a file of a results folder is damage
        draft.replace(path)
    flush(path.parent)


@contextmanager
def temporary(path: Path) -> Generator[Path]:
    """A name beside `path` that tells whose it is; whatever is left there on leaving is removed."""
    draft = path.parent / f".tmp-{socket.gethostname()}-{os.getpid()}-{path.name}"
    discard(draft)  # of an earlier process of this number
    try:
        yield draft
    finally:
        discard(draft)


def discard(path: Path) -> None:
    """Remove a file, a link or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


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
    """Write a new file, never through a link, and wait until the disk has it."""
    with path.open("xb") as file:
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


def alive(name: str) -> bool:
    """Whether the process that made a temporary name may still be writing it."""
    host, _, rest = name.removeprefix(".tmp-").partition(f"{socket.gethostname()}-")
    if host or not rest:
        return True  # another machine's; not ours to judge
    pid = rest.partition("-")[0]
    return pid.isdigit() and int(pid) != os.getpid() and psutil.pid_exists(int(pid))
