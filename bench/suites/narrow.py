"""Options that change a suite: fewer or other components, fewer items, other seeds, other field values."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypedDict, Unpack

from ..catalogue.fields import convert, field_types, parse_assignments
from ..catalogue.listing import Kind, list_components
from ..catalogue.registry import label, load_class, split, suggest
from ..errors import SyncbenchError, quoted
from ..limits import SEED
from ..types import FAMILIES
from .suite import Entry, Part, Suite, checked_entry, unique


class Narrowing(TypedDict, total=False):
    """The options of `syncbench run` that change a suite."""

    families: Sequence[str] | None
    """Families whose datasets are kept."""
    methods: Sequence[str] | None
    datasets: Sequence[str] | None
    metrics: Sequence[str] | None
    items: Sequence[str] | None
    limit: int | None
    """Number of items of each dataset that are kept, the first ones."""
    seeds: Sequence[int] | None
    model: str | None
    """Model in place of the suite's: id, folder or hub id."""
    overrides: Sequence[str]
    """Field values, as `name.field=value` or `protocol.field=value`."""
    device: str | None
    any_size: bool
    """Whether views need not be of the model's native size."""


def narrowed(suite: Suite, **how: Unpack[Narrowing]) -> Suite:
    """The suite as the options `how` change it. A component that the suite has keeps the suite's overrides.

    Raises SyncbenchError for unknown names, and where nothing is left; TypeError for an option that does not exist.
    """
    for name in how:
        if name not in Narrowing.__annotations__:
            hint = suggest(name, Narrowing.__annotations__, "there is")
            raise TypeError(f"no option '{name}' to narrow a suite by{hint}")
        if isinstance(how[name], str) and name not in ("model", "device"):
            raise SyncbenchError(f"{name} = '{quoted(how[name], 60)}' is one text: give a list, also of one name")
    limit, items, seeds, model = how.get("limit"), how.get("items"), how.get("seeds"), how.get("model")
    if limit is not None and limit < 1:
        raise SyncbenchError(f"--limit {limit} leaves no items: use 1 or more")
    if seeds is not None and not (seeds and all(0 <= seed <= SEED for seed in seeds)):
        raise SyncbenchError("seeds are whole numbers from 0 to 2^63 - 1, at least one")
    parts = _of_families(suite.parts, how.get("families"))
    for kind in ("datasets", "methods", "metrics"):
        parts = _picked(kind, parts, how.get(kind))
    if not parts:
        raise SyncbenchError("no part of the suite has both the chosen datasets and the chosen methods")
    if model is not None:
        listed = unique([entry for part in parts for entry in part.models])
        parts = tuple(replace(part, models=entries_named("models", listed, model)) for part in parts)
    parts = tuple(
        replace(
            part,
            items=part.items if items is None else tuple(items),
            limit=part.limit if limit is None else limit,
            seeds=part.seeds if seeds is None else tuple(seeds),
            any_size=part.any_size or bool(how.get("any_size")),
        )
        for part in parts
    )
    for owner, values in parse_assignments(how.get("overrides", ())).items():
        parts = _assigned(parts, owner, values)
    device = how.get("device")
    if device is not None:
        parts = tuple(
            replace(part, models=tuple(m.with_overrides({"device": device}) for m in part.models)) for part in parts
        )
    return replace(suite, parts=parts)


def _of_families(parts: tuple[Part, ...], names: Sequence[str] | None) -> tuple[Part, ...]:
    if names is None:
        return parts
    for name in names:
        if name not in FAMILIES:
            raise SyncbenchError(f"unknown family '{name}'{suggest(name, FAMILIES, 'there are')}")
    narrower = [replace(p, datasets=tuple(d for d in p.datasets if _family(d) in names)) for p in parts]
    kept = tuple(part for part in narrower if part.datasets)
    if not kept:
        raise SyncbenchError(f"the suite has no dataset of {', '.join(names)}")
    return kept


def _assigned(parts: tuple[Part, ...], owner: str, values: dict[str, str]) -> tuple[Part, ...]:
    if owner == "protocol":
        return tuple(replace(part, protocol={**part.protocol, **values}) for part in parts)
    if not any(entry.named(owner) for part in parts for entry in part.entries):
        names = {label(split(entry.spec)[0]) for part in parts for entry in part.entries} | {"protocol", "model"}
        raise SyncbenchError(
            f"--set {quoted(owner)}...: nothing of that name in the suite{suggest(owner, names, 'it has')}"
        )

    def changed(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
        return tuple(e.with_overrides(_typed(e, values)) if e.named(owner) else e for e in entries)

    return tuple(
        replace(
            part,
            models=changed(part.models),
            datasets=changed(part.datasets),
            methods=changed(part.methods),
            metrics=changed(part.metrics),
        )
        for part in parts
    )


def _typed(entry: Entry, values: dict[str, str]) -> dict[str, Any]:
    """The values converted to the fields' types, so that 0.50 and 0.5 give one label; `load` refuses unknown fields."""
    types = field_types(load_class(entry.kind, split(entry.spec)[0], entry.spec))
    return {k: convert(v, types[k], f"{entry.spec}.{k}") if k in types else v for k, v in values.items()}


def _picked(kind: Kind, parts: tuple[Part, ...], names: Sequence[str] | None) -> tuple[Part, ...]:
    """The parts with only the entries `names` of a kind; a name that no part has is added to every part it fits.

    Parts left without datasets or methods are dropped. A dataset that is new to its part has all of its items, whatever
    items the suite names of the others, and is added to parts of its own family only. Raises SyncbenchError for a name
    that fits no part.
    """
    if names is None:
        return parts
    listed = unique([entry for part in parts for entry in part.entries if entry.kind == kind])
    chosen: list[list[Entry]] = [[] for _ in parts]
    for name in names:
        entries = entries_named(kind, listed, name)
        fits = [[e for e in entries if e in getattr(part, kind)] for part in parts]
        if not any(fits):
            alone = len(parts) == 1 and kind != "datasets"
            fits = [list(entries) if alone or _fits(entries[0], part) else [] for part in parts]
        if not any(fits):
            families = sorted({str(_family(d)) for part in parts for d in part.datasets})
            raise SyncbenchError(
                f"'{quoted(name)}' is of the family {_family(entries[0])}, and the suite has only "
                f"{', '.join(families)}: take a suite that has that family, such as quick, or write one"
            )
        for mine, more in zip(chosen, fits, strict=True):
            mine += more
    changed = [replace(part, **{kind: unique(mine)}) for part, mine in zip(parts, chosen, strict=True)]
    if kind == "datasets":
        changed = [new for old, part in zip(parts, changed, strict=True) for new in _split_items(part, old.datasets)]
    return tuple(part for part in changed if part.datasets and part.methods)


def _split_items(part: Part, known: Sequence[Entry]) -> list[Part]:
    """Two parts where items are named: one of the datasets in `known` with these items, one of the others with all."""
    if not part.items:
        return [part]
    named, new = (tuple(d for d in part.datasets if (d in known) is asked) for asked in (True, False))
    return [replace(part, datasets=named), replace(part, datasets=new, items=())]


def entries_named(kind: Kind, listed: Sequence[Entry], name: str) -> tuple[Entry, ...]:
    """The entries in `listed` that `name` means; where there are none, an entry of the component of that name."""
    exact = [entry for entry in listed if name in (entry.spec, entry.label)]
    return tuple(exact or [entry for entry in listed if entry.named(name)] or [checked_entry(Entry(kind, name))])


def _fits(entry: Entry, part: Part) -> bool:
    """Whether a component serves a family of the part. Metrics do, and so do components without a family."""
    families = {_family(dataset) for dataset in part.datasets}
    return entry.kind == "metrics" or _family(entry) is None or _family(entry) in families


def _family(entry: Entry) -> str | None:
    base = split(entry.spec)[0]
    listed = next((c.family for c in list_components(entry.kind) if c.id == base), None)
    if listed is None and entry.kind == "datasets":
        return getattr(load_class(entry.kind, base), "family", None)  # one from outside the tree
    return listed
