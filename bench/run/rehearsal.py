"""A model without networks that counts its calls; `run --plan` computes from it what a method costs.

A method runs its own loop on it, in the steps of `probes`, and every call is counted by the shapes in it. What a call
costs in FLOP is counted once a shape, by torch's own counter, on the networks as their configuration builds them on the
device `meta`, without their weights: of one view, where views do not interact.
"""

import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from ..models.interface import Condition
from ..models.parts.denoiser import Denoiser
from ..models.parts.schedule import Level, Schedule
from ..types import Cost
from .probes import probes, stand_for

COUNTS = ("evaluations", "backward", "encodes", "decodes")
BACKWARD = 3
"""Cost of a differentiated call in calls: one forward, and twice as much for the backward pass."""


@dataclass(frozen=True)
class Asked:
    """One kind of call: its purpose, its shape, its passes of guidance, and whether views are denoised together."""

    what: str
    """`network`, `encode` or `decode`."""
    shape: tuple[int, ...]
    passes: int = 1
    together: bool = False
    conditions: tuple[tuple[str, tuple[int, ...]], ...] = ()
    backward: bool = False


@dataclass
class Bill:
    """Calls and seconds that a rehearsal counted."""

    cost: Cost = field(default_factory=Cost)
    calls: Counter[Asked] = field(default_factory=Counter[Asked])

    seconds: float = 0.0
    """Seconds of the method's own work."""

    def copy(self) -> "Bill":
        """A copy that later calls do not change."""
        return Bill(replace(self.cost), self.calls.copy(), self.seconds)

    def since(self, before: "Bill") -> "Bill":
        """The difference to `before`, an earlier copy."""
        cost = Cost(**{name: getattr(self.cost, name) - getattr(before.cost, name) for name in COUNTS})
        return Bill(cost, self.calls - before.calls, self.seconds - before.seconds)

    def add(self, other: "Bill", times: int) -> None:
        """Add `times` times the counts of `other`."""
        for name in COUNTS:
            setattr(self.cost, name, getattr(self.cost, name) + times * getattr(other.cost, name))
        self.calls.update({one: times * number for one, number in other.calls.items()})
        self.seconds += times * other.seconds

    def like(self, other: "Bill") -> bool:
        """Whether both have the same counts and calls; seconds may differ."""
        return self.cost == other.cost and self.calls == other.calls


class Probed(Schedule):
    """A schedule that yields some of its levels, out of order, and counts the cost of the others in a rehearsal."""

    def __init__(self, schedule: Schedule, rehearsal: "Rehearsal") -> None:
        super().__init__(schedule.t, schedule.a, schedule.b)
        object.__setattr__(self, "_rehearsal", rehearsal)

    def __iter__(self) -> Iterator[Level]:
        rehearsal: Rehearsal = getattr(self, "_rehearsal")  # noqa: B009 (a field of no schedule)
        levels, found = list(super().__iter__()), dict[int, Bill]()
        if rehearsal.inside:  # a loop in a loop is run whole
            yield from levels
            return
        rehearsal.inside, rehearsal.whole_only = True, True
        for number in probes(len(levels), lambda i, j: found[i].like(found[j])):
            before = rehearsal.now()
            yield levels[number]
            found[number] = rehearsal.now().since(before)
        for number, times in stand_for(list(found), len(levels)).items():
            rehearsal.bill.add(found[number], times - 1)
        rehearsal.inside, rehearsal.whole_only = False, not any(one.calls for one in found.values())


class Rehearsal(Denoiser):
    """A model with the properties of `model` and without its networks: x0 and eps are half of x, pictures are grey.

    `hollow` is the same model on the device `meta`, if it can be there: its networks count FLOP. Pictures `reduced`
    times smaller than the real ones may be given, without conditions: they are counted at the real size. With `whole`
    every step is run.
    """

    def __init__(
        self,
        model: Any,
        hollow: Any = None,
        flop: dict[Asked, int] | None = None,
        *,
        reduced: int = 1,
        whole: bool = False,
    ) -> None:
        super().__init__("cpu", "float32", getattr(model, "batch", 8))
        self._model, self._hollow = model, hollow
        self.id = model.id
        self.capabilities = model.capabilities
        self.places = getattr(model, "places", None)
        self.rehearses = True
        self.bill = Bill(self.cost)
        self.flop = {} if flop is None else flop
        """FLOP of each kind of call whose FLOP could be counted."""
        self.samples: dict[Asked, tuple[Any, ...]] = {}
        """Arguments of `condition` with which to time the real model, by kind of call."""
        self.spent = 0.0
        """Seconds spent on counting since the last call of `now`."""
        self.inside = False
        """Whether a loop over a schedule is running."""
        self.whole_only = whole
        """Whether steps cannot stand for others: the loop was left early, or its levels were only listed."""
        self._last: tuple[Any, ...] = ()
        self._reduced, self._all_steps, self._begun = reduced, whole, time.perf_counter()

    def now(self) -> Bill:
        """Calls so far, with the method's seconds."""
        self.bill.seconds += time.perf_counter() - self._begun - self.spent
        self._begun, self.spent = time.perf_counter(), 0.0
        return self.bill.copy()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._model, name)
        if callable(found):  # it might call a network
            raise AttributeError(name)
        return found

    @property
    def factor(self) -> int:
        """Pixels along a side of a latent cell of the model."""
        return self._model.factor

    @property
    def channels(self) -> int:
        """Number of latent channels of the model."""
        return self._model.channels

    @property
    def window(self) -> int:
        """Native size of the model in pixels."""
        return self._model.window

    def read(self, prompt: str) -> float:
        """1: every prompt is read as a whole."""
        return 1.0

    def tokens(self, prompt: str) -> tuple[str, ...]:
        """Nothing: no tokenizer is loaded, and what words a prompt has changes no costs."""
        return ()

    def schedule(self, steps: int) -> Schedule:
        """The model's schedule; a loop over it runs only the steps that `probes` chooses."""
        found = self._model.schedule(steps)
        return found if self._all_steps else Probed(found, self)

    def _real(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The shape that a reduced latent or picture has at its real size."""
        return (*shape[:-2], *(side * self._reduced for side in shape[-2:]))

    def condition(
        self, prompts: Sequence[str], guidance: float, negative: str = "", *, together: bool = False, **inputs: Tensor
    ) -> Condition:
        """A condition with rows of the right shapes; they have no values where the networks are on `meta`."""
        self.refuse(inputs)
        self._last = (list(prompts), guidance, negative, together, inputs)
        if self._hollow is None:
            passes = ({},) if guidance == 1.0 else ({}, {})
            return Condition(guidance, passes, len(prompts), together)
        before = self._hollow.cost.encodes
        empty = {name: torch.empty(value.shape, device="meta") for name, value in inputs.items()}
        found = self._hollow.condition(prompts, guidance, negative, together=together, **empty)
        self.cost.encodes += self._hollow.cost.encodes - before
        return found

    def encode(self, images: Float[Tensor, "n 3 H W"]) -> Float[Tensor, "n c h w"]:
        """Latents of zeros."""
        self.cost.encodes += len(images)
        self._count(Asked("encode", self._real(images.shape)), lambda model, x: model.codec.encode(x))
        high, wide = (side // self.factor for side in images.shape[-2:])
        return images.new_zeros(len(images), self.channels, high, wide)

    def decode(self, latents: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 3 H W"]:
        """Grey pictures."""
        real = self._real(latents.shape)
        self.cost.decodes += len(latents) * self.views_in(*(side * self.factor for side in real[-2:]))
        differentiated = torch.is_grad_enabled() and latents.requires_grad
        asked = Asked("decode", real, backward=differentiated)
        self._count(asked, lambda model, x: model.codec.decode(x))
        grey = 0.5 + 0 * latents[:, :1].expand(-1, 3, -1, -1)
        return grey.repeat_interleave(self.factor, 2).repeat_interleave(self.factor, 3)

    def decode_together(self, latents: Float[Tensor, "n c h w"]) -> Float[Tensor, "frames 3 H W"]:
        """Grey frames of a clip, of which a latent may stand for several."""
        frames = 1 + (len(latents) - 1) * int(getattr(self._model, "pace", 1))
        real = self._real(latents.shape)
        self.cost.decodes += frames * self.views_in(*(side * self.factor for side in real[-2:]))
        asked = Asked("decode", real, together=True)
        self._count(asked, lambda model, x: getattr(model, "decode_together", model.decode)(x))
        high, wide = (side * self.factor for side in latents.shape[-2:])
        return latents.new_full((frames, 3, high, wide), 0.5)

    @contextmanager
    def attach(
        self,
        processor: Callable[[str, Any], Any],
        where: Callable[[str, Any], bool] | None = None,
        *,
        together: bool = False,
    ) -> Generator[Any]:
        """A context that attaches nothing; the additional cost of shared attention is not counted."""
        before, self.whole = self.whole, True
        try:
            yield {}
        finally:
            self.whole = before

    @contextmanager
    def within(self, change: Callable[[Any], AbstractContextManager[Any]], *, together: bool = False) -> Generator[Any]:
        """A context in which nothing is changed; what a change costs is not counted."""
        before, self.whole = self.whole, True
        try:
            yield None
        finally:
            self.whole = before

    def _predict(self, x: Tensor, level: Level, condition: Condition) -> tuple[Tensor, Tensor]:
        rows = tuple(sorted((name, tuple(value.shape[1:])) for name, value in condition.given.items()))
        asked = Asked(
            "network",
            self._real(x.shape),
            len(condition.passes),
            condition.together,
            rows,
            torch.is_grad_enabled() and x.requires_grad,
        )
        self.samples.setdefault(asked, (*self._last, level))
        self._count(asked, lambda model, x: model._predict(x, level, condition.rows(slice(len(x)))))
        return x * 0.5, x * 0.5

    def _count(self, asked: Asked, call: Callable[[Any, Tensor], Any]) -> None:
        self.bill.calls[asked] += 1
        if asked in self.flop or self._hollow is None:
            return
        begun = time.perf_counter()
        with suppress(Exception), torch.no_grad():  # what cannot run without values stays uncounted
            alone = not asked.together and not (asked.what == "network" and self._hollow.network.always)
            views, one = (asked.shape[0], replace(asked, shape=(1, *asked.shape[1:]))) if alone else (1, asked)
            if one not in self.flop:
                with FlopCounterMode(display=False) as counter:
                    call(self._hollow, torch.empty(one.shape, device="meta"))
                self.flop[one] = counter.get_total_flops() * (BACKWARD if asked.backward else 1)
            self.flop[asked] = views * self.flop[one]
        self.spent += time.perf_counter() - begun
