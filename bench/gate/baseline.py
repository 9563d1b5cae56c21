"""Baselines: a run is accepted as what later runs are compared with, one file for git to keep."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import SyncbenchError
from ..store.parquet import read_parquet, write_parquet
from ..store.records import read_records
from .gate import FRACTION, Gate, compare


@dataclass(frozen=True, kw_only=True)
class Update:
    """What writing a baseline did."""

    path: Path
    records: int
    gate: Gate | None
    """The comparison with the baseline that was replaced; None if there was none."""
    dropped: tuple[str, ...] = ()
    """Methods of the replaced baseline that the new one lacks."""

    def text(self) -> str:
        """What was accepted, for a person."""
        said = f"baseline {self.path}: {self.records} records written\n"
        if self.dropped:
            said = f"no longer in the baseline: {', '.join(self.dropped)}\n{said}"
        return said


def update(
    candidate: Sequence[str | Path] | str | Path,
    path: str | Path,
    *,
    margins: Mapping[str, float] | None = None,
    fraction: float = FRACTION,
    reseeded: bool = False,
) -> Update:
    """Make a run the new baseline, and say how it compares with the old one.

    Raises SyncbenchError, leaving the old baseline as it is, for a run with failed jobs (their missing values would
    never be missed again), without records, or if the old file cannot be read.
    """
    target = Path(path)
    records: Any = read_records(candidate)
    failed = records[records["status"] == "error"]
    if len(failed):
        one = failed.iloc[0]
        raise SyncbenchError(
            f"{failed['key'].nunique()} jobs of the new baseline failed, first {one['method']} on "
            f"{one['dataset']}/{one['item']} ({one['reason']}): mend them (`--retry-errors`), the old baseline stays"
        )
    answer: Gate | None = None
    dropped: tuple[str, ...] = ()
    if target.exists():
        old: Any = read_parquet(target)
        answer = compare(records, old, margins=margins, fraction=fraction, reseeded=reseeded)
        dropped = tuple(sorted(set(old["method"]) - set(records["method"])))
    write_parquet(records, target)
    return Update(path=target, records=len(records), gate=answer, dropped=dropped)
