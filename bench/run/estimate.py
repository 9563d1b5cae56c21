"""What the jobs of one model will take: network evaluations, FLOP and seconds, from a rehearsal of each kind of job."""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any, cast

import torch
from torch import Tensor

from ..models.interface import Condition, Model
from ..models.parts.denoiser import device_of
from ..store.folder import Store
from ..suites.suite import Entry
from ..surfaces.strip import Strip
from ..types import Item
from .capacity import multiplying_rate, parameters_of, synchronised
from .job import Job
from .loaded import Loaded
from .rehearsal import Asked, Bill, Rehearsal

LARGE = 1e5
"""Number of pixels from which a wide picture is rehearsed in a smaller size."""


SMALLEST = 64
"""Smallest number of pixels along the shorter side of a window in a rehearsal."""


SMALL = 2e8
"""Largest number of parameters of networks whose calls are timed, because loading them takes little time."""


SHARE = 0.4
"""Fraction of the rate of large matrix products that denoising networks are assumed to reach."""


@dataclass
class Sums:
    """Sums over the jobs of a model."""

    evaluations: int = 0
    flop: float | None = 0.0
    seconds: float | None = 0.0
    sources: set[str] = field(default_factory=set[str])
    notes: dict[str, None] = field(default_factory=dict[str, None])


class Estimates:
    """Rehearsals of the methods on one model, one for each kind of item."""

    def __init__(
        self,
        entry: Entry,
        model: Any,
        hollow: Any,
        here: bool,
        store: Store | None,
        jobs: Sequence[Job],
        loaded: Loaded,
    ) -> None:
        self._loaded = loaded
        self._entry, self._model, self._hollow, self._here = entry, model, hollow, here
        self._flop: dict[Asked, int] = {}
        self._samples: dict[Asked, tuple[Any, ...]] = {}
        self._seconds: dict[Asked, float] = {}
        self._bills: dict[str, Bill | str] = {}
        self._recorded = _recorded(store, jobs) if store is not None else {}
        self._device = device_of(str(entry.overrides.get("device", "auto")))

    def add(self, job: Job, item: Item, total: Sums) -> None:
        """Add what a job will take to the sums."""
        bill = self._bill(job, item)
        recorded = self._recorded.get(_alike(job))
        if isinstance(bill, str):
            total.notes[f"{job.header.method} could not be rehearsed ({bill}): it is not counted"] = None
            return
        total.evaluations += bill.cost.evaluations
        unknown = [asked for asked in bill.calls if asked not in self._flop]
        if unknown:
            total.flop = None
            total.notes["FLOP of this model cannot be counted: it is not made of networks of diffusers"] = None
        elif total.flop is not None:
            total.flop += sum(self._flop[asked] * number for asked, number in bill.calls.items())
        seconds, source = (recorded, "recorded") if recorded is not None else self._estimated(bill)
        total.seconds = None if seconds is None or total.seconds is None else total.seconds + seconds
        total.sources.add(source)

    def _estimated(self, bill: Bill) -> tuple[float | None, str]:
        """Seconds of a job and their source; None if not known."""
        extra = bill.seconds if self._device.type == "cpu" else 0.0
        if self._here and (self._hollow is None or parameters_of(self._hollow)[0] < SMALL):
            return extra + sum(number * self._timed(asked) for asked, number in bill.calls.items()), "timed"
        if any(asked not in self._flop for asked in bill.calls):
            return None, ""
        flop = sum(self._flop[asked] * number for asked, number in bill.calls.items())
        return extra + flop / (SHARE * multiplying_rate(str(self._device), self._precision)), "rate"

    @cached_property
    def _precision(self) -> torch.dtype:
        return getattr(self._model, "precision", torch.float32)

    def _timed(self, asked: Asked) -> float:
        """Seconds of one call of the real model: the shorter of two calls, after one to warm up."""
        if asked not in self._seconds:
            model: Any = self._loaded.model(self._entry)
            call = _call(model, asked, self._samples)
            times: list[float] = []
            for _ in range(3):
                synchronised(model.device)
                begun = time.perf_counter()
                with torch.no_grad():
                    call()
                synchronised(model.device)
                times.append(time.perf_counter() - begun)
            self._seconds[asked] = min(times[1:]) * (3 if asked.backward else 1)
        return self._seconds[asked]

    def kind(self, job: Job, item: Item) -> str:
        """A text that is equal for jobs with the same calls of the model."""
        check = getattr(item.surface, "check", None)
        stride = job.header.params.get("stride")
        views = check(self._model.factor, stride) if check is not None else 0
        return str((job.method.token, job.dataset.token, item.surface.window, views, asdict(item.protocol)))

    def _bill(self, job: Job, item: Item) -> Bill | str:
        """The model calls of a job and the method's own seconds, or the reason why they are not known."""
        kind = self.kind(job, item)
        if kind not in self._bills:
            try:
                self._bills[kind] = self._rehearse(job, item)
            except Exception as error:  # a method may do anything
                line = (str(error).strip().splitlines() or [type(error).__name__])[0]
                self._bills[kind] = line[:200]
        return self._bills[kind]

    def _rehearse(self, job: Job, item: Item) -> Bill:
        """Model calls of a few steps of the method, on the item or on a smaller picture of as many windows."""
        method, factor = job.method.load(), self._model.factor
        item, reduced = reduced_item(item, factor, getattr(method, "stride", None))

        def rehearsed(whole: bool) -> Rehearsal:
            model = Rehearsal(self._model, self._hollow, self._flop, reduced=reduced, whole=whole)
            method(item, cast(Model, model), job.seed)
            return model

        model: Rehearsal | None = None
        with suppress(Exception):  # perhaps because steps came out of order
            model = rehearsed(whole=False)
        if model is None or model.whole_only:
            model = rehearsed(whole=True)
        bill = model.now()
        self._samples |= {asked: one for asked, one in model.samples.items() if asked not in self._samples}
        bill.seconds *= reduced**2
        return bill


def reduced_item(item: Item, factor: int, stride: float | None) -> tuple[Item, int]:
    """The item on a smaller strip of as many windows at `stride`, and how many times smaller: a power of two.

    1 where no smaller one has windows of whole cells at the same places, where it wraps, or where there are pictures.
    """
    surface = item.surface
    if not isinstance(surface, Strip) or surface.wrap or item.conditions or surface.height * surface.width < LARGE:
        return item, 1
    cells = stride * surface.window_width / factor if stride is not None else 1.0
    least, reduced = min(surface.window), 1
    while (
        least // (2 * reduced) >= SMALLEST
        and not any(side % (2 * reduced * factor) for side in (surface.height, surface.width, surface.window_width))
        and (stride is None or cells % (2 * reduced) == 0)
    ):
        reduced *= 2
    sides = (surface.height // reduced, surface.width // reduced, surface.window_width // reduced)
    small = replace(surface, **dict(zip(("height", "width", "window_width"), sides, strict=True)))
    return replace(item, surface=small), reduced


def _alike(job: Job) -> str:
    """A text that is equal for jobs whose seconds are comparable."""
    names = ("model", "revision", "method", "dataset", "machine")
    return str([getattr(job.header, name) for name in names] + [job.protocol])


def _recorded(store: Store, jobs: Sequence[Job]) -> dict[str, float]:
    """Mean seconds of finished jobs, by `_alike`."""
    found: dict[str, list[float]] = {}
    for job in jobs:
        done = store.job(job.key)
        if done is not None and done.status == "ok" and done.cost.seconds > 0:
            found.setdefault(_alike(job), []).append(done.cost.seconds)
    return {name: sum(some) / len(some) for name, some in found.items()}


def _call(model: Any, asked: Asked, samples: Mapping[Asked, tuple[Any, ...]]) -> Any:
    """Call the real model as `asked` describes, and return its result."""
    x = torch.zeros(asked.shape, device=model.device, dtype=model.dtype)
    if asked.what == "encode":
        return lambda: model.encode(x)
    if asked.what == "decode":
        decode = getattr(model, "decode_together", model.decode) if asked.together else model.decode
        return lambda: decode(x)
    prompts, guidance, negative, together, inputs, level = samples[asked]
    views = asked.shape[0]
    given = {name: value if len(value) == 1 else value[:views] for name, value in inputs.items()}
    condition = _shaped(model.condition(prompts[:views], guidance, negative, together=together, **given), asked)
    x = torch.randn(asked.shape, generator=torch.Generator().manual_seed(0)).to(x)

    def call() -> None:
        before, model.whole = getattr(model, "whole", False), True
        try:
            model.predict(x, level, condition)
        finally:
            model.whole = before

    return call


def _shaped(condition: Condition, asked: Asked) -> Condition:
    """The condition with rows of the shapes that were asked, of zeros where a method laid them out in another way."""
    shapes = dict(asked.conditions)

    def row(name: str, value: Tensor) -> Tensor:
        wanted = shapes.get(name, tuple(value.shape[1:]))
        return value if tuple(value.shape[1:]) == wanted else value.new_zeros(len(value), *wanted)

    passes = tuple({name: row(name, value) for name, value in one.items()} for one in condition.passes)
    return replace(condition, passes=passes)
