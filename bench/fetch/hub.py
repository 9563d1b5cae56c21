"""Repositories of the model hub: which files a fetch needs, and their download into the cache that programs share."""

import hashlib
import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from ..errors import SyncbenchError
from .download import Bytes, download, fetch_error
from .lock import cache_folder, locked, record_fetch
from .manifest import Weights
from .wanted import wanted


@dataclass(frozen=True)
class Remote:
    """The commit and files of a repository that a fetch would bring."""

    repository: str
    commit: str
    branch: str
    sizes: Mapping[str, int]
    """Size in bytes of each file, by name."""
    digests: Mapping[str, str] = field(default_factory=dict[str, str])
    """SHA-256 of the large files, by name."""

    @property
    def size(self) -> int:
        """Size in bytes of all files."""
        return sum(self.sizes.values())


def remote_files(entry: Weights, variant: str = "") -> Remote:
    """The commit and files that a fetch of `entry` would bring, from the hub.

    Raises SyncbenchError where the hub cannot be reached, or lacks the repository, the commit, or safetensors.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    with _explained(entry):
        commit, branch = _commit(api, entry), "" if entry.commit else "main"
        info: Any = api.model_info(entry.repository, revision=commit or branch, files_metadata=True)
        commit = str(info.sha)
        there = {str(one.rfilename): one for one in info.siblings or ()}
        index = _index(entry.repository, commit) if "model_index.json" in there else None
    names = wanted(entry.repository, there, index, entry.files, variant)
    if not any(name.endswith(".safetensors") for name in names):
        raise SyncbenchError(f"{entry.repository} has no weights as safetensors: name a repository that has")
    sizes = {name: int(there[name].size or 0) for name in names}
    digests = {name: str(there[name].lfs.sha256) for name in names if there[name].lfs is not None}
    return Remote(entry.repository, commit, branch, sizes, digests)


def bring_repository(entry: Weights, remote: Remote, told: Bytes) -> Path:
    """Download the files that the cache lacks, resuming what was cut off, and return the folder of the snapshot.

    The lock file then names the commit. Raises SyncbenchError where something stops it; a large file whose SHA-256 is
    not the hub's is removed.
    """
    from huggingface_hub import hf_hub_download

    facts = {"commit": remote.commit, "branch": remote.branch, "fetched": datetime.now(UTC).isoformat("T", "seconds")}
    with _explained(entry):
        record_fetch(remote.repository, whole=False, **facts)
        for name in remote.sizes:
            if name in remote.digests:
                _large(entry, remote, name, told)
            bar: Any = _bar(told)
            hf_hub_download(remote.repository, name, revision=remote.commit, tqdm_class=bar)
        files = sorted({*_files(remote), *remote.sizes})
        record_fetch(remote.repository, whole=True, files=files, **facts)
        if remote.branch:  # programs that name no commit find the snapshot by its branch
            reference = folder_of(remote.repository, "x").parents[1] / "refs" / remote.branch
            reference.parent.mkdir(parents=True, exist_ok=True)
            reference.write_text(remote.commit, encoding="utf-8")
    return folder_of(remote.repository, remote.commit)


def folder_of(repository: str, commit: str) -> Path:
    """The folder in which the cache keeps a commit of a repository; it need not exist."""
    return cache_folder() / f"models--{repository.replace('/', '--')}" / "snapshots" / commit


def cached_snapshot(repository: str, commit: str = "") -> Path | None:
    """The folder of a repository in the cache: of a commit, branch or tag, else as fetched, else of the main branch.

    None where it is not on this machine. The network is not used.
    """
    place = folder_of(repository, "x").parent
    for name in (commit,) if commit else (str(locked(repository).get("commit", "")), "main"):
        reference = place.parent / "refs" / name
        if name and reference.is_file():
            name = reference.read_text(encoding="utf-8").strip()
        snapshots = sorted(place.glob(f"{name}*")) if len(name) >= 7 else []
        if len(snapshots) == 1 and any(snapshots[0].iterdir()):
            return snapshots[0]
    return None


def _files(remote: Remote) -> list[str]:
    """Names of the files that earlier fetches have brought of this commit."""
    before = locked(remote.repository)
    return [str(name) for name in before.get("files", ())] if before.get("commit") == remote.commit else []


def _commit(api: Any, entry: Weights) -> str:
    """The full name of the entry's commit, of which the manifest may give the first digits; empty for the main branch.

    Raises SyncbenchError where the repository has no such commit.
    """
    if not entry.commit or len(entry.commit) == 40:
        return entry.commit
    commits = [str(one.commit_id) for one in api.list_repo_commits(entry.repository)]
    matching = [one for one in commits if one.startswith(entry.commit)]
    if len(matching) != 1:
        raise SyncbenchError(
            f"{entry.repository} has no commit that begins with {entry.commit}, which syncbench pins: its history was "
            "rewritten, so what is there may be something else"
        )
    return matching[0]


def _index(repository: str, commit: str) -> dict[str, Any]:
    from huggingface_hub import hf_hub_download

    silent: Any = _bar(lambda count: None)
    path = hf_hub_download(repository, "model_index.json", revision=commit, tqdm_class=silent)
    index = json.loads(Path(path).read_text(encoding="utf-8"))
    return index if isinstance(index, dict) else {}


def _large(entry: Weights, remote: Remote, name: str, told: Bytes) -> None:
    """Download a large file into the cache's blobs, named by their SHA-256, so that the hub's client links to it.

    The client itself starts such a file anew after every interruption. Raises SyncbenchError for a file whose SHA-256
    is not the hub's, and removes it.
    """
    from huggingface_hub import hf_hub_url
    from huggingface_hub.utils import build_hf_headers

    digest = remote.digests[name]
    blob = folder_of(remote.repository, "x").parents[1] / "blobs" / digest
    if blob.is_file():
        told(remote.sizes[name])
        return
    blob.parent.mkdir(parents=True, exist_ok=True)
    part = blob.with_name(f"{digest}.part")
    address = hf_hub_url(remote.repository, name, revision=remote.commit)
    if not (part.is_file() and part.stat().st_size == remote.sizes[name]):
        download(address, part, told, build_hf_headers())
    with part.open("rb") as file:
        own_digest = hashlib.file_digest(file, "sha256").hexdigest()
    if own_digest != digest:
        part.unlink()
        raise SyncbenchError(
            f"{name} of {entry.name} came damaged (SHA-256 {own_digest[:12]}... instead of {digest[:12]}...) and was "
            "removed: fetch it again"
        )
    part.replace(blob)


def _bar(told: Bytes) -> type:
    """A class of progress bars for the hub's client that shows nothing and calls `told` with bytes."""
    tqdm: Any = import_module("tqdm.auto").tqdm

    class Told(tqdm):
        def __init__(self, *args: Any, **how: Any) -> None:
            how.pop("name", None)
            super().__init__(*args, **{**how, "disable": True})

        def update(self, n: float | None = 1) -> None:
            told(int(n or 0))

    return Told


@contextmanager
def _explained(entry: Weights) -> Generator[None]:
    """A context in which exceptions of the hub's client become a SyncbenchError about `entry`."""
    from huggingface_hub import errors

    try:
        yield
    except SyncbenchError:
        raise
    except errors.GatedRepoError as error:
        raise SyncbenchError(
            f"{entry.repository} is gated: accept its licence on its page of the hub, log in with `hf auth login` (or "
            "set HF_TOKEN), and fetch again"
        ) from error
    except errors.RepositoryNotFoundError as error:
        more = f" ({entry.note})" if entry.note else ": the name is wrong, or it is private and you are not logged in"
        raise SyncbenchError(f"the hub has no {entry.repository}{more}") from error
    except errors.RevisionNotFoundError as error:
        raise SyncbenchError(f"{entry.repository} has no commit {entry.commit} on the hub any more") from error
    except OSError as error:
        raise fetch_error(entry.name, error) from error
    except Exception as error:  # the HTTP client's own, which are no OSErrors
        raise fetch_error(entry.name, error) from error
