"""A sweep from suite to table: sample what is missing, score what is missing, read everything back.

Sampling comes before scoring, so that metrics' networks burden neither the memory nor the seconds of a method.
Models are outermost: each is loaded once.
"""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# (pandas has no type stubs.)

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from .events import Event, Listener
from .execute import Executor, executor
from .measure import machine, versions
from .narrow import Narrowing, narrowed
from .plan import Job, chosen, plan, shard
from .recorded import entry as recorded
from .registry import label
from .sample import Outcome, SampleTask, load_model, release_model, sample
from .score import Ruler, ScoreTask, missing, ruler, score, score_groups
from .store import Store, load_records
from .stored import StoredJob
from .suite import Entry, Suite, read_suite, unique
from .types import SyncbenchError

if TYPE_CHECKING:
    import pandas as pd

RUNS = Path("results") / "runs"


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
    narrow = narrowed(read_suite(suite), **how)
    root = Path(out) if out is not None else RUNS / narrow.name
    part = parse_shard(shard)
    with executor(jobs) as execute:
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
) -> Sweep:
    """Sample and score what `root` lacks of `suite`. A failing job or metric is a record; the sweep goes on."""
    listen = progress or _silent
    for entry in (*suite.listed("datasets"), *suite.listed("methods")):
        entry.load()  # a mistake in the last one must not wait for the first one's hours
    _check_items(suite)
    rulers = {entry.token: ruler(entry) for entry in suite.listed("metrics")}
    facts = {"created": datetime.now(UTC).isoformat(timespec="seconds"), "versions": versions(), "machine": machine()}
    result, planned, wanted = Sweep(root=root), dict[str, Job](), dict[str, dict[str, Ruler]]()
    store = None
    for entry in suite.listed("models"):
        found = dict[str, Job]()
        for one in suite.parts:
            if entry in one.models:
                jobs = plan(one, entry, load_model(entry))  # no name of its own: it would outlive its release
                found.update({job.key: job for job in jobs})
                for job in jobs:
                    wanted.setdefault(job.key, {}).update({m.token: rulers[m.token] for m in one.metrics})
        planned.update(found)
        store = store or Store.create(root, {"suite": suite.as_json(), **facts})
        todo = [job for job in shard(list(found.values()), *part) if _lacks(store, job.key, retry_errors)]
        store.warn()
        if execute.apart:
            release_model()
        tasks = [SampleTask(root, job) for job in todo]
        result.sampled += len(tasks)
        _watch(execute, sample, tasks, "sample", listen)
        release_model()
    assert store is not None
    result.keys = [job.key for job in shard(list(planned.values()), *part)]
    asked = {key: list(some.values()) for key, some in wanted.items()}
    datasets = {key: job.dataset for key, job in planned.items()}
    mine = {key: asked[key] for key in result.keys}
    result.scored = _score(store, mine, datasets, execute, retry_errors, listen)
    score_groups(store, asked, datasets, list(planned), retry_errors)
    result.errors = errors(store, result.keys)
    store.clear()
    store.warn()
    return result


def rescore(
    root: Path,
    execute: Executor,
    *,
    metrics: Sequence[str] | None = None,
    datasets: Sequence[str] = (),
    trust: bool = False,
    retry_errors: bool = False,
    progress: Listener | None = None,
) -> Sweep:
    """Score a results folder from its stored artifacts: the metrics of its suite, or others. Samples nothing.

    The folder's word loads metrics and data sets of the tree and of installed packages only. Others are loaded if
    `metrics` or `datasets` name them as the folder does, or with `trust`, which executes whatever the folder names.
    Jobs of a data set that is not loaded are errors of the answer; their stored scores stay as they are.
    """
    store = Store(root)
    listed = _stored(store, trust) if metrics is None else {}
    every = unique([metric for entries in listed.values() for metric in entries])
    named = [_named(m, store, trust) for m in metrics or ()]
    rulers = {entry.token: ruler(entry) for entry in (named if metrics is not None else every)}
    asked: dict[str, list[Ruler]] = {}
    found: dict[str, Entry] = {}
    refused: dict[str, str] = {}
    allowed: dict[str, Entry | str] = {}
    for key in store.finished():
        job = store.job(key)
        if job is not None:
            entries = listed.get(job.header.dataset, ()) if metrics is None else named
            asked[key] = [rulers[entry.token] for entry in entries]
            token = job.dataset.model_dump_json()
            entry = allowed[token] if token in allowed else allowed.setdefault(token, _dataset(job, datasets, trust))
            if isinstance(entry, Entry):
                found[key] = entry
            elif missing(store, key, asked[key], retry_errors):
                refused[job.name] = entry
    mine = {key: some for key, some in asked.items() if key in found}
    scored = _score(store, mine, found, execute, retry_errors, progress or _silent)
    score_groups(store, asked, found, retry=retry_errors)
    failed = errors(store, list(asked)) | refused
    store.clear()
    store.warn()
    return Sweep(root=root, keys=list(asked), scored=scored, errors=failed)


def _dataset(job: StoredJob, named: Collection[str], trust: bool) -> Entry | str:
    try:
        return recorded("datasets", job.dataset, named=named, trust=trust)
    except SyncbenchError as error:
        return f"not scored: {error}; --datasets names it, or --trust runs the folder's code"


def _named(name: str, store: Store, trust: bool) -> Entry:
    """The metric a user names, with the fields it has in the folder's suite where that names the same component."""
    for spec in store.used("metrics"):
        if name in (spec.spec, label(spec.spec, spec.overrides)):
            with suppress(SyncbenchError):
                return recorded("metrics", spec, named=[name], trust=trust)
    return Entry("metrics", name)


def _stored(store: Store, trust: bool) -> dict[str, tuple[Entry, ...]]:
    """The metrics that the folder's suite asks of each dataset, by the dataset's label."""
    found: dict[str, tuple[Entry, ...]] = {}
    for part in store.run.suite.parts:
        try:
            metrics = tuple(recorded("metrics", metric, trust=trust) for metric in part.metrics)
        except SyncbenchError as error:
            cure = "name metrics with --metrics, or run the folder's code with --trust"
            raise SyncbenchError(f"'{store.root}': {error}: {cure}") from error
        for dataset in part.datasets:
            name = label(dataset.spec, dataset.overrides)
            found[name] = unique([*found.get(name, ()), *metrics])
    return found


def errors(store: Store, keys: Sequence[str]) -> dict[str, str]:
    """Why jobs or their metrics failed, by job name."""
    found: dict[str, str] = {}
    wanted = set(keys)
    grouped = [row for group in store.groups().values() for row in group["rows"] if row["key"] in wanted]
    for row in [row for key in keys for row in store.scores(key)] + grouped:
        if row["status"] == "error":
            found.setdefault(f"{row['method']} {row['item']} seed {row['seed']}", f"{row['metric']}: {row['reason']}")
    for key in keys:
        job = store.job(key)
        if job is not None and job.status == "error":
            found[job.name] = f"{job.error}"
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
    return job is None or (retry_errors and job.status == "error") or not store.intact(key, job)


def _check_items(suite: Suite) -> None:
    """Every item asked for exists, and some item is left."""
    asked = {item for part in suite.parts for item in part.items}
    kept = {i.id for part in suite.parts for entry in part.datasets for i in chosen(part, entry, entry.load())}
    unknown = sorted(asked - kept)
    if unknown or not kept:
        what = f"no item '{unknown[0]}'" if unknown else "no items"
        raise SyncbenchError(f"{what} in {', '.join(entry.label for entry in suite.listed('datasets'))}")


def _score(
    store: Store,
    asked: Mapping[str, Sequence[Ruler]],
    datasets: Mapping[str, Entry],
    execute: Executor,
    retry: bool,
    listen: Listener,
) -> int:
    todo = {key: missing(store, key, rulers, retry) for key, rulers in asked.items()}
    tasks = [ScoreTask(store.root, key, metrics, datasets[key]) for key, metrics in todo.items() if metrics]
    _watch(execute, score, tasks, "score", listen)
    return len(tasks)


def _watch(
    execute: Executor, work: Callable[[Any], Outcome], tasks: Sequence[Any], phase: str, listen: Listener
) -> None:
    if tasks:
        listen(Event(phase, 0, len(tasks)))
    for number, outcome in enumerate(execute(work, tasks), 1):
        listen(Event(phase, number, len(tasks), outcome.name, outcome.error))
