"""Single files of published weights (torch hub): downloaded, checked by SHA-256, and put where torch hub keeps them."""

import hashlib
import urllib.request
from pathlib import Path

from ..errors import SyncbenchError
from .download import PATIENCE, Bytes, download, fetch_error
from .lock import record_fetch
from .manifest import Weights


def size_of(entry: Weights) -> int | None:
    """Size of the file in bytes, from its server; None where it gives none. Raises SyncbenchError if unreachable."""
    try:
        with urllib.request.urlopen(urllib.request.Request(entry.url, method="HEAD"), timeout=PATIENCE) as answer:
            length = answer.headers.get("Content-Length")
    except (OSError, ValueError) as error:
        raise fetch_error(entry.name, error) from error
    return int(length) if length else None


def bring_file(entry: Weights, folder: Path, told: Bytes) -> Path:
    """Download the file into `folder`, unless it is there, and return its path. A download that was cut off is resumed.

    Raises SyncbenchError where the disk or the network stops it. A file whose SHA-256 is not the pinned one is removed.
    """
    place, part = folder / entry.file, folder / f".{entry.file}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not place.is_file():
            download(entry.url, part, told)
            _verify(entry, part)
            part.replace(place)
        digest = _verify(entry, place)
        record_fetch(entry.file, sha256=digest, whole=True, **{"from": entry.url})
    except SyncbenchError:
        raise
    except Exception as error:  # also http.client's, where a connection ends too soon
        raise fetch_error(entry.name, error) from error
    return place


def _verify(entry: Weights, path: Path) -> str:
    """The file's SHA-256. Removes a file that has another than the pinned one, and raises SyncbenchError."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if not digest.startswith(entry.sha256):
        path.unlink()
        raise SyncbenchError(
            f"{entry.file} is not what its name says (SHA-256 {digest[:12]}... instead of {entry.sha256[:12]}...) and "
            "was removed: fetch it again"
        )
    return digest
