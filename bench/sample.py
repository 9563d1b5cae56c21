"""Making one job: load, warm up, call the method, measure, check, store. Errors become part of the record."""

import inspect
import os
import sys
import traceback
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import torch

from .loop import Method
from .measure import measured, versions
from .models.interface import Model
from .plan import Job, dataset_fields, noise_seed, sampling
from .png import check_sizes
from .registry import label, load_class, split
from .store import Store
from .suite import Entry
from .types import Artifact, Cost, Dataset, Item, Json, SyncbenchError

T = TypeVar("T")
WARM_STEPS = 2


@dataclass(frozen=True)
class SampleTask:
    """A job and the results folder it goes to."""

    root: Path
    job: Job


@dataclass(frozen=True)
class Outcome:
    """What became of a task."""

    key: str
    name: str
    error: str | None = None


def sample(task: SampleTask) -> Outcome:
    """Do one job and store it. Only a full disk and interrupts get out; every other failure is in the record."""
    job, store = task.job, Store(task.root)
    facts: Json = {
        "identity": job.identity,
        "header": job.header,
        "dataset": {"spec": job.dataset.spec, "overrides": job.dataset.overrides},
        "versions": versions(),
    }
    if job.unsupported is not None:
        store.save(job.key, {**facts, "status": "unsupported", "error": job.unsupported}, None)
        return Outcome(job.key, job.name)
    try:
        artifact, device = _make(job)
    except Exception as error:
        text = f"{type(error).__name__}: {error}" if not isinstance(error, SyncbenchError) else str(error)
        trace = traceback.format_exc()
        store.save(job.key, {**facts, "status": "error", "error": text, "traceback": trace}, None)
        return Outcome(job.key, job.name, text)
    done = {"status": "ok", "error": None, "device": device, "cost": asdict(artifact.cost), "notes": artifact.notes}
    store.save(job.key, {**facts, **done, "about": about(job.method)}, artifact)
    return Outcome(job.key, job.name)


def about(entry: Entry) -> Json:
    """What a method says of itself, kept beside its samples: nobody else knows one from outside the tree."""
    cls = load_class("methods", split(entry.spec)[0])
    doc = inspect.cleandoc(getattr(sys.modules.get(cls.__module__), "__doc__", None) or "")
    facts = {name: str(getattr(cls, name, "")) for name in ("paper", "licence")}
    return {"title": doc.partition("\n")[0], "doc": doc, **facts, "presets": list(getattr(cls, "presets", {}))}


def check_artifact(artifact: Artifact) -> None:
    """Raise ValueError unless views and canvas are finite RGB images in [0, 1] and extras are tensors."""
    if artifact.views.ndim != 4 or artifact.views.shape[1] != 3 or not len(artifact.views):
        raise ValueError(f"views must be (n, 3, h, w), not {tuple(artifact.views.shape)}")
    if artifact.canvas is not None and (artifact.canvas.ndim != 3 or artifact.canvas.shape[0] != 3):
        raise ValueError(f"the canvas must be (3, H, W), not {tuple(artifact.canvas.shape)}")
    for name, image in (("views", artifact.views), ("canvas", artifact.canvas)):
        if image is None:
            continue
        if not bool(torch.isfinite(image).all()):
            raise ValueError(f"the {name} hold NaN or infinite values")
        if float(image.min()) < -1e-3 or float(image.max()) > 1 + 1e-3:
            raise ValueError(f"the {name} range over [{float(image.min()):.3g}, {float(image.max()):.3g}], not [0, 1]")


def load_item(entry: Entry, id: str, protocol: Json) -> Item:
    """An item by id, under the protocol the job was planned with. Datasets are listed once a process."""
    items = cached(f"items {entry.token}", lambda: {item.id: item for item in instance(entry).items()})
    if id not in items:
        raise SyncbenchError(f"dataset {entry.label} no longer has item '{id}'")
    return replace(items[id], protocol=sampling(items[id].protocol, protocol))


def same_item(identity: Json, entry: Entry, item: Item) -> bool:
    """Whether a stored job was made from this item as the dataset gives it today."""
    dataset: Dataset = instance(entry)
    now = {
        "id": label(split(entry.spec)[0]),
        "version": dataset.version,
        "fields": dataset_fields(dataset),
    }
    return identity["dataset"] == now and identity["item"]["prompts"] == list(item.prompts)


def load_model(entry: Entry) -> Model:
    """The model of an entry, kept until another one is asked for."""
    if _held.get("model", (None,))[0] != entry.token:
        _held.clear()  # also what was warmed up; free one model before loading the next
        _held["model"] = (entry.token, entry.load())
    return _held["model"][1]


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


_held: dict[str, tuple[Any, ...]] = {}
_made: dict[str, Any] = {}


def _make(job: Job) -> tuple[Artifact, str]:
    _deterministic()
    model = load_model(job.model)
    method: Method = job.method.load()
    item = load_item(job.dataset, job.item, job.protocol)
    seed = noise_seed(job.identity["dataset"]["id"], job.item, job.seed)
    _warm_up(job, method, model, item, seed)
    model.cost = Cost()
    with measured(model.device) as meter:
        artifact = method(item, model, seed)
    check_artifact(artifact)
    pictures = [*artifact.views, *([] if artifact.canvas is None else [artifact.canvas])]
    check_sizes((image.shape[-1], image.shape[-2]) for image in pictures)
    counted = model.cost if model.cost != Cost() else artifact.cost
    artifact.cost = replace(counted, seconds=meter.seconds, peak_mb=meter.peak_mb)
    return artifact, str(model.device)


def _warm_up(job: Job, method: Method, model: Model, item: Item, seed: int) -> None:
    """A short call before the first timed one of each method and surface, which pays for lazy loading and tuning."""
    name = f"{job.method.token}{job.identity['item']['surface']}"
    if name not in _held:
        steps = min(WARM_STEPS, item.protocol.steps)
        method(replace(item, protocol=replace(item.protocol, steps=steps)), model, seed)
        _held[name] = (True,)


def _deterministic() -> None:
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # The same switch as use_deterministic_algorithms(True, warn_only=True), which imports a compiler for seconds.
    torch.set_deterministic_debug_mode("warn")
    # Filling fresh memory costs time and hides nothing here. (An attribute that type stubs do not know.)
    torch.utils.deterministic.fill_uninitialized_memory = False  # pyright: ignore[reportAttributeAccessIssue]
    torch.backends.cudnn.benchmark = False
    warnings.filterwarnings("ignore", message=".*does not have a deterministic implementation.*")
