"""Typed fields: `--set method.field=v`, suite tables and Python values, checked against the class's own types."""

import dataclasses
import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Any, Union, cast, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError

from .errors import SyncbenchError


def build(cls: type, name: str, values: Mapping[str, Any]) -> Any:
    """`cls(**values)` with every value checked against, or read as, its field's type.

    Raises SyncbenchError naming the field, the value and what the class has.
    """
    types = field_types(cls)
    checked: dict[str, Any] = {}
    for key, value in values.items():
        if key not in types:
            close = get_close_matches(key, list(types), n=1)
            hint = f"did you mean '{close[0]}'?" if close else "it has " + (", ".join(types) or "no fields")
            raise SyncbenchError(f"{name} has no field '{key}': {hint}")
        checked[key] = convert(value, types[key], f"{name}.{key}")
    try:
        return cls(**checked)
    except (ValueError, TypeError) as error:
        raise SyncbenchError(f"{name} cannot be built: {error}") from error


def field_types(callee: Callable[..., Any]) -> dict[str, Any]:
    """Names and types of what a class's constructor, or a function, takes by keyword."""
    maker: Any = callee.__init__ if isinstance(callee, type) else callee
    if maker is object.__init__:
        return {}
    hints = get_type_hints(maker)
    kinds = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(callee).parameters.values()
    return {p.name: hints.get(p.name, Any) for p in parameters if p.kind in kinds}


def convert(value: Any, kind: Any, where: str) -> Any:
    """`value` as `kind`. Strings are read: `0.25`, `true`, `none`, or JSON for lists and the like."""
    adapter = _adapter(kind)
    if adapter is None:
        return value
    text = isinstance(value, str)
    if text and value.lower() in {"none", "null"} and _optional(kind):
        return None
    try:
        return adapter.validate_strings(value) if text else adapter.validate_python(value)
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
    if text:
        try:
            return adapter.validate_python(json.loads(value))
        except (ValidationError, json.JSONDecodeError):
            pass
    raise SyncbenchError(f"{where} = {show_value(value)} is not {show_type(kind)}: {reason}")


def parse_assignments(assignments: Iterable[str]) -> dict[str, dict[str, str]]:
    """`["multidiffusion.stride=0.5"]` as `{"multidiffusion": {"stride": "0.5"}}`; the last of equals wins.

    What stands before the last dot is matched against ids, labels, `module:Class` and `dataset`/`model` ids.
    """
    found: dict[str, dict[str, str]] = {}
    for text in assignments:
        target, equals, value = text.partition("=")
        owner, dot, name = target.strip().rpartition(".")
        if not (equals and dot and owner and name):
            raise SyncbenchError(f"--set {text}: write it as component.field=value, e.g. multidiffusion.stride=0.25")
        found.setdefault(owner, {})[name] = value.strip()
    return found


def field_values(instance: Any) -> dict[str, Any]:
    """A component's field values as JSON; what identity and records hold."""
    if not dataclasses.is_dataclass(instance):
        return {}
    return {f.name: as_json(getattr(instance, f.name)) for f in dataclasses.fields(instance) if f.init}


def as_json(value: Any) -> Any:
    """`value` in JSON's terms; paths and unknown objects by their text."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return value.as_posix()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return field_values(value)
    if isinstance(value, Mapping):
        return {str(k): as_json(v) for k, v in cast(Mapping[Any, Any], value).items()}
    if isinstance(value, set | frozenset):
        return sorted((as_json(v) for v in cast(set[Any], value)), key=str)
    if isinstance(value, Iterable):
        return [as_json(v) for v in cast(Iterable[Any], value)]
    return str(value)


def show_value(value: Any) -> str:
    """A value as one would type it after `--set`."""
    return value if isinstance(value, str) else json.dumps(as_json(value))


def show_type(kind: Any) -> str:
    """A type as one would write it."""
    return kind.__name__ if isinstance(kind, type) and not get_args(kind) else str(kind).replace("typing.", "")


def _adapter(kind: Any) -> TypeAdapter[Any] | None:
    if kind is Any:
        return None
    try:
        return TypeAdapter(kind, config=ConfigDict(arbitrary_types_allowed=True))
    except PydanticUserError:  # a type pydantic cannot read (then the class must check it itself)
        return None


def _optional(kind: Any) -> bool:
    return kind is None or (get_origin(kind) in (Union, UnionType) and type(None) in get_args(kind))
