"""The end of an import: a finished draft becomes a results folder, or its jobs those of one that exists."""

from collections.abc import Mapping
from pathlib import Path

from ..files.reading import read_object
from ..run.measure import machine
from ..store.folder import Store
from ..suites.suite import Suite
from ..types import Json
from .imported import Made


def publish(
    draft: Path, root: Path, earlier: Store | None, suite: Suite, facts: Json, made: Mapping[str, Made]
) -> None:
    """Make the finished folder `draft` the results folder, or move its jobs into the one that exists."""
    described: Json = {"suite": suite.as_json(), **facts, "machine": machine()}
    if earlier is None and not root.exists():
        Store.create(draft, described)
        draft.rename(root)
        return
    if earlier is not None:
        before = read_object(root / "run.json")
        parts = [*before.get("suite", {}).get("parts", ()), *described["suite"]["parts"]]
        unique = [part for number, part in enumerate(parts) if part not in parts[:number]]
        described = {**before, "suite": {**before.get("suite", {}), "parts": unique}}
        described.pop("schema", None)
    Store.create(root, described)
    for key in made:
        if not (root / "jobs" / key).exists():
            (draft / "jobs" / key).rename(root / "jobs" / key)


def superseded(earlier: Store, made: Mapping[str, Made]) -> list[str]:
    """Keys of samples of an earlier import of the same method, item and seed whose files were others."""
    names = ("method", "model", "dataset", "dataset_version", "item", "protocol", "seed", "door")
    new = {str([one.job["header"][name] for name in names]) for one in made.values()}
    old: list[str] = []
    for key in earlier.finished():
        job = earlier.job(key)
        if job is None or key in made or job.header.door != "imported":
            continue
        if str([getattr(job.header, name) for name in names]) in new:
            old.append(key)
    return old
