"""Files that are whole or absent: temporary names, renames, fsync, and disk errors as one sentence."""

import errno
import json
import os
import shutil
import socket
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from pydantic_core import from_json

from .errors import SyncbenchError


def read_json(path: Path) -> Any:
    """A JSON file of the results folder. Raises SyncbenchError naming it."""
    try:
        return from_json(path.read_bytes())  # pydantic's parser: folders hold thousands of these
    except (OSError, ValueError) as error:
        raise SyncbenchError(f"cannot read {path}: {error}") from error


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
    return pid.isdigit() and int(pid) != os.getpid() and psutil.pid_exists(int(pid))
