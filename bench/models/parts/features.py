"""The hook point between the blocks of a network: what enters a block may be changed, and afterwards is as before."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from ...errors import SyncbenchError

Change = Callable[[str, Float[Tensor, "rows c h w"]], Tensor]
"""(name of a block, hidden states that come to it) -> hidden states that enter it."""


@contextmanager
def entering(network: nn.Module, part: str, change: Change) -> Generator[list[str]]:
    """Within the context `change(name, hidden)` enters each block of `part`, e.g. `up_blocks`; yields their names.

    Afterwards blocks take what comes to them, also after an exception. Raises SyncbenchError for a network without such
    blocks.
    """
    blocks = getattr(network, part, None)
    if not isinstance(blocks, nn.ModuleList):
        raise SyncbenchError(f"the network, a {type(network).__name__}, has no `{part}`: choose a model with a U-Net")

    def hook(name: str) -> Callable[..., Any]:
        def changed(block: nn.Module, args: tuple[Any, ...], more: dict[str, Any]) -> tuple[Any, Any]:
            if args:
                return (change(name, args[0]), *args[1:]), more
            return args, {**more, "hidden_states": change(name, more["hidden_states"])}

        return changed

    names = [f"{part}.{number}" for number in range(len(blocks))]
    handles = [
        block.register_forward_pre_hook(hook(name), with_kwargs=True) for name, block in zip(names, blocks, strict=True)
    ]
    try:
        yield names
    finally:
        for handle in handles:
            handle.remove()
