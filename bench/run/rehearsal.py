"""A model that answers at once and counts what it was asked: how `run --plan` knows what a method costs.

A method runs its own loop on it, on pictures of the real size, and every call is counted by the shapes in it. What a
call costs in FLOP is counted once a shape, by torch's own counter, on the networks as their configuration builds them
on the device `meta`, without their weights.
"""

import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from ..models.interface import Condition
from ..models.parts.denoiser import Denoiser
from ..models.parts.schedule import Level, Schedule
from ..types import Cost

BACKWARD = 3
"""A call that is differentiated costs that many calls: itself, and twice as much on the way back."""


@dataclass(frozen=True)
class Asked:
    """One kind of call: what for, of which shape, in how many passes of guidance, with views together or not."""

    what: str
    """`network`, `encode` or `decode`."""
    shape: tuple[int, ...]
    passes: int = 1
    together: bool = False
    conditions: tuple[tuple[str, tuple[int, ...]], ...] = ()
    backward: bool = False


@dataclass
class Bill:
    """What a rehearsal counted."""

    cost: Cost = field(default_factory=Cost)
    calls: Counter[Asked] = field(default_factory=Counter[Asked])

    def scaled(self, low: "Bill", low_steps: int, high_steps: int, steps: int) -> "Bill":
        """This bill, of `high_steps`, continued to `steps` along the line through `low`, of `low_steps`."""
        grown = (steps - high_steps) / (high_steps - low_steps)

        def at(high: float, low: float) -> int:
            return max(0, round(high + grown * (high - low)))

        names = ("evaluations", "backward", "encodes", "decodes")
        cost = Cost(**{name: at(getattr(self.cost, name), getattr(low.cost, name)) for name in names})
        return Bill(cost, Counter({one: at(self.calls[one], low.calls[one]) for one in self.calls | low.calls}))

    def times(self, factor: float) -> "Bill":
        """So many times this bill."""
        names = ("evaluations", "backward", "encodes", "decodes")
        cost = Cost(**{name: round(getattr(self.cost, name) * factor) for name in names})
        return Bill(cost, Counter({one: round(number * factor) for one, number in self.calls.items()}))


class Rehearsal(Denoiser):
    """Everything `model` says of itself, and no network: (x0, eps) are half of x, pictures are grey.

    `hollow` is the same model on the device `meta`, if it can be there: its networks count FLOP.
    """

    def __init__(self, model: Any, hollow: Any = None, flop: dict[Asked, int] | None = None) -> None:
        super().__init__("cpu", "float32", getattr(model, "batch", 8))
        self._model, self._hollow = model, hollow
        self.id = model.id
        self.capabilities = model.capabilities
        self.places = getattr(model, "places", None)
        self.bill = Bill(self.cost)
        self.flop = {} if flop is None else flop
        """FLOP of every kind of call, as far as they could be counted."""
        self.samples: dict[Asked, tuple[Any, ...]] = {}
        """What to call the real model with to time such a call: the arguments of `condition`, by kind of call."""
        self.spent = 0.0
        """Seconds that counting took."""
        self._last: tuple[Any, ...] = ()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._model, name)
        if callable(found):  # it might call a network
            raise AttributeError(name)
        return found

    @property
    def factor(self) -> int:
        """The model's."""
        return self._model.factor

    @property
    def channels(self) -> int:
        """The model's."""
        return self._model.channels

    @property
    def window(self) -> int:
        """The model's."""
        return self._model.window

    def read(self, prompt: str) -> float:
        """All of it."""
        return 1.0

    def schedule(self, steps: int) -> Schedule:
        """The model's."""
        return self._model.schedule(steps)

    def condition(
        self, prompts: Sequence[str], guidance: float, negative: str = "", *, together: bool = False, **inputs: Tensor
    ) -> Condition:
        """Rows of the right shapes, without values where the networks are on `meta`."""
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
        """Zeros."""
        self.cost.encodes += len(images)
        self._count(Asked("encode", tuple(images.shape)), lambda model, x: model.codec.encode(x))
        high, wide = (side // self.factor for side in images.shape[-2:])
        return images.new_zeros(len(images), self.channels, high, wide)

    def decode(self, latents: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 3 H W"]:
        """Grey pictures."""
        self.cost.decodes += len(latents) * self.views_in(*(side * self.factor for side in latents.shape[-2:]))
        differentiated = torch.is_grad_enabled() and latents.requires_grad
        asked = Asked("decode", tuple(latents.shape), backward=differentiated)
        self._count(asked, lambda model, x: model.codec.decode(x))
        grey = 0.5 + 0 * latents[:, :1].expand(-1, 3, -1, -1)
        return grey.repeat_interleave(self.factor, 2).repeat_interleave(self.factor, 3)

    def decode_together(self, latents: Float[Tensor, "n c h w"]) -> Float[Tensor, "frames 3 H W"]:
        """Grey frames of a clip, of which a latent may stand for several."""
        frames = 1 + (len(latents) - 1) * int(getattr(self._model, "pace", 1))
        self.cost.decodes += frames * self.views_in(*(side * self.factor for side in latents.shape[-2:]))
        asked = Asked("decode", tuple(latents.shape), together=True)
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
        """Nothing is attached; what shared attention adds is not counted."""
        before, self.whole = self.whole, True
        try:
            yield {}
        finally:
            self.whole = before

    def _predict(self, x: Tensor, level: Level, condition: Condition) -> tuple[Tensor, Tensor]:
        rows = tuple(sorted((name, tuple(value.shape[1:])) for name, value in condition.given.items()))
        asked = Asked(
            "network",
            tuple(x.shape),
            len(condition.passes),
            condition.together,
            rows,
            torch.is_grad_enabled() and x.requires_grad,
        )
        self.samples.setdefault(asked, (*self._last, level))
        self._count(asked, lambda model, empty: model._predict(empty, level, condition))
        return x * 0.5, x * 0.5

    def _count(self, asked: Asked, call: Callable[[Any, Tensor], Any]) -> None:
        self.bill.calls[asked] += 1
        if asked in self.flop or self._hollow is None:
            return
        begun = time.perf_counter()
        with suppress(Exception), torch.no_grad():  # what cannot run without values stays uncounted
            with FlopCounterMode(display=False) as counter:
                call(self._hollow, torch.empty(asked.shape, device="meta"))
            self.flop[asked] = counter.get_total_flops() * (BACKWARD if asked.backward else 1)
        self.spent += time.perf_counter() - begun
