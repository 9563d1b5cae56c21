"""The results folder: one folder per job, written under a temporary name and renamed last.

    DIR/run.json                 schema, suite as resolved, versions, machine
    DIR/jobs/<key>/job.json      identity, status, error, cost, notes, files with SHA-256
                   canvas.png, views/000.png ..., extras.safetensors
                   scores.json   rows of `Record`
    DIR/groups/<key>.json        rows of group metrics, keyed by the members' keys

Every file and folder under its final name is complete. A killed process leaves at most a temporary folder, which the
next start removes once it is stale (see `files`), and a claim (see `run.claims`). Records are read without torch, which
only artifacts need.

A folder may come from an untrusted source. Nothing here is pickled, nothing that JSON names is imported or
instantiated, and names read from JSON never lead out of their folder. job.json, scores.json and groups/*.json begin
with a checksum (`files.seal`). A file that does not match its checksum, or does not fit its type (`stored`), counts as
missing: one `DamagedWarning` names such files, a run makes them again, and all others are read.
"""

import errno
import hashlib
import os
import re
import stat
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from ..errors import DamagedWarning
from ..files import (
    LARGEST,
    alive,
    clear_stale,
    disk,
    owner,
    parse_json,
    read_bytes,
    remove,
    seal,
    sync_folder,
    temporary_file,
    write_bytes,
    write_json,
    write_sealed,
)
from ..types import SCHEMA, Artifact, Json, Record, SyncbenchError
from .stored import KEY, Spec, StoredGroup, StoredJob, StoredRun, parsed, read_group, read_job, read_rows

if TYPE_CHECKING:
    import pandas as pd


class Store:
    """A results folder that exists and has this program's schema."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.run: StoredRun = _read_run(root)
        self.damage: dict[Path, str] = {}
        """Files and folders that cannot be read, each with the reason in one sentence."""

    @staticmethod
    def create(root: Path, run: Json) -> "Store":
        """The store at `root`, opened for writing: a new folder, or one with results, whose `run.json` is replaced.

        The time `created` is kept. Raises SyncbenchError for a folder that holds something else, or results of another
        schema.
        """
        if (root / "run.json").exists():
            run = {**run, "created": _read_run(root).created or run.get("created")}
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

    def used(self, kind: Literal["models", "datasets", "methods", "metrics"]) -> list[Spec]:
        """The components of one kind that the folder's suite names, each once."""
        specs: list[Spec] = [spec for part in self.run.suite.parts for spec in getattr(part, kind)]
        return [spec for n, spec in enumerate(specs) if spec not in specs[:n]]

    def warn(self) -> None:
        """Emit one `DamagedWarning` for everything in `damage`, and forget it."""
        if self.damage:
            many = "1 is" if len(self.damage) == 1 else f"{len(self.damage)} are"
            reasons = "; ".join([*self.damage.values()][:3]) + ("; ..." if len(self.damage) > 3 else "")
            text = f"of what '{self.root}' holds {many} damaged, and missing until a run makes it again: {reasons}"
            warnings.warn(text, DamagedWarning, stacklevel=2)
            self.damage.clear()

    def sweep(self) -> None:
        """Remove stale temporary files, heartbeats and probes of killed processes (see `files`)."""
        jobs = (path for path in self.root.glob("jobs/[!.]*") if not path.is_symlink())
        for folder in (self.root, self.root / "jobs", self.root / "groups", *jobs):
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
        """The folder of the job `key`, which need not exist. Raises SyncbenchError for text that is no key."""
        if not re.fullmatch(KEY, key):
            raise SyncbenchError(f"'{key}' is no key of a job: it would lead out of '{self.root}'")
        return self.root / "jobs" / key

    def job(self, key: str) -> StoredJob | None:
        """The job `key`; None if there is none, or if it is damaged, which `damage` then records."""
        try:
            return None if (folder := self._there(key)) is None else read_job(folder / "job.json", key)
        except SyncbenchError as error:
            self.damage[self.root / "jobs" / key] = str(error)
            return None

    def intact(self, key: str, job: StoredJob) -> bool:
        """Whether every file of a job's artifact exists and matches its hash; `damage` records it if not."""
        try:
            _files(self.folder(key), job)
        except SyncbenchError as error:
            self.damage[self.folder(key)] = str(error)
            return False
        return True

    def _there(self, key: str) -> Path | None:
        """The folder of the job `key`; None if there is none. Raises SyncbenchError if it is a link or a file."""
        folder = self.folder(key)
        try:
            mode = folder.lstat().st_mode
        except FileNotFoundError:
            return None
        if not stat.S_ISDIR(mode):
            raise SyncbenchError(f"{folder} is no folder of its own")
        return folder

    def stamp(self, key: str) -> tuple[int, int] | None:
        """Inode and modification time of a job's file, which change when it is written again; None without a job."""
        return _stamp(self.folder(key) / "job.json")

    def group_stamp(self, key: str) -> tuple[int, int] | None:
        """Inode and modification time of a group's file, which change when it is written again; None without one."""
        return _stamp(self.root / "groups" / f"{key}.json")

    def save(self, key: str, job: Json, artifact: Artifact | Mapping[str, bytes] | None) -> None:
        """Write a job, all of it or nothing, in place of any earlier one of this key.

        `artifact` may be encoded already (see `encode_artifact`). Where another process writes the job at the same
        moment, one of the two stays, complete. Raises SyncbenchError where the disk cannot be written, and then leaves
        nothing behind.
        """
        final = self.folder(key)
        contents = encode_artifact(artifact) if isinstance(artifact, Artifact) else artifact or {}
        with disk(self.root), temporary_file(final) as folder:
            folder.mkdir()
            for name, data in contents.items():
                (folder / name).parent.mkdir(exist_ok=True)
                write_bytes(folder / name, data)
            files = {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}
            write_bytes(folder / "job.json", seal({"schema": SCHEMA, "key": key, **job, "files": files}))
            sync_folder(folder)
            with temporary_file(final.with_name(f"old-{key}")) as old:
                with suppress(FileNotFoundError):
                    final.rename(old)
                try:
                    folder.rename(final)
                except OSError as error:
                    if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                        raise
            sync_folder(final.parent)

    def scores(self, key: str) -> list[Record]:
        """The rows of a job's `scores.json`; none if it has none, or if they are damaged, which `damage` records."""
        try:
            folder = self._there(key)
            path = folder / "scores.json" if folder else None
            return read_rows(path, key) if path and path.exists() else []
        except SyncbenchError as error:
            self.damage[self.root / "jobs" / key / "scores.json"] = str(error)
            return []

    def save_scores(self, key: str, rows: Sequence[Record | Json]) -> None:
        """Write the rows of a job's `scores.json`, in place of earlier ones."""
        with disk(self.root):
            write_sealed(self.folder(key) / "scores.json", {"rows": _rows(rows)})

    def groups(self) -> dict[str, StoredGroup]:
        """All group scores by key. Damaged ones are left out and recorded in `damage`."""
        groups: dict[str, StoredGroup] = {}
        for path in sorted(self.root.glob("groups/[!.]*.json")):
            try:
                groups[path.stem] = read_group(path)
            except SyncbenchError as error:
                self.damage[path] = str(error)
        return groups

    def save_group(self, key: str, group: Json, rows: Sequence[Record | Json]) -> None:
        """Write the rows of the group `key`, in place of earlier ones."""
        with disk(self.root):
            write_sealed(self.root / "groups" / f"{key}.json", {"schema": SCHEMA, **group, "rows": _rows(rows)})

    def drop_group(self, key: str) -> None:
        """Remove the scores of a group, because its members have changed."""
        remove(self.root / "groups" / f"{key}.json")

    def clear(self) -> None:
        """Remove group scores that are still damaged, because nothing tells which group they belong to."""
        for path in self.damage:
            if path.parent == self.root / "groups":
                try:
                    read_group(path)
                except SyncbenchError:
                    remove(path)

    def artifact(self, key: str) -> Artifact:
        """The artifact of the job `key`. Raises SyncbenchError; see `load_artifact`."""
        return load_artifact(self.folder(key))


def load_artifact(folder: Path) -> Artifact:
    """The artifact of one job folder: 8-bit images as float32 in [0, 1], extras as saved.

    Raises SyncbenchError when a file is missing or does not match its hash, or the job failed.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load as load_tensors

    from .png import check_sizes, declared, decode_png

    job = read_job(folder / "job.json", folder.absolute().name)
    if job.status != "ok":
        raise SyncbenchError(f"job {folder.name} has no artifact: {job.error}")
    data = _files(folder, job)
    extras = data.pop("extras.safetensors", None)
    try:
        check_sizes(map(declared, data.values()))
        pictures = {name: decode_png(content) for name, content in data.items()}
        return Artifact(
            canvas=pictures.pop("canvas.png", None),
            views=torch.stack([pictures[name] for name in sorted(pictures, key=lambda name: (len(name), name))]),
            extras=load_tensors(extras) if extras else {},
            notes=dict(job.notes),
            cost=job.cost,
        )
    except (ValueError, RuntimeError, SafetensorError) as error:
        raise SyncbenchError(f"{folder} has no readable artifact ({error}): a run makes it again") from error


def load_records(folders: Sequence[Path | str]) -> "pd.DataFrame":
    """One row per job and metric of all `folders`, with exactly the columns of `Record`; failed jobs included.

    A row that two folders have (a copy, or shards that overlap) appears once. Damaged rows are left out, with a
    `DamagedWarning`.
    """
    import pandas as pd

    rows: dict[tuple[str, str, str], Record] = {}
    for folder in folders:
        store = Store(Path(folder))
        listed = [row for key in store.finished() for row in store.scores(key)]
        listed += [row for group in store.groups().values() for row in group.rows]
        for row in listed:
            rows.setdefault((row.key, row.metric, row.fingerprint), row)
        store.warn()
    frame = pd.DataFrame([vars(row) for row in rows.values()], columns=Record.columns())
    return frame.astype({"value": "float64", "coverage": "float64", "primary": "Int64"})


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_ino, facts.st_mtime_ns


def _begun(root: Path) -> bool:
    """Whether a folder holds nothing but empty `jobs` and `groups`, as a start that was killed at once leaves it."""
    if not root.is_dir():
        return False
    shown = [path for path in root.iterdir() if not path.name.startswith(".")]
    empty = [p for p in shown if p.name in ("jobs", "groups") and p.is_dir() and not any(p.glob("[!.]*"))]
    return len(empty) == len(shown)


def _read_run(root: Path) -> StoredRun:
    if root.exists() and not root.is_dir():
        raise SyncbenchError(f"'{root}' is {_file_kind(root)}")
    if not root.is_dir():
        raise SyncbenchError(f"no results folder '{root}'")
    if not (root / "run.json").is_file():
        raise SyncbenchError(f"'{root}' is not a results folder: it has no run.json")
    path = root / "run.json"
    data = read_bytes(path)
    content = parse_json(data, path)
    schema = cast(Json, content).get("schema") if isinstance(content, dict) else None
    if schema != SCHEMA:
        raise SyncbenchError(
            f"'{root}' has results of schema {schema}, and this syncbench reads schema {SCHEMA}: "
            "use the version that wrote them, or run again into a new folder"
        )
    return parsed(StoredRun, data, path)


def _file_kind(path: Path) -> str:
    """What a file that was named as results is, and what is wanted instead."""
    if not path.is_file():
        return "neither a folder nor a file: name a results folder, or a .parquet file of records"
    if path.suffix == ".parquet":
        return "a file of records, which has no samples: name the results folder that they are of"
    with suppress(OSError), open(path, "rb") as file:
        if file.read(4) == b"PAR1":
            return "a Parquet file under another name: give it a name that ends with .parquet"
    if (path.parent / "run.json").is_file():
        return f"a file in the results folder '{path.parent}': name the folder"
    return "a file, not a results folder: name a folder that `run` wrote, or a .parquet file of records"


def encode_artifact(artifact: Artifact) -> dict[str, bytes]:
    """The files of an artifact, contents by name: views and canvas as 8-bit PNG, extras as floats."""
    from safetensors.torch import save as save_tensors

    from .png import encode_png

    contents = {f"views/{i:03d}.png": encode_png(view) for i, view in enumerate(artifact.views)}
    if artifact.canvas is not None:
        contents["canvas.png"] = encode_png(artifact.canvas)
    if artifact.extras:
        contents["extras.safetensors"] = save_tensors({k: v.contiguous().cpu() for k, v in artifact.extras.items()})
    return contents


def _files(folder: Path, job: StoredJob) -> dict[str, bytes]:
    """The files of a job's artifact, contents by name.

    Raises SyncbenchError for a file that is missing, outside the folder, or does not match its hash.
    """
    contents: dict[str, bytes] = {}
    inside = os.path.join(os.path.realpath(folder), "")
    for name, digest in job.files.items():
        path = folder / name
        if not os.path.realpath(path).startswith(inside):
            raise SyncbenchError(f"{folder / 'job.json'} names a file outside its folder: '{name}'")
        try:
            contents[name] = read_bytes(path, 4 * LARGEST)
        except SyncbenchError as error:
            raise SyncbenchError(f"{error}; a run makes it again") from error
        if hashlib.sha256(contents[name]).hexdigest() != digest:
            raise SyncbenchError(f"{path} does not match its hash: a run makes it again")
    return contents


def _rows(rows: Sequence[Record | Json]) -> list[Json]:
    return [asdict(row) if isinstance(row, Record) else dict(row) for row in rows]
