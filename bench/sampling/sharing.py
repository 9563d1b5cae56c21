"""Attention sharing: which samples attend to which, in which layers, how much and at which steps."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..models.interface import Model
from ..models.parts.attention import Where, spatial
from ..models.parts.shared_attention import Selector, SharedAttention, everyone
from ..types import SyncbenchError


@dataclass(frozen=True, kw_only=True)
class Sharing:
    """Which views attend to which, in which layers, how much and at which steps. `attach` applies it to a model."""

    select: Selector = everyone
    """Which views feed the keys and values of each view."""
    keep_self: bool = False
    """Whether a view's own tokens are added where `select` does not name them."""
    where: Where = spatial
    """Predicate of the layers that share."""
    strength: float = 1.0
    """Layer output = (1 - strength) * output without sharing + strength * output with sharing."""
    begin: float = 0.0
    """First step with sharing, as a fraction of all denoising steps, rounded."""
    end: float = 1.0
    """First step without sharing again, as a fraction of all denoising steps, rounded."""

    @contextmanager
    def attach(self, model: Model) -> Generator[None]:
        """A context in which the model's views attend to each other; all of them go through its network in one call.

        Raises SyncbenchError for layers that are not self-attention and, on leaving, if the model predicted but some
        chosen layer never called its processor (a compiled graph or another backend replaced it).
        """
        spent, bill = model.cost.evaluations, model.cost

        def layout(rows: int) -> int | None:
            call = model.call
            if call is None or rows != call.groups * call.views:
                announced = "nothing" if call is None else f"{call.groups} groups of {call.views} views"
                raise SyncbenchError(
                    f"no sharing: a layer of model {model.id} saw {rows} rows where the model announced "
                    f"{announced}; choose spatial layers, and a model that gives each view a row of its own"
                )
            step, total = call.level.index, call.level.total
            return call.groups if round(self.begin * total) <= step < round(self.end * total) else None

        def make(name: str, layer: Any) -> SharedAttention:
            if getattr(layer, "is_cross_attention", False):
                raise SyncbenchError(f"layer {name} attends to words, not to pictures: narrow `where`")
            return SharedAttention(
                layer.processor, layout, self.select, keep_self=self.keep_self, strength=self.strength
            )

        with model.attach(make, self.where) as processors:
            yield
        silent = [name for name, processor in processors.items() if processor.calls == 0]
        if silent and model.cost is bill and bill.evaluations > spent:
            raise SyncbenchError(
                f"attention sharing had no effect in {len(silent)} of {len(processors)} layers "
                f"(the first: {silent[0]}): something replaced the attention processors; switch off compilation, "
                "xformers and attention slicing"
            )
