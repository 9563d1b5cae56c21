"""Jobs as `Store.save` takes them, with a header that has whatever columns headers have."""

from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from syncbench.bench.types import Header, Json, Record

COST = {"evaluations": 3, "backward": 0, "encodes": 0, "decodes": 1, "seconds": 0.5, "peak_mb": 7.0}


def example(kind: Any) -> Any:
    """Some value of a column's type; None where it may be missing."""
    if get_origin(kind) is UnionType or type(None) in get_args(kind):
        return None
    if get_args(kind) and not isinstance(get_args(kind)[0], type):
        return get_args(kind)[0]  # the first of a Literal
    return {str: "x", int: 1, float: 1.0}.get(kind, {})


def header(key: str, **values: Any) -> Json:
    """The columns of a sample."""
    made = {name: example(kind) for name, kind in get_type_hints(Header).items()}
    return made | {"key": key, "family": "overlap", "door": "controlled", "item": "i", "seed": 0} | values


def row(key: str, **values: Any) -> Json:
    """A record."""
    made = {name: example(kind) for name, kind in get_type_hints(Record).items()}
    scored = {"metric": "m", "direction": "lower", "unit": "", "value": 0.5, "status": "ok"}
    return made | header(key) | scored | values


def job(key: str, **changes: Any) -> Json:
    """A job that succeeded, or what `changes` make of it."""
    return {
        "header": header(key),
        "identity": {"item": {"id": "i", "prompts": ["a red ball"]}},
        "dataset": {"spec": "panoramas", "overrides": {}},
        "status": "ok",
        "error": None,
        "cost": COST,
        "notes": {"borders": [4]},
        **changes,
    }
