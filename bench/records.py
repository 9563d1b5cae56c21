"""The records of results folders, and of the `.parquet` files that stand in place of one."""

# pyright: reportMissingTypeStubs=false

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from .errors import SyncbenchError
from .registry import suggest

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
    """The same; None where there are none."""
    from .baseline import read
    from .store import load_records

    found = [read(name) for name in names if is_file(name)]
    if rest := [name for name in names if not is_file(name)]:
        found.append(load_records(rest))
    return pd.concat([part for part in found if len(part)], ignore_index=True) if any(map(len, found)) else None


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
    """One folder or several, as paths."""
    return [Path(name) for name in ([folders] if isinstance(folders, (str, Path)) else folders)]


def is_file(name: Path) -> bool:
    """Whether results are a `.parquet` file, which stands in place of a folder and has no pictures."""
    from .baseline import SUFFIX

    return name.suffix == SUFFIX and not name.is_dir()
