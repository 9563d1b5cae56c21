"""Scoring what is stored. Only what is missing: a row counts as there if metric, version and fingerprint agree.

Metrics see the artifact as read back from disk, never the one in memory, so `run` and `score` agree to the bit.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .plan import job_key
from .sample import Outcome, instance, load_item, release_model, same_item
from .store import Store
from .stored import LARGEST, StoredJob
from .suite import Entry
from .types import Header, Item, Json, Record, Score, SyncbenchError


@dataclass(frozen=True)
class ScoreTask:
    """A stored job and the metrics it lacks."""

    root: Path
    key: str
    metrics: tuple[Entry, ...]
    dataset: Entry
    """The data set of the job, of the user's suite or allowed by `recorded.entry`: the job's own word is not enough."""


@dataclass(frozen=True, kw_only=True)
class Ruler:
    """A metric as a suite names it, with what its rows will say."""

    entry: Entry
    label: str
    grouped: bool
    columns: Json
    """The columns of `Record` that say what the number means."""

    def has(self, row: Json, retry: bool) -> bool:
        """Whether `row` is this metric's and still valid; errors are, unless they are to be tried again."""
        return all(row[k] == v for k, v in self.columns.items()) and not (retry and row["status"] == "error")


def ruler(entry: Entry) -> Ruler:
    """Load a metric far enough to know its fingerprint."""
    metric = instance(entry)
    columns = {
        "metric": entry.label,
        "metric_version": metric.version,
        "fingerprint": metric.fingerprint(),
        "direction": metric.direction,
        "unit": metric.unit,
    }
    return Ruler(entry=entry, label=entry.label, grouped=hasattr(metric, "group"), columns=columns)


def missing(store: Store, key: str, rulers: Sequence[Ruler], retry: bool = False) -> tuple[Entry, ...]:
    """The metrics that a job has no valid row of. Group metrics count only where the job made nothing."""
    job, rows = store.job(key), store.scores(key)
    if job is None:
        return ()
    here = [r for r in rulers if not r.grouped or job.status != "ok"]
    return tuple(r.entry for r in here if not any(r.has(row, retry) for row in rows))


def score(task: ScoreTask) -> Outcome:
    """Compute and store the missing rows of one job. A failing metric is a row with its error."""
    release_model()  # a worker that sampled before must not hold two sets of networks
    store = Store(task.root)
    job = store.job(task.key)
    if job is None:
        return Outcome(task.key, task.key, store.damage.get(store.folder(task.key), "the job is gone"))
    rulers = [ruler(entry) for entry in task.metrics]
    try:
        answers = _answers(store, job, rulers, task.dataset)
    except Exception as error:  # the artifact or the item cannot be read
        answers = [_failed(said(error)) for _ in rulers]
    rows = {row["metric"]: row for row in store.scores(task.key)}
    for r, answer in zip(rulers, answers, strict=True):
        rows[r.label] = _row(job.header, r, *answer)
    store.save_scores(task.key, list(rows.values()))
    errors = [f"{row['metric']}: {row['reason']}" for row in rows.values() if row["status"] == "error"]
    return Outcome(task.key, job.name, "; ".join(errors) if errors and job.status == "ok" else None)


def score_groups(
    store: Store,
    asked: Mapping[str, Sequence[Ruler]],
    datasets: Mapping[str, Entry],
    planned: Sequence[str] = (),
    retry: bool = False,
) -> None:
    """Compute missing group metrics: one group is all items of a method, model, dataset, protocol and seed.

    `asked` are the metrics wanted of each job; a group is scored by what any of its members wants. `datasets` are the
    data sets of jobs: a group takes that of any member. With `planned` keys, a group of which some job has not been
    run yet (another shard's) is left for later.
    """
    if not any(r.grouped for rulers in asked.values() for r in rulers):
        return
    present = {key: job for key in store.finished() if (job := store.job(key)) is not None}
    absent = set(planned) - set(present)
    cells: dict[str, list[str]] = defaultdict(list)
    for key, job in present.items():
        if job.status == "ok":
            cells[_cell(job.header)].append(key)
    old = store.groups()
    for cell, members in cells.items():
        for r in {r.label: r for key in members for r in asked.get(key, ()) if r.grouped}.values():
            key = job_key({"cell": cell, "members": sorted(members), **r.columns})
            if absent or (key in old and all(r.has(row, retry) for row in old[key]["rows"])):
                continue
            dataset = next((datasets[k] for k in members if k in datasets), None)
            if dataset is None:
                continue
            rows = _group_rows(store, {k: present[k] for k in members}, r, dataset)
            store.save_group(key, {"cell": cell, "metric": r.label, "members": sorted(members)}, rows)
            for name, group in old.items():
                if name != key and group["cell"] == cell and group["metric"] == r.label:
                    store.drop_group(name)


Answer = tuple[Score, str]
"""A score and `ok` or `error`."""


def _failed(reason: str) -> Answer:
    return Score.none(reason), "error"


def _answers(store: Store, job: StoredJob, rulers: Sequence[Ruler], dataset: Entry) -> list[Answer]:
    if job.status == "error":
        return [_failed(f"{job.error}") for _ in rulers]
    if job.status == "unsupported":
        return [(Score.none(f"{job.error}"), "ok") for _ in rulers]
    artifact, item = store.artifact(job.key), stored_item(job, dataset)
    return [_ask(instance(r.entry), artifact, item) for r in rulers]


def _ask(metric: Any, artifact: Any, item: Item) -> Answer:
    if item.family not in metric.families:
        return Score.none(f"not defined for the family {item.family}"), "ok"
    try:
        return _plain(metric(artifact, item)), "ok"
    except Exception as error:
        return _failed(f"{type(error).__name__}: {error}")


def _plain(score: Score) -> Score:
    """Never NaN, never more than a table can sum, never a null without a reason."""
    if score.value is not None and not abs(score.value) <= LARGEST:
        return Score.none(f"the metric returned {score.value}")
    if score.value is None and not score.reason:
        return Score.none("the metric gave no reason")
    return score


def said(error: Exception) -> str:
    """What a reason says of an exception: its text, after its type where it is not one of syncbench."""
    return str(error) if isinstance(error, SyncbenchError) else f"{type(error).__name__}: {error}"


def stored_item(job: StoredJob, dataset: Entry) -> Item:
    """The item a stored job was made from. Raises SyncbenchError where the data set has no such item any more."""
    item = load_item(dataset, job.header.item, job.header.protocol)
    if not same_item(job.identity, dataset, item):
        raise SyncbenchError(f"dataset {dataset.label} has changed since '{item.id}' was made: run again")
    return item


def _row(header: Header, r: Ruler, score: Score, status: str) -> Json:
    row = {**asdict(header), **r.columns, **asdict(score), "status": status}
    return {name: row[name] for name in Record.columns()}


def _cell(header: Header) -> str:
    names = (
        "dataset",
        "dataset_version",
        "model",
        "revision",
        "method",
        "method_version",
        "params",
        "protocol",
        "seed",
    )
    return job_key({name: getattr(header, name) for name in names})


def _group_rows(store: Store, jobs: dict[str, StoredJob], r: Ruler, dataset: Entry) -> list[Json]:
    metric = instance(r.entry)
    keys = {job.header.item: key for key, job in jobs.items()}
    try:
        items = {name: stored_item(jobs[key], dataset) for name, key in keys.items()}
        artifacts = {name: store.artifact(key) for name, key in keys.items()}
        family = next(iter(items.values())).family
        if family not in metric.families:
            none = Score.none(f"not defined for the family {family}")
            answers: dict[str, Answer] = dict.fromkeys(keys, (none, "ok"))
        else:
            scores = metric.group(artifacts, items)
            gone = Score.none("the metric left this item out")
            answers = {name: (_plain(scores.get(name, gone)), "ok") for name in keys}
    except Exception as error:
        answers = {name: _failed(said(error)) for name in keys}
    return [_row(jobs[key].header, r, *answers[name]) for name, key in keys.items()]
