"""Components that a results folder names: which of them may be loaded.

A folder may come from a stranger, and loading a component executes its code. So a folder's word is enough only for
components of the tree and of installed packages, by id. What stands in a file or module needs the user's word.
"""

from collections.abc import Collection
from typing import Any, cast

from .errors import SyncbenchError
from .listing import Kind, list_components
from .registry import NOUNS, label, split
from .stored import Spec
from .suite import Entry
from .types import Json

LARGEST = 2**16
"""Largest number in a field that a folder's word is enough for: sizes and counts are memory and hours."""


def entry(kind: Kind, spec: Spec, *, named: Collection[str] = (), trust: bool = False) -> Entry:
    """The component `spec` as a suite's entry.

    Raises SyncbenchError, `data set 'x' is not installed`, for anything but an id of the tree or of an installed
    package, for fields with numbers beyond `LARGEST` and for a `folder` of weights, unless the component is one of the
    specs `named` by the user now, or the user trusts the folder. Nothing is imported.
    """
    base = split(spec.spec)[0]
    if not (trust or spec.spec in named or base in named):
        if base not in {one.id for one in list_components(kind)}:
            raise SyncbenchError(f"{NOUNS[kind]} '{label(spec.spec)}' is not installed")
        if not _modest(spec.overrides):
            raise SyncbenchError(f"{NOUNS[kind]} '{label(spec.spec)}' has a field beyond {LARGEST:,}")
        if spec.overrides.get("folder") is not None:  # of weights, whose configuration may name code
            raise SyncbenchError(f"{NOUNS[kind]} '{label(spec.spec)}' asks for weights of a folder")
    return Entry(kind, spec.spec, dict(spec.overrides))


def _modest(value: Any) -> bool:
    if isinstance(value, dict):
        value = list(cast(Json, value).values())
    if isinstance(value, list):
        inside = cast(list[Any], value)
        return len(inside) <= LARGEST and all(map(_modest, inside))
    if isinstance(value, str):  # read by the field's type
        return len(value) <= LARGEST and not (value.strip().lstrip("+-").isdigit() and len(value.strip()) > 6)
    return not isinstance(value, int | float) or abs(value) <= LARGEST
