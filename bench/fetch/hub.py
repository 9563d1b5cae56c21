"""Repositories of the model hub: what they hold, and bringing it into the cache that every program shares."""

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
from .download import Bytes, download, said
from .lock import cache_folder, locked, record
from .manifest import Weights
from .wanted import wanted


@dataclass(frozen=True)
class Remote:
    """What is to be brought of a repository."""

    repository: str
    commit: str
    branch: str
    sizes: Mapping[str, int]
    """Bytes by name."""
    digests: Mapping[str, str] = field(default_factory=dict[str, str])
    """SHA-256 by name, of the large files."""

    @property
    def size(self) -> int:
        """Bytes of all of it."""
        return sum(self.sizes.values())


def look(entry: Weights, variant: str = "") -> Remote:
    """Ask the hub which commit and which files a fetch would bring.

    Raises SyncbenchError where the hub cannot be reached, or has not the repository, the commit, or weights that are
    no pickles.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    with _told(entry):
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


def bring(entry: Weights, remote: Remote, told: Bytes) -> Path:
    """Bring what is not here yet; the folder of the snapshot. What was cut off goes on where it stopped.

    The lock file says which commit came. Raises SyncbenchError for what stops it; a file that is not what the hub says
    is removed.
    """
    from huggingface_hub import hf_hub_download

    facts = {"commit": remote.commit, "branch": remote.branch, "fetched": datetime.now(UTC).isoformat("T", "seconds")}
    with _told(entry):
        record(remote.repository, whole=False, **facts)
        for name in remote.sizes:
            if name in remote.digests:
                _large(entry, remote, name, told)
            bar: Any = _bar(told)
            hf_hub_download(remote.repository, name, revision=remote.commit, tqdm_class=bar)
        files = sorted({*_files(remote), *remote.sizes})
        record(remote.repository, whole=True, files=files, **facts)
        if remote.branch:  # by which programs find it that name no commit
            reference = folder_of(remote.repository, "x").parents[1] / "refs" / remote.branch
            reference.parent.mkdir(parents=True, exist_ok=True)
            reference.write_text(remote.commit, encoding="utf-8")
    return folder_of(remote.repository, remote.commit)


def folder_of(repository: str, commit: str) -> Path:
    """Where the cache keeps a commit of a repository; it need not be there."""
    return cache_folder() / f"models--{repository.replace('/', '--')}" / "snapshots" / commit


def here(repository: str, commit: str = "") -> Path | None:
    """The cached folder of a repository: of a commit, branch or tag, else what was fetched, else the main branch.

    None where it is not on this machine. Nothing is asked of the hub.
    """
    place = folder_of(repository, "x").parent
    for name in (commit,) if commit else (str(locked(repository).get("commit", "")), "main"):
        reference = place.parent / "refs" / name
        if name and reference.is_file():
            name = reference.read_text(encoding="utf-8").strip()
        found = sorted(place.glob(f"{name}*")) if len(name) >= 7 else []
        if len(found) == 1 and any(found[0].iterdir()):
            return found[0]
    return None


def _files(remote: Remote) -> list[str]:
    """What an earlier fetch brought of the same commit."""
    before = locked(remote.repository)
    return [str(name) for name in before.get("files", ())] if before.get("commit") == remote.commit else []


def _commit(api: Any, entry: Weights) -> str:
    """The whole name of a pinned commit, of which the manifest may give the first digits."""
    if not entry.commit or len(entry.commit) == 40:
        return entry.commit
    commits = [str(one.commit_id) for one in api.list_repo_commits(entry.repository)]
    found = [one for one in commits if one.startswith(entry.commit)]
    if len(found) != 1:
        raise SyncbenchError(
            f"{entry.repository} has no commit that begins with {entry.commit}, which syncbench pins: its history was "
            "rewritten, so what is there may be something else"
        )
    return found[0]


def _index(repository: str, commit: str) -> dict[str, Any]:
    from huggingface_hub import hf_hub_download

    silent: Any = _bar(lambda count: None)
    path = hf_hub_download(repository, "model_index.json", revision=commit, tqdm_class=silent)
    found = json.loads(Path(path).read_text(encoding="utf-8"))
    return found if isinstance(found, dict) else {}


def _large(entry: Weights, remote: Remote, name: str, told: Bytes) -> None:
    """Put a large file among the cache's blobs, which are named by their SHA-256; the hub's client then links to it.

    The client itself begins such a file again after every interruption. Raises SyncbenchError for another content
    than the hub says, and removes it.
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
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != digest:
        part.unlink()
        raise SyncbenchError(
            f"{name} of {entry.name} came damaged (SHA-256 {found[:12]}... instead of {digest[:12]}...) and was "
            "removed: fetch it again"
        )
    part.replace(blob)


def _bar(told: Bytes) -> type:
    """A silent progress bar of the hub's client that tells of bytes."""
    tqdm: Any = import_module("tqdm.auto").tqdm

    class Told(tqdm):
        def __init__(self, *args: Any, **how: Any) -> None:
            how.pop("name", None)
            super().__init__(*args, **{**how, "disable": True})

        def update(self, n: float | None = 1) -> None:
            told(int(n or 0))

    return Told


@contextmanager
def _told(entry: Weights) -> Generator[None]:
    """Turn what the hub's client raises into one sentence."""
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
        raise said(entry.name, error) from error
    except Exception as error:  # the HTTP client's own, which are no OSErrors
        raise said(entry.name, error) from error
