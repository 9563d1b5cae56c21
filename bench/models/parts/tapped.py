"""Attention computed in another way: a layer keeps its processor, of which only the formula of attention is replaced.

Everything else (projections, normalisation, rotary positions, adapters) stays as in the layer's own processor, which
must attend by PyTorch's `scaled_dot_product_attention`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.overrides import TorchFunctionMode

from ...types import SyncbenchError
from .attention import Processor

Attend = Callable[[Tensor, Tensor, Tensor, float | None], Tensor]
"""(query (rows, heads, tokens, d), key (rows, heads, keys, d), value, scale or None for 1 / sqrt(d)) -> output (rows,
heads, tokens, d)."""


class Wrapping(ABC):
    """A processor that wraps the one that a layer has, `inner`, and counts its calls."""

    def __init__(self, inner: Processor) -> None:
        self.inner = inner
        self.calls = 0

    # A layer passes only keyword arguments that its processor's `__call__` names, so `temb` is named.
    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        *args: Any,
        temb: Tensor | None = None,
        **more: Any,
    ) -> Any:
        """The output of `run` for a layer's call."""
        self.calls += 1
        more = more if temb is None else {**more, "temb": temb}
        return self.run(attn, hidden_states, encoder_hidden_states, attention_mask, *args, **more)

    @abstractmethod
    def run(
        self, attn: Any, hidden: Tensor, others: Tensor | None, mask: Tensor | None, *args: Any, **more: Any
    ) -> Any:
        """The layer's output for hidden states (rows, tokens, channels); the arguments are the wrapped processor's."""


class Tapped(Wrapping):
    """The processor of one layer: the layer's own, with another formula for its attention."""

    def __init__(self, inner: Processor, formula: Callable[[Float[Tensor, "rows tokens c"]], Attend | None]) -> None:
        """`formula(input)` is the formula for a call with that input, or None where the layer attends as ever."""
        super().__init__(inner)
        self.formula = formula

    def run(
        self, attn: Any, hidden: Tensor, others: Tensor | None, mask: Tensor | None, *args: Any, **more: Any
    ) -> Any:
        """The wrapped processor's output. Raises SyncbenchError where it attends by a kernel of its own."""
        given = (attn, hidden, others, mask, *args)
        formula = self.formula(hidden)
        return self.inner(*given, **more) if formula is None else intercepted(formula, self.inner, *given, **more)


def plain(query: Tensor, key: Tensor, value: Tensor, scale: float | None) -> Tensor:
    """softmax(Q K^T scale) V."""
    return F.scaled_dot_product_attention(query, key, value, scale=scale)


def intercepted(attend: Attend, inner: Processor, *args: Any, **more: Any) -> Any:
    """The answer of the processor `inner` to these arguments, with its attention computed by `attend`.

    Raises SyncbenchError where it attends by a kernel of its own, with a mask, or causally.
    """
    mode = _Intercepting(attend)
    with mode:
        found = inner(*args, **more)
    if not mode.times:
        raise SyncbenchError(
            f"{type(inner).__name__} attends by a kernel of its own, where nothing can be shared: "
            "switch off xformers, flash attention and attention slicing"
        )
    return found


class _Intercepting(TorchFunctionMode):
    """A context in which PyTorch's attention is computed by `attend`; within `attend` it is PyTorch's own."""

    def __init__(self, attend: Attend) -> None:
        super().__init__()
        self.attend, self.times = attend, 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is not F.scaled_dot_product_attention:
            return func(*args, **(kwargs or {}))
        self.times += 1
        names = ("query", "key", "value")
        given = {**dict(zip(names, args, strict=False)), **(kwargs or {})}
        rest = {name: value for name, value in given.items() if name not in names and value not in (None, False, 0.0)}
        if len(args) > 3 or set(rest) - {"scale"}:
            raise SyncbenchError("a layer with masked or causal attention cannot share it: narrow `where`")
        return self.attend(given["query"], given["key"], given["value"], rest.get("scale"))
