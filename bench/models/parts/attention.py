"""The attention hook point: put other processors into a network's attention layers, and put the old ones back.

A *layer* is a diffusers `Attention` module, named by its path, e.g.
`up_blocks.1.attentions.0.transformer_blocks.0.attn1`. A *processor* is what such a layer calls to attend.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ...types import SyncbenchError
from .placement import uncompiled

if TYPE_CHECKING:
    from ..interface import Model

Processor = Callable[..., Tensor]
Make = Callable[[str, Any], Any]
"""(name, layer) -> processor. The layer still holds its old one, as `layer.processor`, to be wrapped or replaced."""
Where = Callable[[str, Any], bool]
"""(name, layer) -> whether the layer gets another processor."""


TEMPORAL = ("motion_modules", "temporal", "temp_attentions", "transformer_in.")
"""What the names of layers along time contain: AnimateDiff's, Stable Video Diffusion's, and two of ModelScope's."""


def self_attention(name: str, layer: Any) -> bool:
    """Layers whose queries, keys and values all come from the image, or from one sequence of image and text."""
    return not cross_attention(name, layer)


def cross_attention(name: str, layer: Any) -> bool:
    """Layers whose keys and values come from the text."""
    return bool(getattr(layer, "is_cross_attention", False))  # FLUX's blocks have one sequence and no such mark


def spatial(name: str, layer: Any) -> bool:
    """Self-attention among the pixels of one image; not that of temporal layers, whose batch holds pixels."""
    return self_attention(name, layer) and not any(word in name for word in TEMPORAL)


def inside(*parts: str) -> Where:
    """Spatial self-attention below these parts of the network, e.g. `up_blocks` for the decoder."""
    return lambda name, layer: spatial(name, layer) and any(f"{name}.".startswith(f"{part}.") for part in parts)


def wide(least: int = 0, most: int | None = None) -> Where:
    """Spatial self-attention of layers with `least` to `most` channels (both included)."""
    return lambda name, layer: spatial(name, layer) and least <= layer.query_dim <= (most or layer.query_dim)


def layers(network: nn.Module, where: Where | None = None) -> dict[str, Any]:
    """Attention layers `where` chooses (None: self-attention) by name, in the network's order.

    Raises SyncbenchError when there are none, since a hook that hooks nothing changes nothing silently.
    """
    where = where or self_attention
    every = {name: module for name, module in network.named_modules() if hasattr(module, "set_processor")}
    chosen = {name: layer for name, layer in every.items() if where(name, layer)}
    if not chosen:
        raise SyncbenchError(f"no attention layer of the network's {len(every)} was chosen: loosen the predicate")
    return chosen


@contextmanager
def replaced(network: nn.Module, make: Make, where: Where | None = None) -> Generator[dict[str, Any]]:
    """Within the context every chosen layer uses a processor of its own, `make(name, layer)`; yields them by name.

    Afterwards each layer holds the very object it held before, also after an exception, and even if the processors
    were changed within the context. Contexts may be nested. Within it a compiled network is run as it was before.
    """
    # Layer by layer: `set_attn_processor(dict)` empties the dict it is given, and one processor for all layers
    # cannot keep a state per layer.
    chosen = layers(network, where)
    before = {name: layer.processor for name, layer in chosen.items()}
    now = {name: make(name, layer) for name, layer in chosen.items()}
    compiled = uncompiled(network)
    try:
        for name, layer in chosen.items():
            layer.set_processor(now[name])
        yield now
    finally:
        for name, layer in chosen.items():
            layer.set_processor(before[name])
        if compiled is not None:
            network.forward = compiled


class _Probe:
    """A processor that passes every call on to the one it replaces, and notes that it was called."""

    def __init__(self, inner: Processor) -> None:
        self.inner = inner
        self.calls = 0

    # A layer passes only keyword arguments that its processor's `__call__` names, so `temb` is named.
    def __call__(
        self,
        attn: nn.Module,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        *args: Any,
        temb: Tensor | None = None,
        **more: Any,
    ) -> Tensor:
        self.calls += 1
        more = more if temb is None else {**more, "temb": temb}
        return self.inner(attn, hidden_states, encoder_hidden_states, attention_mask, *args, **more)


def hook_is_live(model: "Model", where: Where | None = None, **inputs: Tensor) -> bool:
    """Whether processors put in with `model.attach` are really called, one or more and each of them, in a prediction.

    False where a backend (a compiled graph, a fused kernel, a wrapper that sets processors itself) goes around them:
    attention sharing would silently do nothing. Makes one prediction, which is not counted in `model.cost`. `inputs`
    are the conditions (`image`, ...) that the model cannot do without, one row each.
    """
    probes: list[_Probe] = []

    def probe(name: str, layer: Any) -> _Probe:
        probes.append(_Probe(layer.processor))
        return probes[-1]

    bill, model.cost = model.cost, type(model.cost)()
    try:
        side = model.window // model.factor
        noise = torch.randn(1, model.channels, side, side, generator=torch.Generator().manual_seed(0))
        with torch.no_grad(), model.attach(probe, where):
            level = next(iter(model.schedule(2)))
            condition = model.condition([""], 1.0, "", together=False, **inputs)
            model.predict(noise.to(model.device, model.dtype), level, condition)
    finally:
        model.cost = bill
    return bool(probes) and all(p.calls > 0 for p in probes)
