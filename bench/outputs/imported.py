"""The job of an output that another program made, and of an anchor made beside it: who made it, and what is told of it.

What nobody told is "not stated". A key is the hash of what is told, of the item, and of the output's own bytes, so that
an import of the same files finds the same jobs, with their scores, and changed files make new ones.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import NamedTuple

import torch

from ..catalogue.fields import as_json
from ..run.job import Identity, Job, Named, dataset_identity, item_identity, job_key, make_job
from ..suites.suite import Entry
from ..types import Header, Item, Json

UNSTATED = "not stated"


@dataclass(frozen=True, kw_only=True)
class Told:
    """What the user tells about a set of outputs."""

    method: str
    """Name of what made them, as it is to stand in tables."""
    paper: str = ""
    """arXiv id or DOI of its paper."""
    title: str = ""
    """Title of its paper."""
    model: str = ""
    """Name of the checkpoint."""


class StandIn:
    """In the place of a model that made outputs elsewhere: a name, and nothing that could be run."""

    capabilities: frozenset[str] = frozenset()
    factor = 1

    def __init__(self, name: str) -> None:
        self.id = self.name = name
        self.revision = UNSTATED
        self.device, self.dtype = torch.device("cpu"), torch.float32


class Made(NamedTuple):
    """A job to be stored: its key, and the content of its `job.json` without what the store adds."""

    key: str
    job: Json


def imported_job(
    told: Told,
    params: Json,
    dataset: Named,
    item: Item,
    content: str,
    protocol: Json,
    seed: int,
    files: Mapping[str, bytes],
) -> Made:
    """The job of an output whose artifact has these files."""
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name} {hashlib.sha256(files[name]).hexdigest()} ".encode())
    model = told.model or UNSTATED
    identity = Identity(
        method={"id": told.method, "version": 1, "fields": params, "output": digest.hexdigest()},
        model={"id": model, "revision": UNSTATED},
        dataset=dataset_identity(dataset.entry, dataset.made),
        item=item_identity(item, content),
        protocol=protocol,
        seed=seed,
    )
    header = Header(
        key=identity.key,
        family=item.family,
        dataset=dataset.entry.label,
        dataset_version=dataset.made.version,
        item=item.id,
        content=content,
        model=model,
        revision=UNSTATED,
        method=told.method,
        method_version=1,
        door="imported",
        anchor=None,
        params=params,
        protocol=protocol,
        seed=seed,
        machine=UNSTATED,
    )
    about = {"title": told.title or told.method, "doc": "", "paper": told.paper, "licence": "", "presets": []}
    return Made(header.key, {**_facts(identity, header, dataset.entry), "about": about})


def anchor_job(
    method: Named, model: StandIn, dataset: Named, item: Item, content: str, protocol: Json, seed: int
) -> tuple[Job, Made]:
    """The job of an anchor that stands beside outputs: with their model and protocol, on one board."""
    made = make_job(Named(Entry("models", model.id), model), dataset, method, item, content, seed)
    identity = replace(made.identity, protocol=protocol, model={"id": model.id, "revision": UNSTATED})
    header = replace(made.header, key=job_key(asdict(identity)), protocol=protocol)
    return made, Made(header.key, _facts(identity, header, dataset.entry))


def _facts(identity: Identity, header: Header, dataset: Entry) -> Json:
    return {
        "identity": asdict(identity),
        "header": asdict(header),
        "dataset": {"spec": dataset.spec, "overrides": as_json(dataset.overrides)},
    }
