"""Stages of a sweep: surfaces laid out, jobs sampled and scored, groups scored; each makes only what is missing."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..store.folder import Store
from ..suites.suite import Entry
from .dispatch import Carried, Outcome, Prepare
from .events import Listener
from .execute import Executor
from .job import Job
from .loaded import Loaded
from .sample import SampleTask, lay_out, sample
from .score import Ruler, ScoreTask, missing, score
from .score_groups import GroupTask, group_tasks, score_group


def lacks_sample(store: Store, key: str, retry_errors: bool) -> bool:
    """Whether the job of that key is to be done: it is missing, damaged, or an error that is tried again."""
    job = store.job(key)
    return job is None or (retry_errors and job.status == "error") or not store.intact(key, job)


def lay_out_surfaces(store: Store, todo: Mapping[str, Job], execute: Executor, listen: Listener, small: bool) -> None:
    """Lay out the surfaces that take long, one job of each, before their jobs are timed."""
    slow = {(job.dataset.token, job.item): key for key, job in todo.items() if job.slow}

    def prepare(key: str) -> SampleTask | None:
        return SampleTask(store.root, todo[key])

    _carry(store, list(slow.values()), lay_out, prepare, execute, "unwrap", listen, small)


def sample_jobs(
    store: Store, todo: Mapping[str, Job], execute: Executor, retry: bool, listen: Listener, small: bool
) -> int:
    """Do the jobs of `todo`. Returns how many were done."""

    def prepare(key: str) -> SampleTask | None:
        return SampleTask(store.root, todo[key]) if lacks_sample(store, key, retry) else None

    return _carry(store, list(todo), sample, prepare, execute, "sample", listen, small)


def score_jobs(
    store: Store,
    asked: Mapping[str, Sequence[Ruler]],
    datasets: Mapping[str, Entry],
    execute: Executor,
    retry: bool,
    listen: Listener,
    small: bool,
) -> int:
    """Score samples by their missing metrics. Returns how many samples were scored."""

    def prepare(key: str) -> ScoreTask | None:
        metrics = missing(store, key, asked[key], retry)
        return ScoreTask(store.root, key, metrics, datasets[key]) if metrics else None

    keys = [key for key, rulers in asked.items() if missing(store, key, rulers, retry)]
    return _carry(store, keys, score, prepare, execute, "score", listen, small)


def score_groups(
    store: Store,
    asked: Mapping[str, Sequence[Ruler]],
    datasets: Sequence[Entry],
    own: Mapping[str, Entry],
    planned: Sequence[str],
    execute: Executor,
    retry: bool,
    listen: Listener,
    small: bool,
) -> int:
    """Score groups of samples whose members or metrics have changed. Returns how many groups were scored."""
    tasks = group_tasks(store, execute.loaded, asked, datasets, own, planned, retry)
    before = {key: store.group_stamp(key) for key in tasks}

    def prepare(key: str) -> GroupTask | None:
        return tasks[key] if store.group_stamp(key) == before[key] else None

    return _carry(store, list(tasks), score_group, prepare, execute, "group", listen, small)


def _carry(
    store: Store,
    keys: Sequence[str],
    work: Callable[[Any, Loaded], Outcome],
    prepare: Prepare,
    execute: Executor,
    phase: str,
    listen: Listener,
    small: bool,
) -> int:
    carried = Carried(store.root, work, prepare, execute, phase, listen, small)
    return carried.carry_out(keys)
