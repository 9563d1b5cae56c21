"""Writing of files that are whole or absent: renames, fsync, checksums, and what the disk refuses in one sentence."""

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import SyncbenchError
from .reading import read_bytes
from .temporary import clear_stale, remove, temporary_file

SEAL = b'{"sha256": "%s",'
"""Beginning of a sealed file; the digest is that of all bytes after it."""


_UMASK = os.umask(0)
os.umask(_UMASK)


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
            elif draft.is_file():
                draft.chmod(0o666 & ~_UMASK)  # safetensors makes files that nobody else may read
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
