"""Suites: short TOML files, checked strictly, that list the methods, models, datasets, metrics and seeds of a sweep.

title = "What this suite is for"
model = "reference"                  # or models = [...]
datasets = ["panoramas"]
methods = ["independent", { id = "multidiffusion", stride = 0.25 }]
metrics = ["seam_ratio"]
seeds = [0, 1]
limit = 8                            # first items of each dataset; leave out for all
protocol = { steps = 12 }            # changes to the datasets' own protocol
any_size = true                      # views need not be of the model's native size

A suite of several families has parts, each crossed by itself; a part inherits from the top what it leaves out:

[[parts]]
datasets = ["world_videos"]
model = "motion"
methods = ["independent", "animatediff"]
"""

import json
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from ..catalogue.fields import DEEPEST, as_json, check_text, convert, value_text
from ..catalogue.listing import Kind
from ..catalogue.registry import FILE, find, is_checkpoint, label, load, split, suggest
from ..errors import SyncbenchError, quoted
from ..files.reading import is_file, read_text
from ..limits import PARTS, SEED

FOLDER = Path(__file__).parent
PART_KEYS = ("model", "models", "datasets", "methods", "metrics", "seeds", "items", "limit", "protocol", "any_size")
KEYS = ("title", *PART_KEYS, "parts")
LONGEST = 4_096
"""Largest number of characters of a component's name, which may be a path."""


@dataclass(frozen=True)
class Entry:
    """One component as a suite names it: a spec and field overrides. Nothing is imported until `load`."""

    kind: Kind
    spec: str
    overrides: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def label(self) -> str:
        """The name of the component in tables."""
        return label(self.spec, self.overrides)

    @property
    def token(self) -> str:
        """A text that is equal for equal entries only, for use as the key of a cache."""
        return json.dumps([self.kind, self.spec, as_json(self.overrides)], sort_keys=True)

    def load(self) -> Any:
        """An instance of the component. Raises SyncbenchError; see `registry.load`."""
        return load(self.kind, self.spec, self.overrides)

    def named(self, word: str) -> bool:
        """Whether `word` means this entry: its id, its id@preset or its label; for any model, `model`."""
        if word in (split(self.spec)[0], self.spec, self.label, label(split(self.spec)[0])):
            return True
        return self.kind == "models" and (word == "model" or (word == "diffusers" and is_checkpoint(self.spec)))

    def with_overrides(self, values: Mapping[str, Any]) -> "Entry":
        """This entry with further field values, which replace its own."""
        return replace(self, overrides={**self.overrides, **values})


@dataclass(frozen=True, kw_only=True)
class Part:
    """Models, datasets, methods and seeds that are fully crossed, all scored by the same metrics."""

    models: tuple[Entry, ...]
    datasets: tuple[Entry, ...]
    methods: tuple[Entry, ...]
    metrics: tuple[Entry, ...] = ()
    seeds: tuple[int, ...] = (0,)
    items: tuple[str, ...] = ()
    """Ids of the items that are kept; empty keeps all."""
    limit: int | None = None
    """Number of items of each dataset that are kept, the first ones; None keeps all."""
    protocol: dict[str, Any] = field(default_factory=dict[str, Any])
    """Changes to the protocol of the datasets."""
    any_size: bool = False
    """Whether views need not be of the model's native size."""

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Every component of the part: models, datasets, methods, metrics."""
        return (*self.models, *self.datasets, *self.methods, *self.metrics)


@dataclass(frozen=True, kw_only=True)
class Suite:
    """The parts of a sweep, after the suite's file and the command line have been read."""

    name: str
    title: str = ""
    parts: tuple[Part, ...]

    def listed(self, kind: Kind) -> tuple[Entry, ...]:
        """Every component of one kind, once, in order."""
        return unique([entry for part in self.parts for entry in part.entries if entry.kind == kind])

    def as_json(self) -> dict[str, Any]:
        """The suite as JSON, for `run.json`."""
        return as_json(asdict(self))


def list_suites() -> list[dict[str, str]]:
    """`id` and `title` of every suite of the package, sorted by id."""
    return [{"id": path.stem, "title": _parse(path).get("title", "")} for path in sorted(FOLDER.glob("*.toml"))]


def shipped_metrics(datasets: Collection[str]) -> tuple[Entry, ...]:
    """The metrics that the suites of the package name for any of the data sets with these ids, each once."""
    found: list[Entry] = []
    for path in sorted(FOLDER.glob("*.toml")):
        top = _parse(path)
        for part in ({**top, **own} for own in top.get("parts", [{}])):
            named = {one if isinstance(one, str) else one["id"] for one in part.get("datasets", ())}
            if named & set(datasets):
                given = [{"id": one} if isinstance(one, str) else dict(one) for one in part.get("metrics", ())]
                found += [Entry("metrics", one.pop("id"), one) for one in given]
    return unique(found)


def read_suite(suite: str | Path | Mapping[str, Any]) -> Suite:
    """A suite by its name, by the path of a TOML file, or from a mapping of a file's keys.

    Raises SyncbenchError for an unknown name, unknown keys, and values of the wrong type.
    """
    if isinstance(suite, Mapping):
        return _checked(suite, "custom", "the suite")
    path = Path(suite)
    if path.suffix == ".toml" or is_file(path):
        if not is_file(path):
            raise SyncbenchError(f"no suite file '{quoted(path)}'")
        return _checked(_parse(path), path.stem, str(path))
    names = {entry["id"] for entry in list_suites()}
    if str(suite) not in names:
        raise SyncbenchError(f"unknown suite '{quoted(suite)}'{suggest(str(suite), names, 'known are')}")
    return _with_data(_checked(_parse(FOLDER / f"{suite}.toml"), str(suite), f"suite {suite}"))


def _with_data(suite: Suite) -> Suite:
    """The suite with the paths of its datasets' files, where these are in the folder `data` beside the suites."""

    def placed(entry: Entry) -> Entry:
        path = FOLDER / "data" / str(entry.overrides.get("path") or ".")
        return entry.with_overrides({"path": str(path)}) if is_file(path) else entry

    parts = tuple(replace(part, datasets=tuple(placed(entry) for entry in part.datasets)) for part in suite.parts)
    return replace(suite, parts=parts)


def unique(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """The entries in order, each once."""
    return tuple({entry.token: entry for entry in entries}.values())


def checked_entry(entry: Entry) -> Entry:
    """The entry itself. Raises SyncbenchError for an unknown id; files, modules and checkpoints are not checked."""
    base = split(entry.spec)[0]
    if ":" not in base and "/" not in base and not FILE.search(base) and not is_checkpoint(base):
        find(entry.kind, base, entry.spec)
    return entry


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(read_text(path, 2**22))
    except RecursionError as error:
        raise SyncbenchError(f"{path}: nested too deeply") from error
    except ValueError as error:  # TOMLDecodeError, and whole numbers of thousands of digits
        raise SyncbenchError(f"{path}: not TOML: {error}") from error


def _checked(data: Mapping[str, Any], name: str, where: str) -> Suite:
    _well_formed(data, where)
    _check_keys(data, KEYS, where)
    top = {key: value for key, value in data.items() if key in PART_KEYS}
    listed = data.get("parts", [{}])
    if not isinstance(listed, list) or not listed:
        raise SyncbenchError(f"{where}: 'parts' must be a list of tables, [[parts]] in TOML")
    if len(cast(list[Any], listed)) > PARTS:
        raise SyncbenchError(f"{where}: {len(cast(list[Any], listed)):,} parts are more than the {PARTS} of one suite")
    parts: list[Part] = []
    for number, one in enumerate(cast(list[Any], listed), 1):
        place = where if "parts" not in data else f"{where}: part {number}"
        if not isinstance(one, Mapping):
            raise SyncbenchError(f"{place}: not a table")
        own = cast(Mapping[str, Any], one)
        _check_keys(own, PART_KEYS, place)
        # a part that names its model replaces either spelling of the default
        inherited = {
            k: v for k, v in top.items() if k not in ("model", "models") or not {"model", "models"} & own.keys()
        }
        parts.append(_part({**inherited, **own}, place))
    return Suite(name=name, title=convert(data.get("title", ""), str, f"{where}: title"), parts=tuple(parts))


def _well_formed(value: Any, where: str, depth: int = 0) -> None:
    """Raises SyncbenchError for what no TOML file can hold: lone surrogates, keys that are no text, endless nesting."""
    if depth > DEEPEST:
        raise SyncbenchError(f"{where}: nested more than {DEEPEST} levels deep")
    if isinstance(value, str):
        check_text(value, where)
    elif isinstance(value, Mapping):
        for key, inner in cast(Mapping[Any, Any], value).items():
            if not isinstance(key, str):
                raise SyncbenchError(f"{where}: the key {value_text(key)} is no text")
            check_text(key, where)
            _well_formed(inner, where, depth + 1)
    elif isinstance(value, list | tuple):
        for inner in cast(Sequence[Any], value):
            _well_formed(inner, where, depth + 1)


def _check_keys(data: Mapping[str, Any], keys: Sequence[str], where: str) -> None:
    for key in data:
        if key not in keys:
            raise SyncbenchError(f"{where}: unknown key '{quoted(key)}'{suggest(key, keys, 'known are')}")


def _part(data: Mapping[str, Any], where: str) -> Part:
    if ("model" in data) == ("models" in data):
        raise SyncbenchError(f"{where}: give either 'model' or 'models'")
    models = data["models"] if "models" in data else [data["model"]]
    for key, value in (("models", models), ("datasets", data.get("datasets")), ("methods", data.get("methods"))):
        if not value:
            raise SyncbenchError(f"{where}: '{key}' is missing or empty")
    seeds = convert(data.get("seeds", [0]), tuple[int, ...], f"{where}: seeds")
    if not seeds or not 0 <= min(seeds) <= max(seeds) <= SEED:
        raise SyncbenchError(f"{where}: seeds must be a list of numbers from 0 to 2^63 - 1")
    limit = convert(data.get("limit"), int | None, f"{where}: limit")
    if limit is not None and limit < 1:
        raise SyncbenchError(f"{where}: limit = {limit} leaves no items: use 1 or more, or leave it out")
    return Part(
        models=_entries("models", models, where),
        datasets=_entries("datasets", data["datasets"], where),
        methods=_entries("methods", data["methods"], where),
        metrics=_entries("metrics", data.get("metrics", []), where),
        seeds=tuple(dict.fromkeys(seeds)),
        items=convert(data.get("items", []), tuple[str, ...], f"{where}: items"),
        limit=limit,
        protocol=convert(data.get("protocol", {}), dict[str, Any], f"{where}: protocol"),
        any_size=convert(data.get("any_size", False), bool, f"{where}: any_size"),
    )


def _entries(kind: Kind, listed: Any, where: str) -> tuple[Entry, ...]:
    if not isinstance(listed, list | tuple):
        raise SyncbenchError(f"{where}: '{kind}' must be a list")
    entries: list[Entry] = []
    for one in cast(Sequence[Any], listed):
        if isinstance(one, str):
            entry = Entry(kind, one)
        elif isinstance(one, Mapping) and isinstance(cast(Mapping[str, Any], one).get("id"), str):
            values = dict(cast(Mapping[str, Any], one))
            entry = Entry(kind, values.pop("id"), values)
        else:
            raise SyncbenchError(f"{where}: in '{kind}', {value_text(one)} is neither a name nor a table with an 'id'")
        if not entry.spec.isprintable() or not 0 < len(entry.spec) <= LONGEST:
            raise SyncbenchError(f"{where}: in '{kind}', '{quoted(entry.spec)}' can be no name")
        try:
            entries.append(checked_entry(entry))
        except SyncbenchError as error:
            raise SyncbenchError(f"{where}: {error}") from error
    return unique(entries)
