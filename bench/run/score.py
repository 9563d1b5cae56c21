"""Scoring of stored samples. Only missing rows are computed: a row is valid if metric, version and fingerprint agree.

Metrics see the artifact as read back from disk, never the one in memory, so `run` and `score` agree to the bit. Changes
that a metric makes to the artifact or the item do not reach the next metric.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ..catalogue.roles import primary_of, role_of
from ..isolation.guard import Failure, attempt, blamed, storable
from ..isolation.intact import mark_artifact
from ..store.folder import Store
from ..store.stored import StoredGroup, StoredJob
from ..suites.suite import Entry, unique
from ..types import Artifact, Header, Item, Json, Record, Score, SyncbenchError
from .answers import score_of, scores_of
from .dispatch import Outcome
from .job import job_key
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
        return _keep(self, loaded, lambda store, job, rulers: [_failed(reason) for _ in rulers])


@dataclass(frozen=True)
class GroupTask:
    """Stored jobs of one group and the group metric of which they have no valid row."""

    root: Path
    key: str
    cell: str
    members: tuple[str, ...]
    """Keys of the jobs whose items are still as the data set has them."""
    past: tuple[str, ...]
    """Keys of jobs whose items have changed since; they get a null."""
    metric: Entry
    dataset: Entry
    """The data set of the members' items."""
    kept: frozenset[str] = frozenset()
    """Keys of all current groups of the cell and metric; rows of other groups are out of date."""

    def pieces(self) -> Sequence["GroupTask"]:
        """The task itself, since a group is scored as a whole."""
        return [self]

    def lost(self, reason: str, loaded: Loaded) -> Outcome:
        """Store `reason` as the error of the group."""
        return _keep_group(self, loaded, lambda jobs, r: dict.fromkeys(jobs, _failed(reason)))


@dataclass(frozen=True, kw_only=True)
class Ruler:
    """A metric as a suite names it, with the columns of its rows."""

    entry: Entry
    label: str
    grouped: bool
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
        columns=columns,
        primary=places,
        machine=bool(getattr(metric, "machine", False)),
    )


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
        answers = [_failed(answers.text) for _ in rulers]
    rows = {row.metric: row for row in store.scores(task.key)}
    for r, answer in zip(rulers, answers, strict=True):
        rows[r.label] = _row(job.header, r, *answer)
    store.save_scores(task.key, list(rows.values()))
    errors = [f"{row.metric}: {row.reason}" for row in rows.values() if row.status == "error"]
    return Outcome(task.key, job.name, "; ".join(errors) if errors and job.status == "ok" else None)


def group_tasks(
    store: Store,
    loaded: Loaded,
    asked: Mapping[str, Sequence[Ruler]],
    datasets: Sequence[Entry],
    own: Mapping[str, Entry],
    planned: Sequence[str] = (),
    retry: bool = False,
) -> dict[str, GroupTask]:
    """Missing group metrics by key: one group is all items of a method, model, dataset, protocol and seed.

    `asked` are the metrics of each job; a group is scored by the metrics of any of its members. `datasets` have the
    items as they are now: samples of what an item was before its prompt, mesh or picture changed belong to no group of
    theirs, and get a null. Where none of them has the label of a group, the data sets that its jobs were made from
    (`own`, as far as they may be loaded) say it; where there is none either, the group stays as it is. With `planned`
    keys, a group of which some job has not been run yet (another shard's) is left for later.
    """
    if not any(r.grouped for rulers in asked.values() for r in rulers):
        return {}
    present = {key: job for key in store.finished() if (job := store.job(key)) is not None}
    absent = set(planned) - set(present)
    cells: dict[str, list[str]] = defaultdict(list)
    for key, job in present.items():
        if job.status == "ok":
            cells[_cell(job.header)].append(key)
    old = store.groups()
    found: dict[str, GroupTask] = {}
    for cell, jobs in cells.items():
        wanted = {r.label: r for key in jobs for r in asked.get(key, ()) if r.grouped}
        if not wanted or absent:
            continue
        label = present[jobs[0]].header.dataset
        options = [entry for entry in datasets if entry.label == label] or [own[key] for key in jobs if key in own]
        if not options:
            continue
        groups, past = _parted({key: present[key] for key in jobs}, unique(options), loaded)
        for r in wanted.values():
            tasks: list[GroupTask] = []
            for n, (entry, members) in enumerate(groups):
                gone = tuple(past) if n == 0 else ()
                about = {"cell": cell, "metric": r.label, "members": members, **({"past": gone} if gone else {})}
                key = job_key({**about, **r.columns})
                tasks.append(GroupTask(store.root, key, cell, tuple(members), gone, r.entry, entry))
            kept = frozenset(task.key for task in tasks)
            lacking = [
                task
                for task in tasks
                if task.key not in old or not all(r.has(row, retry) for row in old[task.key].rows)
            ]
            found |= {task.key: replace(task, kept=kept) for task in lacking}
            if not lacking:
                _drop_stale(store, old, cell, r.label, kept)
    return found


def score_group(task: GroupTask, loaded: Loaded) -> Outcome:
    """Compute and store the rows of one group, and drop its rows from before its members changed."""
    loaded.release()
    return _keep_group(task, loaded, lambda jobs, r: _group_answers(Store(task.root), jobs, task.dataset, r, loaded))


def _keep_group(
    task: GroupTask, loaded: Loaded, ask: Callable[[dict[str, StoredJob], Ruler], "dict[str, Answer]"]
) -> Outcome:
    store, r = Store(task.root), ruler(task.metric, loaded)
    jobs = {key: job for key in (*task.members, *task.past) if (job := store.job(key)) is not None}
    name = f"{r.label} of {len(task.members)} items"
    if len(jobs) < len(task.members) + len(task.past):
        return Outcome(task.key, name, "a job is gone")
    answers = ask({key: jobs[key] for key in task.members}, r)
    rows = [_row(jobs[key].header, r, *answers[key]) for key in task.members]
    rows += [_row(jobs[key].header, r, PAST, "ok") for key in task.past]
    about = {"cell": task.cell, "metric": r.label, "members": list(task.members)}
    store.save_group(task.key, {**about, "past": list(task.past)} if task.past else about, rows)
    _drop_stale(store, store.groups(), task.cell, r.label, task.kept | {task.key})
    failed = next((row.reason for row in rows if row.status == "error"), None)
    return Outcome(task.key, f"{next(iter(jobs.values())).header.method}, {name}", failed)


def _drop_stale(store: Store, groups: Mapping[str, StoredGroup], cell: str, metric: str, kept: frozenset[str]) -> None:
    """Drop the groups of a cell and metric as they were before their members changed."""
    for key, group in groups.items():
        if key not in kept and group.cell == cell and group.metric == metric:
            store.drop_group(key)


PAST = Score.none("its item has changed since, so it is in no group with today's items")
Status = Literal["ok", "error"]
Answer = tuple[Score, Status]


def _failed(reason: str) -> Answer:
    return Score.none(reason), "error"


def _answers(store: Store, job: StoredJob, rulers: Sequence[Ruler], dataset: Entry, loaded: Loaded) -> list[Answer]:
    if job.status == "error":
        return [_failed(f"{job.error}") for _ in rulers]
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
    return _failed(answer.text) if isinstance(answer, Failure) else (answer, "ok")


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


def _parted(
    jobs: Mapping[str, StoredJob], options: Sequence[Entry], loaded: Loaded
) -> tuple[list[tuple[Entry, list[str]]], list[str]]:
    """Keys of one cell by the data set of `options` that now has their items, and keys whose items no data set has.

    Two data sets of one label (files of one name) make two groups. If no data set has any of the items, all keys stay
    one group.
    """
    groups: dict[str, tuple[Entry, list[str]]] = {}
    past: list[str] = []
    for key, job in sorted(jobs.items()):
        entry = next((entry for entry in options if _is_todays(job, entry, loaded)), None)
        if entry is None:
            past.append(key)
        else:
            groups.setdefault(entry.token, (entry, []))[1].append(key)
    return (list(groups.values()), past) if groups else ([(options[0], sorted(jobs))], [])


def _is_todays(job: StoredJob, entry: Entry, loaded: Loaded) -> bool:
    """Whether a sample's item is still as the data set has it; true where the data set cannot be read."""
    try:
        item = loaded.items(entry).get(job.header.item)
    except Exception:  # the metric will say why
        return True
    if item is None:
        return False
    asked = replace(item.protocol, negative=job.header.protocol.get("negative", ""))
    return loaded.is_from(job.origin, entry, replace(item, protocol=asked))


def _row(header: Header, r: Ruler, score: Score, status: Status) -> Record:
    return Record(**vars(header), **r.said(header), **asdict(score), status=status)


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


def _group_answers(
    store: Store, jobs: dict[str, StoredJob], entry: Entry, r: Ruler, loaded: Loaded
) -> dict[str, Answer]:
    """The group metric's answer for each job by key."""
    answers = attempt(lambda: _group(store, jobs, entry, loaded.instance(r.entry), loaded))
    return dict.fromkeys(jobs, _failed(answers.text)) if isinstance(answers, Failure) else answers


def _group(store: Store, jobs: dict[str, StoredJob], entry: Entry, metric: Any, loaded: Loaded) -> dict[str, Answer]:
    keys = {job.header.item: key for key, job in jobs.items()}
    items = {name: stored_item(jobs[key], entry, loaded) for name, key in keys.items()}
    first = next(iter(items.values()))
    if first.family not in metric.families:
        return dict.fromkeys(jobs, (Score.none(f"not defined for the family {first.family}"), "ok"))
    artifacts = {name: store.artifact(key) for name, key in keys.items()}
    scores = scores_of(loaded.guarded(entry, list(items.values()), lambda: metric.group(artifacts, items)), keys)
    gone = Score.none("the metric left this item out")
    found = {key: attempt(lambda name=name: score_of(scores.get(name, gone))) for name, key in keys.items()}
    return {key: _failed(one.text) if isinstance(one, Failure) else (one, "ok") for key, one in found.items()}
