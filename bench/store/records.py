"""The records of results folders, and of `.parquet` files that take the place of one."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, cast

import pandas as pd

from ..catalogue.registry import component_id, suggest
from ..errors import SyncbenchError

Table = Any
"""A pandas DataFrame. The type is Any because pandas' own annotations are unions that a strict checker rejects."""


def read_records(folders: Sequence[str | Path] | str | Path) -> pd.DataFrame:
    """Records of results folders, or of `.parquet` files (see `parquet.write_parquet`), each row once.

    Raises SyncbenchError where there are none.
    """
    names = result_paths(folders)
    records = gather_records(names)
    if records is None:
        raise SyncbenchError(f"no results in {', '.join(map(str, names))}: run a suite with --out into it first")
    return records


def gather_records(names: Sequence[Path]) -> Table | None:
    """Records of results folders or `.parquet` files; None where there are none.

    Of a row that several of them have, the first in the order of `names` is kept.
    """
    from .folder import load_records
    from .parquet import read_parquet

    frames = [read_parquet(name) if is_records_file(name) else load_records([name]) for name in names]
    if not any(map(len, frames)):
        return None
    every = pd.concat([frame for frame in frames if len(frame)], ignore_index=True)
    return every.drop_duplicates(["key", "metric", "metric_version", "fingerprint"], ignore_index=True)


def stored_methods(folders: Sequence[str | Path] | str | Path, names: Collection[str]) -> dict[str, dict[str, Any]]:
    """Stored facts of the methods `names`, by id: `title`, `doc`, `paper`, `licence`, `presets`."""
    from .folder import Store

    methods: dict[str, dict[str, Any]] = {}
    for store in (Store(name) for name in result_paths(folders) if not is_records_file(name)):
        for key in store.finished():
            if methods.keys() >= set(names):
                return methods
            job = store.job(key)
            if job and job.about and (name := component_id(job.header.method)) in names:
                methods.setdefault(name, job.about.model_dump())
    return methods


def unseen_conditions(folders: Sequence[str | Path] | str | Path) -> dict[str, tuple[str, ...]]:
    """Conditions of an item that its model did not read, by the key of the job; `.parquet` files do not hold them."""
    from .folder import Store

    conditions: dict[str, tuple[str, ...]] = {}
    for store in (Store(name) for name in result_paths(folders) if not is_records_file(name)):
        for key in store.finished():
            job = store.job(key)
            noted: Any = job.notes.get("unseen") if job else None
            if isinstance(noted, list):
                conditions[key] = tuple(sorted(map(str, cast(list[Any], noted))))
    return conditions


def records_of_families(records: Table, names: Sequence[str] | None) -> Table:
    """The records of the families `names` (None: all). Raises SyncbenchError for a family without records."""
    if names is None:
        return records
    here = sorted(records["family"].unique())
    for name in names:
        if name not in here:
            raise SyncbenchError(f"no results of the family '{name}'{suggest(name, here, 'there are')}")
    return records[records["family"].isin(names)]


def result_paths(folders: Sequence[str | Path] | str | Path) -> list[Path]:
    """One folder or several, as paths, each once. Raises SyncbenchError for an empty list."""
    named = [Path(name) for name in ([folders] if isinstance(folders, (str, Path)) else folders)]
    if not named:
        raise SyncbenchError("no results named: name a results folder or a .parquet file")
    return list(dict.fromkeys(named))


def is_records_file(name: Path) -> bool:
    """Whether results are a `.parquet` file, which has records and no pictures, and not a folder."""
    from .parquet import SUFFIX

    return name.suffix == SUFFIX and not name.is_dir()
