"""The records of results folders, and of the `.parquet` files that stand in place of one."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, cast

import pandas as pd

from ..catalogue.registry import plain, suggest
from ..errors import SyncbenchError

Table = Any
"""A DataFrame in private hands: pandas' own annotations are unions too wide for a strict checker."""


def load(folders: Sequence[str | Path] | str | Path) -> pd.DataFrame:
    """Records of run folders, or of `.parquet` files (`baseline.write`); SyncbenchError where there are none."""
    names = paths(folders)
    records = gather(names)
    if records is None:
        raise SyncbenchError(f"no results in {', '.join(map(str, names))}: run a suite with --out into it first")
    return records


def gather(names: Sequence[Path]) -> Table | None:
    """The same; None where there are none. A row that stands in several counts where it was named first."""
    from .folder import load_records
    from .parquet import read

    found = [read(name) if is_file(name) else load_records([name]) for name in names]
    if not any(map(len, found)):
        return None
    every = pd.concat([part for part in found if len(part)], ignore_index=True)
    return every.drop_duplicates(["key", "metric", "metric_version", "fingerprint"], ignore_index=True)


def methods(folders: Sequence[str | Path] | str | Path, names: Collection[str]) -> dict[str, dict[str, Any]]:
    """What samples in the folders keep of the methods named: `title`, `doc`, `paper`, `licence`, `presets` by id."""
    from .folder import Store

    found: dict[str, dict[str, Any]] = {}
    for store in (Store(name) for name in paths(folders) if not is_file(name)):
        for key in store.finished():
            if found.keys() >= set(names):
                return found
            job = store.job(key)
            if job and job.about and (name := plain(job.header.method)) in names:
                found.setdefault(name, job.about.model_dump())
    return found


def unseen(folders: Sequence[str | Path] | str | Path) -> dict[str, tuple[str, ...]]:
    """Conditions of an item that its model took no notice of, by the key of the job; `.parquet` files do not tell."""
    from .folder import Store

    found: dict[str, tuple[str, ...]] = {}
    for store in (Store(name) for name in paths(folders) if not is_file(name)):
        for key in store.finished():
            job = store.job(key)
            said: Any = job.notes.get("unseen") if job else None
            if isinstance(said, list):
                found[key] = tuple(sorted(map(str, cast(list[Any], said))))
    return found


def of_families(records: Table, names: Sequence[str] | None) -> Table:
    """Only the records of some families (None: all). SyncbenchError for a family that has none."""
    if names is None:
        return records
    here = sorted(records["family"].unique())
    for name in names:
        if name not in here:
            raise SyncbenchError(f"no results of the family '{name}'{suggest(name, here, 'there are')}")
    return records[records["family"].isin(names)]


def paths(folders: Sequence[str | Path] | str | Path) -> list[Path]:
    """One folder or several, as paths, each once. SyncbenchError for none."""
    found = [Path(name) for name in ([folders] if isinstance(folders, (str, Path)) else folders)]
    if not found:
        raise SyncbenchError("no results named: name a results folder or a .parquet file")
    return list(dict.fromkeys(found))


def is_file(name: Path) -> bool:
    """Whether results are a `.parquet` file, which stands in place of a folder and has no pictures."""
    from .parquet import SUFFIX

    return name.suffix == SUFFIX and not name.is_dir()
