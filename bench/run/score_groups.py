"""Scoring groups of samples: metrics that compare what a method made of several items or with several seeds."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..isolation.guard import Failure, attempt
from ..store.folder import Store
from ..store.stored import StoredGroup, StoredJob
from ..suites.suite import Entry, unique
from ..types import Header, Score
from .answers import score_of, scores_of
from .dispatch import Outcome
from .job import job_key
from .loaded import Loaded
from .score import Answer, Ruler, error_answer, group_across, record_of, ruler, stored_item


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
        return _keep_group(self, loaded, lambda jobs, r: dict.fromkeys(jobs, error_answer(reason)))


def group_tasks(
    store: Store,
    loaded: Loaded,
    asked: Mapping[str, Sequence[Ruler]],
    datasets: Sequence[Entry],
    own: Mapping[str, Entry],
    planned: Sequence[str] = (),
    retry: bool = False,
) -> dict[str, GroupTask]:
    """Missing group metrics by key: one group is all items of a method, model, dataset, protocol and seed, or, for
    metrics over seeds, all seeds of a method, model, dataset, protocol and item.

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
    cells: dict[tuple[str, str], list[str]] = defaultdict(list)
    for key, job in present.items():
        if job.status == "ok":
            for across in ("items", "seeds"):
                cells[across, _cell(job.header, across)].append(key)
    old = store.groups()
    found: dict[str, GroupTask] = {}
    for (across, cell), jobs in cells.items():
        wanted = {r.label: r for key in jobs for r in asked.get(key, ()) if r.grouped and r.across == across}
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
    name = f"{r.label} of {len(task.members)} {r.across}"
    if len(jobs) < len(task.members) + len(task.past):
        return Outcome(task.key, name, "a job is gone")
    answers = ask({key: jobs[key] for key in task.members}, r)
    rows = [record_of(jobs[key].header, r, *answers[key]) for key in task.members]
    rows += [record_of(jobs[key].header, r, PAST, "ok") for key in task.past]
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


def _cell(header: Header, across: str) -> str:
    names = (
        "dataset",
        "dataset_version",
        "model",
        "revision",
        "method",
        "method_version",
        "params",
        "protocol",
        *(("seed",) if across == "items" else ("item", "content")),
    )
    return job_key({name: getattr(header, name) for name in names})


def _group_answers(
    store: Store, jobs: dict[str, StoredJob], entry: Entry, r: Ruler, loaded: Loaded
) -> dict[str, Answer]:
    """The group metric's answer for each job by key."""
    answers = attempt(lambda: _group(store, jobs, entry, loaded.instance(r.entry), loaded))
    return dict.fromkeys(jobs, error_answer(answers.text)) if isinstance(answers, Failure) else answers


def _group(store: Store, jobs: dict[str, StoredJob], entry: Entry, metric: Any, loaded: Loaded) -> dict[str, Answer]:
    seeds = group_across(metric) == "seeds"
    keys = {str(job.header.seed) if seeds else job.header.item: key for key, job in jobs.items()}
    items = {name: stored_item(jobs[key], entry, loaded) for name, key in keys.items()}
    first = next(iter(items.values()))
    if first.family not in metric.families:
        return dict.fromkeys(jobs, (Score.none(f"not defined for the family {first.family}"), "ok"))
    artifacts = {name: store.artifact(key) for name, key in keys.items()}
    scores = scores_of(loaded.guarded(entry, list(items.values()), lambda: metric.group(artifacts, items)), keys)
    gone = Score.none("the metric left this item out")
    found = {key: attempt(lambda name=name: score_of(scores.get(name, gone))) for name, key in keys.items()}
    return {key: error_answer(one.text) if isinstance(one, Failure) else (one, "ok") for key, one in found.items()}
