"""Conditioners: prompts and an item's conditions to what the network reads, one row per view.

A conditioner answers twice: what is given, and what stands in its place where guidance drops its group.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ...errors import SyncbenchError

Rows = dict[str, Tensor]
"""Tensors by name, one row per view."""


@dataclass(frozen=True)
class Request:
    """What is asked of conditioners."""

    prompts: tuple[str, ...]
    """One per view."""
    negative: str
    guided: bool
    """Whether anything will be dropped."""
    inputs: Mapping[str, Tensor]
    """An item's conditions, one row per view, on the model's device."""
    code: Callable[[Tensor, bool], Tensor]
    """Latents of pictures; with True the encoder's own mean, neither shifted nor scaled."""
    guidance: float = 1.0
    """The scale that is asked for."""

    @property
    def views(self) -> int:
        """How many."""
        return len(self.prompts)


class Conditioner(Protocol):
    """One kind of condition."""

    @property
    def takes(self) -> frozenset[str]:
        """Conditions of an item that it reads."""
        ...

    @property
    def needs(self) -> frozenset[str]:
        """Those it cannot do without."""
        ...

    @property
    def offers(self) -> frozenset[str]:
        """Other capabilities that it gives a model."""
        ...

    @property
    def group(self) -> str:
        """With what guidance drops it: `text`, `image`, or nothing (empty)."""
        ...

    def __call__(self, request: Request) -> tuple[Rows, Rows]:
        """(given, dropped); the same names in both."""
        ...


class Silent:
    """A conditioner that reads nothing of an item, offers nothing and needs nothing."""

    takes: frozenset[str] = frozenset()
    needs: frozenset[str] = frozenset()
    offers: frozenset[str] = frozenset()
    group: str = ""


@dataclass(frozen=True)
class Strength(Silent):
    """The guidance scale as a number that the network reads: one that was distilled from guided passes (FLUX.1-dev)."""

    out: str = "guidance"

    def __call__(self, request: Request) -> tuple[Rows, Rows]:
        """One number a view, (views,)."""
        rows = {self.out: torch.full((request.views,), request.guidance)}
        return rows, rows


def needed(request: Request, name: str) -> Tensor:
    """A condition that the model cannot do without. Raises SyncbenchError where the item has none."""
    if name not in request.inputs:
        raise SyncbenchError(f"the model needs condition `{name}`: choose a dataset that has it")
    return request.inputs[name]


def repeated(rows: Rows, views: int) -> Rows:
    """One row for every view."""
    return {name: value.expand(views, *value.shape[1:]) for name, value in rows.items()}
