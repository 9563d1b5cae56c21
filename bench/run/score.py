"""Scoring of stored samples. Only missing rows are computed: a row is valid if metric, version and fingerprint agree.

Metrics see the artifact as read back from disk, never the one in memory, so `run` and `score` agree to the bit. Changes
that a metric makes to the artifact or the item do not reach the next metric.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ..catalogue.roles import primary_of, role_of
from ..isolation.guard import Failure, attempt, blamed, storable
from ..isolation.intact import mark_artifact
from ..store.folder import Store
from ..store.stored import StoredJob
from ..suites.suite import Entry
from ..types import Artifact, Header, Item, Json, Record, Score, SyncbenchError
from .answers import score_of
from .dispatch import Outcome
from .loaded import Loaded


@dataclass(frozen=True)
class ScoreTask:
    """A stored job and the metrics of which it has no valid row."""

    root: Path
    key: str
    metrics: tuple[Entry, ...]
    dataset: Entry
    """The data set of the job, of the user's suite or allowed by `recorded.entry`: a stored job cannot name its own."""

    def pieces(self) -> Sequence["ScoreTask"]:
        """One task for each metric."""
        return [replace(self, metrics=(entry,)) for entry in self.metrics]

    def lost(self, reason: str, loaded: Loaded) -> Outcome:
        """Store `reason` as the error of these metrics on the job."""
        return _keep(self, loaded, lambda store, job, rulers: [error_answer(reason) for _ in rulers])


@dataclass(frozen=True, kw_only=True)
class Ruler:
    """A metric as a suite names it, with the columns of its rows."""

    entry: Entry
    label: str
    grouped: bool
    across: str
    """What a group metric compares: the `items` of one seed, or the `seeds` of one item."""
    columns: Json
    """The columns of `Record` that describe the metric."""
    primary: Mapping[str, int]
    """The metric's place among the first metrics of each family."""
    machine: bool
    """Whether values of different machines are not comparable."""

    def said(self, header: Header) -> Json:
        """The columns of `Record` for one job, since place and fingerprint depend on its family and machine."""
        place = f"{self.columns['fingerprint']}, {header.machine}" if self.machine else self.columns["fingerprint"]
        return {**self.columns, "fingerprint": place, "primary": self.primary.get(header.family)}

    def has(self, row: Record, retry: bool) -> bool:
        """Whether `row` is this metric's and valid; an error is valid unless `retry`."""
        return all(getattr(row, k) == v for k, v in self.said(row).items()) and not (retry and row.status == "error")


def ruler(entry: Entry, loaded: Loaded) -> Ruler:
    """Load a metric far enough to know its fingerprint. Raises SyncbenchError for one that breaks its contract."""
    metric = loaded.instance(entry)
    with blamed(f"metric {entry.label}"):
        columns = {
            "metric": entry.label,
            "metric_version": metric.version,
            "fingerprint": metric.fingerprint(),
            "role": role_of(metric, entry.label),
            "direction": metric.direction,
            "unit": metric.unit,
        }
        check_metric(metric, columns, entry.label)
        places = primary_of(metric, entry.spec)
    return Ruler(
        entry=entry,
        label=entry.label,
        grouped=hasattr(metric, "group"),
        across=group_across(metric),
        columns=columns,
        primary=places,
        machine=bool(getattr(metric, "machine", False)),
    )


def group_across(metric: Any) -> str:
    """What a group metric compares, `items` or `seeds`; see `GroupMetric`. Raises SyncbenchError for anything else."""
    across = getattr(metric, "across", "items")
    if across not in ("items", "seeds"):
        raise SyncbenchError(f"a group metric is across items or seeds, not {ascii(across)[:60]}")
    return across


def missing(store: Store, key: str, rulers: Sequence[Ruler], retry: bool = False) -> tuple[Entry, ...]:
    """The metrics of which a job has no valid row; group metrics only if the job has no sample."""
    job, rows = store.job(key), store.scores(key)
    if job is None:
        return ()
    here = [r for r in rulers if not r.grouped or job.status != "ok"]
    return tuple(r.entry for r in here if not any(r.has(row, retry) for row in rows))


def check_metric(metric: Any, columns: Json, name: str) -> None:
    """Raise SyncbenchError for a metric whose version, fingerprint, direction, unit or families are not valid."""
    wanted = {"metric_version": int, "fingerprint": str, "direction": str, "unit": str}
    for column, kind in wanted.items():
        found = columns[column]
        if type(found) is not kind or (isinstance(found, str) and storable(found) != found):
            what = column.removeprefix("metric_")
            raise SyncbenchError(f"metric {name}: its {what} is {ascii(found)[:60]}, not {_WORDS[kind]}")
    if not re.fullmatch(r"lower|higher|target:[-+.\deE]+", columns["direction"]):
        raise SyncbenchError(
            f"metric {name}: its direction is '{columns['direction']}', not lower, higher or target:VALUE"
        )
    families: Any = metric.families
    if type(families) not in (tuple, list, frozenset) or not all(isinstance(family, str) for family in families):
        raise SyncbenchError(f"metric {name}: its families are {ascii(families)[:60]}, not a tuple of text")
    if not (callable(getattr(metric, "group", None)) or callable(metric)):
        raise SyncbenchError(f"metric {name} can neither be called nor has it `group`")


_WORDS = {int: "a whole number", str: "text"}


def score(task: ScoreTask, loaded: Loaded) -> Outcome:
    """Compute and store the missing rows of one job. If a metric fails, its row has the error."""
    loaded.release()  # a worker that sampled before must not hold two sets of networks
    return _keep(task, loaded, lambda store, job, rulers: _answers(store, job, rulers, task.dataset, loaded))


def _keep(
    task: ScoreTask, loaded: Loaded, ask: Callable[[Store, StoredJob, Sequence[Ruler]], "list[Answer]"]
) -> Outcome:
    store = Store(task.root)
    job = store.job(task.key)
    if job is None:
        return Outcome(task.key, task.key, store.damage.get(store.folder(task.key), "the job is gone"))
    rulers = [ruler(entry, loaded) for entry in task.metrics]
    answers = attempt(lambda: ask(store, job, rulers))
    if isinstance(answers, Failure):  # the artifact or the item cannot be read
        answers = [error_answer(answers.text) for _ in rulers]
    rows = {row.metric: row for row in store.scores(task.key)}
    for r, answer in zip(rulers, answers, strict=True):
        rows[r.label] = record_of(job.header, r, *answer)
    store.save_scores(task.key, list(rows.values()))
    errors = [f"{row.metric}: {row.reason}" for row in rows.values() if row.status == "error"]
    return Outcome(task.key, job.name, "; ".join(errors) if errors and job.status == "ok" else None)


Status = Literal["ok", "error"]
Answer = tuple[Score, Status]


def error_answer(reason: str) -> Answer:
    """The answer of a metric that failed: null with the reason, and status `error`."""
    return Score.none(reason), "error"


def _answers(store: Store, job: StoredJob, rulers: Sequence[Ruler], dataset: Entry, loaded: Loaded) -> list[Answer]:
    if job.status == "error":
        return [error_answer(f"{job.error}") for _ in rulers]
    if job.status == "unsupported":
        return [(Score.none(f"{job.error}"), "ok") for _ in rulers]
    artifact, answers = store.artifact(job.key), list[Answer]()
    marks = mark_artifact(artifact)
    for r in rulers:
        item = stored_item(job, dataset, loaded)
        answers.append(_ask(loaded.instance(r.entry), _own(artifact), item, dataset, loaded))
        if not marks.intact:  # the next metric sees what is stored
            artifact = store.artifact(job.key)
            marks = mark_artifact(artifact)
    return answers


def _own(artifact: Artifact) -> Artifact:
    """A copy of the artifact with the same tensors."""
    cost, notes = replace(artifact.cost), deepcopy(artifact.notes)
    return replace(artifact, extras=dict(artifact.extras), notes=notes, cost=cost)


def _ask(metric: Any, artifact: Artifact, item: Item, entry: Entry, loaded: Loaded) -> Answer:
    answer = attempt(lambda: _answer(metric, artifact, item, entry, loaded))
    return error_answer(answer.text) if isinstance(answer, Failure) else (answer, "ok")


def _answer(metric: Any, artifact: Artifact, item: Item, entry: Entry, loaded: Loaded) -> Score:
    if item.family not in metric.families:
        return Score.none(f"not defined for the family {item.family}")
    return score_of(loaded.guarded(entry, [item], lambda: metric(artifact, item)))


def stored_item(job: StoredJob, dataset: Entry, loaded: Loaded) -> Item:
    """The item a stored job was made from. Raises SyncbenchError where the data set no longer has it."""
    item = loaded.item(dataset, job.header.item, job.header.protocol)
    if not loaded.is_from(job.origin, dataset, item):
        raise SyncbenchError(f"dataset {dataset.label} has changed since '{item.id}' was made: run again")
    return item


def record_of(header: Header, r: Ruler, score: Score, status: Status) -> Record:
    """The row of one metric and one job: a score, or null with the reason."""
    return Record(**vars(header), **r.said(header), **asdict(score), status=status)
