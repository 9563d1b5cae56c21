"""A sweep from suite to table: sample what is missing, score what is missing, read everything back.

Families are done one after the other, in the order of the suite's parts, so that the first results are complete before
the next family begins. Within a family sampling comes before scoring, so that metrics' networks do not add to the
memory or the seconds of a method, and models are outermost: each is loaded once.
"""

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from ..catalogue.listing import list_components
from ..catalogue.registry import load_class, split, suggest
from ..errors import CapacityWarning, quoted
from ..fetch.needs import check_here
from ..files.writing import disk
from ..store.folder import Store, load_records
from ..suites.narrow import Narrowing, narrowed
from ..suites.suite import Entry, Suite, read_suite
from ..types import Family, Item, SyncbenchError
from .capacity import hollow_of, memory_notes, parameters_of
from .claims import Claims
from .events import Event, Listener, silent
from .execute import Executor, Lost, executor
from .failures import by_name, failures, job_name
from .job import Job
from .loaded import Loaded
from .measure import machine, versions
from .plan import chosen, count, listed, located, plan, shard
from .ready import ReadyTask, ready
from .score import Ruler, ruler
from .stages import lacks_sample, lay_out_surfaces, sample_jobs, score_groups, score_jobs

if TYPE_CHECKING:
    import pandas as pd

RUNS = Path("results") / "runs"
MANY = 1_000
"""Number of jobs from which a plan's size is reported before planning."""


@dataclass(kw_only=True)
class Sweep:
    """The result of a sweep."""

    root: Path
    keys: list[str] = field(default_factory=list[str])
    sampled: int = 0
    scored: int = 0
    errors: dict[str, str] = field(default_factory=dict[str, str])
    """Error text by job name, of this run and of earlier ones that were not tried again."""
    left_out: dict[str, str] = field(default_factory=dict[str, str])
    """The reason by job name, for jobs that method, model and item do not allow; they are no errors."""


def run(
    suite: str | Path | Mapping[str, Any],
    out: str | Path | None = None,
    *,
    jobs: int = 1,
    shard: str | None = None,
    retry_errors: bool = False,
    timeout: float | None = None,
    threads: int | None = None,
    progress: Listener | None = None,
    **how: Unpack[Narrowing],
) -> "pd.DataFrame":
    """Run a suite and return its records, one row per job and metric (columns: `Record.columns()`).

    `suite` is a name, a TOML file or a mapping; the keywords are the options of `syncbench run`, those that narrow
    the suite (`methods`, `items`, `limit`, ...: `Narrowing`) among them. Results go to `out` (default
    results/runs/<suite>); what the folder already has is not done again.
    """
    narrow = narrowed(read_suite(suite), **how)
    root = Path(out) if out is not None else RUNS / narrow.name
    part = parse_shard(shard)
    with executor(jobs, timeout, threads) as execute:
        done = sweep(narrow, root, execute, part=part, retry_errors=retry_errors, progress=progress)
    frame = load_records([root])
    wanted = frame["key"].isin(done.keys) & frame["metric"].isin([m.label for m in narrow.listed("metrics")])
    return frame.loc[wanted, :].reset_index(drop=True)


def sweep(
    suite: Suite,
    root: Path,
    execute: Executor,
    *,
    part: tuple[int, int] = (1, 1),
    retry_errors: bool = False,
    progress: Listener | None = None,
    finished: Callable[[Family], None] | None = None,
) -> Sweep:
    """Sample and score the parts of `suite` that `root` lacks. If a job or metric fails, its record has the error.

    `finished` is called with each family as soon as all of its records are in `root`, if `part` has jobs of it.
    """
    listen, loaded = progress or silent, execute.loaded
    loaded.forget_items()
    suite = located(suite)
    check_here(suite)
    for entry in suite.listed("methods"):
        entry.load()  # a mistake in the last one must not wait for the first one's hours
    items = {entry.token: listed(entry, entry.load()) for entry in suite.listed("datasets")}
    for entry in suite.listed("datasets"):
        loaded.remember_items(entry, items[entry.token])
    check_items(suite, items)
    rulers = {entry.token: ruler(entry, loaded) for entry in suite.listed("metrics")}
    facts = {"created": datetime.now(UTC).isoformat(timespec="seconds"), "versions": versions(), "machine": machine()}
    models, wanted = _planned(suite, items, rulers, loaded, listen)
    result, planned = Sweep(root=root), dict[str, Job]()
    with disk(root):  # a name that no file system takes
        store = Store.create(root, {"suite": suite.as_json(), **facts})
    problems: dict[str, str | None] = {}
    for family in _families(suite, items):
        here: dict[str, Job] = {}
        for entry in suite.listed("models"):
            found = {key: job for key, job in models[entry.token].items() if job.header.family == family}
            if not found:
                continue
            small = are_small([entry])
            if entry.token not in problems:
                every = shard(list(models[entry.token].values()), *part)
                lacking = [job for job in every if lacks_sample(store, job.key, retry_errors)]
                store.warn()
                if execute.apart:
                    loaded.release()
                if lacking and not small:
                    for note in memory_notes(parameters_of(hollow_of(entry)), entry):
                        warnings.warn(f"model {entry.label}: {note}", CapacityWarning, stacklevel=2)
                problems[entry.token] = _problem(entry, lacking, execute, items, small)
            problem = problems[entry.token]
            if problem is not None and len(models) == 1:
                raise SyncbenchError(problem)
            if problem is not None:  # the other models' jobs go on, and what this one has done stays
                result.errors[f"model {entry.label}"] = problem
                here.update({key: job for key, job in found.items() if store.job(key) is not None})
                continue
            here.update(found)
            mine = shard(list(found.values()), *part)
            todo = {job.key: job for job in mine if lacks_sample(store, job.key, retry_errors)}
            lay_out_surfaces(store, todo, execute, listen, small)
            result.sampled += sample_jobs(store, todo, execute, retry_errors, listen, small)
            loaded.release()
        planned.update(here)
        asked = {key: list(wanted[key].values()) for key in here}
        keys = [job.key for job in shard(list(here.values()), *part)]
        small = are_small(suite.listed("models"))
        datasets = {key: job.dataset for key, job in here.items()}
        result.scored += score_jobs(
            store, {key: asked[key] for key in keys}, datasets, execute, retry_errors, listen, small
        )
        score_groups(store, asked, suite.listed("datasets"), {}, list(here), execute, retry_errors, listen, small)
        if finished is not None and keys:
            finished(family)
    own = shard(list(planned.values()), *part)
    result.keys = [job.key for job in own]
    Claims(root).tidy()
    result.errors |= by_name(failures(store, result.keys))
    left_out = {job.key: (job_name(job.header), job.unsupported) for job in own if job.unsupported is not None}
    result.left_out = by_name(left_out)
    store.clear()
    store.warn()
    return result


def _planned(
    suite: Suite, items: Mapping[str, Sequence[Item]], rulers: Mapping[str, Ruler], loaded: Loaded, listen: Listener
) -> tuple[dict[str, dict[str, Job]], dict[str, dict[str, Ruler]]]:
    """The jobs of each model by key, and the metrics of each job."""
    total = count(suite, items)
    models: dict[str, dict[str, Job]] = {}
    wanted: dict[str, dict[str, Ruler]] = {}
    if total >= MANY:
        listen(Event("plan", 0, total))
    for entry in suite.listed("models"):
        found = models.setdefault(entry.token, {})
        for one in suite.parts:
            if entry in one.models:
                jobs = plan(one, entry, loaded, items)
                found.update({job.key: job for job in jobs})
                for job in jobs:
                    wanted.setdefault(job.key, {}).update({m.token: rulers[m.token] for m in one.metrics})
    if total >= MANY:
        listen(Event("plan", total, total))
    return models, wanted


def _families(suite: Suite, items: Mapping[str, Sequence[Item]]) -> list[Family]:
    """The families of the suite's items, in the order of its parts."""
    entries = [entry for part in suite.parts for entry in part.datasets]
    return list(dict.fromkeys(item.family for entry in entries for item in items[entry.token]))


def _problem(
    entry: Entry, todo: Sequence[Job], execute: Executor, items: Mapping[str, Sequence[Item]], small: bool
) -> str | None:
    """The reason why a model cannot do its jobs, from loading it once; None if it can, or if there is nothing to do."""
    todo = [job for job in todo if job.unsupported is None]
    if not todo:
        return None
    steps = tuple(sorted({int(job.protocol["steps"]) for job in todo}))
    [(_, found)] = execute(ready, [ReadyTask(entry, steps)], small)
    if isinstance(found, Lost):
        return f"model {entry.label} cannot be loaded: {found.reason}"
    if found.error is not None:
        return found.error
    surfaces = {token: {item.id: item.surface for item in some} for token, some in items.items()}
    drawn = [job for job in todo if job.header.anchor != "ceiling"]  # the truth asks nothing of the model
    asked = {(job.dataset.token, job.item, job.header.params.get("stride")) for job in drawn}
    for token, item, stride in sorted(asked, key=str):
        check = getattr(surfaces[token][item], "check", None)
        try:
            if check is not None:
                check(found.factor, stride)
        except SyncbenchError as error:
            return f"item '{item}' does not fit model {entry.label}: {error}"
    return None


def parse_shard(text: str | None) -> tuple[int, int]:
    """(part, parts) of a text such as `2/4`; (1, 1) for None. Raises SyncbenchError for other texts."""
    if text is None:
        return 1, 1
    part, slash, parts = text.partition("/")
    found = [int(number) if re.fullmatch("[0-9]{1,9}", number) else 0 for number in (part, parts)]
    if not (slash and 1 <= found[0] <= found[1]):
        raise SyncbenchError(f"--shard {quoted(text)}: write i/n with i from 1 to n, e.g. 2/4")
    return int(part), int(parts)


def check_items(suite: Suite, items: Mapping[str, Sequence[Item]]) -> None:
    """Raise SyncbenchError unless every item that the suite names exists and some item is left."""
    asked = {item for part in suite.parts for item in part.items}
    there = {i.id for part in suite.parts for entry in part.datasets for i in items[entry.token]}
    kept = any(chosen(part, items[entry.token]) for part in suite.parts for entry in part.datasets)
    unknown = sorted(asked - there)
    if unknown or not kept:
        what = f"no item '{quoted(unknown[0])}'" if unknown else "no items"
        hint = suggest(unknown[0], there, "there is") if unknown else ""
        hint = hint if len(there) <= 30 or "did you mean" in hint else ""
        raise SyncbenchError(f"{what} in {', '.join(entry.label for entry in suite.listed('datasets'))}{hint}")


def are_small(models: Sequence[Entry]) -> bool:
    """Whether networks and pictures are small, as those of the bundled models, for which one thread is fastest."""
    from ..models.parts.recipe import Recipe

    known = {component.id for component in list_components("models") if component.source == "syncbench"}
    names = {split(entry.spec)[0] for entry in models}
    return names <= known and not any(issubclass(load_class("models", name), Recipe) for name in names)
