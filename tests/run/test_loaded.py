"""What a process has loaded: made once, freed before the next, and forgotten when a component has changed it."""

import gc
import weakref
from typing import Any

import pytest
import torch
from syncbench.bench.catalogue.content import content_of
from syncbench.bench.run.job import dataset_identity
from syncbench.bench.run.loaded import Loaded
from syncbench.bench.store.stored import Origin
from syncbench.bench.suites.suite import Entry
from syncbench.bench.types import SyncbenchError

GAUSS, OTHER = Entry("models", "gauss"), Entry("models", "gauss", {"batch": 2})
TINY = Entry("models", "tiny", {"device": "cpu"})
SMALL = Entry("datasets", "panoramas", {"width": 64, "height": 16, "window": 16})


def test_one_model_is_held_and_what_was_warmed_up_is_forgotten_with_it() -> None:
    loaded = Loaded()
    first = weakref.ref(loaded.model(GAUSS))
    assert loaded.model(GAUSS) is first()
    loaded.warmed.add(("a method", "a surface"))
    loaded.model(OTHER)
    gc.collect()
    assert first() is None, "free before the next is loaded"
    assert not loaded.warmed
    loaded.warmed.add(("a method", "a surface"))
    last = weakref.ref(loaded.model(OTHER))
    loaded.release()
    gc.collect()
    assert last() is None
    assert not loaded.warmed


def test_data_sets_are_listed_once_until_their_items_are_forgotten() -> None:
    loaded = Loaded()
    items = loaded.items(SMALL)
    assert loaded.items(SMALL) is items
    assert loaded.instance(SMALL) is loaded.instance(SMALL)
    id = next(iter(items))
    assert loaded.item(SMALL, id, {"steps": 3}).protocol.steps == 3
    with pytest.raises(SyncbenchError, match="no longer has item 'nowhere'"):
        loaded.item(SMALL, "nowhere", {})
    loaded.remember_items(SMALL, [items[id]])
    assert list(loaded.items(SMALL)) == [id]
    loaded.forget_items()
    assert list(loaded.items(SMALL)) == list(items)


def test_a_sample_is_of_an_item_only_with_its_data_set_and_content() -> None:
    loaded = Loaded()
    (first, second), dataset = list(loaded.items(SMALL).values())[:2], loaded.instance(SMALL)
    origin = Origin(dataset_identity(SMALL, dataset), content_of(first))
    assert loaded.is_from(origin, SMALL, first)
    assert not loaded.is_from(origin, SMALL, second)
    assert not loaded.is_from(origin._replace(dataset={**origin.dataset, "version": 0}), SMALL, first)
    assert not loaded.is_from(origin._replace(dataset=None), SMALL, first)


def test_what_a_component_changes_is_forgotten() -> None:
    ticks: list[None] = []
    loaded = Loaded(tick=lambda: ticks.append(None))
    model: Any = loaded.in_memory(TINY)
    items, instance = loaded.items(SMALL), loaded.instance(SMALL)
    item = next(iter(items.values()))

    def asked(work: Any) -> None:
        loaded.guarded(SMALL, [item], work, model=model)

    asked(lambda: None)
    assert (loaded.model(TINY) is model, loaded.items(SMALL) is items, len(ticks)) == (True, True, 1)
    asked(lambda: torch.nn.init.zeros_(model.pipeline.unet.conv_in.weight))
    assert loaded.model(TINY) is not model, "a changed model"
    assert loaded.items(SMALL) is items
    asked(lambda: torch.set_default_dtype(torch.float64))
    assert torch.get_default_dtype() == torch.float32
    assert loaded.instance(SMALL) is not instance, "whatever was loaded meanwhile"
    assert loaded.items(SMALL) is not items
