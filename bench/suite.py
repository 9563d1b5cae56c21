"""Suites: which methods, models, datasets, metrics and seeds a sweep crosses. Short TOML files, checked strictly.

title = "What this suite is for"
model = "reference"                  # or models = [...]
datasets = ["panoramas"]
methods = ["independent", { id = "multidiffusion", stride = 0.25 }]
metrics = ["seam_ratio"]
seeds = [0, 1]
limit = 8                            # first items of each dataset; leave out for all
protocol = { steps = 12 }            # changes to the datasets' own protocol
"""

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypedDict, Unpack, cast

from .errors import SyncbenchError
from .listing import Kind
from .options import as_json, convert, field_types, parse_assignments
from .registry import find, label, load, load_class, split, suggest

FOLDER = Path(__file__).parent / "suites"
KEYS = ("title", "model", "models", "datasets", "methods", "metrics", "seeds", "items", "limit", "protocol")


@dataclass(frozen=True)
class Entry:
    """One component as a suite names it: a spec and field overrides. Plain data."""

    kind: Kind
    spec: str
    overrides: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def label(self) -> str:
        """What tables call it."""
        return label(self.spec, self.overrides)

    @property
    def token(self) -> str:
        """A hashable name of exactly this component, for caches."""
        return json.dumps([self.kind, self.spec, as_json(self.overrides)], sort_keys=True)

    def load(self) -> Any:
        """An instance."""
        return load(self.kind, self.spec, self.overrides)

    def named(self, word: str) -> bool:
        """Whether `word` means this entry: its id, its id@preset or its label."""
        return word in (split(self.spec)[0], self.spec, self.label, label(split(self.spec)[0]))

    def with_overrides(self, values: Mapping[str, Any]) -> "Entry":
        """The same component with further field values."""
        return replace(self, overrides={**self.overrides, **values})


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A sweep as resolved from file and command line."""

    name: str
    title: str = ""
    models: tuple[Entry, ...]
    datasets: tuple[Entry, ...]
    methods: tuple[Entry, ...]
    metrics: tuple[Entry, ...] = ()
    seeds: tuple[int, ...] = (0,)
    items: tuple[str, ...] = ()
    """Item ids to keep; empty: all."""
    limit: int | None = None
    """First items of each dataset to keep."""
    protocol: dict[str, Any] = field(default_factory=dict[str, Any])
    """Changes to the protocol of the datasets."""

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        """Every component of the suite."""
        return (*self.models, *self.datasets, *self.methods, *self.metrics)

    def as_json(self) -> dict[str, Any]:
        """For `run.json`."""
        return as_json(asdict(self))


def list_suites() -> list[dict[str, str]]:
    """Id and title of the suites that come along."""
    found = [(path.stem, _parse(path).get("title", "")) for path in sorted(FOLDER.glob("*.toml"))]
    return [{"id": id, "title": title} for id, title in found]


def read_suite(suite: str | Path | Mapping[str, Any]) -> Suite:
    """A suite by name, by path of a TOML file, or as a mapping. Raises SyncbenchError for anything misspelt."""
    if isinstance(suite, Mapping):
        return _checked(suite, "custom", "the suite")
    path = Path(suite)
    if path.suffix == ".toml" or path.is_file():
        if not path.is_file():
            raise SyncbenchError(f"no suite file '{path}'")
        return _checked(_parse(path), path.stem, str(path))
    known = {entry["id"] for entry in list_suites()}
    if str(suite) not in known:
        raise SyncbenchError(f"unknown suite '{suite}'{suggest(str(suite), known, 'known are')}")
    return _checked(_parse(FOLDER / f"{suite}.toml"), str(suite), f"suite {suite}")


class Narrowing(TypedDict, total=False):
    """How a command or call changes a suite; the options of `syncbench run`."""

    methods: Sequence[str] | None
    datasets: Sequence[str] | None
    metrics: Sequence[str] | None
    items: Sequence[str] | None
    limit: int | None
    """First items of each dataset."""
    seeds: Sequence[int] | None
    model: str | None
    """Instead of the suite's: id, folder or hub id."""
    overrides: Sequence[str]
    """`name.field=value` or `protocol.field=value`."""
    device: str | None


def narrowed(suite: Suite, **how: Unpack[Narrowing]) -> Suite:
    """The suite as the command line changes it. A name the suite already has keeps the suite's overrides."""
    for name in how:
        if name not in Narrowing.__annotations__:
            known = suggest(name, Narrowing.__annotations__, "there is")
            raise TypeError(f"no option '{name}' to narrow a suite by{known}")
    limit, items, seeds, model = how.get("limit"), how.get("items"), how.get("seeds"), how.get("model")
    if limit is not None and limit < 1:
        raise SyncbenchError(f"--limit {limit} leaves no items: use 1 or more")
    suite = replace(
        suite,
        methods=_picked("methods", suite.methods, how.get("methods")),
        datasets=_picked("datasets", suite.datasets, how.get("datasets")),
        metrics=_picked("metrics", suite.metrics, how.get("metrics")),
        models=_picked("models", suite.models, None if model is None else [model]),
        items=suite.items if items is None else tuple(items),
        limit=suite.limit if limit is None else limit,
        seeds=suite.seeds if seeds is None else tuple(seeds),
    )
    for owner, values in parse_assignments(how.get("overrides", ())).items():
        suite = _assigned(suite, owner, values)
    device = how.get("device")
    if device is not None:
        suite = replace(suite, models=tuple(m.with_overrides({"device": device}) for m in suite.models))
    return suite


def _assigned(suite: Suite, owner: str, values: dict[str, str]) -> Suite:
    if owner == "protocol":
        return replace(suite, protocol={**suite.protocol, **values})
    if not any(entry.named(owner) for entry in suite.entries):
        known = {split(entry.spec)[0] for entry in suite.entries} | {"protocol"}
        raise SyncbenchError(f"--set {owner}...: nothing of that name in the suite{suggest(owner, known, 'it has')}")

    def changed(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
        return tuple(e.with_overrides(_typed(e, values)) if e.named(owner) else e for e in entries)

    return replace(
        suite,
        models=changed(suite.models),
        datasets=changed(suite.datasets),
        methods=changed(suite.methods),
        metrics=changed(suite.metrics),
    )


def _typed(entry: Entry, values: dict[str, str]) -> dict[str, Any]:
    """Strings as the fields' types, so that 0.50 and 0.5 are one label; unknown fields are left for `load`."""
    types = field_types(load_class(entry.kind, split(entry.spec)[0]))
    return {k: convert(v, types[k], f"{entry.spec}.{k}") if k in types else v for k, v in values.items()}


def _picked(kind: Kind, entries: tuple[Entry, ...], names: Sequence[str] | None) -> tuple[Entry, ...]:
    if names is None:
        return entries
    picked: list[Entry] = []
    for name in names:
        exact = [entry for entry in entries if name in (entry.spec, entry.label)]
        picked += exact or [entry for entry in entries if entry.named(name)] or [_known(Entry(kind, name))]
    return _unique(picked)


def _unique(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    return tuple({entry.token: entry for entry in entries}.values())


def _known(entry: Entry) -> Entry:
    """The entry, once its id is known to exist; nothing is imported for a plain id."""
    base = split(entry.spec)[0]
    if ":" not in base and "/" not in base and not base.endswith(".py"):
        find(entry.kind, base)
    return entry


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise SyncbenchError(f"{path}: not TOML: {error}") from error
    except UnicodeDecodeError as error:
        raise SyncbenchError(f"{path}: not UTF-8") from error
    except OSError as error:
        raise SyncbenchError(f"cannot read {path}: {error.strerror}") from error


def _checked(data: Mapping[str, Any], name: str, where: str) -> Suite:
    for key in data:
        if key not in KEYS:
            raise SyncbenchError(f"{where}: unknown key '{key}'{suggest(key, KEYS, 'known are')}")
    if ("model" in data) == ("models" in data):
        raise SyncbenchError(f"{where}: give either 'model' or 'models'")
    models = data["models"] if "models" in data else [data["model"]]
    for key in ("datasets", "methods"):
        if not data.get(key):
            raise SyncbenchError(f"{where}: '{key}' is missing or empty")
    seeds = convert(data.get("seeds", [0]), tuple[int, ...], f"{where}: seeds")
    if not seeds or min(seeds) < 0:
        raise SyncbenchError(f"{where}: seeds must be a list of numbers from 0 up")
    limit = convert(data.get("limit"), int | None, f"{where}: limit")
    if limit is not None and limit < 1:
        raise SyncbenchError(f"{where}: limit = {limit} leaves no items: use 1 or more, or leave it out")
    return Suite(
        name=name,
        title=convert(data.get("title", ""), str, f"{where}: title"),
        models=_entries("models", models, where),
        datasets=_entries("datasets", data["datasets"], where),
        methods=_entries("methods", data["methods"], where),
        metrics=_entries("metrics", data.get("metrics", []), where),
        seeds=tuple(dict.fromkeys(seeds)),
        items=convert(data.get("items", []), tuple[str, ...], f"{where}: items"),
        limit=limit,
        protocol=convert(data.get("protocol", {}), dict[str, Any], f"{where}: protocol"),
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
            raise SyncbenchError(f"{where}: in '{kind}', {one!r} is neither a name nor a table with an 'id'")
        try:
            entries.append(_known(entry))
        except SyncbenchError as error:
            raise SyncbenchError(f"{where}: {error}") from error
    return _unique(entries)
