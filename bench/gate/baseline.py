"""Baselines: one file of records, kept in git, with which later runs are compared."""

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
    """The result of writing a baseline."""

    path: Path
    records: int
    gate: Gate | None
    """The comparison with the baseline that was replaced; None if there was none."""
    dropped: tuple[str, ...] = ()
    """Methods of the replaced baseline that the new one lacks."""

    def text(self) -> str:
        """The number of records written and the methods that were dropped, as text for a terminal."""
        text = f"baseline {self.path}: {self.records} records written\n"
        if self.dropped:
            text = f"no longer in the baseline: {', '.join(self.dropped)}\n{text}"
        return text


def update(
    candidate: Sequence[str | Path] | str | Path,
    path: str | Path,
    *,
    margins: Mapping[str, float] | None = None,
    fraction: float = FRACTION,
    reseeded: bool = False,
) -> Update:
    """Write the records of `candidate` to the baseline `path`, and compare them with the baseline that was there.

    Raises SyncbenchError, leaving the old baseline as it is, for a run with failed jobs (later runs could lose their
    values unnoticed), for one without records, and if the old file cannot be read.
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
