"""Scoring what is stored. Only what is missing: a row counts as there if metric, version and fingerprint agree.

Metrics see the artifact as read back from disk, never the one in memory, so `run` and `score` agree to the bit.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Any

from .plan import job_key
from .roles import primary_of, role_of
from .sample import Outcome, instance, items_of, load_item, release_model, same_item
from .store import Store
from .suite import Entry, unique
from .types import Item, Json, Record, Score, SyncbenchError


@dataclass(frozen=True)
class ScoreTask:
    """A stored job and the metrics it lacks."""

    root: Path
    key: str
    metrics: tuple[Entry, ...]


@dataclass(frozen=True, kw_only=True)
class Ruler:
    """A metric as a suite names it, with what its rows will say."""

    entry: Entry
    label: str
    grouped: bool
    columns: Json
    """The columns of `Record` that say what the number means."""
    primary: Mapping[str, int]
    """Places by family."""
    machine: bool
    """Whether the machine belongs to the fingerprint."""

    def said(self, header: Json) -> Json:
        """The same columns for one job, whose family and machine they depend on."""
        place = f"{self.columns['fingerprint']}, {header['machine']}" if self.machine else self.columns["fingerprint"]
        return {**self.columns, "fingerprint": place, "primary": self.primary.get(header["family"])}

    def has(self, row: Json, retry: bool) -> bool:
        """Whether `row` is this metric's and still valid; errors are, unless they are to be tried again."""
        return all(row[k] == v for k, v in self.said(row).items()) and not (retry and row["status"] == "error")


def ruler(entry: Entry) -> Ruler:
    """Load a metric far enough to know its fingerprint. Raises SyncbenchError for one that has no role."""
    metric = instance(entry)
    columns = {
        "metric": entry.label,
        "metric_version": metric.version,
        "fingerprint": metric.fingerprint(),
        "role": role_of(metric, entry.label),
        "direction": metric.direction,
        "unit": metric.unit,
    }
    return Ruler(
        entry=entry,
        label=entry.label,
        grouped=hasattr(metric, "group"),
        columns=columns,
        primary=primary_of(metric, entry.spec),
        machine=bool(getattr(metric, "machine", False)),
    )


def missing(store: Store, key: str, rulers: Sequence[Ruler], retry: bool = False) -> tuple[Entry, ...]:
    """The metrics that a job has no valid row of. Group metrics count only where the job made nothing."""
    job, rows = store.job(key), store.scores(key)
    if job is None:
        return ()
    here = [r for r in rulers if not r.grouped or job["status"] != "ok"]
    return tuple(r.entry for r in here if not any(r.has(row, retry) for row in rows))


def score(task: ScoreTask) -> Outcome:
    """Compute and store the missing rows of one job. A failing metric is a row with its error."""
    release_model()  # a worker that sampled before must not hold two sets of networks
    store = Store(task.root)
    job = store.job(task.key)
    if job is None:
        return Outcome(task.key, task.key, "the job is gone")
    rulers = [ruler(entry) for entry in task.metrics]
    try:
        answers = _answers(store, task.key, job, rulers)
    except SyncbenchError as error:  # the artifact or the item cannot be read
        answers = [_failed(str(error)) for _ in rulers]
    rows = {row["metric"]: row for row in store.scores(task.key)}
    for r, answer in zip(rulers, answers, strict=True):
        rows[r.label] = _row(job["header"], r, *answer)
    store.save_scores(task.key, list(rows.values()))
    errors = [f"{row['metric']}: {row['reason']}" for row in rows.values() if row["status"] == "error"]
    name = f"{job['header']['method']} {job['header']['item']} seed {job['header']['seed']}"
    return Outcome(task.key, name, "; ".join(errors) if errors and job["status"] == "ok" else None)


def score_groups(
    store: Store,
    asked: Mapping[str, Sequence[Ruler]],
    datasets: Sequence[Entry],
    planned: Sequence[str] = (),
    retry: bool = False,
) -> None:
    """Compute missing group metrics: one group is all items of a method, model, dataset, protocol and seed.

    `asked` are the metrics wanted of each job; a group is scored by what any of its members wants. `datasets` say what
    today's items are: samples of what an item was before its prompt, mesh or picture changed belong to no group of
    theirs, and get a null. With `planned` keys, a group of which some job has not been run yet (another shard's) is
    left for later.
    """
    if not any(r.grouped for rulers in asked.values() for r in rulers):
        return
    present = {key: job for key in store.finished() if (job := store.job(key)) is not None}
    absent = set(planned) - set(present)
    cells: dict[str, list[str]] = defaultdict(list)
    for key, job in present.items():
        if job["status"] == "ok":
            cells[_cell(job["header"])].append(key)
    old = store.groups()
    for cell, found in cells.items():
        wanted = {r.label: r for key in found for r in asked.get(key, ()) if r.grouped}
        if not wanted or absent:
            continue
        groups, past = _parted({key: present[key] for key in found}, datasets)
        for r in wanted.values():
            kept: set[str] = set()
            for n, (entry, members) in enumerate(groups):
                gone = past if n == 0 else []
                about = {"cell": cell, "metric": r.label, "members": members, **({"past": gone} if gone else {})}
                key = job_key({**about, **r.columns})
                kept.add(key)
                if key in old and all(r.has(row, retry) for row in old[key]["rows"]):
                    continue
                rows = _group_rows(store, {k: present[k] for k in members}, entry, r)
                rows += [_row(present[k]["header"], r, PAST, "ok") for k in gone]
                store.save_group(key, about, rows)
            for name, group in old.items():
                if name not in kept and group["cell"] == cell and group["metric"] == r.label:
                    store.drop_group(name)


PAST = Score.none("its item has changed since, so it is in no group with today's items")
Answer = tuple[Score, str]
"""A score and `ok` or `error`."""


def _failed(reason: str) -> Answer:
    return Score.none(reason), "error"


def _answers(store: Store, key: str, job: Json, rulers: Sequence[Ruler]) -> list[Answer]:
    if job["status"] == "error":
        return [_failed(job["error"]) for _ in rulers]
    if job["status"] == "unsupported":
        return [(Score.none(job["error"]), "ok") for _ in rulers]
    artifact, item = store.artifact(key), _item(job, _own(job))
    return [_ask(instance(r.entry), artifact, item) for r in rulers]


def _ask(metric: Any, artifact: Any, item: Item) -> Answer:
    if item.family not in metric.families:
        return Score.none(f"not defined for the family {item.family}"), "ok"
    try:
        return _plain(metric(artifact, item)), "ok"
    except Exception as error:
        return _failed(f"{type(error).__name__}: {error}")


def _plain(score: Score) -> Score:
    """Never NaN, never a null without a reason."""
    if score.value is not None and not isfinite(score.value):
        return Score.none(f"the metric returned {score.value}")
    if score.value is None and not score.reason:
        return Score.none("the metric gave no reason")
    return score


def _own(job: Json) -> Entry:
    """The data set a sample was made from."""
    return Entry("datasets", job["dataset"]["spec"], job["dataset"]["overrides"])


def _item(job: Json, entry: Entry) -> Item:
    item = load_item(entry, job["header"]["item"], job["header"]["protocol"])
    if not same_item(job["identity"], entry, item):
        raise SyncbenchError(f"dataset {entry.label} has changed since '{item.id}' was made: run again")
    return item


def _parted(jobs: Mapping[str, Json], datasets: Sequence[Entry]) -> tuple[list[tuple[Entry, list[str]]], list[str]]:
    """Keys of one cell by the data set whose items they are of today, and those of what no data set has any more.

    Two data sets of one label (files of one name) make two groups. Where nothing is of today all stays together.
    """
    label = next(iter(jobs.values()))["header"]["dataset"]
    options = unique([entry for entry in datasets if entry.label == label] or list(map(_own, jobs.values())))
    groups: dict[str, tuple[Entry, list[str]]] = {}
    past: list[str] = []
    for key, job in sorted(jobs.items()):
        entry = next((entry for entry in options if _is_todays(job, entry)), None)
        if entry is None:
            past.append(key)
        else:
            groups.setdefault(entry.token, (entry, []))[1].append(key)
    return (list(groups.values()), past) if groups else ([(options[0], sorted(jobs))], [])


def _is_todays(job: Json, entry: Entry) -> bool:
    """Whether a sample is of an item as the data set has it today; true where the data set cannot be read."""
    try:
        item = items_of(entry).get(job["header"]["item"])
    except Exception:  # the metric will say why
        return True
    if item is None:
        return False
    asked = replace(item.protocol, negative=job["header"]["protocol"]["negative"])
    return same_item(job["identity"], entry, replace(item, protocol=asked))


def _row(header: Json, r: Ruler, score: Score, status: str) -> Json:
    row = {**header, **r.said(header), **asdict(score), "status": status}
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


def _group_rows(store: Store, jobs: dict[str, Json], entry: Entry, r: Ruler) -> list[Json]:
    metric = instance(r.entry)
    keys = {job["header"]["item"]: key for key, job in jobs.items()}
    try:
        items = {name: _item(jobs[key], entry) for name, key in keys.items()}
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
        answers = {name: _failed(f"{type(error).__name__}: {error}") for name in keys}
    return [_row(jobs[key]["header"], r, *answers[name]) for name, key in keys.items()]
