"""Reading of files that anybody may have written: regular files only, of a bounded size, as bytes, text or JSON."""

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from pydantic_core import from_json

from ..errors import SyncbenchError, quoted

LARGEST = 2**28
"""Bytes of the largest file that is read whole, so that an untrusted file cannot fill the memory."""


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
