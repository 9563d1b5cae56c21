"""Weights that can be fetched by name: the entries of `manifest.toml`, their groups, and any repository of the hub."""

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ..catalogue.registry import suggest
from ..errors import SyncbenchError, quoted
from .public import public_sets

FILE = Path(__file__).with_name("manifest.toml")
HUB_ID = re.compile(r"(?=.{3,96}$)\w[\w.-]*/[\w.-]+")
"""Pattern of the name of a repository of the Hugging Face hub, owner/name."""


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Weights to fetch: a repository of the Hugging Face hub, or one file at an address of torch hub's."""

    name: str
    title: str = ""
    licence: str = "as its page says"
    gigabytes: float | None = None
    """Estimated size on disk in float32, in units of 10^9 bytes; None where only the hub knows."""
    repository: str = ""
    """Repository on the hub; empty for a file of torch hub."""
    commit: str = ""
    """Hash of the commit, at least its first digits; empty for the main branch."""
    gated: bool = False
    """Whether the hub asks for a login and a licence to be accepted."""
    files: tuple[str, ...] = ()
    """Glob patterns of the files that are fetched; empty for all that a pipeline needs, in one precision (`wanted`)."""
    like: str = ""
    """Architecture, a key of `run.stand_ins.STAND_INS`, by whose numbers of parameters a sweep is forecast before the
    weights are here; empty where there is none."""
    url: str = ""
    """Address of a file of torch hub; empty for a repository."""
    sha256: str = ""
    """SHA-256 of the file, or its first digits; by default those after the last "-" of its name, as torch writes it."""
    metrics: tuple[str, ...] = ()
    """Ids of the metrics that use the weights."""
    note: str = ""
    """A remark that the listing shows."""

    @property
    def file(self) -> str:
        """The name of a file of torch hub; empty for a repository."""
        return self.url.rpartition("/")[2]


@cache
def manifest() -> dict[str, Weights]:
    """Every entry of the manifest, by its name."""
    entries: dict[str, Weights] = {}
    data = _data()
    for name, entry in {**data["hub"], **data["torch"]}.items():
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()
        }
        if "url" in values:
            values.setdefault("sha256", Path(values["url"]).stem.rpartition("-")[2])
        entries[name] = Weights(name=name, **values)
    return entries


@cache
def groups() -> dict[str, tuple[str, ...]]:
    """Names of entries by the name of their group."""
    return {name: tuple(entries) for name, entries in _data()["groups"].items()}


def weights_named(name: str) -> list[Weights]:
    """The weights that a name means: an entry, a group, or a repository. Raises SyncbenchError for any other name."""
    known = manifest()
    if name in groups():
        return [known[one] for one in groups()[name]]
    if name in known:
        return [known[name]]
    if HUB_ID.fullmatch(name):
        return [of_repository(name)]
    if name in public_sets():
        one = public_sets()[name]
        raise SyncbenchError(
            f"{name} is a data set, which is not downloaded: {one.origin}; run with --datasets {one.dataset} --set "
            f"{one.dataset}.path=FOLDER"
        )
    raise SyncbenchError(
        f"nothing to fetch is called '{quoted(name, 80)}'{suggest(name, [*known, *groups()], 'known are')}; a "
        "repository of the hub is owner/name"
    )


def of_repository(repository: str) -> Weights:
    """The manifest's entry of a repository, or a new one with its name alone."""
    listed = (one for one in manifest().values() if one.repository == repository)
    return next(listed, Weights(name=repository, repository=repository))


@cache
def _data() -> dict[str, Any]:
    return tomllib.loads(FILE.read_text(encoding="utf-8"))
