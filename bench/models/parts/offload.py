"""Weights that rest in the machine's memory and visit the GPU while they are used.

The hooks are accelerate's. Weights here never change, so that nothing is copied back: the resting tensors are put in
their place again.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from accelerate.hooks import ModelHook, add_hook_to_module
from accelerate.utils import send_to_device
from torch import Tensor, nn

Resting = list[tuple[Tensor, Tensor]]
"""Parameters and buffers, each with the values that rest."""


@dataclass(eq=False)
class Shelf:
    """Where the networks of one model rest. At most one group of them is on the device at a time.

    While gradients are recorded nothing is put back, because the way back needs the weights where they were: groups
    that are differentiated together are on the device together.
    """

    device: torch.device
    out: dict[str, list[Resting]] = field(default_factory=dict[str, list[Resting]])
    """Weights that are on the device, by group."""

    def keep(self, network: nn.Module, group: str) -> None:
        """From now on the network's weights rest where they are, and come to the device when it is called."""
        named = (*network.parameters(), *network.buffers())
        weights = [(tensor, tensor.data) for tensor in named]
        add_hook_to_module(network, _Visit(self, group, weights))

    def keep_layers(self, network: nn.Module) -> None:
        """Like `keep`, layer by layer: each is on the device for its own call only."""
        for name, layer in network.named_modules():
            own = (*layer.parameters(recurse=False), *layer.buffers(recurse=False))
            if own:
                group = f"{id(network)} {name}"
                hook = _Visit(self, group, [(tensor, tensor.data) for tensor in own], brief=True)
                add_hook_to_module(layer, hook, append=True)

    def bring(self, weights: Resting, group: str, brief: bool) -> None:
        """Weights to the device; whatever else is there goes back, unless `brief` or gradients are recorded."""
        if not (brief or torch.is_grad_enabled()):
            self.clear(but=group)
        there = self.out.setdefault(group, [])
        if not any(one is weights for one in there):
            for tensor, rest in weights:
                tensor.data = rest.to(self.device, copy=True)
            there.append(weights)

    def clear(self, but: str = "") -> None:
        """Put everything back, but for one group."""
        for group in [name for name in self.out if name != but]:
            self.put_back(group)

    def put_back(self, group: str) -> None:
        """Put one group back."""
        for weights in self.out.pop(group, []):
            for tensor, rest in weights:
                tensor.data = rest


class _Visit(ModelHook):
    """Brings weights to the device before a call, and its arguments along."""

    def __init__(self, shelf: Shelf, group: str, weights: Resting, brief: bool = False) -> None:
        self.shelf, self.group, self.weights, self.brief = shelf, group, weights, brief

    def pre_forward(self, module: nn.Module, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """Also called, without arguments, before a codec's `encode` and `decode`."""
        self.shelf.bring(self.weights, self.group, self.brief)
        device = self.shelf.device
        return send_to_device(args, device), send_to_device(kwargs, device)

    def post_forward(self, module: nn.Module, output: Any) -> Any:
        """A layer goes back at once."""
        if self.brief and not torch.is_grad_enabled():
            self.shelf.put_back(self.group)
        return output
