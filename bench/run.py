"""A sweep from suite to table: sample what is missing, score what is missing, read everything back.

Sampling comes before scoring, so that metrics' networks burden neither the memory nor the seconds of a method.
Models are outermost: each is loaded once.
"""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# (pandas has no type stubs.)

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from .execute import Executor, executor
from .measure import machine, versions
from .plan import Job, plan, shard
from .sample import Outcome, SampleTask, load_model, release_model, sample
from .score import Ruler, ScoreTask, missing, ruler, score, score_groups
from .store import Store, load_records
from .suite import Entry, Narrowing, Suite, narrowed, read_suite
from .types import SyncbenchError

if TYPE_CHECKING:
    import pandas as pd

RUNS = Path("results") / "runs"


@dataclass(frozen=True)
class Event:
    """Progress: `done` of `total` in one phase (`sample`, `score`), and what just ended."""

    phase: str
    done: int
    total: int
    text: str = ""
    error: str | None = None


Listener = Callable[[Event], None]


@dataclass(kw_only=True)
class Sweep:
    """What a run did."""

    root: Path
    keys: list[str] = field(default_factory=list[str])
    sampled: int = 0
    scored: int = 0
    errors: dict[str, str] = field(default_factory=dict[str, str])
    """Error text by job name, of this run and of earlier ones that were not tried again."""


def run(
    suite: str | Path | Mapping[str, Any],
    out: str | Path | None = None,
    *,
    jobs: int = 1,
    shard: str | None = None,
    retry_errors: bool = False,
    progress: Listener | None = None,
    **how: Unpack[Narrowing],
) -> "pd.DataFrame":
    """Run a suite and return its records, one row per job and metric (columns: `Record.columns()`).

    `suite` is a name, a TOML file or a mapping; the keywords are the options of `syncbench run`, those that narrow
    the suite (`methods`, `items`, `limit`, ...: `Narrowing`) among them. Results go to `out` (default
    results/runs/<suite>); what is there already is not done again.
    """
    chosen = narrowed(read_suite(suite), **how)
    root = Path(out) if out is not None else RUNS / chosen.name
    part = parse_shard(shard)
    with executor(jobs) as execute:
        done = sweep(chosen, root, execute, part=part, retry_errors=retry_errors, progress=progress)
    frame = load_records([root])
    wanted = frame["key"].isin(done.keys) & frame["metric"].isin([m.label for m in chosen.metrics])
    return frame.loc[wanted, :].reset_index(drop=True)


def sweep(
    suite: Suite,
    root: Path,
    execute: Executor,
    *,
    part: tuple[int, int] = (1, 1),
    retry_errors: bool = False,
    progress: Listener | None = None,
) -> Sweep:
    """Sample and score what `root` lacks of `suite`. A failing job or metric is a record; the sweep goes on."""
    listen = progress or _silent
    for entry in (*suite.datasets, *suite.methods):
        entry.load()  # a mistake in the last one must not wait for the first one's hours
    rulers = [ruler(entry) for entry in suite.metrics]
    facts = {"created": datetime.now(UTC).isoformat(timespec="seconds"), "versions": versions(), "machine": machine()}
    result, planned, store = Sweep(root=root), list[Job](), None
    for entry in suite.models:
        found = plan(suite, entry, load_model(entry))
        planned += found
        _check_items(suite, found)
        store = store or Store.create(root, {"suite": suite.as_json(), **facts})
        todo = [job for job in shard(found, *part) if _lacks(store, job.key, retry_errors)]
        if execute.apart:
            release_model()
        tasks = [SampleTask(root, job) for job in todo]
        result.sampled += len(tasks)
        _watch(execute, sample, tasks, "sample", listen)
        release_model()
    assert store is not None
    mine = shard(planned, *part)
    result.keys = [job.key for job in mine]
    result.scored = _score(store, result.keys, rulers, execute, retry_errors, listen)
    score_groups(store, rulers, [job.key for job in planned], retry_errors)
    result.errors = errors(store, result.keys)
    return result


def rescore(
    root: Path,
    execute: Executor,
    *,
    metrics: Sequence[str] | None = None,
    retry_errors: bool = False,
    progress: Listener | None = None,
) -> Sweep:
    """Score a results folder from its stored artifacts: the metrics of its suite, or others. Samples nothing."""
    store = Store(root)
    listed = [Entry("metrics", m["spec"], m["overrides"]) for m in store.run.get("suite", {}).get("metrics", [])]
    entries = (
        listed if metrics is None else [next((e for e in listed if e.label == m), Entry("metrics", m)) for m in metrics]
    )
    rulers = [ruler(entry) for entry in entries]
    keys = store.finished()
    scored = _score(store, keys, rulers, execute, retry_errors, progress or _silent)
    score_groups(store, rulers, retry=retry_errors)
    return Sweep(root=root, keys=keys, scored=scored, errors=errors(store, keys))


def errors(store: Store, keys: Sequence[str]) -> dict[str, str]:
    """Why jobs or their metrics failed, by job name."""
    found: dict[str, str] = {}
    rows = [row for group in store.groups().values() for row in group["rows"]]
    for row in [row for key in keys for row in store.scores(key)] + [row for row in rows if row["key"] in set(keys)]:
        if row["status"] == "error":
            found.setdefault(f"{row['method']} {row['item']} seed {row['seed']}", f"{row['metric']}: {row['reason']}")
    for key in keys:
        job = store.job(key)
        if job is not None and job["status"] == "error":
            found[f"{job['header']['method']} {job['header']['item']} seed {job['header']['seed']}"] = job["error"]
    return found


def parse_shard(text: str | None) -> tuple[int, int]:
    """`2/4` as (2, 4)."""
    if text is None:
        return 1, 1
    part, slash, parts = text.partition("/")
    if not (slash and part.isdigit() and parts.isdigit() and 1 <= int(part) <= int(parts)):
        raise SyncbenchError(f"--shard {text}: write i/n with i from 1 to n, e.g. 2/4")
    return int(part), int(parts)


def _silent(event: Event) -> None:
    """Nobody listens."""


def _lacks(store: Store, key: str, retry_errors: bool) -> bool:
    job = store.job(key)
    return job is None or (retry_errors and job["status"] == "error")


def _check_items(suite: Suite, jobs: Sequence[Job]) -> None:
    unknown = sorted(set(suite.items) - {job.item for job in jobs})
    if unknown or not jobs:
        what = f"no item '{unknown[0]}'" if unknown else "no items"
        raise SyncbenchError(f"{what} in {', '.join(entry.label for entry in suite.datasets)}")


def _score(
    store: Store, keys: Sequence[str], rulers: Sequence[Ruler], execute: Executor, retry: bool, listen: Listener
) -> int:
    todo = {key: missing(store, key, rulers, retry) for key in keys}
    tasks = [ScoreTask(store.root, key, metrics) for key, metrics in todo.items() if metrics]
    _watch(execute, score, tasks, "score", listen)
    return len(tasks)


def _watch(
    execute: Executor, work: Callable[[Any], Outcome], tasks: Sequence[Any], phase: str, listen: Listener
) -> None:
    if tasks:
        listen(Event(phase, 0, len(tasks)))
    for number, outcome in enumerate(execute(work, tasks), 1):
        listen(Event(phase, number, len(tasks), outcome.name, outcome.error))
