"""Public data sets that loaders of a user's own data read: where each comes from and how its folder looks.

None is downloaded: licences ask for forms, logins and terms, and sizes reach terabytes. The entries are `public.toml`.
"""

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("public.toml")


@dataclass(frozen=True, kw_only=True)
class PublicSet:
    """One public data set."""

    name: str
    title: str
    dataset: str
    """The data set of syncbench that reads it."""
    url: str
    """Its page."""
    licence: str
    layout: tuple[str, ...]
    """Paths that are expected, from its root."""
    words: tuple[str, ...]
    """What in a path's name means this set."""

    @property
    def origin(self) -> str:
        """Where it comes from and how it looks, as the end of a sentence."""
        return f"{self.title} comes from {self.url} (licence: {self.licence}) and has {', '.join(self.layout)}"


@cache
def public_sets() -> dict[str, PublicSet]:
    """Every public data set, by its name."""
    content = tomllib.loads(FILE.read_text(encoding="utf-8"))
    found: dict[str, PublicSet] = {}
    for name, entry in content.items():
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()
        }
        found[name] = PublicSet(name=name, **values)
    return found


def origin_of(dataset: str, path: str) -> str:
    """`; ` and where the public sets that a path of `dataset` seems to mean come from; empty where it means none.

    >>> origin_of("videos", "data/DAVIS/JPEGImages")[:20]
    '; DAVIS 2017, trainv'
    """
    parts = set(re.findall(r"[a-z0-9]+", path.lower()))
    meant = [one for one in public_sets().values() if one.dataset == dataset and parts & set(one.words)]
    return "".join(f"; {one.origin}" for one in meant)
