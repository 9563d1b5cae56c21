"""What a sweep consists of, and the one pure function that names each of its jobs.

Planning, resuming and reading all go through `job_key`, so a result is found again exactly when everything that
made it is the same: method, model, dataset, item, protocol and seed.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from math import isfinite
from typing import Any, cast

from ..catalogue.content import content_of
from ..catalogue.fields import as_json, check_text, convert, field_types, field_values
from ..catalogue.registry import label, split
from ..errors import quoted
from ..isolation.guard import named
from ..limits import ITEMS, JOBS, NAME
from ..models.interface import Model
from ..sampling.loop import Method, pace_of
from ..suites.suite import Entry, Part, Suite
from ..types import Dataset, Item, Json, Sampling, SyncbenchError
from .answers import items_of
from .measure import machine_name

WORDS = 6
"""Unknown words of a prompt that a refusal names."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One method on one item with one seed. Plain data, so that it crosses process borders."""

    key: str
    identity: Json
    header: Json
    """The columns of `Record` that are the same for every metric of this job."""
    model: Entry
    dataset: Entry
    method: Entry
    item: str
    protocol: Json
    seed: int
    slow: bool = False
    """Whether the item's surface takes long to lay out the first time (`Atlas.slow`)."""
    unsupported: str | None = field(default=None)
    """Why this combination cannot be run at all; it becomes a null with this reason."""

    @property
    def name(self) -> str:
        """How progress lines call it."""
        return f"{self.header['method']} {self.item} seed {self.seed}"


def job_key(identity: Json) -> str:
    """16 hex digits of the SHA-256 of the identity as sorted JSON.

    >>> job_key({"b": 1, "a": 2}) == job_key({"a": 2, "b": 1})
    True
    """
    try:
        text = json.dumps(identity, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=True)
    except ValueError as error:
        raise SyncbenchError(
            f"{_unnameable(identity)} is NaN or infinite, so no result could be found again by it"
        ) from error
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def noise_seed(dataset: str, item: str, seed: int) -> int:
    """The seed every method starts from on this item: the same for all methods and models, unlike between items."""
    return int(job_key({"dataset": dataset, "item": item, "seed": seed})[:15], 16)


def plan(part: Part, entry: Entry, model: Model, known: Mapping[str, Sequence[Item]] | None = None) -> list[Job]:
    """Every job of `part` on one model: dataset x item x seed x method, in that order.

    Methods innermost, so that an interrupted sweep has compared all methods on some items. A method that equals
    another up to its label (`trap` and `trap@constant`) is planned once. `known` are the items of
    datasets that have been listed already, by token. Raises SyncbenchError for what a model has no places for, and
    for views that are not of its native size.
    """
    jobs: dict[str, Job] = {}
    remembered: Any = _Remembered(model)
    methods = [(m, m.load()) for m in part.methods]
    for dataset_entry in part.datasets:
        dataset: Dataset = dataset_entry.load()
        items = (known or {}).get(dataset_entry.token) or listed(dataset_entry, dataset)
        for item in chosen(part, items):
            for method_entry, method in methods:
                _check_places(method_entry, method, remembered, item)
            _check_channels(dataset_entry, remembered, item)
            _check_world(dataset_entry, remembered, item)
            if not part.any_size:
                _check_size(dataset_entry, dataset, remembered, item)
            with named(f"data set {dataset_entry.label}, item {item.id}"):
                content = content_of(item)
            for seed in part.seeds:
                for method_entry, method in methods:
                    with named(f"method {method_entry.label} on {dataset_entry.label} with model {entry.label}"):
                        job = make_job(
                            entry, remembered, dataset_entry, dataset, method_entry, method, item, content, seed
                        )
                    jobs.setdefault(job.key, job)
    return list(jobs.values())


class _Remembered:
    """A model whose attributes are asked for once: a revision is a hash of files, and there may be many jobs."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def __getattr__(self, name: str) -> Any:
        value = self.__dict__[name] = getattr(self._model, name)
        return value


def listed(entry: Entry, dataset: Dataset) -> list[Item]:
    """All items of a dataset, once its ids and prompts are known to be usable. Raises SyncbenchError for others."""
    items, seen = items_of(entry.label, dataset), set[str]()
    if len(items) > ITEMS:
        raise SyncbenchError(f"dataset {entry.label} has {len(items):,} items, more than the {ITEMS:,} of one plan")
    for item in items:
        check_id(item.id, f"dataset {entry.label}")
        if item.id in seen:
            raise SyncbenchError(f"dataset {entry.label} repeats an item id, '{item.id}'")
        seen.add(item.id)
        for prompt in item.prompts:
            check_text(prompt, f"a prompt of item '{item.id}' of dataset {entry.label}")
    return items


def check_id(id: str, where: str) -> str:
    """The id of an item, unless it can be no name: empty, too long, or with letters that no table can show."""
    if not isinstance(id, str) or not id or len(id) > NAME or not id.isprintable():  # pyright: ignore[reportUnnecessaryIsInstance]
        raise SyncbenchError(f"{where}: '{quoted(id, 60)}' can be no id: use 1 to {NAME} printable characters")
    return id


def chosen(part: Part, items: Sequence[Item]) -> list[Item]:
    """The items of one dataset that the part asks for, under its protocol."""
    wanted = set(part.items)
    kept = [item for item in items if not wanted or item.id in wanted][: part.limit]

    @cache
    def changed(protocol: Sampling) -> Sampling:
        return sampling(protocol, part.protocol)

    return [replace(item, protocol=changed(item.protocol)) for item in kept]


def sampling(protocol: Sampling, changes: Json) -> Sampling:
    """A protocol with some of its fields changed, each checked against its type and range."""
    types = field_types(Sampling)
    for name in changes:
        if name not in types:
            raise SyncbenchError(f"the protocol has no field '{name}': it has {', '.join(types)}")
    checked = {k: convert(v, types[k], f"protocol.{k}") for k, v in {**asdict(protocol), **changes}.items()}
    return replace(protocol, **{name: checked[name] for name in changes})


def located(suite: Suite) -> Suite:
    """The suite with the places of its datasets' files (`located_by`) as absolute paths.

    What a results folder stores can then be scored from another working directory.
    """

    def placed(entry: Entry) -> Entry:
        dataset = entry.load()
        given = {name: str(getattr(dataset, name)) for name in getattr(dataset, "located_by", ())}
        return entry.with_overrides({k: os.path.abspath(os.path.expanduser(v)) for k, v in given.items() if v})

    parts = tuple(replace(part, datasets=tuple(placed(entry) for entry in part.datasets)) for part in suite.parts)
    return replace(suite, parts=parts)


def count(suite: Suite, items: Mapping[str, Sequence[Item]]) -> int:
    """How many jobs a suite plans, from the items of its datasets by token. Raises SyncbenchError for too many."""
    total = 0
    for part in suite.parts:
        many = sum(len(chosen(part, items[entry.token])) for entry in part.datasets)
        total += many * len(part.seeds) * len(part.methods) * len(part.models)
        if total > JOBS:
            raise SyncbenchError(
                f"this plan has more than {JOBS:,} jobs ({many:,} items x {len(part.seeds):,} seeds x "
                f"{len(part.methods):,} methods x {len(part.models):,} models in one part): take fewer seeds or items "
                "(--limit), or split the suite"
            )
    return total


def make_job(
    entry: Entry,
    model: Model,
    dataset_entry: Entry,
    dataset: Dataset,
    method_entry: Entry,
    method: Method,
    item: Item,
    content: str,
    seed: int,
) -> Job:
    """One cell of the cross product, named by everything that determines its output."""
    protocol = asdict(item.protocol)
    params = {**field_values(method), **(method.loads() if hasattr(method, "loads") else {})}
    method_id = label(split(method_entry.spec)[0])
    dataset_id = label(split(dataset_entry.spec)[0])
    identity: Json = {
        "method": {"id": method_id, "version": method.version, "fields": params},
        "model": {"id": model.id, "revision": model.revision, "dtype": str(model.dtype)},
        "dataset": {"id": dataset_id, "version": dataset.version, "fields": dataset_fields(dataset)},
        "item": {"id": item.id, "content": content, "prompts": list(item.prompts), "surface": as_json(item.surface)},
        "protocol": protocol,
        "seed": seed,
    }
    header: Json = {
        "key": job_key(identity),
        "family": item.family,
        "dataset": dataset_entry.label,
        "dataset_version": dataset.version,
        "item": item.id,
        "content": content,
        "model": getattr(model, "name", model.id),
        "revision": model.revision,
        "method": method_entry.label,
        "method_version": method.version,
        "door": method.door,
        "anchor": method.anchor,
        "params": params,
        "protocol": protocol,
        "seed": seed,
        "machine": machine_name(model.device),
    }
    return Job(
        key=header["key"],
        identity=identity,
        header=header,
        model=entry,
        dataset=dataset_entry,
        method=method_entry,
        item=item.id,
        protocol=protocol,
        seed=seed,
        slow=bool(getattr(item.surface, "slow", False)),
        unsupported=_unsupported(method, model, item),
    )


def dataset_fields(dataset: Dataset) -> Json:
    """A dataset's field values, without those that say where its files lie (`located_by`)."""
    places: Iterable[str] = getattr(dataset, "located_by", ())
    return {name: value for name, value in field_values(dataset).items() if name not in places}


def shard(jobs: list[Job], part: int, parts: int) -> list[Job]:
    """The jobs of shard `part` of `parts` (from 1), by key: the same whatever else is in the suite."""
    return [job for job in jobs if int(job.key, 16) % parts == part - 1]


def _check_places(entry: Entry, method: Method, model: Model, item: Item) -> None:
    """Refuse more views (or other numbers of them) than a network that denoises them together has places for."""
    least, most = getattr(model, "places", None) or (1, None)
    count = getattr(item.surface, "check", None)
    if count is None or "joint" not in method.requires or set(method.requires) - model.capabilities:
        return
    if most is None and getattr(model, "pace", 1) == 1:
        return
    views = count()
    pace_of(model, views)
    if most is not None and not least <= views <= most:
        takes = f"exactly {most}" if least == most else f"at most {most}"
        raise SyncbenchError(
            f"{entry.label} denoises all views or frames of an item together, and model {model.id} has places for "
            f"{takes}, but item '{item.id}' has {views}: set another number of them in its dataset"
        )


def _check_channels(entry: Entry, model: Model, item: Item) -> None:
    """Refuse channels of a picture that a model does not make, or that it makes together with others only."""
    makes, names = tuple(getattr(model, "makes", ())), tuple(getattr(item.surface, "names", ()))
    fits = names == makes if "joint" in model.capabilities else set(names) <= set(makes)
    if makes and names and not fits:
        dataset = split(entry.spec)[0]
        cure = f"add --set '{label(dataset)}.channels={json.dumps(makes)}'" if _has(entry, "channels") else ""
        raise SyncbenchError(
            f"model {model.id} makes the channels {', '.join(makes)}, but item '{item.id}' of {entry.label} asks for "
            f"{', '.join(names)}: {cure or 'take a data set that asks for those'}"
        )


def _check_world(entry: Entry, model: Model, item: Item) -> None:
    """Refuse items that a bundled model cannot know: words that its world has not, pictures that are not of it."""
    unknown: Callable[[str], Sequence[str]] | None = getattr(model, "unknown", None)
    if unknown is None:
        return
    words = list(dict.fromkeys(word for prompt in item.prompts for word in unknown(prompt)))
    cure = (
        "use a real checkpoint (--model FOLDER, or a recipe that `syncbench ls models` shows), or a caption of the "
        "reference world, such as 'a red ball on a green meadow under a blue sky'"
    )
    where = f"item '{item.id}' of {entry.label}"
    if words:
        shown = ", ".join(f"*{quoted(word, 40)}*" for word in words[:WORDS])
        more = f" and {len(words) - WORDS} more words" if len(words) > WORDS else ""
        raise SyncbenchError(f"`{model.id}` does not know {shown}{more} ({where}): {cure}")
    if not item.world and (item.conditions or not any(item.prompts)):
        raise SyncbenchError(f"`{model.id}` knows the reference world only, and {where} is not of it: {cure}")


def _has(entry: Entry, name: str) -> bool:
    return name in field_values(entry.load())


def _check_size(entry: Entry, dataset: Dataset, model: Model, item: Item) -> None:
    """Refuse views that are not of the model's native size, with the option that mends it. Raises SyncbenchError."""
    native, (height, width) = getattr(model, "native", None), item.surface.window
    if native is None or max(height, width) == native:
        return
    name, fields, factor = split(entry.spec)[0], field_values(dataset), native / max(height, width)
    cures = [f"--set {label(name)}.{field}={native}" for field in ("window", "size") if field in fields][:1]
    sides = [side for side in ("width", "height") if cures and fields.get(side) is not None]
    cures += [f"--set {label(name)}.{side}={round(fields[side] * factor)}" for side in sides]
    cure = " ".join(cures) or "take a data set whose views have that size"
    raise SyncbenchError(
        f"item '{item.id}' of {entry.label} has views of {height} x {width} px, and model {model.id} was trained at "
        f"{native} px: {cure}; or, where another size is meant, --any-size (any_size = true in a suite)"
    )


def _unnameable(value: Any, name: str = "") -> str:
    """Where in an identity the first number that is none stands."""
    if isinstance(value, Mapping):
        found = (_unnameable(v, f"{name}.{k}".lstrip(".")) for k, v in cast(Mapping[str, Any], value).items())
    elif isinstance(value, list):
        found = (_unnameable(v, name) for v in cast(list[Any], value))
    else:
        return name if isinstance(value, float) and not isfinite(value) else ""
    return next(filter(None, found), "")


def _unsupported(method: Method, model: Model, item: Item) -> str | None:
    missing = sorted(set(method.requires) - model.capabilities)
    if missing:
        return f"the method needs a model with {', '.join(missing)}; {model.id} has none"
    lacking = sorted(getattr(model, "needs", frozenset[str]()) - set(item.conditions))
    if lacking:
        return f"model {model.id} needs condition `{'`, `'.join(lacking)}`, which the item has not"
    return method.lacks(item) if hasattr(method, "lacks") else None
