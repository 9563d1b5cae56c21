"""Attention of networks that were trained to see several pictures at once, for training and serving alike."""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .attention import Processor, replaced
from .shared_attention import SharedAttention, lines_of
from .tapped import Wrapping


@contextmanager
def joint(network: Any, views: int) -> Generator[None]:
    """A context in which every self-attention of `network` spans `views` consecutive rows, as in MVDream."""
    with replaced(network, lambda name, layer: SharedAttention(layer.processor, lambda rows: rows // views)):
        yield


@contextmanager
def decoupled(
    network: Any, added: Any, branches: Mapping[str, Any], views: int, size: tuple[int, int]
) -> Generator[None]:
    """A context in which another attention layer is added to every self-attention of `network`.

    `added` is a module of the added layers, and `branches` are they by the names of those that they are added to. They
    attend along the rows of pixels of `views` consecutive rows of the batch (MV-Adapter); `size` is the latents' height
    and width.
    """
    lines = lines_of(*size)

    def along(name: str, layer: Any) -> SharedAttention:
        return SharedAttention(layer.processor, lambda rows: rows // views, lines=lines)

    with replaced(added, along), replaced(network, lambda name, layer: _Beside(layer.processor, branches[name])):
        yield


class _Beside(Wrapping):
    """A processor: the layer's own, to whose output that of another layer is added."""

    def __init__(self, inner: Processor, branch: Callable[[Tensor], Tensor]) -> None:
        super().__init__(inner)
        self.branch = branch

    def run(
        self, attn: Any, hidden: Tensor, others: Tensor | None, mask: Tensor | None, *args: Any, **more: Any
    ) -> Any:
        """Attention of hidden states (rows, tokens, c); the output has the same shape."""
        return self.inner(attn, hidden, others, mask, *args, **more) + self.branch(hidden)


@dataclass
class Pass:
    """The state that all layers of one network share in reference attention."""

    store: bool = False
    """True: layers keep their input, the reference picture's tokens; false: these tokens join keys and values."""


@contextmanager
def referring(network: Any) -> Generator[Pass]:
    """A context in which to run `network` on the reference picture with `.store` set, then on the canvas without."""
    state = Pass()
    with replaced(network, lambda name, layer: _Referring(layer.processor, state)):
        yield state


class _Referring:
    """Zero123++'s reference attention in one layer: the reference picture's tokens join keys and values, row by row."""

    def __init__(self, inner: Callable[..., Tensor], state: Pass) -> None:
        self.inner = inner
        self.state = state
        self.kept: Tensor | None = None

    # A layer passes only arguments that its processor's `__call__` names, so they are named.
    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Tensor:
        """Attention of hidden states (rows, tokens, c); the output has the same shape."""
        if self.state.store:
            self.kept = hidden_states
            return self.inner(attn, hidden_states, None, attention_mask, temb)
        assert self.kept is not None
        joined = torch.cat([hidden_states, self.kept], 1)
        return self.inner(attn, hidden_states, joined, attention_mask, temb)
