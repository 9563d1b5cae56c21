"""Types of the files in results folders and of baselines. Files are parsed once, into these types.

Any file may come from an untrusted source. Rows and headers take their columns and types from `Record` and `Header`.
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
from ..files.reading import parse_json
from ..files.writing import unseal
from ..types import Cost, Header, Json, Record

CONFIG = ConfigDict(strict=True, frozen=True, allow_inf_nan=False, extra="ignore")
KEY = r"^[A-Za-z0-9_-]{1,64}$"
"""Pattern of keys, which are names of folders and files: no dots, no slashes."""
Int64 = Annotated[int, Field(ge=-(2**63), lt=2**63)]
LARGEST = 1e50
"""Largest value of a metric: sums and squares of larger ones leave the range of floats."""
Value = Annotated[float, Field(ge=-LARGEST, le=LARGEST)]
FREE = tuple(name for name, kind in get_type_hints(Record).items() if kind == Json)
"""Columns of `Record` that hold JSON objects of any form."""
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
    """A validator that takes Python values as JSON gives them and converts none."""
    return TypeAdapter(kind, config=None if is_typeddict(kind) else CONFIG)


def _table(name: str, types: dict[str, Any]) -> Any:
    """A strict TypedDict of that name."""
    table: Any = cast(Any, TypedDict)(name, types)
    return with_config(CONFIG)(table)


_TEXTS = adapter(_table("_Item", {"prompts": Annotated[list[str], Field(min_length=1)]}))
_BORDERS = adapter(_table("_Notes", {"borders": NotRequired[list[float]]}))
_Rows = Annotated[list[_table("_Row", column_types(Record))], FailFast()]
_HEADER = adapter(_table("_Header", column_types(Header)))
_ROWS = adapter(_table("_Rows", {"rows": _Rows}))
_MEMBERS = {"members": list[str], "past": NotRequired[list[str]]}
_GROUP = adapter(_table("_Group", {"cell": str, "metric": str, **_MEMBERS, "rows": _Rows}))


class Spec(BaseModel):
    """A component as a suite named it. A spec of an untrusted folder stays text until `recorded.entry` allows it."""

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
    """The content of `run.json`."""

    model_config = CONFIG
    created: str | None = None
    suite: StoredSuite = StoredSuite()
    versions: dict[str, str] = {}
    machine: Json = {}


class About(BaseModel):
    """Title, docstring, paper, licence and presets of a method, for reading results where it is not installed."""

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
    """The content of `job.json`: one sample, or the reason why there is none."""

    model_config = CONFIG
    key: str
    header: Header
    identity: Json
    """The facts that the key is the hash of; its `item` holds at least `prompts`."""
    dataset: Spec
    status: Literal["ok", "error", "unsupported"]
    error: str | None
    """Why there is no sample; None where there is one."""
    files: dict[File, Digest] = {}
    """SHA-256 of the artifact's files, by path inside the job's folder."""
    notes: Json = {}
    """The artifact's notes; see `types.Artifact`."""
    cost: Cost = Cost()
    about: About | None = None
    device: str = ""
    versions: dict[str, str] = {}
    traceback: str = ""

    @property
    def prompts(self) -> list[str]:
        """Prompts of the item: one for all views, or one for each view."""
        return cast(Any, self.identity)["item"]["prompts"]

    @property
    def origin(self) -> Origin:
        """What the item was made from; what a folder does not say is None, which no item of today has."""
        return Origin(self.identity.get("dataset"), cast(Any, self.identity)["item"].get("content"))

    @property
    def borders(self) -> list[float]:
        """Pixel columns where the method's windows end; empty where it declares none."""
        return cast(Any, self.notes).get("borders", [])

    @property
    def name(self) -> str:
        """Name of the job in messages: method, item and seed."""
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
    """The job `key` in the file `path`. Raises SyncbenchError, naming file and field, for content that does not fit."""
    job = parsed(StoredJob, unseal(path), path)
    if job.key != key:
        raise SyncbenchError(f"{path}: key: is '{job.key}' in the folder of '{key}'")
    return job


def read_rows(path: Path, key: str) -> list[Record]:
    """The rows of the job `key` in its `scores.json`.

    Raises SyncbenchError, naming file and field, for content that does not fit.
    """
    return _of(_checked(_ROWS, path)["rows"], {key}, path)


def read_group(path: Path) -> StoredGroup:
    """The group in a file of `groups/`.

    Raises SyncbenchError, naming file and field, for content that does not fit.
    """
    group: Json = {"past": [], **_checked(_GROUP, path)}
    rows = _of(group.pop("rows"), {*group["members"], *group["past"]}, path)
    return StoredGroup(**group, rows=rows)


def parsed(kind: type[M], data: bytes, path: Path) -> M:
    """The JSON in `data`, which was read from `path`, as `kind`. Raises SyncbenchError that names file and field."""
    try:
        return kind.model_validate_json(data)
    except ValidationError as error:
        raise SyncbenchError(f"{path}: {misfit(error)}") from error


def misfit(error: ValidationError) -> str:
    """The first thing that does not fit, as `field: what it should be`."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).removeprefix(".")
    message = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return f"{where}: {message}" if where else message


def _checked(kind: TypeAdapter[Any], path: Path) -> Any:
    content = parse_json(unseal(path), path)  # then checked as Python values: half the time of both in one
    try:
        return kind.validate_python(content)
    except ValidationError as error:
        raise SyncbenchError(f"{path}: {misfit(error)}") from error


def _of(rows: list[Json], keys: set[str], path: Path) -> list[Record]:
    """The rows. Raises SyncbenchError if one is of a job not in `keys`, or holds a number that is not finite."""
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
    """Whether every number in a JSON value is finite; JSON such as 1e999 is read as infinity."""
    if isinstance(value, float):
        return isfinite(value)
    if isinstance(value, dict):
        return all(map(finite, cast(Json, value).values()))
    return not isinstance(value, list) or all(map(finite, cast(list[Any], value)))
