"""Making one job: load, warm up, call the method, measure, check, encode, store. Errors become part of the record."""

import inspect
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import torch

from ..catalogue.content import content_of
from ..catalogue.registry import label, load_class, split
from ..isolation.guard import Changes, Failure, attempt, unchanged
from ..isolation.intact import item_intact, mark_item, mark_model, model_intact
from ..isolation.switches import DEVICE, DTYPE
from ..models.interface import Model
from ..sampling.loop import Method
from ..store.folder import Store, encode_artifact
from ..store.png import check_sizes
from ..suites.suite import Entry
from ..types import Artifact, Cost, Dataset, Item, Json, SyncbenchError
from .answers import as_notes, check_artifact, settled
from .answers import items_of as listed_items
from .dispatch import Outcome
from .execute import tick
from .measure import measured, versions
from .plan import Job, dataset_fields, noise_seed, sampling

T = TypeVar("T")
WARM_STEPS = 2


@dataclass(frozen=True)
class SampleTask:
    """A job and the results folder it goes to."""

    root: Path
    job: Job

    @property
    def key(self) -> str:
        """The job's."""
        return self.job.key

    def pieces(self) -> Sequence["SampleTask"]:
        """Itself: a job is made whole or not at all."""
        return [self]

    def lost(self, reason: str) -> Outcome:
        """Store that the job could not be made."""
        failed = {"status": "error", "error": reason, "traceback": ""}
        Store(self.root).save(self.key, {**_facts(self.job), **failed}, None)
        return Outcome(self.key, self.job.name, reason)


def sample(task: SampleTask) -> Outcome:
    """Do one job and store it. Only a full disk and interrupts get out; every other failure is in the record."""
    job, store = task.job, Store(task.root)
    if job.unsupported is not None:
        store.save(job.key, {**_facts(job), "status": "unsupported", "error": job.unsupported}, None)
        return Outcome(job.key, job.name)
    before = store.stamp(job.key)
    made = attempt(lambda: _make(job))
    if store.stamp(job.key) != before:
        return Outcome(job.key, job.name)  # a sweep elsewhere has put it there meanwhile: that one stays
    if isinstance(made, Failure):
        failed = {"status": "error", "error": made.text, "traceback": made.trace}
        store.save(job.key, {**_facts(job), **failed}, None)
        return Outcome(job.key, job.name, made.text)
    contents, done = made
    store.save(job.key, {**_facts(job), "status": "ok", "error": None, **done}, contents)
    return Outcome(job.key, job.name)


def _facts(job: Job) -> Json:
    return {
        "identity": job.identity,
        "header": job.header,
        "dataset": {"spec": job.dataset.spec, "overrides": job.dataset.overrides},
        "versions": versions(),
    }


def lay_out(task: SampleTask) -> Outcome:
    """Lay out the surface of a job's item, which keeps what takes long. What fails is left to the job to tell."""
    job = task.job
    with suppress(Exception):
        factor = load_model(job.model).factor
        load_item(job.dataset, job.item, job.protocol).surface.canvas(factor)
    return Outcome(job.key, job.item)


def about(entry: Entry) -> Json:
    """What a method says of itself, kept beside its samples: nobody else knows one from outside the tree."""
    cls = load_class("methods", split(entry.spec)[0])
    doc = inspect.cleandoc(getattr(sys.modules.get(cls.__module__), "__doc__", None) or "")
    facts = {name: str(getattr(cls, name, "")) for name in ("paper", "licence")}
    return {
        "title": doc.partition("\n")[0],
        "doc": doc,
        **facts,
        "presets": list(map(str, getattr(cls, "presets", {}))),
    }


def load_item(entry: Entry, id: str, protocol: Json) -> Item:
    """An item by id, under the protocol the job was planned with."""
    items = items_of(entry)
    if id not in items:
        raise SyncbenchError(f"dataset {entry.label} no longer has item '{id}'")
    return replace(items[id], protocol=sampling(items[id].protocol, protocol))


def items_of(entry: Entry) -> dict[str, Item]:
    """The items of a data set by id, listed once a process."""
    return cached(
        f"items {entry.token}", lambda: {item.id: item for item in listed_items(entry.label, instance(entry))}
    )


def remember_items(entry: Entry, items: Sequence[Item]) -> None:
    """Let `load_item` give these, which planning has listed, in the place of what it listed before."""
    _made[f"items {entry.token}"] = {item.id: item for item in items}


def same_item(identity: Json, entry: Entry, item: Item) -> bool:
    """Whether a stored job was made from this item as the dataset gives it today: the content, not only the id."""
    dataset: Dataset = instance(entry)
    now = {
        "id": label(split(entry.spec)[0]),
        "version": dataset.version,
        "fields": dataset_fields(dataset),
    }
    token = f"content {entry.token} {item.id} {item.protocol.negative}"
    held = identity["item"].get("content")
    return identity.get("dataset") == now and held == cached(token, lambda: content_of(item))


def load_model(entry: Entry) -> Model:
    """The model of an entry, kept until another one is asked for."""
    if _held.get("model", (None,))[0] != entry.token:
        _held.clear()  # also what was warmed up; free one model before loading the next
        _held["model"] = (entry.token, entry.load())
    return _held["model"][1]


def in_memory(entry: Entry) -> Model:
    """`load_model` with its networks: outside a job's time, and before a method can change what comes late."""
    model: Any = load_model(entry)
    if hasattr(model, "load"):
        model.load()
    return model


def release_model() -> None:
    """Forget the model, so that its memory is free for metrics or workers."""
    if _held:
        _held.clear()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def instance(entry: Entry) -> Any:
    """The dataset or metric of an entry, made once a process."""
    return cached(f"instance {entry.token}", entry.load)


def cached(name: str, make: Callable[[], T]) -> T:
    """`make()` once per name and process."""
    if name not in _made:
        _made[name] = make()
    return _made[name]


def forget_items() -> None:
    """Forget data sets and their items: the files they were read from may have changed."""
    for name in [name for name in _made if name.startswith(("items ", "content "))]:
        del _made[name]


_held: dict[str, tuple[Any, ...]] = {}
_made: dict[str, Any] = {}


def guarded(entry: Entry, items: Sequence[Item], work: Callable[[], T], seed: int = 0, model: Model | None = None) -> T:
    """What a component answers to items of the data set `entry`, called within `unchanged`.

    What it has changed of the items or the model is forgotten, so that the next component gets it as it was made; after
    a changed default dtype or device everything is that was kept meanwhile.
    """
    marks, before, changes = [mark_item(item) for item in items], mark_model(model), Changes()
    tick()
    try:
        with unchanged(seed) as changes:
            return work()
    finally:
        if {DTYPE, DEVICE} & changes:
            _made.clear()
        elif not all(map(item_intact, items, marks)):
            _made.pop(f"items {entry.token}", None)
        if {DTYPE, DEVICE} & changes or not model_intact(model, before):
            release_model()


def _make(job: Job) -> tuple[dict[str, bytes], Json]:
    """File contents by name, and what `job.json` says of them."""
    with unchanged():
        return _made_of(job)


def _made_of(job: Job) -> tuple[dict[str, bytes], Json]:
    method: Method = job.method.load()
    seed = noise_seed(job.identity["dataset"]["id"], job.item, job.seed)
    _warm_up(job, method, seed)
    model, item = in_memory(job.model), load_item(job.dataset, job.item, job.protocol)
    if not same_item(job.identity, job.dataset, item):
        raise SyncbenchError(f"'{item.id}' of {job.dataset.label} has changed since the sweep was planned: run again")
    model.cost = Cost()
    artifact, seconds, peak = guarded(job.dataset, [item], lambda: _measured(method, item, model, seed), seed, model)
    check_artifact(artifact, item)
    pictures = [*artifact.views, *([] if artifact.canvas is None else [artifact.canvas])]
    check_sizes((image.shape[-1], image.shape[-2]) for image in pictures)
    counted = model.cost if model.cost != Cost() else artifact.cost
    artifact = settled(replace(artifact, cost=replace(counted, seconds=seconds, peak_mb=peak)))
    told = as_notes(about(job.method), "what the method says of itself")
    notes = {**artifact.notes, **getattr(model, "deviations", {})}
    done = {"device": str(model.device), "cost": asdict(artifact.cost), "notes": notes, "about": told}
    return encode_artifact(artifact), done


def _measured(method: Method, item: Item, model: Model, seed: int) -> tuple[Artifact, float, float]:
    with measured(model.device) as meter:
        artifact = method(item, model, seed)
    return artifact, meter.seconds, meter.peak_mb


def _warm_up(job: Job, method: Method, seed: int) -> None:
    """A short call before the first timed one of each method and surface, which pays for lazy loading and tuning."""
    model = in_memory(job.model)
    name = f"{job.method.token}{job.identity['item']['surface']}"
    if name not in _held:
        item = load_item(job.dataset, job.item, job.protocol)
        short = replace(item, protocol=replace(item.protocol, steps=min(WARM_STEPS, item.protocol.steps)))
        guarded(job.dataset, [short], lambda: method(short, model, seed), seed, model)
        _held[name] = (True,)
