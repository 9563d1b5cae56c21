"""The list of components, read from their source with `ast`: listing imports none of them, and never torch.

A file is a component: its stem is the id, its one public class the implementation, its folder the family. Class data
are seen here only if they are literals; they are inherited from base classes as in Python.
"""

import ast
import importlib.util
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, lru_cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Literal, get_args

Kind = Literal["methods", "metrics", "datasets", "models"]
KINDS: tuple[Kind, ...] = get_args(Kind)

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = __name__.split(".")[0]
FOLDERS: dict[Kind, Path] = {
    "methods": ROOT / "methods",
    "metrics": ROOT / "metrics",
    "datasets": ROOT / "datasets",
    "models": ROOT / "bench" / "models",
}


@dataclass(frozen=True, kw_only=True)
class Component:
    """One method, metric, dataset or model, as far as its source tells without running it."""

    id: str
    kind: Kind
    family: str | None
    """Folder of a method; `family` of a dataset; None for what serves several families."""
    version: int | None
    title: str
    """First line of the module's docstring."""
    paper: str
    licence: str
    """Licence of the upstream code that was read; empty where there is none."""
    reported: tuple[dict[str, Any], ...]
    """Numbers that papers report of a method, with the keys of `sampling.loop.Reported`; empty for other kinds."""
    door: str | None
    """`controlled` or `as_published`; None for anything but methods."""
    requires: tuple[str, ...]
    """Capabilities that a method needs of its model."""
    presets: tuple[str, ...]
    """Names of the presets."""
    role: str | None
    """What a metric is for (see `types.Role`); None for anything but metrics."""
    direction: str | None
    """`lower`, `higher` or `target:VALUE` of a metric; None for anything but metrics."""
    source: str
    """`syncbench`, or the distribution that registered it."""
    target: str
    """`module:Class`."""
    doc: str = field(default="", repr=False)
    """The whole module docstring."""


def list_components(kind: Kind) -> list[Component]:
    """Every component of `kind`: the files of its folder, then entry points of `syncbench.<kind>`; sorted by id.

    A file of the tree wins over an entry point of the same name.
    """
    components = {component.id: component for component in _registered(kind)}
    components.update({component.id: component for component in _shipped(kind)})
    return [components[id] for id in sorted(components)]


def component_files(kind: Kind) -> list[Path]:
    """The files that are components: `methods/**/*.py`, elsewhere only the folder's own."""
    pattern = "**/*.py" if kind == "methods" else "*.py"
    return sorted(
        path
        for path in FOLDERS[kind].glob(pattern)
        if not path.stem.startswith("_") and not (kind == "models" and path.stem == "interface")
    )


def module_name(path: Path) -> str:
    """Import name of a file of the tree: its path, prefixed with the package."""
    return ".".join((PACKAGE, *path.resolve().relative_to(ROOT).with_suffix("").parts))


def public_classes(path: Path) -> list[str]:
    """Names of the classes that a file defines itself, without those that begin with an underscore."""
    return [n.name for n in _parse(path).body if isinstance(n, ast.ClassDef) and not n.name.startswith("_")]


def _shipped(kind: Kind) -> Iterator[Component]:
    for path in component_files(kind):
        component = _of_file(kind, path)
        if component is not None:  # else a file being written, or support code in the wrong place: a test says so
            yield component


@cache
def _of_file(kind: Kind, path: Path) -> Component | None:
    classes = public_classes(path)
    if not classes:
        return None
    folder = path.parent.relative_to(FOLDERS[kind])
    family = folder.parts[0] if kind == "methods" and folder.parts else None
    return _component(kind, path.stem, path, classes[-1], module_name(path), family, PACKAGE)


def _registered(kind: Kind) -> Iterator[Component]:
    for id, target, source in _entry_points(kind, _search_path()):
        module, _, name = target.partition(":")
        path = _locate(module)
        if path is not None and name:
            yield _component(kind, id, path, name, module, None, source)


@lru_cache(maxsize=64)
def _entry_points(kind: Kind, _: tuple[tuple[str, int], ...]) -> tuple[tuple[str, str, str], ...]:
    """Name, value and distribution of each entry point of `kind`; the metadata of all that is installed is read."""
    points = entry_points(group=f"{PACKAGE}.{kind}")
    return tuple((point.name, point.value, point.dist.name if point.dist else "entry point") for point in points)


def _search_path() -> tuple[tuple[str, int], ...]:
    """Where distributions are looked for, and when each place last changed, as it does when one is installed."""
    found: list[tuple[str, int]] = []
    for place in sys.path:
        try:
            found.append((place, os.stat(place or ".").st_mtime_ns))
        except OSError:
            found.append((place, 0))
    return tuple(found)


def _component(kind: Kind, id: str, path: Path, name: str, module: str, family: str | None, source: str) -> Component:
    data = _class_data(path, name)
    doc = ast.get_docstring(_parse(path)) or ""
    own = _own_data(path, name)
    return Component(
        id=id,
        kind=kind,
        family=family or data.get("family"),
        version=data.get("version"),
        title=doc.partition("\n")[0],
        paper=str(own.get("paper", "")),
        licence=str(own.get("licence", "")),
        reported=tuple(own.get("reported", ())),
        door=data.get("door", "as_published") if kind == "methods" else None,
        requires=tuple(data.get("requires", ())),
        presets=tuple(own.get("presets", {})),
        role=data.get("role") if kind == "metrics" else None,
        direction=data.get("direction") if kind == "metrics" else None,
        source=source,
        target=f"{module}:{name}",
        doc=doc,
    )


def _locate(module: str) -> Path | None:
    """File of the module of that name, found without importing it or its parents; None if there is none."""
    top, *rest = module.split(".")
    spec = importlib.util.find_spec(top)
    if spec is None:
        return None
    if not rest:
        return Path(spec.origin) if spec.origin and spec.origin.endswith(".py") else None
    for root in spec.submodule_search_locations or ():
        base = Path(root).joinpath(*rest)
        for path in (base.with_suffix(".py"), base / "__init__.py"):
            if path.is_file():
                return path
    return None


@cache
def _parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def _class(path: Path, name: str) -> ast.ClassDef | None:
    return next((n for n in _parse(path).body if isinstance(n, ast.ClassDef) and n.name == name), None)


def _own_data(path: Path, name: str) -> dict[str, Any]:
    """Literal class data in the class's own body, by name; fields with literal defaults are among them."""
    data: dict[str, Any] = {}
    node = _class(path, name)
    for statement in node.body if node else ():
        match statement:
            case ast.AnnAssign(target=ast.Name(id=key), value=ast.expr() as value):
                pass
            case ast.Assign(targets=[ast.Name(id=key)], value=value):
                pass
            case _:
                continue
        try:
            data[key] = ast.literal_eval(value)
        except ValueError:
            if key == "presets" and isinstance(value, ast.Dict):  # names are literal even where values are not
                data[key] = {str(k.value): None for k in value.keys if isinstance(k, ast.Constant)}
    return data


def _class_data(path: Path, name: str) -> dict[str, Any]:
    """Literal class data of a class and its bases, nearest first, following `from .. import` lines."""
    data: dict[str, Any] = {}
    node = _class(path, name)
    for base in reversed(node.bases if node else []):
        if not isinstance(base, ast.Name):
            continue
        home = path if _class(path, base.id) else _imported(path, base.id)
        if home is not None:
            data |= _class_data(home, base.id)
    return data | _own_data(path, name)


def _imported(path: Path, name: str) -> Path | None:
    """The file from which `path` imports the class `name`, found without importing; None if it is not ours."""
    for node in _parse(path).body:
        if not isinstance(node, ast.ImportFrom) or name not in [a.asname or a.name for a in node.names]:
            continue
        if node.level == 0:  # elsewhere (torch, abc) there is no class data of ours
            module = node.module or ""
            return _locate(module) if module.split(".")[0] == PACKAGE else None
        base = path.parents[node.level - 1].joinpath(*(node.module or "").split("."))
        return next((p for p in (base.with_suffix(".py"), base / "__init__.py") if p.is_file()), None)
    return None
