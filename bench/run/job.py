"""One job: one method on one item with one seed, and the pure function that names it.

Planning, resuming and reading all go through the key of an `Identity`, so a result is found again exactly when
everything that made it is the same: method, model, dataset, item, protocol and seed.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from math import isfinite
from typing import Any, NamedTuple, cast

from ..catalogue.fields import as_json, convert, field_types, field_values
from ..catalogue.registry import label, split
from ..models.interface import Model
from ..sampling.loop import Method
from ..store.stored import Origin
from ..suites.suite import Entry
from ..types import Dataset, Header, Item, Json, Sampling, SyncbenchError
from .measure import machine_name


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Everything that determines the output of a job, as JSON values."""

    method: Json
    """The method's `id`, `version` and `fields`, with the weights that it loads."""
    model: Json
    """The model's `id`, `revision` and `dtype`."""
    dataset: Json
    """The data set's `id`, `version` and `fields`, as by `dataset_identity`."""
    item: Json
    """The item's `id`, `content`, `prompts` and `surface`."""
    protocol: Json
    seed: int

    @property
    def key(self) -> str:
        """The key of the job's result, by `job_key`. Raises SyncbenchError where a number is NaN or infinite."""
        return job_key(vars(self))

    @property
    def origin(self) -> Origin:
        """The origin of the item: its data set and its content."""
        return Origin(self.dataset, self.item["content"])


@dataclass(frozen=True, kw_only=True)
class Job:
    """One method on one item with one seed. Plain data, so that it crosses process borders."""

    key: str
    identity: Identity
    header: Header
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
        """Name of the job in progress lines."""
        return f"{self.header.method} {self.item} seed {self.seed}"


class Named(NamedTuple):
    """A component: its entry in a suite, and its instance."""

    entry: Entry
    made: Any

    @property
    def id(self) -> str:
        """The component's id, without preset and overrides."""
        return label(split(self.entry.spec)[0])


def item_identity(item: Item, content: str) -> Json:
    """The item in an `Identity`. `content` is the item's (`content_of`)."""
    return {"id": item.id, "content": content, "prompts": list(item.prompts), "surface": as_json(item.surface)}


def make_job(model: Named, dataset: Named, method: Named, item: Item, content: str, seed: int) -> Job:
    """One cell of the cross product. `content` is the item's (`content_of`)."""
    network: Model = model.made
    rule: Method = method.made
    params = {**field_values(rule), **(rule.loads() if hasattr(rule, "loads") else {})}
    identity = Identity(
        method={"id": method.id, "version": rule.version, "fields": params},
        model={"id": network.id, "revision": network.revision, "dtype": str(network.dtype)},
        dataset=dataset_identity(dataset.entry, dataset.made),
        item=item_identity(item, content),
        protocol=asdict(item.protocol),
        seed=seed,
    )
    header = Header(
        key=identity.key,
        family=item.family,
        dataset=dataset.entry.label,
        dataset_version=dataset.made.version,
        item=item.id,
        content=content,
        model=getattr(network, "name", network.id),
        revision=network.revision,
        method=method.entry.label,
        method_version=rule.version,
        door=rule.door,
        anchor=rule.anchor,
        params=params,
        protocol=identity.protocol,
        seed=seed,
        machine=machine_name(network.device),
    )
    return Job(
        key=header.key,
        identity=identity,
        header=header,
        model=model.entry,
        dataset=dataset.entry,
        method=method.entry,
        item=item.id,
        protocol=identity.protocol,
        seed=seed,
        slow=bool(getattr(item.surface, "slow", False)),
        unsupported=_unsupported(rule, network, item),
    )


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
    """The seed of the initial noise of an item: the same for all methods and models, different between items."""
    return int(job_key({"dataset": dataset, "item": item, "seed": seed})[:15], 16)


def dataset_identity(entry: Entry, dataset: Dataset) -> Json:
    """The identity of a data set, wherever its files lie: `id`, `version` and `fields`."""
    return {"id": label(split(entry.spec)[0]), "version": dataset.version, "fields": dataset_fields(dataset)}


def dataset_fields(dataset: Dataset) -> Json:
    """A dataset's field values, without those that say where its files lie (`located_by`)."""
    places: Iterable[str] = getattr(dataset, "located_by", ())
    return {name: value for name, value in field_values(dataset).items() if name not in places}


def sampling(protocol: Sampling, changes: Json) -> Sampling:
    """A protocol with some of its fields changed, each checked against its type and range."""
    types = field_types(Sampling)
    for name in changes:
        if name not in types:
            raise SyncbenchError(f"the protocol has no field '{name}': it has {', '.join(types)}")
    checked = {k: convert(v, types[k], f"protocol.{k}") for k, v in {**asdict(protocol), **changes}.items()}
    return replace(protocol, **{name: checked[name] for name in changes})


def _unnameable(value: Any, name: str = "") -> str:
    """The place in an identity of its first NaN or infinity; empty if none."""
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
