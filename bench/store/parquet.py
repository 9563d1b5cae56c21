"""Records in one small Parquet file, such as a baseline that git keeps and the gate compares with.

The file has the columns of `Record`; `params` and `protocol` are JSON text, and the metadata holds the schema and a
checksum of the rows. Wherever results folders are read, such a file may take the place of one.
"""

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np
import pandas as pd
from pydantic import TypeAdapter, ValidationError

from ..errors import SyncbenchError
from ..files.reading import parse_json, read_bytes
from ..files.writing import write_whole
from ..types import SCHEMA, Json, Record
from .stored import LARGEST, adapter, column_types, finite, misfit

SUFFIX = ".parquet"
VERSION = "syncbench_schema"
"""Name, in the file's metadata, of the schema's version."""
DIGEST = "syncbench_rows"
"""Name, in the file's metadata, of the rows' checksum."""
ROWS = 2_000_000
"""Largest number of rows, as the file declares it, that are read."""
UNPACKED = 2**30
"""Largest number of unpacked bytes, as the file declares it, that are read."""
ORDER = ["family", "dataset", "model", "method", "item", "seed", "metric", "fingerprint", "key"]


def write_parquet(records: pd.DataFrame, path: Path) -> None:
    """Write records, all of them or nothing, sorted, so that equal records give equal files.

    Raises SyncbenchError for a path that does not end in SUFFIX, and where it cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.suffix != SUFFIX:
        raise SyncbenchError(f"a baseline is one {SUFFIX} file: '{path}' is not called so")
    frame: Any = records.drop_duplicates(["key", "metric", "metric_version", "fingerprint"]).sort_values(ORDER)
    columns: dict[str, Any] = {}
    for name, column in _columns().items():
        values = frame[name].tolist()
        if column.json:
            values = [json.dumps(value, sort_keys=True) for value in values]
        columns[name] = pa.array(values, column.type(), from_pandas=True)
    table = pa.table(columns).replace_schema_metadata({VERSION: str(SCHEMA), DIGEST: rows_digest(columns)})
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", write_page_checksum=True)
    write_whole(path, buffer.getvalue())


def read_parquet(path: Path) -> pd.DataFrame:
    """The records of a file that `write_parquet` wrote.

    Raises SyncbenchError, which names file and column, for other columns and types, values that no record has, rows
    that do not match their checksum, and files that would fill the memory.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise SyncbenchError(f"no baseline '{path}': write it with `syncbench gate DIR --baseline {path} --update`")
    data = pa.BufferReader(read_bytes(path))
    known = _columns()
    texts = [name for name, column in known.items() if column.kind is str]
    try:
        file = pq.ParquetFile(data)
        facts = file.schema_arrow.metadata or {}
        schema = facts.get(VERSION.encode(), b"none").decode()
        if schema != str(SCHEMA):
            raise SyncbenchError(f"'{path}' has records of schema {schema}, and this syncbench reads schema {SCHEMA}")
        _check_columns(file, path)
        # As dictionaries, a text that every row repeats is held once, whatever its length.
        file = pq.ParquetFile(data, read_dictionary=texts, page_checksum_verification=True)
        table = file.read()
        table.validate(full=True)  # damage may leave a row that names no text
        table = table.unify_dictionaries().combine_chunks()
        columns = {name: _combined(table.column(name)) for name in known}
        size = sum(_characters(columns[name]) for name in texts)
        if size > UNPACKED:
            raise SyncbenchError(f"'{path}' has {size:,} bytes of text in its rows: at most {UNPACKED:,} are read")
        if facts.get(DIGEST.encode(), b"").decode() != rows_digest(columns):
            raise SyncbenchError(f"'{path}' does not match its checksum: it was damaged or edited; write it again")
        values = {name: _values(column, columns[name], f"{path}: {name}") for name, column in known.items()}
    except (pa.ArrowException, OSError, ValueError) as error:
        raise SyncbenchError(f"cannot read {path}: {(str(error).splitlines() or [''])[0]}") from error
    frame = pd.DataFrame(values, columns=pd.Index(Record.columns()))
    return frame.astype({"value": "float64", "coverage": "float64", "primary": "Int64"})


def rows_digest(columns: Mapping[str, Any]) -> str:
    """SHA-256 of the rows in Arrow arrays by name, independent of their encoding.

    The checksum reveals damage and edits. It does not stop a forger, who can compute it as well.
    """
    seen = hashlib.sha256()
    for name, column in columns.items():
        valid = np.asarray(column.is_valid())
        if _columns()[name].kind is str:
            texts, places = _texts(column)
            used = np.unique(places[valid])
            order = sorted(used.tolist(), key=texts.__getitem__)
            ranks = np.full(len(texts) + 1, -1, dtype="<i4")
            ranks[order] = np.arange(len(order))
            distinct, numbers = [texts[n] for n in order], ranks[places]
        else:
            distinct, numbers = [], column.fill_null(0).to_numpy(zero_copy_only=False)
        seen.update(json.dumps([name, len(column), distinct]).encode())
        seen.update(np.packbits(valid).tobytes())
        seen.update(np.ascontiguousarray(numbers, dtype=numbers.dtype.newbyteorder("<")).tobytes())
    return seen.hexdigest()


@dataclass(frozen=True)
class _Column:
    """How a column of `Record` is stored."""

    kind: type
    """`int`, `float` or `str`."""
    checked: TypeAdapter[Any]
    """Checks the list of the column's values."""
    json: bool
    """Whether the text of a value is JSON."""
    missing: bool
    """Whether values may be missing."""

    def type(self) -> Any:
        """The Arrow type of the column."""
        import pyarrow as pa

        return {int: pa.int64(), float: pa.float64(), str: pa.string()}[self.kind]


@cache
def _columns() -> dict[str, _Column]:
    """How each column of `Record` is stored, by name, in order."""
    columns: dict[str, _Column] = {}
    narrow = column_types(Record)
    for name, kind in get_type_hints(Record).items():
        kinds = set(get_args(kind)) if get_origin(kind) in (Union, UnionType) else {kind}
        of: Any = next((one for one in (int, float) if one in kinds), str)
        columns[name] = _Column(of, adapter(list[narrow[name]]), Json in kinds, type(None) in kinds)
    return columns


def _check_columns(file: Any, path: Path) -> None:
    """Raises SyncbenchError unless the file has the columns of `Record`, with their types, and fits in memory."""
    import pyarrow as pa

    types = {field.name: field.type for field in file.schema_arrow}
    for name, column in _columns().items():
        if name not in types:
            raise SyncbenchError(f"'{path}' has no column '{name}'")
        own = types[name].value_type if pa.types.is_dictionary(types[name]) else types[name]
        if own != column.type():
            raise SyncbenchError(f"'{path}': column '{name}' is {own}, not {column.type()}")
    if len(file.schema_arrow) != len(_columns()):
        raise SyncbenchError(f"'{path}' has columns that records have not, or one of them twice")
    facts = file.metadata
    unpacked = sum(facts.row_group(n).total_byte_size for n in range(facts.num_row_groups))
    if facts.num_rows > ROWS or unpacked > UNPACKED:
        raise SyncbenchError(
            f"'{path}' has {facts.num_rows:,} rows and {unpacked:,} bytes: at most {ROWS:,} and {UNPACKED:,} are read"
        )


def _combined(column: Any) -> Any:
    """A chunked column as one array."""
    import pyarrow as pa

    array = column.combine_chunks()
    return array if isinstance(array, pa.Array) else pa.concat_arrays(array.chunks)


def _texts(column: Any) -> tuple[list[str], Any]:
    """The distinct texts of a column, and for each row the number of its text; rows without text have `len(texts)`."""
    import pyarrow as pa

    coded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    texts: list[str] = coded.dictionary.to_pylist()
    return texts, coded.indices.fill_null(len(texts)).to_numpy(zero_copy_only=False)


def _characters(column: Any) -> int:
    """Number of characters of a column's texts, summed over its rows."""
    texts, places = _texts(column)
    return int(np.array([*map(len, texts), 0])[places].sum())


def _values(column: _Column, array: Any, where: str) -> Any:
    """An Arrow array as the column of a DataFrame. Raises SyncbenchError for values that no record has."""
    if array.null_count and not column.missing:
        raise SyncbenchError(f"{where}: {array.null_count:,} values are missing")
    if column.kind is not str:
        numbers = array.to_numpy(zero_copy_only=False)
        valid = array.drop_null().to_numpy(zero_copy_only=False)
        if column.kind is float and not (np.abs(valid) <= LARGEST).all():
            raise SyncbenchError(f"{where}: should be finite, and at most {LARGEST:g}")
        return numbers
    texts, places = _texts(array)
    try:
        distinct = [parse_json(text.encode(), Path(where)) for text in texts] if column.json else texts
        distinct = column.checked.validate_python(distinct)
        if not finite(distinct):
            raise SyncbenchError(f"{where}: should be finite")
    except ValidationError as error:
        raise SyncbenchError(f"{where}: {misfit(error)}") from error
    every = np.empty(len(distinct) + 1, dtype=object)
    every[:-1] = distinct
    return every[places]
