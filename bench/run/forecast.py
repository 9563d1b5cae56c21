"""Forecasts of sweeps: jobs, network evaluations, FLOP, hours, disk, memory and weights.

Every method is rehearsed (`rehearsal`) once on each kind of item. Hours come from jobs of the same method that the
results folder holds; else, where networks are small, from a few calls of them; else from the rate at which this machine
multiplies matrices. Nothing is written and nothing is sampled. Scoring is not counted.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ..fetch import where
from ..fetch.manifest import Weights as Published
from ..fetch.needs import absent, fetch_line, metrics_of, repositories
from ..isolation.guard import threaded
from ..isolation.threads import threads_for
from ..store.folder import Store
from ..suites.suite import Entry, Suite
from ..types import Item, Json
from .capacity import BYTES, hollow_of, memory_notes, parameters_of
from .estimate import Estimates, Sums
from .events import Event, Listener
from .job import Job, sampling
from .loaded import Loaded
from .plan import count, listed, located, plan
from .stand_ins import stand_in
from .sweep import are_small, check_items


@dataclass(frozen=True, kw_only=True)
class Line:
    """The forecast of one model of a suite. None: not known, for the reason in `notes`."""

    model: str
    jobs: int
    done: int
    """Number of the jobs that the results folder already has."""
    evaluations: int | None
    """Network evaluations of the remaining jobs; each pass of guidance counts."""
    tflop: float | None
    hours: float | None
    hours_from: str
    """Source of the hours: `recorded`, `timed`, `rate`, or empty if not known."""
    disk: float
    """Approximate gigabytes of the samples."""
    parameters: float | None
    """Gigabytes of the networks' parameters in memory."""
    notes: tuple[str, ...] = ()
    """Sentences about what does not fit or is not known."""


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """The forecast of a suite."""

    suite: str
    lines: tuple[Line, ...]
    fetch: tuple[Published, ...] = ()
    """Weights of its models that are not on this machine."""
    judges: tuple[Published, ...] = ()
    """Published weights that its metrics could use and that are not on this machine."""
    fetch_line: str = ""

    @property
    def jobs(self) -> int:
        """Number of jobs of all models."""
        return sum(line.jobs for line in self.lines)

    def as_json(self) -> Json:
        """The forecast as JSON, for `--json`."""
        weights = {name: [asdict(one) for one in getattr(self, name)] for name in ("fetch", "judges")}
        return {
            "suite": self.suite,
            "jobs": self.jobs,
            "models": [asdict(line) for line in self.lines],
            **weights,
            "command": self.fetch_line,
        }


def forecast(suite: Suite, root: Path, listen: Listener = lambda event: None) -> Forecast:
    """The forecast of `sweep` with a suite and a results folder. Raises SyncbenchError where `sweep` would."""
    suite = located(suite)
    items = {entry.token: listed(entry, entry.load()) for entry in suite.listed("datasets")}
    check_items(suite, items)
    count(suite, items)
    missing = absent(suite)
    store = Store(root) if (root / "run.json").is_file() else None
    loaded = Loaded()
    lines = [_model(suite, entry, items, store, listen, loaded) for entry in suite.listed("models")]
    judges = [one for one in metrics_of(suite) if where(one) is None]
    return Forecast(
        suite=suite.name,
        lines=tuple(lines),
        fetch=tuple(missing),
        judges=tuple(judges),
        fetch_line=fetch_line(suite, missing) if missing else "",
    )


def _model(
    suite: Suite,
    entry: Entry,
    items: Mapping[str, Sequence[Item]],
    store: Store | None,
    listen: Listener,
    loaded: Loaded,
) -> Line:
    lacking = [one for one in repositories(entry) if one in {gone.repository for gone in absent(suite)}]
    model: Any = stand_in(entry) if lacking else loaded.model(entry)
    parts = [part for part in suite.parts if entry in part.models]
    total = Sums()
    if lacking:
        total.notes[f"{', '.join(lacking)} not on this machine yet: hours are those of the published architecture"] = (
            None
        )
    if model is None:
        jobs = sum(
            len(part.seeds)
            * len(part.methods)
            * sum(_kept(part.items, part.limit, items[d.token]) for d in part.datasets)
            for part in parts
        )
        note = f"{', '.join(lacking)} not on this machine yet: nothing more is known before"
        return Line(
            model=entry.label,
            jobs=jobs,
            done=0,
            evaluations=None,
            tflop=None,
            hours=None,
            hours_from="",
            disk=0.0,
            parameters=None,
            notes=(note,),
        )
    jobs = list({job.key: job for part in parts for job in plan(part, entry, loaded, items, model)}.values())
    left = [job for job in jobs if store is None or store.job(job.key) is None]
    hollow = model if lacking else hollow_of(entry)
    by = {token: {item.id: item for item in some} for token, some in items.items()}
    estimates = Estimates(entry, model, hollow, lacking == [], store, jobs, loaded)
    pixels, begun = 0.0, 0
    with threaded(threads_for(small=are_small([entry]))):
        todo = [(job, _item(by, job)) for job in left if job.unsupported is None]
        kinds = {estimates.kind(job, item): job for job, item in reversed(todo)}
        for job, item in todo:
            first = kinds.get(estimates.kind(job, item)) is job
            if first:
                listen(Event("forecast", begun, len(kinds), job.header.method))
            pixels += _pixels(item)
            estimates.add(job, item, total)
            begun += first
        if kinds:
            listen(Event("forecast", len(kinds), len(kinds)))
    loaded.release()
    size = parameters_of(hollow)
    total.notes |= dict.fromkeys(memory_notes(size, entry))
    return Line(
        model=jobs[0].header.model if jobs and not lacking else entry.label,
        jobs=len(jobs),
        done=len(jobs) - len(left),
        evaluations=total.evaluations,
        tflop=None if total.flop is None else total.flop / 1e12,
        hours=None if total.seconds is None else total.seconds / 3600,
        hours_from="+".join(sorted(total.sources)),
        disk=pixels * BYTES / 1e9,
        parameters=None if size is None else size[1] / 1e9,
        notes=tuple(total.notes),
    )


def _kept(named: Sequence[str], limit: int | None, items: Sequence[Item]) -> int:
    return len([item for item in items if not named or item.id in named][:limit])


def _item(by: Mapping[str, Mapping[str, Item]], job: Job) -> Item:
    item = by[job.dataset.token][job.item]
    return replace(item, protocol=sampling(item.protocol, job.protocol))


def _pixels(item: Item) -> float:
    """Number of pixels that a sample stores: of its views, or of its canvas and windows."""
    height, width = item.surface.window
    with suppress(Exception):
        views = item.surface.check()  # pyright: ignore[reportAttributeAccessIssue]
        return views * height * width * (2 if item.surface.picture else 1)
    return 0.0
