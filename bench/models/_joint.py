"""Attention processors of networks that denoise several pictures together, for training and serving alike."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from ..attention import replaced


class Inflated:
    """MVDream's self-attention over all views of a scene: `B F H W C -> B (F H W) C`.

    Rows of the batch are scenes, each with `views` consecutive ones; 1 is plain attention.
    """

    def __init__(self, inner: Callable[..., Tensor], views: int) -> None:
        self.inner = inner
        self.views = views

    # A layer passes only arguments that its processor's `__call__` names, so they are named.
    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Tensor:
        """(rows, tokens, c) -> the same."""
        rows, tokens, channels = hidden_states.shape
        joint = hidden_states.reshape(rows // self.views, self.views * tokens, channels)
        return self.inner(attn, joint, encoder_hidden_states, attention_mask, temb).reshape(rows, tokens, channels)


@contextmanager
def inflated(network: Any, views: int) -> Generator[None]:
    """Within the context every self-attention of `network` spans `views` consecutive rows."""
    with replaced(network, lambda name, layer: Inflated(layer.processor, views)):
        yield


class Referring:
    """Zero123++'s reference attention: the reference picture's tokens join keys and values.

    One instance a layer. While `store` is set it remembers its input, else it appends what it remembers, row by row.
    """

    def __init__(self, inner: Callable[..., Tensor], state: "Reference") -> None:
        self.inner = inner
        self.state = state
        self.kept: Tensor | None = None

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Tensor:
        """(rows, tokens, c) -> the same."""
        if self.state.store:
            self.kept = hidden_states
            return self.inner(attn, hidden_states, None, attention_mask, temb)
        assert self.kept is not None
        joint = torch.cat([hidden_states, self.kept], 1)
        return self.inner(attn, hidden_states, joint, attention_mask, temb)


class Reference:
    """Which pass the layers of one network are in."""

    store = False


@contextmanager
def referring(network: Any) -> Generator[Reference]:
    """Within the context run `network` on the reference with `.store` set, then on the canvas with it unset."""
    state = Reference()
    with replaced(network, lambda name, layer: Referring(layer.processor, state)):
        yield state
