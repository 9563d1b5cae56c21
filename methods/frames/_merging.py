"""Merging of tokens before self-attention, and parting after it."""

from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from ...bench.models.parts.attention import Processor
from ...bench.models.parts.tapped import Wrapping


@dataclass
class Merging:
    """Which frames are merged in this step."""

    chunk: int
    """Frames whose tokens are merged with one another."""
    merged: float
    """Share of the tokens of a chunk's other frames that join a target."""
    shared: float
    """Share of a chunk's merged tokens that join one kept of earlier chunks."""
    frames: int
    chunks: list[list[int]] = field(default_factory=list[list[int]])
    """Frames of each chunk, of which the first has the targets, in the order in which chunks are taken."""

    def draw(self, noise: Float[Tensor, " frames"]) -> None:
        """Choose targets and order by `noise` (frames,): the largest of a chunk, and chunks by their largest."""
        size = self.chunk
        parts = [list(range(begin, min(begin + size, self.frames))) for begin in range(0, self.frames, size)]
        ordered = [sorted(part, key=lambda frame: -float(noise[frame])) for part in parts]
        self.chunks = sorted(ordered, key=lambda part: -float(noise[part[0]]))


class Merged(Wrapping):
    """The processor of one layer: the layer's own on merged tokens."""

    def __init__(self, inner: Processor, merging: Merging) -> None:
        super().__init__(inner)
        self.merging = merging

    def run(
        self, attn: Any, hidden: Tensor, others: Tensor | None, mask: Tensor | None, *args: Any, **more: Any
    ) -> Any:
        """The layer's output for hidden states (groups * frames, tokens, c)."""
        merging, tokens = self.merging, hidden.shape[1]
        frames = hidden.unflatten(0, (-1, merging.frames))
        out = torch.empty_like(frames)
        kept: Tensor | None = None
        for chunk in merging.chunks:
            rows = frames[:, chunk].flatten(1, 2)
            target = nearest(rows, tokens, merging.merged)
            small, back = joined(rows, target)
            if kept is not None and merging.shared:
                both = torch.cat([kept, small], 1)
                target = nearest(both, kept.shape[1], merging.shared)
                wide, again = joined(both, target)
                found = self.inner(attn, wide, others, mask, *args, **more)
                found = _taken(found, again)[:, kept.shape[1] :]
            else:
                wide = small
                found = self.inner(attn, small, others, mask, *args, **more)
            kept = wide
            out[:, chunk] = _taken(found, back).unflatten(1, (len(chunk), tokens))
        return out.flatten(0, 1)


def nearest(x: Float[Tensor, "groups n c"], targets: int, share: float) -> Int[Tensor, "groups n"]:
    """For each token the number of the token that it joins: itself, or one of the first `targets`.

    Of the other tokens the `share` with the largest cosine to a target join their nearest one. Every group has as many.
    """
    unit = F.normalize(x.float(), dim=-1)
    own = torch.arange(x.shape[1], device=x.device).expand(x.shape[:2]).clone()
    others = x.shape[1] - targets
    count = round(share * others)
    if count == 0:
        return own
    parts = [(part @ unit[:, :targets].transpose(1, 2)).max(-1) for part in unit[:, targets:].split(1024, 1)]
    closeness = torch.cat([part.values for part in parts], 1)
    place = torch.cat([part.indices for part in parts], 1)
    chosen = closeness.topk(count, 1).indices
    return own.scatter(1, targets + chosen, place.gather(1, chosen))


def joined(x: Float[Tensor, "groups n c"], target: Int[Tensor, "groups n"]) -> tuple[Tensor, Tensor]:
    """Merged tokens (groups, m, c), each the mean of those that joined it, and for every token its number in them."""
    own = target == torch.arange(x.shape[1], device=x.device)
    number = own.long().cumsum(1) - 1  # of the tokens that remain
    back = number.gather(1, target)
    remaining = int(own[0].sum())
    total = x.new_zeros(len(x), remaining, x.shape[2]).scatter_add_(1, back[..., None].expand_as(x), x)
    count = x.new_zeros(len(x), remaining).scatter_add_(1, back, torch.ones_like(back, dtype=x.dtype))
    return total / count[..., None], back


def _taken(x: Tensor, places: Tensor) -> Tensor:
    return x.gather(1, places[..., None].expand(-1, -1, x.shape[2]))
