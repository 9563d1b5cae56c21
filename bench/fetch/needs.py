"""Weights that a suite needs: the repositories that its models name, and the weights that its metrics use."""

import inspect
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..catalogue.registry import component_id, is_checkpoint, load_class, split
from ..errors import SyncbenchError
from ..files.reading import is_folder
from ..suites.suite import Entry, Suite, list_suites, read_suite
from .hub import cached_snapshot
from .manifest import HUB_ID, Weights, manifest, of_repository


def repositories(entry: Entry) -> dict[str, str]:
    """Commits of the repositories of the hub that a model entry names, by repository; empty for no particular commit.

    An entry names repositories by its spec, in its options, or in their defaults. Folders of this machine are left out.
    """
    base, options = split(entry.spec)[0], dict[str, Any]()
    if is_checkpoint(base):
        options["path"] = base
    cls: Any = load_class("models", base, entry.spec)
    for name, option in inspect.signature(cls).parameters.items():
        if option.default is not inspect.Parameter.empty:
            options.setdefault(name, option.default)
    options |= entry.overrides
    commit = options.get("commit")
    ids = {name: list(_ids(value)) for name, value in options.items() if name != "commit"}
    return {
        one: str(commit or "") if name == "path" else ""
        for name, listed in ids.items()
        for one in listed
        if not is_folder(Path(one).expanduser())
    }


def models_of(suite: Suite) -> list[Weights]:
    """The weights that the models of a suite name, in order."""
    names = {one: None for entry in suite.listed("models") for one in repositories(entry)}
    return [of_repository(name) for name in names]


def metrics_of(suite: Suite) -> list[Weights]:
    """The weights that the metrics of a suite use on items outside the reference world."""
    ids = {component_id(entry.label) for entry in suite.listed("metrics")}
    return [one for one in manifest().values() if ids & set(one.metrics)]


def absent(suite: Suite) -> list[Weights]:
    """The weights that the models of a suite name and this machine lacks."""
    asked = {one: commit for entry in suite.listed("models") for one, commit in repositories(entry).items()}
    return [of_repository(name) for name, commit in asked.items() if cached_snapshot(name, commit) is None]


def check_here(suite: Suite) -> None:
    """Raises SyncbenchError, which names all weights that are missing, for a suite whose models lack some."""
    missing = absent(suite)
    if missing:
        names, are = ", ".join(f"'{one.repository}'" for one in missing), "is" if len(missing) == 1 else "are"
        raise SyncbenchError(f"{names} {are} not on this machine: {fetch_line(suite, missing)} brings what is missing")


def fetch_line(suite: Suite, missing: Iterable[Weights]) -> str:
    """The command that fetches `missing`: `fetch --suite` where the suite needs all of it, else one with names."""
    wanted = [one.name for one in missing]
    if suite.name in {one["id"] for one in list_suites()}:
        own = {one.name for one in models_of(read_suite(suite.name))}
        if set(wanted) <= own:
            return f"syncbench fetch --suite {suite.name}"
    return f"syncbench fetch {' '.join(wanted)}"


def _ids(value: Any) -> Iterator[str]:
    """Names of repositories of the hub in an option's value."""
    if isinstance(value, str):
        yield from (one.strip() for one in value.split(",") if HUB_ID.fullmatch(one.strip()))
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _ids(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _ids(one)
