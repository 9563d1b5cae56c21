"""Bringing published weights to this machine: the only part of syncbench that uses the network."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import SyncbenchError
from . import torch_hub
from .files import bring_file, size_of
from .hub import Remote, bring_repository, cached_snapshot, remote_files
from .lock import cache_folder, locked
from .manifest import Weights, manifest

ByteProgress = Callable[[str, int, int | None], None]
"""Called with a name, the number of its bytes that have arrived, and their total (None: unknown)."""


@dataclass(frozen=True, kw_only=True)
class Listing:
    """One entry as a listing shows it."""

    name: str
    title: str
    licence: str
    source: str
    """Repository of the hub, or address of the file."""
    size: int | None
    """Bytes on this machine, or to be fetched; None where unknown."""
    about: bool
    """Whether the size is the manifest's estimate."""
    where: str | None
    """Place on this machine; None where it is not here, or not complete."""
    commit: str = ""
    """Commit of what is here, or would be fetched."""
    gated: bool = False
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """The entry as JSON, for `--json`."""
        return asdict(self)


def listing(entries: Sequence[Weights] | None = None) -> list[Listing]:
    """The entries (None: all of the manifest), and which of them are on this machine. It does not use the network."""
    return [_line(entry) for entry in (manifest().values() if entries is None else entries)]


def fetch(
    entries: Sequence[Weights], *, variant: str = "", dry: bool = False, told: ByteProgress = lambda name, got, of: None
) -> list[Listing]:
    """Fetch weights that are not on this machine, one after another, and list all of them.

    Entries that are here are checked again, which takes a second. `variant` is the hub's name of other weights of the
    networks, such as fp16. `dry` lists what would be fetched and fetches nothing. `told` is called as bytes arrive.
    Raises SyncbenchError for the first entry that cannot be fetched; those before it stay.
    """
    _check_online(dry)
    done: list[Listing] = []
    for entry in entries:
        done.append(_file(entry, dry, told) if entry.url else _repository(entry, variant, dry, told))
    return done


def where(entry: Weights) -> Path | None:
    """The place of an entry on this machine; None where it is not here, or not complete."""
    if entry.url:
        place = torch_hub.hub_folder() / entry.file
        return place if place.is_file() else None
    if locked(entry.repository).get("whole") is False:
        return None
    return cached_snapshot(entry.repository, entry.commit)


def _repository(entry: Weights, variant: str, dry: bool, told: ByteProgress) -> Listing:
    if dry and _offline():
        if entry.gigabytes is None and where(entry) is None:
            raise SyncbenchError(
                f"HF_HUB_OFFLINE is set, and nothing is known of {entry.repository} without asking the hub: unset it "
                "for this command"
            )
        return _line(entry)
    remote = remote_files(entry, variant)
    if dry:
        return _line(entry, remote)
    came = 0

    def more(count: int) -> None:
        nonlocal came
        came += count
        told(entry.name, came, remote.size)

    _check_space(entry, remote)
    told(entry.name, 0, remote.size)
    bring_repository(entry, remote, more)
    return _line(entry)


def _file(entry: Weights, dry: bool, told: ByteProgress) -> Listing:
    if dry:
        return _line(entry)
    came, size = 0, None if where(entry) else size_of(entry)

    def more(count: int) -> None:
        nonlocal came
        came += count
        told(entry.name, came, size)

    told(entry.name, 0, size)
    bring_file(entry, torch_hub.hub_folder(), more)
    return _line(entry)


def _line(entry: Weights, remote: Remote | None = None) -> Listing:
    place = where(entry)
    size: int | None = None if entry.gigabytes is None else round(entry.gigabytes * 1e9)
    about = True
    if remote is not None:
        size, about = remote.size, False
    elif place is not None:
        size, about = _size(place), False
    commit = remote.commit if remote is not None else "" if entry.url or place is None else place.name
    return Listing(
        name=entry.name,
        title=entry.title,
        licence=entry.licence,
        source=entry.url or entry.repository,
        size=size,
        about=about,
        where=None if place is None else str(place),
        commit=commit,
        gated=entry.gated,
        note=entry.note,
    )


def _size(place: Path) -> int:
    """Bytes of a file, or of the files to which a folder's links lead."""
    files = [place] if place.is_file() else [path for path in place.rglob("*") if path.is_file()]
    return sum(path.stat().st_size for path in files)


def _check_space(entry: Weights, remote: Remote) -> None:
    """Raises SyncbenchError for a repository that is larger than the free space of the disk."""
    place = next(p for p in (cache_folder(), *cache_folder().parents) if p.exists())
    blobs = cache_folder() / f"models--{remote.repository.replace('/', '--')}" / "blobs"
    have = sum(path.stat().st_size for path in blobs.glob("*")) if blobs.is_dir() else 0
    need, free = remote.size - have, shutil.disk_usage(place).free
    if need > free:
        raise SyncbenchError(
            f"{entry.name} needs {need / 1e9:.1f} GB more, and {place} has {free / 1e9:.1f} GB free: free some, or set "
            "HF_HOME to a larger disk"
        )


def _offline() -> bool:
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def _check_online(dry: bool) -> None:
    if _offline() and not dry:
        raise SyncbenchError("HF_HUB_OFFLINE is set, which forbids what fetch is for: unset it for this command")
