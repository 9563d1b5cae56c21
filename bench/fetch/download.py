"""Download of one file over HTTP, resumed where it was cut off, and the errors that stop it as sentences."""

import errno
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

from ..errors import SyncbenchError, quoted

Bytes = Callable[[int], None]
"""Called with a number of bytes that have arrived."""
CHUNK = 2**20
"""Number of bytes read at a time."""
PATIENCE = 30.0
"""Seconds without an answer after which a connection fails."""


def download(url: str, part: Path, told: Bytes, headers: Mapping[str, str] | None = None) -> None:
    """Append to the file `part` what it lacks of the content of `url`. `told` is called with the bytes it has, first.

    `headers` are sent to the first server only, not to one to which it redirects. Raises OSError, or an HTTPException,
    where the connection ends too soon, and SyncbenchError where the disk has no room.
    """
    have = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    for name, value in (headers or {}).items():
        request.add_unredirected_header(name, value)
    try:
        answer = urllib.request.urlopen(request, timeout=PATIENCE)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # all of it is here already
            return
        raise
    with answer:
        if have and answer.status != 206:  # a server that cannot go on in the middle begins again
            have = 0
        length = answer.headers.get("Content-Length")
        left = int(length) if length else None
        if left is not None and left > shutil.disk_usage(part.parent).free:
            raise SyncbenchError(f"{part.name} needs {left / 1e9:.1f} GB, which {part.parent} has not: free some space")
        told(have)
        got = 0
        with part.open("ab" if have else "wb") as file:
            while chunk := answer.read(CHUNK):
                file.write(chunk)
                got += len(chunk)
                told(len(chunk))
        if left is not None and got < left:
            raise OSError(f"the connection ended after {have + got:,} of {have + left:,} bytes")


def fetch_error(name: str, error: Exception) -> SyncbenchError:
    """The error that explains, in one sentence, why the disk or the network stopped the fetch of `name`."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return SyncbenchError(f"no space left while fetching {name}: free some, and the same command goes on")
    if isinstance(error, PermissionError):
        return SyncbenchError(f"cannot write {quoted(error.filename)} to fetch {name}: {error.strerror}")
    line = quoted((str(error).strip().splitlines() or [type(error).__name__])[0])
    return SyncbenchError(f"fetching {name} was stopped ({line}): the same command goes on where it was")
