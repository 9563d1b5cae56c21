"""What can be fetched by a short name: the entries of `manifest.toml`, their groups, and any hub id."""

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ..catalogue.registry import suggest
from ..errors import SyncbenchError, quoted

FILE = Path(__file__).with_name("manifest.toml")
HUB_ID = re.compile(r"(?=.{3,96}$)\w[\w.-]*/[\w.-]+")
"""A repository of the hub, owner/name."""


@dataclass(frozen=True, kw_only=True)
class Weights:
    """One thing to fetch: a repository of the hub, or a file of torch's own."""

    name: str
    title: str = ""
    licence: str = "as its page says"
    gigabytes: float | None = None
    """About what full precision takes on disk; None: not known before the hub is asked."""
    repository: str = ""
    """On the hub; empty for a file of torch's own."""
    commit: str = ""
    """Its first digits at least; empty: the main branch."""
    gated: bool = False
    """Whether the hub asks for a login and a licence to be accepted."""
    files: tuple[str, ...] = ()
    """Patterns of the names that are wanted; empty: the whole pipeline."""
    like: str = ""
    """Architecture whose published sizes stand for it before it is here."""
    url: str = ""
    """Of a file of torch's own."""
    sha256: str = ""
    """Its digest, or the first digits of it."""
    metrics: tuple[str, ...] = ()
    """Ids of the metrics that look through it."""
    note: str = ""
    """What else is to be known."""

    @property
    def file(self) -> str:
        """The name of a file of torch's own."""
        return self.url.rpartition("/")[2]


@cache
def manifest() -> dict[str, Weights]:
    """Every entry by its name."""
    found: dict[str, Weights] = {}
    data = _data()
    for name, entry in {**data["hub"], **data["torch"]}.items():
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()
        }
        if "url" in values:
            values.setdefault("sha256", Path(values["url"]).stem.rpartition("-")[2])
        found[name] = Weights(name=name, **values)
    return found


@cache
def groups() -> dict[str, tuple[str, ...]]:
    """Names that stand for several entries."""
    return {name: tuple(entries) for name, entries in _data()["groups"].items()}


def named(name: str) -> list[Weights]:
    """What a name means: an entry, a group, or a repository of the hub. Raises SyncbenchError for anything else."""
    known = manifest()
    if name in groups():
        return [known[one] for one in groups()[name]]
    if name in known:
        return [known[name]]
    if HUB_ID.fullmatch(name):
        return [of_repository(name)]
    raise SyncbenchError(
        f"nothing to fetch is called '{quoted(name, 80)}'{suggest(name, [*known, *groups()], 'known are')}; a "
        "repository of the hub is owner/name"
    )


def of_repository(repository: str) -> Weights:
    """The entry of a repository, or one made for it."""
    listed = (one for one in manifest().values() if one.repository == repository)
    return next(listed, Weights(name=repository, repository=repository))


@cache
def _data() -> dict[str, Any]:
    return tomllib.loads(FILE.read_text(encoding="utf-8"))
