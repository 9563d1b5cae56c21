"""The results folder: one folder per job, written under a temporary name and renamed last.

    DIR/run.json                 schema, suite as resolved, versions, machine
    DIR/jobs/<key>/job.json      identity, status, error, cost, notes, files with SHA-256
                   canvas.png, views/000.png ..., extras.safetensors
                   scores.json   rows of `Record`
    DIR/groups/<key>.json        rows of group metrics, keyed by the members' keys

Whatever is there under its final name is complete. A kill leaves at most a temporary folder, which the next start
sweeps away when it is stale (see `files`), and a claim (see `claims`). Nothing here is pickled, and file names read
from JSON never leave their folder. Records are read without torch, which only artifacts need.
"""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# (pandas has no type stubs.)

import errno
import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, cast

from .files import (
    alive,
    clear_stale,
    disk,
    dump_json,
    flush,
    owner,
    read_json,
    remove,
    temporary,
    write_bytes,
    write_json,
)
from .types import SCHEMA, Artifact, Cost, Json, Record, SyncbenchError

if TYPE_CHECKING:
    import pandas as pd


class Store:
    """A results folder that exists and has this program's schema."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.run: Json = _read_run(root)

    @staticmethod
    def create(root: Path, run: Json) -> "Store":
        """Open `root` for writing: make it or join what is there, and write `run.json` (keeping `created`).

        Raises SyncbenchError for a folder that holds something else, or results of another schema.
        """
        if (root / "run.json").exists():
            run = {**run, "created": _read_run(root).get("created", run.get("created"))}
        elif root.exists() and not _begun(root):
            raise SyncbenchError(f"'{root}' exists and is not a results folder: choose another --out")
        with disk(root):
            root.mkdir(parents=True, exist_ok=True)
            write_json(root / "run.json", {"schema": SCHEMA, **run})
            (root / "jobs").mkdir(exist_ok=True)
            (root / "groups").mkdir(exist_ok=True)
        store = Store(root)
        store.sweep()
        return store

    def used(self, kind: str) -> list[Json]:
        """The components of one kind (`methods`, ...) that the folder's suite names: `spec` and `overrides`."""
        parts = self.run.get("suite", {}).get("parts", [])
        found = [entry for part in parts for entry in part[kind]]
        return [entry for n, entry in enumerate(found) if entry not in found[:n]]

    def sweep(self) -> None:
        """Remove what killed processes left half-written; leave alone what a living process is writing."""
        for folder in (self.root, self.root / "jobs", self.root / "groups", *self.root.glob("jobs/[!.]*")):
            clear_stale(folder, root=self.root)
        for path in (*self.root.glob(".alive-*"), *self.root.glob(".now-*"), *self.root.glob("jobs/.now-*")):
            name = path.name.partition("-")[2]
            if name != owner() and not alive(name, path):
                remove(path)

    def finished(self) -> list[str]:
        """Keys of all finished jobs, failed ones included."""
        folder = self.root / "jobs"
        return sorted(p.name for p in folder.iterdir() if not p.name.startswith(".")) if folder.is_dir() else []

    def folder(self, key: str) -> Path:
        """Where a job lies."""
        return self.root / "jobs" / key

    def job(self, key: str) -> Json | None:
        """A job's `job.json`; None if there is no such job."""
        path = self.folder(key) / "job.json"
        return read_json(path) if path.exists() else None

    def stamp(self, key: str) -> tuple[int, int] | None:
        """What tells one writing of a job from another; None if there is no such job."""
        return _stamp(self.folder(key) / "job.json")

    def group_stamp(self, key: str) -> tuple[int, int] | None:
        """What tells one writing of a group's scores from another; None if there are none."""
        return _stamp(self.root / "groups" / f"{key}.json")

    def save(self, key: str, job: Json, artifact: Artifact | Mapping[str, bytes] | None) -> None:
        """Write a job whole or not at all, in place of any earlier one of the same key.

        `artifact` may be encoded already (see `encode_artifact`). When another process puts the job there in the same
        moment, one of the two stays, whole. Raises SyncbenchError when the disk is full; nothing half-written stays
        behind.
        """
        final = self.folder(key)
        contents = encode_artifact(artifact) if isinstance(artifact, Artifact) else artifact or {}
        with disk(self.root), temporary(final) as folder:
            folder.mkdir()
            for name, data in contents.items():
                (folder / name).parent.mkdir(exist_ok=True)
                write_bytes(folder / name, data)
            files = {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}
            write_bytes(folder / "job.json", dump_json({"schema": SCHEMA, "key": key, **job, "files": files}))
            flush(folder)
            with temporary(final.with_name(f"old-{key}")) as old:
                with suppress(FileNotFoundError):
                    final.rename(old)
                try:
                    folder.rename(final)
                except OSError as error:
                    if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                        raise
            flush(final.parent)

    def scores(self, key: str) -> list[Json]:
        """The rows of a job's `scores.json`, or none yet."""
        path = self.folder(key) / "scores.json"
        return read_json(path) if path.exists() else []

    def save_scores(self, key: str, rows: Sequence[Record | Json]) -> None:
        """Replace a job's rows."""
        with disk(self.root):
            write_json(self.folder(key) / "scores.json", _rows(rows))

    def groups(self) -> dict[str, Json]:
        """All group scores by key."""
        return {path.stem: read_json(path) for path in sorted(self.root.glob("groups/[!.]*.json"))}

    def save_group(self, key: str, group: Json, rows: Sequence[Record | Json]) -> None:
        """Write one group's rows."""
        with disk(self.root):
            write_json(self.root / "groups" / f"{key}.json", {"schema": SCHEMA, **group, "rows": _rows(rows)})

    def drop_group(self, key: str) -> None:
        """Forget a group whose members have changed."""
        (self.root / "groups" / f"{key}.json").unlink(missing_ok=True)

    def artifact(self, key: str) -> Artifact:
        """A job's artifact as stored, every file checked against its hash. See `load_artifact`."""
        return load_artifact(self.folder(key))


def load_artifact(folder: Path) -> Artifact:
    """The artifact of one job folder: 8-bit images as float32 in [0, 1], extras as saved.

    Raises SyncbenchError when a file is missing or does not match its hash, or the job failed.
    """
    import torch
    from safetensors.torch import load as load_tensors

    from .png import decode_png

    job = read_json(folder / "job.json")
    if job["status"] != "ok":
        raise SyncbenchError(f"job {folder.name} has no artifact: {job['error']}")
    data = {name: _verified(folder, name, digest) for name, digest in job["files"].items()}
    views = [decode_png(data[name]) for name in sorted(data) if name.startswith("views/")]
    return Artifact(
        views=torch.stack(views),
        canvas=decode_png(data["canvas.png"]) if "canvas.png" in data else None,
        extras=load_tensors(data["extras.safetensors"]) if "extras.safetensors" in data else {},
        notes=job["notes"],
        cost=Cost(**job["cost"]),
    )


def load_records(folders: Sequence[Path | str]) -> "pd.DataFrame":
    """One row per job and metric of all `folders`, with exactly the columns of `Record`; errors included.

    The same row found in two folders (a copy, or shards that overlap) appears once.
    """
    import pandas as pd

    rows: dict[tuple[str, str, str], Json] = {}
    for folder in folders:
        store = Store(Path(folder))
        listed = [row for key in store.finished() for row in store.scores(key)]
        listed += [row for group in store.groups().values() for row in group["rows"]]
        for row in listed:
            rows.setdefault((row["key"], row["metric"], row["fingerprint"]), row)
    frame = pd.DataFrame(list(rows.values()), columns=Record.columns())
    return frame.astype({"value": "float64", "coverage": "float64", "primary": "Int64"})


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def _begun(root: Path) -> bool:
    """Whether a folder holds nothing but what a start that was cut off at once leaves there."""
    if not root.is_dir():
        return False
    shown = [path for path in root.iterdir() if not path.name.startswith(".")]
    empty = [p for p in shown if p.name in ("jobs", "groups") and p.is_dir() and not any(p.glob("[!.]*"))]
    return len(empty) == len(shown)


def _read_run(root: Path) -> Json:
    if not root.is_dir():
        raise SyncbenchError(f"no results folder '{root}'")
    if not (root / "run.json").is_file():
        raise SyncbenchError(f"'{root}' is not a results folder: it has no run.json")
    found = read_json(root / "run.json")
    run = cast(Json, found) if isinstance(found, dict) else {}
    schema = run.get("schema")
    if schema != SCHEMA:
        raise SyncbenchError(
            f"'{root}' has results of schema {schema}, and this syncbench reads schema {SCHEMA}: "
            "use the version that wrote them, or run again into a new folder"
        )
    return run


def encode_artifact(artifact: Artifact) -> dict[str, bytes]:
    """File contents by name. Views and canvas become 8-bit PNG; extras stay float."""
    from safetensors.torch import save as save_tensors

    from .png import encode_png

    contents = {f"views/{i:03d}.png": encode_png(view) for i, view in enumerate(artifact.views)}
    if artifact.canvas is not None:
        contents["canvas.png"] = encode_png(artifact.canvas)
    if artifact.extras:
        contents["extras.safetensors"] = save_tensors({k: v.contiguous().cpu() for k, v in artifact.extras.items()})
    return contents


def _verified(folder: Path, name: str, digest: str) -> bytes:
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise SyncbenchError(f"{folder / 'job.json'} names a file outside its folder: '{name}'")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SyncbenchError(f"cannot read {path}: {error.strerror}; delete {folder} and run again") from error
    if hashlib.sha256(data).hexdigest() != digest:
        raise SyncbenchError(f"{path} does not match its hash: delete {folder} and run again")
    return data


def _rows(rows: Sequence[Record | Json]) -> list[Json]:
    return [asdict(row) if isinstance(row, Record) else dict(row) for row in rows]
