"""Scoring again from what a results folder stores, by the metrics of its suite or by others. Nothing is sampled."""

from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path

from ..catalogue.registry import label, split, suggest
from ..errors import quoted
from ..store.folder import Store
from ..store.stored import Spec
from ..suites.recorded import entry as recorded
from ..suites.suite import Entry, unique
from ..types import SyncbenchError
from .claims import Claims
from .events import Listener, silent
from .execute import Executor
from .failures import Named, by_name, failures, job_name
from .score import Ruler, missing, ruler
from .stages import score_groups, score_jobs
from .sweep import Sweep, are_small


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

    By default the folder's names load metrics and data sets of the tree and of installed packages only. Others are
    loaded if `metrics` or `datasets` name them as the folder does, or with `trust`, which executes whatever the folder
    names. Jobs of a data set that is not loaded are among the errors of the result; their stored scores do not change.
    """
    store = Store(root)
    _check_named(store, datasets)
    execute.loaded.forget_items()
    store.sweep()
    listed = _stored(store, trust) if metrics is None else {}
    every = unique([metric for entries in listed.values() for metric in entries])
    named = [_named(m, store, trust) for m in metrics or ()]
    rulers = {entry.token: ruler(entry, execute.loaded) for entry in (named if metrics is not None else every)}
    asked: dict[str, list[Ruler]] = {}
    own: dict[str, Entry] = {}
    refused: dict[str, Named] = {}
    allowed: dict[str, Entry | str] = {}
    for key in store.finished():
        job = store.job(key)
        if job is not None:
            entries = listed.get(job.header.dataset, ()) if metrics is None else named
            asked[key] = [rulers[entry.token] for entry in entries]
            token = job.dataset.model_dump_json()
            if token not in allowed:
                allowed[token] = _dataset(job.dataset, datasets, trust)
            entry = allowed[token]
            if isinstance(entry, Entry):
                own[key] = entry
            elif missing(store, key, asked[key], retry_errors):
                refused[key] = (job_name(job.header), entry)
    models = [Entry("models", one.spec) for one in store.used("models")]
    listen, small = progress or silent, bool(models) and are_small(models)
    mine = {key: some for key, some in asked.items() if key in own}
    scored = score_jobs(store, mine, own, execute, retry_errors, listen, small)
    today = [entry for one in store.used("datasets") if isinstance(entry := _dataset(one, datasets, trust), Entry)]
    score_groups(store, asked, today, own, (), execute, retry_errors, listen, small)
    Claims(root).tidy()
    failed = by_name(failures(store, list(asked)) | refused)
    store.clear()
    store.warn()
    return Sweep(root=root, keys=list(asked), scored=scored, errors=failed)


def _check_named(store: Store, datasets: Sequence[str]) -> None:
    """Refuse data sets of which the folder has no results, of its last suite or of an earlier one."""
    if not datasets:
        return
    jobs = [job.dataset for key in store.finished() if (job := store.job(key)) is not None]
    specs = [*store.used("datasets"), *jobs]
    used = {word for spec in specs for word in (spec.spec, split(spec.spec)[0], label(spec.spec))}
    for name in datasets:
        if name not in used:
            close = suggest(name, used, "there are those of")
            raise SyncbenchError(f"'{store.root}' has no results of a data set '{quoted(name)}'{close}")


def _dataset(spec: Spec, named: Collection[str], trust: bool) -> Entry | str:
    """The data set that a folder names, or the reason why it is not loaded."""
    try:
        return recorded("datasets", spec, named=named, trust=trust)
    except SyncbenchError as error:
        return f"not scored: {error}; --datasets names it, or --trust runs the folder's code"


def _named(name: str, store: Store, trust: bool) -> Entry:
    """The metric that a user names; its fields are those of the folder's suite, if that names the same component."""
    for spec in store.used("metrics"):
        if name in (spec.spec, label(spec.spec, spec.overrides)):
            with suppress(SyncbenchError):
                return recorded("metrics", spec, named=[name], trust=trust)
    return Entry("metrics", name)


def _stored(store: Store, trust: bool) -> dict[str, tuple[Entry, ...]]:
    """The metrics of each dataset in the folder's suite, by the dataset's label."""
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
