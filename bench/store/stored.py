"""What results folders and baselines hold, as types: parsed once, and what does not fit is one sentence.

All of it may come from a stranger. Rows and headers take their columns and types from `Record` and `Header`.
"""

from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, Self, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from pydantic import (
    BaseModel,
    ConfigDict,
    FailFast,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    model_validator,
    with_config,
)
from typing_extensions import NotRequired, TypedDict, is_typeddict  # noqa: UP035 (pydantic asks for these before 3.12)

from ..errors import SyncbenchError
from ..files import parse_json, unseal
from ..types import Cost, Header, Json, Record

CONFIG = ConfigDict(strict=True, frozen=True, allow_inf_nan=False, extra="ignore")
KEY = r"^[A-Za-z0-9_-]{1,64}$"
"""Keys are names of folders and files: no dots, no slashes."""
Int64 = Annotated[int, Field(ge=-(2**63), lt=2**63)]
LARGEST = 1e50
"""Largest value of a metric: sums and squares of larger ones leave the range of floats."""
Value = Annotated[float, Field(ge=-LARGEST, le=LARGEST)]
FREE = tuple(name for name, kind in get_type_hints(Record).items() if kind == Json)
"""Columns that hold JSON objects of any form."""
File = Annotated[str, StringConstraints(pattern=r"^(views/[0-9]+\.png|canvas\.png|extras\.safetensors)$")]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
M = TypeVar("M", bound=BaseModel)


def column_types(cls: type) -> dict[str, Any]:
    """Types of the columns of `Record` or `Header` as stored: whole numbers have 64 bits, keys are names."""
    return {name: _narrow(kind, name) for name, kind in get_type_hints(cls).items()}


def _narrow(kind: Any, name: str) -> Any:
    if get_origin(kind) in (Union, UnionType):
        return Union[tuple(_narrow(one, name) for one in get_args(kind))]  # noqa: UP007 (made at run time)
    if name == "key":
        return Annotated[str, StringConstraints(pattern=KEY)]
    return {int: Int64, float: Value}.get(kind, kind)


def adapter(kind: Any) -> TypeAdapter[Any]:
    """A strict reader of Python values that JSON makes."""
    return TypeAdapter(kind, config=None if is_typeddict(kind) else CONFIG)


def _table(name: str, types: dict[str, Any]) -> Any:
    made: Any = cast(Any, TypedDict)(name, types)
    return with_config(CONFIG)(made)


_TEXTS = adapter(_table("_Item", {"prompts": Annotated[list[str], Field(min_length=1)]}))
_BORDERS = adapter(_table("_Notes", {"borders": NotRequired[list[float]]}))
_Rows = Annotated[list[_table("_Row", column_types(Record))], FailFast()]
_HEADER = adapter(_table("_Header", column_types(Header)))
_ROWS = adapter(_table("_Rows", {"rows": _Rows}))
_MEMBERS = {"members": list[str], "past": NotRequired[list[str]]}
_GROUP = adapter(_table("_Group", {"cell": str, "metric": str, **_MEMBERS, "rows": _Rows}))


class Spec(BaseModel):
    """A component as a suite named it. What a stranger's folder names is text until `recorded.entry` allows it."""

    model_config = CONFIG
    spec: str
    overrides: Json = {}


class StoredPart(BaseModel):
    """A part of the suite of a results folder."""

    model_config = CONFIG
    models: tuple[Spec, ...] = ()
    datasets: tuple[Spec, ...] = ()
    methods: tuple[Spec, ...] = ()
    metrics: tuple[Spec, ...] = ()


class StoredSuite(BaseModel):
    """The suite of a results folder."""

    model_config = CONFIG
    name: str = ""
    parts: tuple[StoredPart, ...] = ()


class StoredRun(BaseModel):
    """`run.json`."""

    model_config = CONFIG
    created: str | None = None
    suite: StoredSuite = StoredSuite()
    versions: dict[str, str] = {}
    machine: Json = {}


class About(BaseModel):
    """What a method says of itself, for folders that are read where nobody has it."""

    model_config = CONFIG
    title: str = ""
    doc: str = ""
    paper: str = ""
    licence: str = ""
    presets: tuple[str, ...] = ()


class Origin(NamedTuple):
    """What the item of a sample was made from."""

    dataset: Any
    """`id`, `version` and `fields` of its data set, without the places of its files."""
    content: Any
    """What it held: `content_of`."""


class StoredJob(BaseModel):
    """`job.json`: one sample that was made, or why not."""

    model_config = CONFIG
    key: str
    header: Header
    identity: Json
    """What the key is the hash of; `item` holds at least `prompts`."""
    dataset: Spec
    status: Literal["ok", "error", "unsupported"]
    error: str | None
    """Why there is no sample; None where there is one."""
    files: dict[File, Digest] = {}
    """SHA-256 by file name, below the job's folder."""
    notes: Json = {}
    """See `Artifact.notes`."""
    cost: Cost = Cost()
    about: About | None = None
    device: str = ""
    versions: dict[str, str] = {}
    traceback: str = ""

    @property
    def prompts(self) -> list[str]:
        """Prompts of the item: one, or one per view."""
        return cast(Any, self.identity)["item"]["prompts"]

    @property
    def origin(self) -> Origin:
        """What the item was made from; what a folder does not say is None, which no item of today has."""
        return Origin(self.identity.get("dataset"), cast(Any, self.identity)["item"].get("content"))

    @property
    def borders(self) -> list[float]:
        """Pixel columns where the method's windows end; none where it says nothing."""
        return cast(Any, self.notes).get("borders", [])

    @property
    def name(self) -> str:
        """How messages call it."""
        return f"{self.header.method} {self.header.item} seed {self.header.seed}"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.header.key != self.key:
            raise ValueError("key and header.key differ")
        try:
            _HEADER.validate_python(vars(self.header))
        except ValidationError as error:
            raise ValueError(f"header.{misfit(error)}") from None
        for name, value in self:
            if not finite(value):
                raise ValueError(f"{name}: should be finite")
        if not all(finite(getattr(self.header, name)) for name in FREE):
            raise ValueError("header: should be finite")
        for kind, where, value in (
            (_TEXTS, "identity.item", self.identity.get("item")),
            (_BORDERS, "notes", self.notes),
        ):
            try:
                kind.validate_python(value)
            except ValidationError as error:
                raise ValueError(f"{where}.{misfit(error)}") from None
        if self.status == "ok" and not any(name.startswith("views/") for name in self.files):
            raise ValueError("files: names no view")
        if self.status != "ok" and not self.error:
            raise ValueError("error: gives no reason")
        return self


@dataclass(frozen=True)
class StoredGroup:
    """A file of `groups/`: what a group metric said of samples of one method, model, data set, protocol and seed."""

    cell: str
    metric: str
    members: list[str]
    """Keys of the jobs that were compared."""
    past: list[str]
    """Keys of jobs whose items had changed since."""
    rows: list[Record]


def read_job(path: Path, key: str) -> StoredJob:
    """The job of key `key` in the file `path`. Raises SyncbenchError naming the file and the field."""
    job = parsed(StoredJob, unseal(path), path)
    if job.key != key:
        raise SyncbenchError(f"{path}: key: is '{job.key}' in the folder of '{key}'")
    return job


def read_rows(path: Path, key: str) -> list[Record]:
    """The rows of one job's `scores.json`. Raises SyncbenchError likewise."""
    return _of(_checked(_ROWS, path)["rows"], {key}, path)


def read_group(path: Path) -> StoredGroup:
    """A group of `groups/`. Raises SyncbenchError likewise."""
    group: Json = {"past": [], **_checked(_GROUP, path)}
    rows = _of(group.pop("rows"), {*group["members"], *group["past"]}, path)
    return StoredGroup(**group, rows=rows)


def parsed(kind: type[M], data: bytes, path: Path) -> M:
    """JSON in `data`, which was read from `path`, as `kind`. Raises SyncbenchError naming the file and the field."""
    try:
        return kind.model_validate_json(data)
    except ValidationError as error:
        raise SyncbenchError(f"{path}: {misfit(error)}") from error


def misfit(error: ValidationError) -> str:
    """The first misfit: `field: what it should be`."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).removeprefix(".")
    said = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return f"{where}: {said}" if where else said


def _checked(kind: TypeAdapter[Any], path: Path) -> Any:
    content = parse_json(unseal(path), path)  # then checked as Python values: half the time of both in one
    try:
        return kind.validate_python(content)
    except ValidationError as error:
        raise SyncbenchError(f"{path}: {misfit(error)}") from error


def _of(rows: list[Json], keys: set[str], path: Path) -> list[Record]:
    """Rows of these jobs. Raises SyncbenchError for those of others, and for free-form columns that are not finite."""
    last: Json = {}
    for number, row in enumerate(rows):
        if row["key"] not in keys:
            raise SyncbenchError(f"{path}: rows[{number}].key: is of another job")
        for name in FREE:
            if row[name] != last.get(name):  # rows of one job are alike
                if not finite(row[name]):
                    raise SyncbenchError(f"{path}: rows[{number}].{name}: should be finite")
                last[name] = row[name]
    return [Record(**row) for row in rows]


def finite(value: Any) -> bool:
    """Whether every number in a JSON value is: 1e999 is read as infinite."""
    if isinstance(value, float):
        return isfinite(value)
    if isinstance(value, dict):
        return all(map(finite, cast(Json, value).values()))
    return not isinstance(value, list) or all(map(finite, cast(list[Any], value)))
