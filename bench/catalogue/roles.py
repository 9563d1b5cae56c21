"""What a metric says of itself: what it is for, which families it judges first, whether it measures the machine too."""

from typing import Any

from ..errors import SyncbenchError
from ..types import FAMILIES, ROLES, Role
from .registry import split


def role_of(metric: Any, name: str) -> Role:
    """The metric's role. Raises SyncbenchError, naming the metric, where its class has none."""
    role: Any = getattr(metric, "role", None)
    if role not in ROLES:
        what = f"'{role}' is no role" if role is not None else "it does not say what it is for"
        raise SyncbenchError(
            f'metric {name}: {what}: give its class `role: ClassVar[str] = "..."`, one of {", ".join(ROLES)}'
        )
    return role


def primary_of(metric: Any, spec: str) -> dict[str, int]:
    """Places by family of the metric that `spec` names; a preset has only those under `family@preset`.

    Raises SyncbenchError for what is no such table.
    """
    given: Any = getattr(metric, "primary", {})
    found: dict[str, int] = {}
    try:
        for key, place in dict[str, int](given).items():
            family, _, preset = key.partition("@")
            if family not in FAMILIES or type(place) is not int or place < 1:
                raise ValueError(key)
            if preset == split(spec)[1]:
                found[family] = place
    except (TypeError, ValueError, AttributeError) as error:
        said = f"`primary` must be a table of families and places from 1, not {given!r}"
        raise SyncbenchError(f"metric {spec}: {said}") from error
    return found
