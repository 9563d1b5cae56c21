"""Offloading: weights are kept in the machine's memory, and on the GPU only while they are used.

The hooks are accelerate's. Weights never change here, so that nothing is copied back: the tensors in the machine's
memory are put in their place again.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from accelerate.hooks import ModelHook, add_hook_to_module
from accelerate.utils import send_to_device
from torch import Tensor, nn

Resting = list[tuple[Tensor, Tensor]]
"""Parameters and buffers, each with its tensor in the machine's memory."""


@dataclass(eq=False)
class Shelf:
    """The offloaded networks of one model, in groups of which at most one is on the device at a time.

    While gradients are recorded no weights leave the device, because the backward pass needs them: groups that are
    differentiated together are on the device together.
    """

    device: torch.device
    out: dict[str, list[Resting]] = field(default_factory=dict[str, list[Resting]])
    """Weights that are on the device, by group."""

    def keep(self, network: nn.Module, group: str) -> None:
        """Offload a network: its weights stay where they are now, and are on the device while it is called."""
        named = (*network.parameters(), *network.buffers())
        weights = [(tensor, tensor.data) for tensor in named]
        add_hook_to_module(network, _Visit(self, group, weights))

    def keep_layers(self, network: nn.Module) -> None:
        """Offload a network layer by layer: each layer is on the device for its own call only."""
        for name, layer in network.named_modules():
            own = (*layer.parameters(recurse=False), *layer.buffers(recurse=False))
            if own:
                group = f"{id(network)} {name}"
                hook = _Visit(self, group, [(tensor, tensor.data) for tensor in own], brief=True)
                add_hook_to_module(layer, hook, append=True)

    def bring(self, weights: Resting, group: str, brief: bool) -> None:
        """Move weights to the device, and other groups off it unless `brief` or gradients are recorded."""
        if not (brief or torch.is_grad_enabled()):
            self.clear(but=group)
        there = self.out.setdefault(group, [])
        if not any(one is weights for one in there):
            for tensor, rest in weights:
                tensor.data = rest.to(self.device, copy=True)
            there.append(weights)

    def clear(self, but: str = "") -> None:
        """Move all groups off the device, except `but`."""
        for group in [name for name in self.out if name != but]:
            self.put_back(group)

    def put_back(self, group: str) -> None:
        """Move one group off the device."""
        for weights in self.out.pop(group, []):
            for tensor, rest in weights:
                tensor.data = rest


class _Visit(ModelHook):
    """A hook that moves weights to the device before a call, and the call's arguments too."""

    def __init__(self, shelf: Shelf, group: str, weights: Resting, brief: bool = False) -> None:
        self.shelf, self.group, self.weights, self.brief = shelf, group, weights, brief

    def pre_forward(self, module: nn.Module, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """Move the weights and the arguments; before a codec's `encode` and `decode` it is called without arguments."""
        self.shelf.bring(self.weights, self.group, self.brief)
        device = self.shelf.device
        return send_to_device(args, device), send_to_device(kwargs, device)

    def post_forward(self, module: nn.Module, output: Any) -> Any:
        """Move a layer off the device after its call."""
        if self.brief and not torch.is_grad_enabled():
            self.shelf.put_back(self.group)
        return output
