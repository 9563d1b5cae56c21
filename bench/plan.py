"""What a sweep consists of, and the one pure function that names each of its jobs.

Planning, resuming and reading all go through `job_key`, so a result is found again exactly when everything that
made it is the same: method, model, dataset, item, protocol and seed.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace

from .answers import items_of
from .content import content_of
from .guard import named
from .loop import Method
from .measure import machine_name
from .models.interface import Model
from .options import as_json, convert, field_types, field_values
from .registry import label, split
from .suite import Entry, Part
from .types import Dataset, Item, Json, Sampling, SyncbenchError


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
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def noise_seed(dataset: str, item: str, seed: int) -> int:
    """The seed every method starts from on this item: the same for all methods and models, unlike between items."""
    return int(job_key({"dataset": dataset, "item": item, "seed": seed})[:15], 16)


def plan(part: Part, entry: Entry, model: Model) -> list[Job]:
    """Every job of `part` on one model: dataset x item x seed x method, in that order.

    Methods innermost, so that an interrupted sweep has compared all methods on some items. A method that equals
    another up to its label (`syncdiffusion` and `syncdiffusion@paper`) is planned once.
    """
    jobs: dict[str, Job] = {}
    methods = [(m, m.load()) for m in part.methods]
    for dataset_entry in part.datasets:
        dataset: Dataset = dataset_entry.load()
        for item in chosen(part, dataset_entry, dataset):
            with named(f"data set {dataset_entry.label}, item {item.id}"):
                content = content_of(item)
            for seed in part.seeds:
                for method_entry, method in methods:
                    with named(f"method {method_entry.label} on {dataset_entry.label} with model {entry.label}"):
                        job = make_job(
                            entry, model, dataset_entry, dataset, method_entry, method, item, content, seed
                        )
                    jobs.setdefault(job.key, job)
    return list(jobs.values())


def chosen(part: Part, entry: Entry, dataset: Dataset) -> list[Item]:
    """The items of one dataset that the part asks for, under its protocol."""
    items = items_of(entry.label, dataset)
    if len({item.id for item in items}) != len(items):
        raise SyncbenchError(f"dataset {entry.label} repeats an item id")
    if part.items:
        wanted = set(part.items)
        items = [item for item in items if item.id in wanted]
    if part.limit is not None:
        items = items[: part.limit]
    return [replace(item, protocol=sampling(item.protocol, part.protocol)) for item in items]


def sampling(protocol: Sampling, changes: Json) -> Sampling:
    """A protocol with some of its fields changed, each checked against its type."""
    types = field_types(Sampling)
    for name in changes:
        if name not in types:
            raise SyncbenchError(f"the protocol has no field '{name}': it has {', '.join(types)}")
    return replace(protocol, **{k: convert(v, types[k], f"protocol.{k}") for k, v in changes.items()})


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
        "model": model.id,
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


def _unsupported(method: Method, model: Model, item: Item) -> str | None:
    missing = sorted(set(method.requires) - model.capabilities)
    if missing:
        return f"the method needs a model with {', '.join(missing)}; {model.id} has none"
    if method.anchor == "ceiling" and not item.truth:
        return "the dataset knows no truth for this item"
    return method.lacks(item) if hasattr(method, "lacks") else None
