"""Components that a results folder names: which of them may be loaded.

A folder may come from a stranger, and loading a component executes its code. So a folder's word is enough only for
components of the tree and of installed packages, by id. What stands in a file or module needs the user's word.
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
"""Numbers as fields read them and JSON does not, with signs and underscores; those that may be large."""
LARGEST = 2**16
"""Largest number in a field that a folder's word is enough for: sizes and counts are memory and hours."""


def entry(kind: Kind, spec: Spec, *, named: Collection[str] = (), trust: bool = False) -> Entry:
    """The component `spec` as a suite's entry.

    Raises SyncbenchError, `data set 'x' is not installed`, for anything but an id of the tree or of an installed
    package, and for numbers beyond `LARGEST`, unless the user `named` the spec now; and, whoever named it, for a
    `folder` of weights. With `trust` all is taken. Nothing is imported.
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
