"""A baseline: the records of a run in one small file, for the gate to compare with and for git to keep.

Parquet with the columns of `Record`; `params` and `protocol` are JSON text, and the file's metadata holds the schema.
Wherever results folders are read, such a file may stand in place of one.
"""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# (pyarrow has no type stubs.)

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from .errors import SyncbenchError
from .files import clear_stale, disk, flush, temporary, write_bytes
from .gate import FRACTION, Gate, compare
from .records import load
from .types import SCHEMA, Record

SUFFIX = ".parquet"
OBJECTS = ("params", "protocol")
INTEGERS = ("dataset_version", "method_version", "seed", "metric_version", "primary")
NUMBERS = ("value", "coverage")
ORDER = ["family", "dataset", "model", "method", "item", "seed", "metric", "fingerprint", "key"]


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


def write(records: pd.DataFrame, path: Path) -> None:
    """Write records whole or not at all, in an order that does not depend on how they were found."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.suffix != SUFFIX:
        raise SyncbenchError(f"a baseline is one {SUFFIX} file: '{path}' is not called so")
    table: Any = records.drop_duplicates(["key", "metric", "metric_version", "fingerprint"]).sort_values(ORDER)
    content: dict[str, Any] = {name: table[name].tolist() for name in Record.columns()}
    for name in OBJECTS:
        content[name] = [json.dumps(value, sort_keys=True) for value in content[name]]
    kinds = {name: pa.int64() for name in INTEGERS} | {name: pa.float64() for name in NUMBERS}
    schema = pa.schema(
        [(name, kinds.get(name, pa.string())) for name in Record.columns()], {"syncbench_schema": str(SCHEMA)}
    )
    arrays = [pa.array(content[field.name], field.type, from_pandas=True) for field in schema]
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), buffer, compression="zstd")
    with disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        clear_stale(path.parent, path.name)
        with temporary(path) as draft:
            write_bytes(draft, buffer.getvalue())
            draft.replace(path)
        flush(path.parent)


def read(path: Path) -> pd.DataFrame:
    """The records of a file that `write` wrote. Raises SyncbenchError for anything else."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise SyncbenchError(f"no baseline '{path}': write it with `syncbench gate DIR --baseline {path} --update`")
    try:
        table = pq.read_table(path)
        schema = (table.schema.metadata or {}).get(b"syncbench_schema", b"none").decode()
        columns: dict[str, list[Any]] = table.to_pydict()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise SyncbenchError(f"cannot read {path}: {str(error).splitlines()[0]}") from error
    if schema != str(SCHEMA) or set(columns) != set(Record.columns()):
        raise SyncbenchError(f"'{path}' has records of schema {schema}, and this syncbench reads schema {SCHEMA}")
    for name in OBJECTS:
        known = {text: json.loads(text) for text in set(columns[name])}
        columns[name] = [known[text] for text in columns[name]]
    frame = pd.DataFrame(columns, columns=pd.Index(Record.columns()))
    return frame.astype({"value": "float64", "coverage": "float64", "primary": "Int64"})


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
    records: Any = load(candidate)
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
        old: Any = read(target)
        answer = compare(records, old, margins=margins, fraction=fraction, reseeded=reseeded)
        dropped = tuple(sorted(set(old["method"]) - set(records["method"])))
    write(records, target)
    return Update(path=target, records=len(records), gate=answer, dropped=dropped)
