"""Samples of `independent` in a results folder, which show what a model makes of each view alone."""

from collections.abc import Mapping
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from ...bench.catalogue.content import content_of, digest
from ...bench.store.folder import Store
from ...bench.store.stored import StoredJob
from ...bench.types import Item, SyncbenchError
from .pictures import judged_images

ALONE = "independent"
"""The method whose views know nothing of each other."""


def samples_digest(folder: str) -> str:
    """12 hex digits of which samples of `independent` a results folder has. Raises SyncbenchError where it has none."""
    return digest([job.key for job in _jobs(folder)])


def samples_alone(folder: str, items: Mapping[str, Item]) -> dict[str, Float[Tensor, "n 3 h w"]]:
    """The images of `independent`, of all its seeds, for each of the items of the same content.

    Raises SyncbenchError where the folder has no samples of `independent`, or of several models.
    """
    store, contents = Store(Path(folder)), {name: content_of(item) for name, item in items.items()}
    found: dict[str, list[Tensor]] = {}
    for job in _jobs(folder):
        name = job.header.item
        if contents.get(name) == job.header.content:
            found.setdefault(name, []).append(judged_images(store.artifact(job.key), items[name]))
    return {name: torch.cat(images) for name, images in found.items()}


def _jobs(folder: str) -> list[StoredJob]:
    store = Store(Path(folder))
    jobs = [job for key in store.finished() if (job := store.job(key)) is not None and job.status == "ok"]
    alone = [job for job in jobs if job.header.method == ALONE]
    if not alone:
        raise SyncbenchError(f"'{folder}' has no samples of {ALONE}: run it there with the model to compare with")
    models = sorted({job.header.model for job in alone})
    if len(models) > 1:
        raise SyncbenchError(
            f"'{folder}' has samples of {ALONE} by several models, {', '.join(models)}: name a folder of the one"
        )
    return alone
