"""What a process has loaded: one model, data sets with their items, metrics. Each process has one `Loaded`.

An executor passes it to whatever it works on, so that a model loaded by one task is there for the next. What a
component has changed behind one's back is forgotten (`guarded`), and the next one gets it as it was made.
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
    """Nobody times this process."""


class Loaded:
    """What one process has loaded. `tick` is called before each call of a component, whose time it begins."""

    def __init__(self, tick: Callable[[], None] = _untimed) -> None:
        self._tick = tick
        self._model: tuple[str, Model] | None = None
        self._instances: dict[str, Any] = {}
        self._items: dict[str, dict[str, Item]] = {}
        self._contents: dict[tuple[str, str, str], str] = {}
        self.warmed: set[tuple[str, str]] = set()
        """Methods and surfaces that have been called once with the model that is loaded; forgotten with it."""

    def model(self, entry: Entry) -> Model:
        """The model of an entry, kept until another one is asked for.

        Before a model is loaded the one before it is freed, and so are the networks of metrics.
        """
        if self._model is None or self._model[0] != entry.token:
            self._forget_model()
            release_networks()
            self._model = (entry.token, entry.load())
        return self._model[1]

    def in_memory(self, entry: Entry) -> Model:
        """`model` with its networks: outside a job's time, and before a method can change what comes late."""
        model: Any = self.model(entry)
        if hasattr(model, "load"):
            model.load()
        return model

    def instance(self, entry: Entry) -> Any:
        """The data set or metric of an entry, made once."""
        if entry.token not in self._instances:
            self._instances[entry.token] = entry.load()
        return self._instances[entry.token]

    def items(self, entry: Entry) -> dict[str, Item]:
        """The items of a data set by id, listed once."""
        if entry.token not in self._items:
            self.remember_items(entry, items_of(entry.label, self.instance(entry)))
        return self._items[entry.token]

    def item(self, entry: Entry, id: str, protocol: Json) -> Item:
        """An item by id, under the protocol its job was planned with. Raises SyncbenchError where there is none."""
        items = self.items(entry)
        if id not in items:
            raise SyncbenchError(f"dataset {entry.label} no longer has item '{id}'")
        return replace(items[id], protocol=sampling(items[id].protocol, protocol))

    def remember_items(self, entry: Entry, items: Sequence[Item]) -> None:
        """Let `items` answer these, which planning has listed, in the place of what it listed before."""
        self._items[entry.token] = {item.id: item for item in items}

    def is_from(self, origin: Origin, entry: Entry, item: Item) -> bool:
        """Whether a sample of this origin was made from `item` as the data set gives it today: content, not only id."""
        if origin.dataset != dataset_identity(entry, self.instance(entry)):
            return False
        name = (entry.token, item.id, item.protocol.negative)
        if name not in self._contents:
            self._contents[name] = content_of(item)
        return origin.content == self._contents[name]

    def forget_items(self) -> None:
        """Forget the items of data sets: the files they were read from may have changed."""
        self._items.clear()
        self._contents.clear()

    def release(self) -> None:
        """Forget the model, so that its memory is free for metrics or workers."""
        if self._model is not None:
            self._forget_model()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()

    def guarded(
        self, entry: Entry, items: Sequence[Item], work: Callable[[], T], seed: int = 0, model: Model | None = None
    ) -> T:
        """What a component answers to items of the data set `entry`, called within `unchanged`.

        What it has changed of the items or the model is forgotten; after a changed default dtype or device everything
        is that was loaded meanwhile.
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
