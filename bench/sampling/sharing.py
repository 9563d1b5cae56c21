"""Attention sharing by a method: who attends to whom, in which layers, how much and when."""

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
    """Who attends to whom, in which layers, how much and when."""

    select: Selector = everyone
    keep_self: bool = False
    """Whether sample i's own tokens are added where `select` does not name it."""
    where: Where = spatial
    strength: float = 1.0
    """Layer output = (1 - strength) * plain + strength * shared."""
    begin: float = 0.0
    end: float = 1.0
    """Sharing acts on this part of the denoising steps: from round(begin * steps) to before round(end * steps)."""

    @contextmanager
    def attach(self, model: Model) -> Generator[None]:
        """Within the context the model's views attend to each other; they all go through its network in one call.

        Raises SyncbenchError for layers that are no plain self-attention and, on leaving, if the model predicted but
        some chosen layer never asked its processor (a compiled graph or another backend went around it).
        """
        spent, bill = model.cost.evaluations, model.cost

        def layout(rows: int) -> int | None:
            call = model.call
            if call is None or rows != call.groups * call.views:
                known = "nothing" if call is None else f"{call.groups} groups of {call.views} views"
                raise SyncbenchError(
                    f"no sharing: a layer of model {model.id} saw {rows} rows where the model announced "
                    f"{known}; choose spatial layers, and a model that gives each view a row of its own"
                )
            step, total = call.level.index, call.level.total
            return call.groups if round(self.begin * total) <= step < round(self.end * total) else None

        def make(name: str, layer: Any) -> SharedAttention:
            if getattr(layer, "is_cross_attention", False):
                raise SyncbenchError(f"layer {name} attends to words, not to pictures: narrow `where`")
            return SharedAttention(
                layer.processor, layout, self.select, keep_self=self.keep_self, strength=self.strength
            )

        with model.attach(make, self.where) as made:
            yield
        silent = [name for name, processor in made.items() if processor.calls == 0]
        if silent and model.cost is bill and bill.evaluations > spent:
            raise SyncbenchError(
                f"attention sharing had no effect in {len(silent)} of {len(made)} layers (the first: {silent[0]}): "
                "something replaced the attention processors; switch off compilation, xformers and attention slicing"
            )
