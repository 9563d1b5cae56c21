"""The components that a process has loaded: one model, data sets with items, metrics. Each process has one `Loaded`.

An executor passes it to whatever it works on, so that a model loaded by one task is there for the next. Objects
that a component has changed are dropped (`guarded`), so that the next component gets new ones.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import torch

from ..backbones.kept import release_networks
from ..catalogue.content import content_of
from ..isolation.guard import Changes, unchanged
from ..isolation.intact import item_intact, mark_item, mark_model, model_intact
from ..isolation.switches import DEVICE, DTYPE
from ..models.interface import Model
from ..store.stored import Origin
from ..suites.suite import Entry
from ..types import Item, Json, SyncbenchError
from .answers import items_of
from .job import dataset_identity, sampling

T = TypeVar("T")


def _untimed() -> None:
    """Do nothing: this process has no time limit."""


class Loaded:
    """The components that one process has loaded. `tick` is called before each call of a component."""

    def __init__(self, tick: Callable[[], None] = _untimed) -> None:
        self._tick = tick
        self._model: tuple[str, Model] | None = None
        self._instances: dict[str, Any] = {}
        self._items: dict[str, dict[str, Item]] = {}
        self._contents: dict[tuple[str, str, str], str] = {}
        self.warmed: set[tuple[str, str]] = set()
        """Methods and surfaces that have been called once with the loaded model; emptied when the model is dropped."""

    def model(self, entry: Entry) -> Model:
        """The model of an entry, kept in memory until another model is loaded.

        Before a model is loaded, the earlier one and the networks of metrics are freed.
        """
        if self._model is None or self._model[0] != entry.token:
            self._forget_model()
            release_networks()
            self._model = (entry.token, entry.load())
        return self._model[1]

    def in_memory(self, entry: Entry) -> Model:
        """The model of an entry with its networks loaded, so that their loading is not part of a job's time."""
        model: Any = self.model(entry)
        if hasattr(model, "load"):
            model.load()
        return model

    def instance(self, entry: Entry) -> Any:
        """The data set or metric of an entry, instantiated once per process."""
        if entry.token not in self._instances:
            self._instances[entry.token] = entry.load()
        return self._instances[entry.token]

    def remember_instance(self, entry: Entry, instance: Any) -> None:
        """Make `instance` return this data set or metric, which exists already."""
        self._instances[entry.token] = instance

    def items(self, entry: Entry) -> dict[str, Item]:
        """The items of a data set by id, listed once."""
        if entry.token not in self._items:
            self.remember_items(entry, items_of(entry.label, self.instance(entry)))
        return self._items[entry.token]

    def item(self, entry: Entry, id: str, protocol: Json) -> Item:
        """The item `id`, with the planned protocol. Raises SyncbenchError where the data set has no such item."""
        items = self.items(entry)
        if id not in items:
            raise SyncbenchError(f"dataset {entry.label} no longer has item '{id}'")
        return replace(items[id], protocol=sampling(items[id].protocol, protocol))

    def remember_items(self, entry: Entry, items: Sequence[Item]) -> None:
        """Make `items` return these items, which planning has listed, instead of earlier ones."""
        self._items[entry.token] = {item.id: item for item in items}

    def is_from(self, origin: Origin, entry: Entry, item: Item) -> bool:
        """Whether a sample of this origin was made from `item` as it is now, with the same content and not only id."""
        if origin.dataset != dataset_identity(entry, self.instance(entry)):
            return False
        name = (entry.token, item.id, item.protocol.negative)
        if name not in self._contents:
            self._contents[name] = content_of(item)
        return origin.content == self._contents[name]

    def forget_items(self) -> None:
        """Drop the items of data sets, because their files may have changed."""
        self._items.clear()
        self._contents.clear()

    def release(self) -> None:
        """Drop the loaded model, so that its memory is free for metrics or workers."""
        if self._model is not None:
            self._forget_model()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()

    def guarded(
        self, entry: Entry, items: Sequence[Item], work: Callable[[], T], seed: int = 0, model: Model | None = None
    ) -> T:
        """The result of `work`, which calls a component on items of the data set `entry`, within `unchanged`.

        Items or a model that the component changed are dropped; after a changed default dtype or device everything that
        was loaded meanwhile is dropped.
        """
        marks, before, changes = [mark_item(item) for item in items], mark_model(model), Changes()
        self._tick()
        try:
            with unchanged(seed) as changes:
                return work()
        finally:
            if {DTYPE, DEVICE} & changes:
                self._instances.clear()
                self.forget_items()
            elif not all(map(item_intact, items, marks)):
                self._items.pop(entry.token, None)
            if {DTYPE, DEVICE} & changes or not model_intact(model, before):
                self.release()

    def _forget_model(self) -> None:
        self._model = None
        self.warmed.clear()
