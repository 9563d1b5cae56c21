"""Files that are whole or absent: temporary names, renames, fsync, and disk errors as one sentence."""

import errno
import json
import os
import shutil
import socket
import stat
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import psutil
from pydantic_core import from_json

from .errors import SyncbenchError, quoted


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
    draft = path.parent / f".tmp-{socket.gethostname()}-{os.getpid()}-{path.name}"
    try:
        yield draft
    finally:
        if draft.is_dir():
            shutil.rmtree(draft, ignore_errors=True)
        else:
            draft.unlink(missing_ok=True)


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


def alive(name: str) -> bool:
    """Whether the process that made a temporary name may still be writing it."""
    host, _, rest = name.removeprefix(".tmp-").partition(f"{socket.gethostname()}-")
    if host or not rest:
        return True  # another machine's; not ours to judge
    pid = rest.partition("-")[0]
    return pid.isascii() and pid.isdigit() and int(pid) != os.getpid() and psutil.pid_exists(int(pid))
