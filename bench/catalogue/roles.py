"""Class data of a metric, checked: what it is for (`role`), and which families it judges first (`primary`)."""

from typing import Any

from ..errors import SyncbenchError
from ..types import FAMILIES, ROLES, Role
from .registry import split


def role_of(metric: Any, name: str) -> Role:
    """The metric's role. Raises SyncbenchError, which names the metric, where its class has none."""
    role: Any = getattr(metric, "role", None)
    if role not in ROLES:
        what = f"'{role}' is no role" if role is not None else "it does not say what it is for"
        raise SyncbenchError(
            f'metric {name}: {what}: give its class `role: ClassVar[str] = "..."`, one of {", ".join(ROLES)}'
        )
    return role


def primary_of(metric: Any, spec: str) -> dict[str, int]:
    """Places, by family, of the metric that `spec` names (see `types.Metric`); a preset has those of `family@preset`.

    Raises SyncbenchError where the metric's `primary` is no table of places by family.
    """
    given: Any = getattr(metric, "primary", {})
    places: dict[str, int] = {}
    try:
        for key, place in dict[str, int](given).items():
            family, _, preset = key.partition("@")
            if family not in FAMILIES or type(place) is not int or place < 1:
                raise ValueError(key)
            if preset == split(spec)[1]:
                places[family] = place
    except (TypeError, ValueError, AttributeError) as error:
        reason = f"`primary` must be a table of families and places from 1, not {given!r}"
        raise SyncbenchError(f"metric {spec}: {reason}") from error
    return places
