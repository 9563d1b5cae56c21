"""Conditioners, which turn prompts and an item's conditions into the network's inputs, one row per view.

A conditioner returns two sets of rows: what it gives, and what takes its place in passes that drop its group.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ...errors import SyncbenchError

Rows = dict[str, Tensor]
"""Tensors by name, one row per view."""


@dataclass(frozen=True)
class Request:
    """What conditioners read: prompts, an item's conditions, and the guidance."""

    prompts: tuple[str, ...]
    """The prompt of each view."""
    negative: str
    guided: bool
    """Whether some pass of guidance drops conditions."""
    inputs: Mapping[str, Tensor]
    """An item's conditions, one row per view, on the model's device."""
    code: Callable[[Tensor, bool], Tensor]
    """(pictures, raw) -> their latents; where `raw` is true, the encoder's own mean, neither shifted nor scaled."""
    guidance: float = 1.0
    """The guidance scale."""

    @property
    def views(self) -> int:
        """Number of views."""
        return len(self.prompts)


class Conditioner(Protocol):
    """A function from prompts and conditions to inputs of a network."""

    @property
    def takes(self) -> frozenset[str]:
        """Names of an item's conditions that it reads."""
        ...

    @property
    def needs(self) -> frozenset[str]:
        """Names of the conditions that an item must have."""
        ...

    @property
    def offers(self) -> frozenset[str]:
        """Other capabilities of a model that has this conditioner, such as `text`."""
        ...

    @property
    def group(self) -> str:
        """The group with which guidance drops it, `text` or `image`; empty for one that is never dropped."""
        ...

    def __call__(self, request: Request) -> tuple[Rows, Rows]:
        """Rows that are given, and rows for passes that drop its group; both have the same names."""
        ...


class Silent:
    """The base of conditioners that read no condition of an item, add no capability and are never dropped."""

    takes: frozenset[str] = frozenset()
    needs: frozenset[str] = frozenset()
    offers: frozenset[str] = frozenset()
    group: str = ""


@dataclass(frozen=True)
class Strength(Silent):
    """The guidance scale as an input of a network that was distilled from guided passes (FLUX.1-dev)."""

    out: str = "guidance"

    def __call__(self, request: Request) -> tuple[Rows, Rows]:
        """The scale for each view, (views,), given and dropped alike."""
        rows = {self.out: torch.full((request.views,), request.guidance)}
        return rows, rows


def needed(request: Request, name: str) -> Tensor:
    """The item's condition `name`. Raises SyncbenchError where the item has none."""
    if name not in request.inputs:
        raise SyncbenchError(f"the model needs condition `{name}`: choose a dataset that has it")
    return request.inputs[name]


def asked_channels(prompts: Sequence[str], known: Sequence[str]) -> list[str]:
    """The channel that each view is: its prompt, or where that names none of the `known`, the next of these in order.

    >>> asked_channels(("normal", "a kitchen"), ("albedo", "normal"))
    ['normal', 'normal']
    """
    return [prompt if prompt in known else known[i % len(known)] for i, prompt in enumerate(prompts)]


def repeated(rows: Rows, views: int) -> Rows:
    """Rows of one row each, repeated for `views` views."""
    return {name: value.expand(views, *value.shape[1:]) for name, value in rows.items()}
