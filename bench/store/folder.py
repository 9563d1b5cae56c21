"""The results folder: one folder per job, written under a temporary name and renamed last.

    DIR/run.json                 schema, suite as resolved, versions, machine
    DIR/jobs/<key>/job.json      identity, status, error, cost, notes, files with SHA-256
                   canvas.png, views/000.png ..., extras.safetensors
                   scores.json   rows of `Record`
    DIR/groups/<key>.json        rows of group metrics, keyed by the members' keys

Every file and folder under its final name is complete. A killed process leaves at most a temporary folder, which the
next start removes once it is stale (see `files.temporary`), and a claim (see `run.claims`). Records are read without
torch, which only artifacts need.

A folder may come from an untrusted source. Nothing here is pickled, nothing that JSON names is imported or
instantiated, and names read from JSON never lead out of their folder. job.json, scores.json and groups/*.json begin
with a checksum (`files.writing.seal`). A file that does not match its checksum, or does not fit its type (`stored`),
counts as missing: one `DamagedWarning` names such files, a run makes them again, and all others are read.
"""

import errno
import hashlib
import re
import stat
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..errors import DamagedWarning, UnscoredWarning, quoted
from ..files.temporary import alive, clear_stale, owner, remove, temporary_file
from ..files.writing import disk, seal, sync_folder, write_bytes, write_json, write_sealed
from ..types import SCHEMA, Artifact, Json, Record, SyncbenchError
from .artifacts import artifact_files, encode_artifact, load_artifact
from .run_file import is_begun, read_run
from .stored import KEY, Spec, StoredGroup, StoredJob, StoredRun, read_group, read_job, read_rows

if TYPE_CHECKING:
    import pandas as pd


class Store:
    """A results folder that exists and has this program's schema."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.run: StoredRun = read_run(root)
        self.damage: dict[Path, str] = {}
        """Files and folders that cannot be read, each with the reason in one sentence."""

    @staticmethod
    def create(root: Path, run: Json) -> "Store":
        """The store at `root`, opened for writing: a new folder, or one with results, whose `run.json` is replaced.

        The time `created` is kept. Raises SyncbenchError for a folder that holds something else, or results of another
        schema.
        """
        if (root / "run.json").exists():
            run = {**run, "created": read_run(root).created or run.get("created")}
        elif root.exists() and not is_begun(root):
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
        """Remove stale temporary files, heartbeats and probes of killed processes (see `files.temporary`)."""
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
            artifact_files(self.folder(key), job)
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

    def drop(self, key: str) -> None:
        """Remove a job with its scores, because another takes its place."""
        remove(self.folder(key))

    def scores(self, key: str) -> list[Record]:
        """The rows of a job's `scores.json`; none if it has none, or if they are damaged, which `damage` records."""
        try:
            folder = self._there(key)
            path = folder / "scores.json" if folder else None
            return read_rows(path, key) if path and path.exists() else []
        except SyncbenchError as error:
            self.damage[self.root / "jobs" / key / "scores.json"] = str(error)
            return []

    def unscored(self, key: str) -> bool:
        """Whether the job `key` has a whole sample and no file of scores."""
        folder = self.folder(key)
        return (folder / "job.json").exists() and not (folder / "scores.json").exists()

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


def load_records(folders: Sequence[Path | str] | Path | str) -> "pd.DataFrame":
    """One row per job and metric of one folder or several, with exactly the columns of `Record`; failed jobs included.

    A row that two folders have (a copy, or shards that overlap) appears once. Damaged rows are left out, with a
    `DamagedWarning`, and so are samples without scores, with an `UnscoredWarning`.
    """
    import pandas as pd

    rows: dict[tuple[str, str, str], Record] = {}
    for folder in [folders] if isinstance(folders, (str, Path)) else folders:
        store = Store(Path(folder))
        listed = [row for key in store.finished() for row in store.scores(key)]
        listed += [row for group in store.groups().values() for row in group.rows]
        for row in listed:
            rows.setdefault((row.key, row.metric, row.fingerprint), row)
        store.warn()
        left = [key for key in store.finished() if store.unscored(key)]
        if left:
            many = "1 sample is" if len(left) == 1 else f"{len(left)} samples are"
            text = f"{many} not scored and in no table: syncbench score {quoted(folder)} scores what is there"
            warnings.warn(text, UnscoredWarning, stacklevel=2)
    frame = pd.DataFrame([vars(row) for row in rows.values()], columns=Record.columns())
    return frame.astype({"value": "float64", "coverage": "float64", "primary": "Int64"})


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_ino, facts.st_mtime_ns


def _rows(rows: Sequence[Record | Json]) -> list[Json]:
    return [asdict(row) if isinstance(row, Record) else dict(row) for row in rows]
