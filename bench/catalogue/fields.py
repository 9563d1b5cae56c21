"""Typed fields: `--set method.field=v`, suite tables and Python values, checked against the class's own types."""

import dataclasses
import inspect
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from math import isfinite
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, Unpack, cast, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError

from ..errors import SyncbenchError, quoted


def instantiate(cls: type, name: str, values: Mapping[str, Any]) -> Any:
    """`cls(**values)`, with every value converted to its field's type (see `convert`). `name` is the component's id.

    Raises SyncbenchError that names the field, the value and the fields that the class has.
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
        instance = cls(**checked)
    except SyncbenchError:
        raise
    except Exception as error:
        what = error if isinstance(error, ValueError | TypeError) else f"{type(error).__name__}: {error}"
        raise SyncbenchError(f"{name} cannot be built: {what}") from error
    for key, value in field_values(instance).items():  # defaults have not been checked yet
        _storable(value, value, f"{name}.{key}")
    return instance


def field_types(callee: Callable[..., Any]) -> dict[str, Any]:
    """Types, by name, of the keyword arguments that a class's constructor, or a function, takes."""
    maker: Any = callee.__init__ if isinstance(callee, type) else callee
    if maker is object.__init__:
        return {}
    hints = get_type_hints(maker, include_extras=True)
    kinds = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(callee).parameters.values()
    found = {p.name: hints.get(p.name, Any) for p in parameters if p.kind in kinds}
    for p in parameters:
        if p.kind is inspect.Parameter.VAR_KEYWORD and get_origin(hints.get(p.name)) is Unpack:
            found |= get_type_hints(get_args(hints[p.name])[0], include_extras=True)
    return found


def convert(value: Any, kind: Any, where: str) -> Any:
    """`value` as the type `kind`. Strings are parsed: `0.25`, `true`, `none`, or JSON for lists and tables.

    Raises SyncbenchError, beginning with `where`, for a value of another type, out of the type's declared range, NaN,
    infinite, or text with half a character.
    """
    adapter = _adapter(kind)
    if adapter is None:
        return _storable(value, value, where)
    text = isinstance(value, str)
    if text:
        check_text(value, where)
    if text and value.lower() in {"none", "null"} and _optional(kind):
        return None
    try:
        converted = adapter.validate_strings(value) if text else adapter.validate_python(value)
        return _storable(value, converted, where)
    except ValidationError as error:
        first = _refused(error)
    if text:
        try:
            return _storable(value, adapter.validate_python(json.loads(value)), where)
        except ValidationError as error:
            again = _refused(error)
            first = again if again["type"] in RANGES else first
        except (ValueError, RecursionError):  # no JSON
            pass
    if first["type"] in RANGES:
        reason = re.sub(r"^\w+ should", "it must", first["msg"]).replace(" after validation", "")
        raise SyncbenchError(f"{where} = {value_text(value)}: {reason}")
    reason = WRITTEN.get(first["type"], first["msg"])
    raise SyncbenchError(f"{where} = {value_text(value)} is not {show_type(kind)}: {reason}")


def _refused(error: ValidationError) -> Any:
    """Pydantic's first error; where a choice of several kinds begins with fixed values, with all of the kinds named."""
    errors: list[Any] = [*error.errors()]
    first, start = errors[0], "Input should be "
    if first["type"] == "literal_error" and all(other["msg"].startswith(start) for other in errors):
        kinds = [other["msg"].removeprefix(start).partition(", unable")[0] for other in errors]
        first["msg"] = start + " or ".join(dict.fromkeys(kinds))
    return first


RANGES = (
    *("greater_than", "greater_than_equal", "less_than", "less_than_equal"),
    *("finite_number", "string_too_short", "string_too_long", "too_short", "too_long", "literal_error"),
)
"""Pydantic's types of errors about a value that has the right type and is none of those allowed."""
WRITTEN = {
    "dict_type": 'write a JSON object, e.g. {"name": value}',
    "list_type": 'write a JSON list, e.g. ["a", "b"]',
    "tuple_type": 'write a JSON list, e.g. ["a", "b"]',
}
"""How values of lists and tables are written, by pydantic's type of error about another value."""
DEEPEST = 20
"""Largest number of nested lists and tables in a value."""


def _storable(given: Any, made: Any, where: str, depth: int = 0) -> Any:
    """`made`, if JSON can hold it: no NaN, no infinity, no half characters, not nested too deeply.

    `given` is the value that `made` was converted from: a truth value must not have become a number. Raises
    SyncbenchError that begins with `where`.
    """
    if depth > DEEPEST:
        raise SyncbenchError(f"{where} is nested more than {DEEPEST} levels deep")
    if isinstance(given, bool) and isinstance(made, int | float) and not isinstance(made, bool):
        raise SyncbenchError(f"{where} = {json.dumps(given)} is no number")
    if isinstance(made, float) and not isfinite(made):
        raise SyncbenchError(f"{where} = {made} is not a finite number")
    if isinstance(made, str):
        check_text(made, where)
    elif isinstance(made, Mapping):
        table = cast(Mapping[Any, Any], made)
        inner = cast(Mapping[Any, Any], given) if isinstance(given, Mapping) else table
        for key, value in table.items():
            _storable(key, key, where, depth + 1)
            _storable(inner.get(key, value), value, f"{where}.{value_text(key)}", depth + 1)
    elif isinstance(made, list | tuple):
        values = cast(Sequence[Any], made)
        before = cast(Sequence[Any], given if isinstance(given, list | tuple) else made)
        for old, value in zip(before, values, strict=False):
            _storable(old, value, where, depth + 1)
    return cast(Any, made)


def check_text(text: str, where: str) -> str:
    """The text itself. Raises SyncbenchError, beginning with `where`, if it holds half a character (a surrogate)."""
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
        raise SyncbenchError(
            f"{where} = {value_text(text)} holds half of a character (a lone surrogate), which is no text"
        )
    return text


def value_text(value: Any) -> str:
    """A value for use in a sentence, as a user would type it, at most 80 characters long."""
    try:
        return quoted(show_value(value), 80)
    except (ValueError, RecursionError):
        return type(value).__name__


def parse_assignments(assignments: Iterable[str]) -> dict[str, dict[str, str]]:
    """Values by component and field: `["multidiffusion.stride=0.5"]` gives `{"multidiffusion": {"stride": "0.5"}}`.

    The text before the last dot names the component; a later value of a field replaces an earlier one. Raises
    SyncbenchError for a text of another form.
    """
    values: dict[str, dict[str, str]] = {}
    for text in assignments:
        target, equals, value = text.partition("=")
        owner, dot, name = target.strip().rpartition(".")
        if not (equals and dot and owner and name):
            raise SyncbenchError(f"--set {text}: write it as component.field=value, e.g. multidiffusion.stride=0.25")
        values.setdefault(owner, {})[name] = value.strip()
    return values


def field_values(instance: Any) -> dict[str, Any]:
    """A component's field values as JSON, by name, as identity and records hold them; empty unless a dataclass."""
    if not dataclasses.is_dataclass(instance):
        return {}
    return {f.name: as_json(getattr(instance, f.name)) for f in dataclasses.fields(instance) if f.init}


def as_json(value: Any) -> Any:
    """`value` as JSON values; paths and unknown objects become their text."""
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
    """A value as a user would type it after `--set`."""
    return value if isinstance(value, str) else json.dumps(as_json(value))


def show_type(kind: Any) -> str:
    """A type as Python writes it, without its range."""
    if get_origin(kind) is Annotated:
        return show_type(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        return " | ".join("None" if part is type(None) else show_type(part) for part in get_args(kind))
    if get_origin(kind) in (dict, list, tuple):
        parts = ["..." if part is Ellipsis else show_type(part) for part in get_args(kind)]
        return f"{get_origin(kind).__name__}[{', '.join(parts)}]"
    return kind.__name__ if isinstance(kind, type) and not get_args(kind) else str(kind).replace("typing.", "")


def _adapter(kind: Any) -> TypeAdapter[Any] | None:
    if kind is Any:
        return None
    try:
        return TypeAdapter(kind, config=ConfigDict(arbitrary_types_allowed=True, allow_inf_nan=False))
    except PydanticUserError:  # a type pydantic cannot read (then the class must check it itself)
        return None


def _optional(kind: Any) -> bool:
    return kind is None or (get_origin(kind) in (Union, UnionType) and type(None) in get_args(kind))
