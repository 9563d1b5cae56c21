"""Scoring what is stored. Only what is missing: a row counts as there if metric, version and fingerprint agree.

Metrics see the artifact as read back from disk, never the one in memory, so `run` and `score` agree to the bit. What a
metric changes of the artifact or the item, the next one does not see.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from .answers import score_of, scores_of
from .dispatch import Outcome
from .guard import Failure, attempt, blamed, storable
from .intact import mark_artifact
from .plan import job_key
from .sample import guarded, instance, load_item, release_model, same_item
from .store import Store
from .suite import Entry
from .types import Artifact, Item, Json, Record, Score, SyncbenchError


@dataclass(frozen=True)
class ScoreTask:
    """A stored job and the metrics it lacks."""

    root: Path
    key: str
    metrics: tuple[Entry, ...]

    def pieces(self) -> Sequence["ScoreTask"]:
        """One task a metric."""
        return [replace(self, metrics=(entry,)) for entry in self.metrics]

    def lost(self, reason: str) -> Outcome:
        """Store that the job could not be scored by these metrics."""
        return _keep(self, lambda store, job, rulers: [_failed(reason) for _ in rulers])


@dataclass(frozen=True)
class GroupTask:
    """Stored jobs of one group and the group metric that they lack."""

    root: Path
    key: str
    cell: str
    members: tuple[str, ...]
    metric: Entry

    def pieces(self) -> Sequence["GroupTask"]:
        """Itself: a group is scored whole or not at all."""
        return [self]

    def lost(self, reason: str) -> Outcome:
        """Store that the group could not be scored."""
        return _keep_group(self, lambda jobs, r: dict.fromkeys(jobs, _failed(reason)))


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
    """Load a metric far enough to know its fingerprint. Raises SyncbenchError for one that breaks its contract."""
    metric = instance(entry)
    with blamed(f"metric {entry.label}"):
        columns = {
            "metric": entry.label,
            "metric_version": metric.version,
            "fingerprint": metric.fingerprint(),
            "direction": metric.direction,
            "unit": metric.unit,
        }
        check_metric(metric, columns, entry.label)
    return Ruler(entry=entry, label=entry.label, grouped=hasattr(metric, "group"), columns=columns)


def missing(store: Store, key: str, rulers: Sequence[Ruler], retry: bool = False) -> tuple[Entry, ...]:
    """The metrics that a job has no valid row of. Group metrics count only where the job made nothing."""
    job, rows = store.job(key), store.scores(key)
    if job is None:
        return ()
    here = [r for r in rulers if not r.grouped or job["status"] != "ok"]
    return tuple(r.entry for r in here if not any(r.has(row, retry) for row in rows))


def check_metric(metric: Any, columns: Json, name: str) -> None:
    """Raise SyncbenchError unless a metric says what its rows will: version, fingerprint, direction, unit, families."""
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


def score(task: ScoreTask) -> Outcome:
    """Compute and store the missing rows of one job. A failing metric is a row with its error."""
    release_model()  # a worker that sampled before must not hold two sets of networks
    return _keep(task, lambda store, job, rulers: _answers(store, task.key, job, rulers))


def _keep(task: ScoreTask, ask: Callable[[Store, Json, Sequence[Ruler]], "list[Answer]"]) -> Outcome:
    store = Store(task.root)
    job = store.job(task.key)
    if job is None:
        return Outcome(task.key, task.key, "the job is gone")
    rulers = [ruler(entry) for entry in task.metrics]
    try:
        answers = ask(store, job, rulers)
    except SyncbenchError as error:  # the artifact or the item cannot be read
        answers = [_failed(str(error)) for _ in rulers]
    rows = {row["metric"]: row for row in store.scores(task.key)}
    for r, answer in zip(rulers, answers, strict=True):
        rows[r.label] = _row(job["header"], r, *answer)
    store.save_scores(task.key, list(rows.values()))
    errors = [f"{row['metric']}: {row['reason']}" for row in rows.values() if row["status"] == "error"]
    name = f"{job['header']['method']} {job['header']['item']} seed {job['header']['seed']}"
    return Outcome(task.key, name, "; ".join(errors) if errors and job["status"] == "ok" else None)


def group_tasks(
    store: Store, asked: Mapping[str, Sequence[Ruler]], planned: Sequence[str] = (), retry: bool = False
) -> dict[str, GroupTask]:
    """Missing group metrics by key: one group is all items of a method, model, dataset, protocol and seed.

    `asked` are the metrics wanted of each job; a group is scored by what any of its members wants. With `planned`
    keys, a group of which some job has not been run yet (another shard's) is left for later.
    """
    if not any(r.grouped for rulers in asked.values() for r in rulers):
        return {}
    present = {key: job for key in store.finished() if (job := store.job(key)) is not None}
    absent = set(planned) - set(present)
    cells: dict[str, list[str]] = defaultdict(list)
    for key, job in present.items():
        if job["status"] == "ok":
            cells[_cell(job["header"])].append(key)
    old = store.groups()
    found: dict[str, GroupTask] = {}
    for cell, members in cells.items():
        for r in {r.label: r for key in members for r in asked.get(key, ()) if r.grouped}.values():
            key = job_key({"cell": cell, "members": sorted(members), **r.columns})
            if absent or (key in old and all(r.has(row, retry) for row in old[key]["rows"])):
                continue
            found[key] = GroupTask(store.root, key, cell, tuple(sorted(members)), r.entry)
    return found


def score_group(task: GroupTask) -> Outcome:
    """Compute and store the rows of one group, and drop those of the group as it was before."""
    release_model()
    return _keep_group(task, lambda jobs, r: _group_answers(Store(task.root), jobs, r))


def _keep_group(task: GroupTask, ask: Callable[[dict[str, Json], Ruler], "dict[str, Answer]"]) -> Outcome:
    store, r = Store(task.root), ruler(task.metric)
    jobs = {key: job for key in task.members if (job := store.job(key)) is not None}
    name = f"{r.label} of {len(jobs)} items"
    if len(jobs) < len(task.members):
        return Outcome(task.key, name, "a job is gone")
    answers = ask(jobs, r)
    rows = [_row(job["header"], r, *answers[key]) for key, job in jobs.items()]
    store.save_group(task.key, {"cell": task.cell, "metric": r.label, "members": list(task.members)}, rows)
    for other, group in store.groups().items():
        if other != task.key and group["cell"] == task.cell and group["metric"] == r.label:
            store.drop_group(other)
    failed = next((row["reason"] for row in rows if row["status"] == "error"), None)
    return Outcome(task.key, f"{next(iter(jobs.values()))['header']['method']}, {name}", failed)


Answer = tuple[Score, str]
"""A score and `ok` or `error`."""


def _failed(reason: str) -> Answer:
    return Score.none(reason), "error"


def _answers(store: Store, key: str, job: Json, rulers: Sequence[Ruler]) -> list[Answer]:
    if job["status"] == "error":
        return [_failed(job["error"]) for _ in rulers]
    if job["status"] == "unsupported":
        return [(Score.none(job["error"]), "ok") for _ in rulers]
    artifact, answers = store.artifact(key), list[Answer]()
    marks = mark_artifact(artifact)
    for r in rulers:
        answers.append(_ask(instance(r.entry), _own(artifact), _item(job), _dataset(job)))
        if not marks.intact:  # the next metric sees what is stored
            artifact = store.artifact(key)
            marks = mark_artifact(artifact)
    return answers


def _own(artifact: Artifact) -> Artifact:
    """The same tensors in an artifact of one's own."""
    cost, notes = replace(artifact.cost), deepcopy(artifact.notes)
    return replace(artifact, extras=dict(artifact.extras), notes=notes, cost=cost)


def _ask(metric: Any, artifact: Artifact, item: Item, entry: Entry) -> Answer:
    answer = attempt(lambda: _answer(metric, artifact, item, entry))
    return _failed(answer.text) if isinstance(answer, Failure) else (answer, "ok")


def _answer(metric: Any, artifact: Artifact, item: Item, entry: Entry) -> Score:
    if item.family not in metric.families:
        return Score.none(f"not defined for the family {item.family}")
    return score_of(guarded(entry, [item], lambda: metric(artifact, item)))


def _dataset(job: Json) -> Entry:
    return Entry("datasets", job["dataset"]["spec"], job["dataset"]["overrides"])


def _item(job: Json) -> Item:
    entry = _dataset(job)
    item = load_item(entry, job["header"]["item"], job["header"]["protocol"])
    if not same_item(job["identity"], entry, item):
        raise SyncbenchError(f"dataset {entry.label} has changed since '{item.id}' was made: run again")
    return item


def _row(header: Json, r: Ruler, score: Score, status: str) -> Json:
    row = {**header, **r.columns, **asdict(score), "status": status}
    return {name: row[name] for name in Record.columns()}


def _cell(header: Json) -> str:
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
    return job_key({name: header[name] for name in names})


def _group_answers(store: Store, jobs: dict[str, Json], r: Ruler) -> dict[str, Answer]:
    """The group metric's answer for each job by key."""
    answers = attempt(lambda: _group(store, jobs, instance(r.entry)))
    return dict.fromkeys(jobs, _failed(answers.text)) if isinstance(answers, Failure) else answers


def _group(store: Store, jobs: dict[str, Json], metric: Any) -> dict[str, Answer]:
    keys = {job["header"]["item"]: key for key, job in jobs.items()}
    items = {name: _item(jobs[key]) for name, key in keys.items()}
    first = next(iter(items.values()))
    if first.family not in metric.families:
        return dict.fromkeys(jobs, (Score.none(f"not defined for the family {first.family}"), "ok"))
    artifacts = {name: store.artifact(key) for name, key in keys.items()}
    entry = _dataset(next(iter(jobs.values())))
    scores = scores_of(guarded(entry, list(items.values()), lambda: metric.group(artifacts, items)), keys)
    gone = Score.none("the metric left this item out")
    found = {key: attempt(lambda name=name: score_of(scores.get(name, gone))) for name, key in keys.items()}
    return {key: _failed(one.text) if isinstance(one, Failure) else (one, "ok") for key, one in found.items()}
