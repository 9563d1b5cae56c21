"""Layers along time in a network of clips: how much they add to what the layers of pictures gave."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from ...errors import SyncbenchError

KINDS = ("AnimateDiffTransformer3D", "TransformerTemporalModel", "TemporalConvLayer", "AlphaBlender")
"""Classes of diffusers that answer h + f(h), where f alone looks along time: AnimateDiff's attention, ModelScope's
attention and convolutions, and the learned mixture of each block of Stable Video Diffusion."""


@contextmanager
def weighed(
    network: nn.Module, strength: float, where: Callable[[str], bool] = lambda name: True
) -> Generator[list[str]]:
    """Within the context layers along time that `where(name)` chooses answer h + `strength` f(h), and the others h.

    Yields the names of the chosen. It is Video LDM's mixture of spatial and temporal layers (Blattmann et al., CVPR
    2023, arXiv 2304.08818), alpha h + (1 - alpha) (h + f(h)), with alpha = 1 - strength. Afterwards layers answer as
    before, also after an exception. Raises SyncbenchError for a network without such layers, and where none is chosen.
    """
    every = {name: module for name, module in network.named_modules() if type(module).__name__ in KINDS}
    if not every:
        raise SyncbenchError(
            f"the network, a {type(network).__name__}, has no layers along time alone that could be weighed: choose "
            "a model of clips such as motion, sd_animatediff, modelscope or svd"
        )
    chosen = [name for name in every if where(name)]
    if not chosen:
        raise SyncbenchError(f"none of the network's {len(every)} layers along time is where they were asked for")

    def hook(factor: float) -> Callable[..., Any]:
        def mixed(module: nn.Module, args: tuple[Any, ...], more: dict[str, Any], answer: Any) -> Any:
            given = args[0] if args else more["x_spatial" if "x_spatial" in more else "hidden_states"]
            if isinstance(answer, Tensor):
                return given + factor * (answer - given)
            return (given + factor * (answer[0] - given), *answer[1:])

        return mixed

    factors = {name: strength if name in chosen else 0.0 for name in every}
    handles = [
        every[name].register_forward_hook(hook(factor), with_kwargs=True)
        for name, factor in factors.items()
        if factor != 1
    ]
    try:
        yield chosen
    finally:
        for handle in handles:
            handle.remove()
