"""Which components that a results folder names may be loaded.

A folder may come from an untrusted source, and loading a component executes its code. So a folder alone can have only
components of the tree and of installed packages loaded, by id. A file or a module must be named by the user as well.
"""

import json
import re
from collections.abc import Collection
from typing import Any, cast

from ..catalogue.listing import Kind, list_components
from ..catalogue.registry import NOUNS, label, split
from ..errors import SyncbenchError
from ..store.stored import Spec
from ..types import Json
from .suite import Entry

NUMBER = re.compile(r"[+-]?[\d_.]{6,}(e[+-]?\d+)?|[+-]?[\d_.]+e[+-]?\d+", re.IGNORECASE)
"""Pattern of numbers that may be large and that fields read although JSON does not, with signs and underscores."""
LARGEST = 2**16
"""Largest number in a field that a folder may set alone, because sizes and counts cost memory and hours."""


def entry(kind: Kind, spec: Spec, *, named: Collection[str] = (), trust: bool = False) -> Entry:
    """The component `spec` of a results folder as a suite's entry. Nothing is imported.

    `named` are specs that the user has typed. Raises SyncbenchError for a spec not among them that is no id of the tree
    or of an installed package, or has a number beyond LARGEST; and for any spec with a `folder` of weights. With
    `trust` every spec is allowed.
    """
    base = split(spec.spec)[0]
    what = f"{NOUNS[kind]} '{label(spec.spec)}'"
    if trust:
        return Entry(kind, spec.spec, dict(spec.overrides))
    if spec.spec not in named and base not in named:
        if base not in {one.id for one in list_components(kind)}:
            raise SyncbenchError(f"{what} is not installed")
        if not _modest(spec.overrides):
            raise SyncbenchError(f"{what} has a field beyond {LARGEST:,}")
    if spec.overrides.get("folder") is not None:  # whose configuration may name code
        raise SyncbenchError(f"{what} asks for weights of a folder")
    return Entry(kind, spec.spec, dict(spec.overrides))


def _modest(value: Any) -> bool:
    """Whether no number in a field's value, and no length of a list or text, is beyond LARGEST."""
    if isinstance(value, str):  # fields read their numbers and lists from text, too
        try:
            value = json.loads(value)
        except ValueError:
            return len(value) <= LARGEST and not NUMBER.fullmatch(value.strip())
    if isinstance(value, dict):
        value = list(cast(Json, value).values())
    if isinstance(value, list):
        inside = cast(list[Any], value)
        return len(inside) <= LARGEST and all(map(_modest, inside))
    if isinstance(value, str):
        return _modest(value)
    return not isinstance(value, int | float) or abs(value) <= LARGEST
