"""The plan of a sweep: the items of each part of a suite, their jobs, and checks that a model can do them."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from ..catalogue.content import content_of
from ..catalogue.fields import check_text, field_values
from ..catalogue.registry import label, split
from ..errors import quoted
from ..isolation.guard import named
from ..limits import ITEMS, JOBS, NAME
from ..models.interface import Model
from ..sampling.loop import Method, pace_of
from ..suites.suite import Entry, Part, Suite
from ..types import Dataset, Item, Sampling, SyncbenchError
from .answers import items_of
from .job import Job, Named, make_job, sampling
from .loaded import Loaded

WORDS = 6
"""Largest number of unknown words of a prompt that an error names."""


def plan(
    part: Part, entry: Entry, loaded: Loaded, known: Mapping[str, Sequence[Item]] | None = None, model: Any = None
) -> list[Job]:
    """Every job of `part` on the model of `entry`: dataset x item x seed x method, in that order.

    Methods innermost, so that an interrupted sweep has compared all methods on some items. A method that equals
    another up to its label (`trap` and `trap@constant`) is planned once. `known` are the items of
    datasets that have been listed already, by token; `model` stands in where the entry's own cannot be loaded. Raises
    SyncbenchError for more views than the model can denoise together, and for views that are not of its native size.
    """
    jobs: dict[str, Job] = {}
    remembered: Any = _Remembered(loaded.model(entry) if model is None else model)
    network = Named(entry, remembered)
    methods = [Named(m, m.load()) for m in part.methods]
    for dataset_entry in part.datasets:
        dataset = Named(dataset_entry, dataset_entry.load())
        items = (known or {}).get(dataset_entry.token) or listed(*dataset)
        for item in chosen(part, items):
            for method in methods:
                _check_places(*method, remembered, item)
            _check_channels(dataset_entry, remembered, item)
            _check_world(dataset_entry, remembered, item)
            if not part.any_size:
                _check_size(*dataset, remembered, item)
            with named(f"data set {dataset_entry.label}, item {item.id}"):
                content = content_of(item)
            for seed in part.seeds:
                for method in methods:
                    with named(f"method {method.entry.label} on {dataset_entry.label} with model {entry.label}"):
                        job = make_job(network, dataset, method, item, content, seed)
                    jobs.setdefault(job.key, job)
    return list(jobs.values())


class _Remembered:
    """A model whose attributes are computed once: a revision is a hash of files, and there may be many jobs."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def __getattr__(self, name: str) -> Any:
        value = self.__dict__[name] = getattr(self._model, name)
        return value


def listed(entry: Entry, dataset: Dataset) -> list[Item]:
    """All items of a dataset. Raises SyncbenchError for ids or prompts that cannot be used."""
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
    """The id of an item. Raises SyncbenchError if it is empty, too long, or has characters that tables cannot show."""
    if not isinstance(id, str) or not id or len(id) > NAME or not id.isprintable():  # pyright: ignore[reportUnnecessaryIsInstance]
        raise SyncbenchError(f"{where}: '{quoted(id, 60)}' can be no id: use 1 to {NAME} printable characters")
    return id


def chosen(part: Part, items: Sequence[Item]) -> list[Item]:
    """The items of one dataset that the part names, with its protocol."""
    wanted = set(part.items)
    kept = [item for item in items if not wanted or item.id in wanted][: part.limit]

    @cache
    def changed(protocol: Sampling) -> Sampling:
        return sampling(protocol, part.protocol)

    return [replace(item, protocol=changed(item.protocol)) for item in kept]


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
    """Number of jobs of a suite, from the items of its datasets by token. Raises SyncbenchError for too many."""
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


def shard(jobs: list[Job], part: int, parts: int) -> list[Job]:
    """The jobs of shard `part` of `parts` (from 1), by key: the same whatever else is in the suite."""
    return [job for job in jobs if int(job.key, 16) % parts == part - 1]


def _check_places(entry: Entry, method: Method, model: Model, item: Item) -> None:
    """Raise SyncbenchError for a number of views that the network cannot denoise together."""
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
    """Raise SyncbenchError for channels that a model does not predict, or predicts only together with others."""
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
    """Raise SyncbenchError for items that are not of a bundled model's world, by their words or pictures."""
    unknown: Callable[[str], Sequence[str]] | None = getattr(model, "unknown", None)
    learnt: frozenset[str] = getattr(model, "learnt", frozenset())
    if unknown is None or (learnt and set(item.prompts) <= learnt):
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
    """Raise SyncbenchError, with the option to change, for views that are not of the model's native size."""
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
