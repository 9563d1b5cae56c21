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
    with disk(root):  # a name that no file system takes
        store = Store.create(root, {"suite": suite.as_json(), **facts})
    result, planned = Sweep(root=root), dict[str, Job]()
    course = _Course(suite, store, execute, part, retry_errors, listen, items, models, wanted, result)
    for family in _families(suite, items):
        jobs = course.sample(family)
        own = course.score(jobs)
        planned.update(jobs)
        if finished is not None and own:
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


@dataclass
class _Course:
    """A sweep under way, and what its steps need."""

    suite: Suite
    store: Store
    execute: Executor
    part: tuple[int, int]
    retry: bool
    listen: Listener
    items: Mapping[str, Sequence[Item]]
    models: Mapping[str, Mapping[str, Job]]
    """The jobs of each model by key."""
    wanted: Mapping[str, Mapping[str, Ruler]]
    """The metrics of each job."""
    result: Sweep
    problems: dict[str, str | None] = field(default_factory=dict[str, "str | None"])
    """Why a model cannot do its jobs, or None, by the token of its entry: of models that have been tried."""

    def sample(self, family: Family) -> dict[str, Job]:
        """Sample what is missing of a family; its jobs by key, without those that a model cannot do.

        Raises SyncbenchError where the only model cannot do its jobs; with several the others go on, and what this one
        has done stays.
        """
        jobs: dict[str, Job] = {}
        for entry in self.suite.listed("models"):
            found = {key: job for key, job in self.models[entry.token].items() if job.header.family == family}
            problem = self._problem(entry) if found else None
            if problem is not None and len(self.models) == 1:
                raise SyncbenchError(problem)
            if problem is not None:
                self.result.errors[f"model {entry.label}"] = problem
                jobs.update({key: job for key, job in found.items() if self.store.job(key) is not None})
            elif found:
                jobs.update(found)
                todo, small = {job.key: job for job in self._lacking(found)}, are_small([entry])
                lay_out_surfaces(self.store, todo, self.execute, self.listen, small)
                self.result.sampled += sample_jobs(self.store, todo, self.execute, self.retry, self.listen, small)
                self.execute.loaded.release()
        return jobs

    def score(self, jobs: Mapping[str, Job]) -> list[str]:
        """Score what is missing of sampled jobs; the keys of those in this part of the sweep."""
        small, asked = are_small(self.suite.listed("models")), {key: list(self.wanted[key].values()) for key in jobs}
        own = [job.key for job in shard(list(jobs.values()), *self.part)]
        mine, datasets = {key: asked[key] for key in own}, {key: job.dataset for key, job in jobs.items()}
        how = (self.execute, self.retry, self.listen, small)
        self.result.scored += score_jobs(self.store, mine, datasets, *how)
        score_groups(self.store, asked, self.suite.listed("datasets"), {}, list(jobs), *how)
        return own

    def _lacking(self, jobs: Mapping[str, Job]) -> list[Job]:
        """The jobs of this part of the sweep that have no sample."""
        own = shard(list(jobs.values()), *self.part)
        return [job for job in own if lacks_sample(self.store, job.key, self.retry)]

    def _problem(self, entry: Entry) -> str | None:
        """Why a model cannot do its jobs of all families; found once, after a word on its memory."""
        if entry.token not in self.problems:
            small, lacking = are_small([entry]), self._lacking(self.models[entry.token])
            self.store.warn()
            if self.execute.apart:
                self.execute.loaded.release()
            for note in memory_notes(parameters_of(hollow_of(entry)), entry) if lacking and not small else ():
                warnings.warn(f"model {entry.label}: {note}", CapacityWarning, stacklevel=2)
            self.problems[entry.token] = _problem(entry, lacking, self.execute, self.items, small)
        return self.problems[entry.token]


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
