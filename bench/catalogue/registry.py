"""From a spec to an instance: `id`, `id@preset`, `module:Class`, `file.py`, each with typed overrides.

Nothing registers itself: ids are file names (see `listing`), and any class that Python can import may be named.
"""

import importlib
import importlib.util
import inspect
import json
import re
import sys
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast

from ..errors import SyncbenchError, quoted
from ..files.reading import is_folder
from .fields import instantiate, show_value
from .listing import KINDS, ROOT, Component, Kind, list_components, module_name, public_classes

__all__ = [
    "NOUNS",
    "Component",
    "Kind",
    "any_class",
    "component_id",
    "component_kind",
    "find",
    "label",
    "list_components",
    "load",
    "load_class",
    "split",
    "suggest",
]

FILE = re.compile(r"\.py(:[^/@]*)?(@[^/]*)?$")
"""Pattern of the end of a spec that names a Python file."""
NOUNS: dict[Kind, str] = {"methods": "method", "metrics": "metric", "datasets": "data set", "models": "model"}
MARKS: dict[Kind, tuple[str, ...]] = {
    "models": ("predict", "schedule"),
    "datasets": ("items", "family"),
    "metrics": ("fingerprint", "direction"),
    "methods": ("door", "requires"),
}
"""Attributes by which a class of each kind is recognised without an instance."""


def load(kind: Kind, spec: str, overrides: Mapping[str, Any] | None = None) -> Any:
    """An instance of the component that `spec` names, with the field values of its preset and then `overrides`.

    Values may be typed (from TOML or Python) or strings (from `--set`), which are converted to the field's type. Raises
    SyncbenchError for unknown ids, presets and fields, values of the wrong type, and failing imports.
    """
    base, preset = split(spec)
    values = dict(overrides or {})
    if kind == "models" and is_checkpoint(base):
        base, values = "diffusers", {"path": base, **values}
    cls = load_class(kind, base, spec)
    if preset:
        presets: Mapping[str, Mapping[str, Any]] = getattr(cls, "presets", {})
        if preset not in presets:
            raise SyncbenchError(f"{base} has no preset '{preset}'{suggest(preset, presets, 'it has')}")
        values = {**presets[preset], **values}
    with _blamed(f"{kind[:-1]} {base}: making one"):
        return instantiate(cls, base, values)


def load_class(kind: Kind, base: str, spec: str = "") -> type:
    """The class behind an id, `module:Class`, or `file.py` (optionally `file.py:Class`), without preset.

    `spec` is the whole spec as the user wrote it, for messages. Raises SyncbenchError for a class that is no component
    of this kind.
    """
    cls = any_class(kind, base, spec)
    own = component_kind(cls)
    if own != kind:
        what = f"a {NOUNS[own]}, not a {NOUNS[kind]}" if own else f"no {NOUNS[kind]}"
        has = " and ".join(f"`{name}`" for name in MARKS[kind])
        raise SyncbenchError(f"'{quoted(base)}' is {what}: a {NOUNS[kind]} has {has}")
    return cls


def component_kind(cls: type) -> Kind | None:
    """Which kind of component a class is, by its attributes (MARKS); None for none. It is not instantiated."""
    with _blamed(f"reading what {cls.__name__} has"):
        fields: Mapping[str, Any] = getattr(cls, "__dataclass_fields__", {})
        return next((k for k, names in MARKS.items() if all(hasattr(cls, n) or n in fields for n in names)), None)


def any_class(kind: Kind, base: str, spec: str = "") -> type:
    """The class behind an id of `kind`, or behind `module:Class` or `file.py`, whose kind is not checked.

    Raises SyncbenchError where there is none, or its import fails.
    """
    if kind == "models" and is_checkpoint(base):
        base = "diffusers"
    path, _, name = base.rpartition(":") if ".py:" in base else (base, "", "")
    if path.endswith(".py"):
        return _from_file(Path(path), name)
    if ":" in base:
        module, _, name = base.partition(":")
        if not (module and name):
            raise SyncbenchError(f"'{quoted(base)}' names no class: write module:Class or file.py:Class")
        return _from_module(module, name, base)
    component = find(kind, base, spec)
    module, _, name = component.target.partition(":")
    return _from_module(module, name, base)


def find(kind: Kind, id: str, spec: str = "") -> Component:
    """The listed component of that id. Raises SyncbenchError with the nearest ids; `spec` is the id as written."""
    known = {component.id: component for component in list_components(kind)}
    if id not in known:
        for name in (spec, id):
            if kind == "models" and name and is_folder(name):
                raise SyncbenchError(f"unknown model '{name}': for the folder of that name write ./{name}")
        for other in KINDS:
            if id in {component.id for component in list_components(other)}:
                raise SyncbenchError(f"'{id}' is a {NOUNS[other]}, not a {NOUNS[kind]}")
        raise SyncbenchError(f"unknown {kind[:-1]} '{quoted(id)}'{suggest(id, known, 'known are')}")
    return known[id]


def label(spec: str, overrides: Mapping[str, Any] | None = None) -> str:
    """The name of a component in tables: id, preset and overrides, e.g. `multidiffusion[stride=0.25]`.

    A file is named by its stem and a checkpoint by the last part of its path, so that no path is in a table.
    """
    base, preset = split(spec)
    if is_checkpoint(base):
        base = Path(base).name or base
    elif ".py" in base:
        path, _, name = base.partition(".py")
        base = Path(path).name + name
    values = {key: show_value(value) for key, value in sorted((overrides or {}).items())}
    tail = ",".join(f"{key}={_without_folders(value)}" for key, value in values.items())
    return base + (f"@{preset}" if preset else "") + (f"[{tail}]" if tail else "")


def _without_folders(value: str) -> str:
    """A field's value with the last part of each path in it, also of those in a list or a table."""
    if "/" not in value:
        return value
    try:
        inside = json.loads(value) if value[0] in "[{" else None
    except (ValueError, RecursionError):
        inside = None
    if isinstance(inside, dict):
        table = cast(dict[str, Any], inside)
        return json.dumps({key: _without_folders(one) if isinstance(one, str) else one for key, one in table.items()})
    if isinstance(inside, list):
        listed = cast(list[Any], inside)
        return json.dumps([_without_folders(one) if isinstance(one, str) else one for one in listed])
    return Path(value).name


def component_id(name: str) -> str:
    """The id in a label, e.g. `clip_text` of `clip_text@margin[...]`: without preset, overrides and backbone."""
    return split(name.partition("[")[0])[0]


def suggest(word: str, known: Iterable[str], intro: str) -> str:
    """The end of a message about an unknown `word`: `: did you mean 'x'?`, or `intro` and the list of `known` names."""
    names = sorted(known)
    close = get_close_matches(word, names, n=2, cutoff=0.6)
    if close:
        return ": did you mean " + " or ".join(f"'{name}'" for name in close) + "?"
    return f": {intro} {', '.join(names)}" if names else f": {intro} none"


def split(spec: str) -> tuple[str, str]:
    """Base and preset of a spec `id@preset`; an @ in the name of a folder or of a checkpoint begins no preset."""
    if is_checkpoint(spec):
        return spec, ""
    base, at, preset = spec.rpartition("@")
    return (base, preset) if at and preset and "/" not in preset else (spec, "")


def _blamed(what: str, *through: type[Exception]) -> AbstractContextManager[None]:
    """`isolation.guard.blamed`, imported on the first call because it imports torch."""
    from ..isolation.guard import blamed

    return blamed(what, *through)


def is_checkpoint(spec: str) -> bool:
    """Whether a name is a folder or a hub id (`owner/name`), which stands for the model `diffusers` with that path.

    >>> is_checkpoint("models/sd15@best"), is_checkpoint("mine/method.py@fast"), is_checkpoint("multidiffusion@x")
    (True, False, False)
    """
    return spec in {".", ".."} or ("/" in spec and not FILE.search(spec))


def _from_module(module: str, name: str, spec: str) -> type:
    try:
        with _blamed(f"importing '{spec}'", ImportError, AttributeError):
            named = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        raise SyncbenchError(f"cannot import '{spec}': {error}; is it installed, or on PYTHONPATH?") from error
    except AttributeError as error:
        raise SyncbenchError(f"cannot find '{spec}': module {module} has no '{name}'") from error
    except ImportError as error:
        raise SyncbenchError(f"cannot import '{spec}': {error}") from error
    if not inspect.isclass(named):
        raise SyncbenchError(f"'{spec}' is a {type(named).__name__}, not a class")
    return named


def _from_file(path: Path, name: str) -> type:
    if not path.is_file():
        raise SyncbenchError(f"no file '{path}'")
    try:
        classes = public_classes(path)
    except (SyntaxError, UnicodeDecodeError) as error:
        raise SyncbenchError(f"'{path}' is not readable Python: {error}") from error
    if not name and len(classes) != 1:
        raise SyncbenchError(
            f"'{path}' must define exactly one public class, not {len(classes)}"
            + (f" ({', '.join(classes)}): name one as {path}:{classes[0]}" if classes else "")
        )
    chosen = name or classes[0]
    if path.resolve().is_relative_to(ROOT):
        return _from_module(module_name(path), chosen, str(path))
    module = f"syncbench_file_{path.stem}"
    spec = importlib.util.spec_from_file_location(module, path.resolve())
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[module] = loaded  # dataclasses look their module up by name
    try:
        with _blamed(f"importing '{path}'"):
            spec.loader.exec_module(loaded)
    except SyncbenchError as error:
        del sys.modules[module]
        if "relative import" in str(error):
            raise SyncbenchError(f"{error}: outside the tree, import from `syncbench...`, as users do") from error
        raise
    except BaseException:
        del sys.modules[module]
        raise
    return _from_module(module, chosen, str(path))
