"""How one job is done: load, warm up, call the method, take its time and memory, check, encode, store.

Errors are part of the record.
"""

import inspect
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ..catalogue.registry import load_class, split
from ..isolation.guard import Failure, attempt, unchanged
from ..models.interface import Model
from ..sampling.loop import Method
from ..store.artifacts import encode_artifact
from ..store.folder import Store
from ..store.png import check_sizes
from ..suites.suite import Entry
from ..types import Artifact, Cost, Item, Json, SyncbenchError
from .answers import as_notes, check_artifact, settled
from .dispatch import Outcome
from .job import Job, noise_seed
from .loaded import Loaded
from .measure import measured, versions

WARM_STEPS = 2


@dataclass(frozen=True)
class SampleTask:
    """A job and the results folder to which it is written."""

    root: Path
    job: Job

    @property
    def key(self) -> str:
        """The key of the job."""
        return self.job.key

    def pieces(self) -> Sequence["SampleTask"]:
        """The task itself, since a job has no smaller pieces."""
        return [self]

    def lost(self, reason: str, loaded: Loaded) -> Outcome:
        """Store `reason` as the error of the job."""
        failed = {"status": "error", "error": reason, "traceback": ""}
        Store(self.root).save(self.key, {**_facts(self.job), **failed}, None)
        return Outcome(self.key, self.job.name, reason)


def sample(task: SampleTask, loaded: Loaded) -> Outcome:
    """Do one job and store it. Interrupts raise, and what the disk refuses; every other failure is in the record."""
    job, store = task.job, Store(task.root)
    if job.unsupported is not None:
        store.save(job.key, {**_facts(job), "status": "unsupported", "error": job.unsupported}, None)
        return Outcome(job.key, job.name)
    before = store.stamp(job.key)
    made = attempt(lambda: _make(job, loaded))
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
        "identity": asdict(job.identity),
        "header": asdict(job.header),
        "dataset": {"spec": job.dataset.spec, "overrides": job.dataset.overrides},
        "versions": versions(),
    }


def lay_out(task: SampleTask, loaded: Loaded) -> Outcome:
    """Lay out the surface of a job's item, which caches slow work. A failure is reported by the job later."""
    job = task.job
    with suppress(Exception):
        factor = loaded.model(job.model).factor
        loaded.item(job.dataset, job.item, job.protocol).surface.canvas(factor)
    return Outcome(job.key, job.item)  # the surface is the item's, whatever the method


def about(entry: Entry) -> Json:
    """Title, docstring, paper, licence and presets of a method, as they are stored with each of its samples.

    Boards read them for methods that are not of this package, whose code a reader of results may not have.
    """
    cls = load_class("methods", split(entry.spec)[0])
    doc = inspect.cleandoc(getattr(sys.modules.get(cls.__module__), "__doc__", None) or "")
    facts = {name: str(getattr(cls, name, "")) for name in ("paper", "licence")}
    return {
        "title": doc.partition("\n")[0],
        "doc": doc,
        **facts,
        "presets": list(map(str, getattr(cls, "presets", {}))),
    }


def _make(job: Job, loaded: Loaded) -> tuple[dict[str, bytes], Json]:
    """File contents by name, and the content of `job.json`."""
    with unchanged():
        return _made_of(job, loaded)


def _made_of(job: Job, loaded: Loaded) -> tuple[dict[str, bytes], Json]:
    """As `_make`. What a method leaves behind is put right by `Loaded.guarded`: settings are set back, and an item or a
    model that it has changed is loaded again for the next job.
    """
    method: Method = job.method.load()
    seed = noise_seed(job.identity.dataset["id"], job.item, job.seed)
    item = loaded.item(job.dataset, job.item, job.protocol)
    if not loaded.is_from(job.identity.origin, job.dataset, item):
        raise SyncbenchError(f"'{item.id}' of {job.dataset.label} has changed since the sweep was planned: run again")
    _warm_up(job, method, seed, loaded)
    model, item = loaded.in_memory(job.model), loaded.item(job.dataset, job.item, job.protocol)
    model.cost = Cost()
    artifact, seconds, peak = loaded.guarded(
        job.dataset, [item], lambda: _measured(method, item, model, seed), seed, model
    )
    check_artifact(artifact, item)
    pictures = [*artifact.views, *([] if artifact.canvas is None else [artifact.canvas])]
    check_sizes((image.shape[-1], image.shape[-2]) for image in pictures)
    counted = model.cost if model.cost != Cost() else artifact.cost
    artifact = settled(replace(artifact, cost=replace(counted, seconds=seconds + counted.seconds, peak_mb=peak)))
    told = as_notes(about(job.method), "what the method says of itself")
    notes = {**artifact.notes, **getattr(model, "deviations", {})}
    done = {"device": str(model.device), "cost": asdict(artifact.cost), "notes": notes, "about": told}
    return encode_artifact(artifact), done


def _measured(method: Method, item: Item, model: Model, seed: int) -> tuple[Artifact, float, float]:
    with measured(model.device) as meter:
        artifact = method(item, model, seed)
    return artifact, meter.seconds, meter.peak_mb


def _warm_up(job: Job, method: Method, seed: int, loaded: Loaded) -> None:
    """Make a short call before the first timed one of each method and surface, so that loading is not timed."""
    model = loaded.in_memory(job.model)
    name = (job.method.token, str(job.identity.item["surface"]))
    if name not in loaded.warmed:
        item = loaded.item(job.dataset, job.item, job.protocol)
        short = replace(item, protocol=replace(item.protocol, steps=min(WARM_STEPS, item.protocol.steps)))
        loaded.guarded(job.dataset, [short], lambda: method(short, model, seed), seed, model)
        loaded.warmed.add(name)
