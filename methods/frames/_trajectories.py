"""The attention of FLATTEN: tokens along the tracks of a clip."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ...bench.canvas import Canvas
from ...bench.models.parts.tapped import Attend, Tapped, plain
from ._beside import Source


@dataclass(frozen=True)
class Tracks:
    """Tokens of all frames by the canvas cell that they see."""

    place: Int[Tensor, "cells longest"]
    """Numbers of the tokens, frame * tokens + token, of each cell that two or more tokens see."""
    there: Bool[Tensor, "cells longest"]
    """Which of them exist; the others are padding."""


def tracks_of(canvas: Canvas) -> Tracks:
    """The tokens of the cells of a canvas of latents that two or more tokens see."""
    index = canvas.index.flatten()
    seen = (index >= 0).nonzero()[:, 0]
    cells, order = index[seen].sort(stable=True)
    tokens = seen[order]
    _, counts = cells.unique_consecutive(return_counts=True)
    begin = counts.cumsum(0) - counts
    begin, counts = begin[counts > 1], counts[counts > 1]
    longest = int(counts.max()) if len(counts) else 0
    steps = torch.arange(longest, device=index.device)
    there = steps < counts[:, None]
    place = tokens[(begin[:, None] + steps).clamp(max=max(0, len(tokens) - 1))]
    return Tracks(torch.where(there, place, 0), there)


@dataclass
class Trajectories:
    """The attention of all layers."""

    along: bool
    """Whether tokens attend along their tracks after attending to all frames."""
    source: Source | None
    tracks: Tracks
    size: tuple[int, int, int]
    """Frames, height and width of the latents."""

    def processor(self, name: str, layer: Any) -> Tapped:
        """The processor of a layer."""
        formula = self.formula(name)
        return Tapped(layer.processor, lambda hidden: formula)

    def formula(self, name: str) -> Attend:
        """The formula of a self-attention layer."""

        def attend(query: Tensor, key: Tensor, value: Tensor, scale: float | None) -> Tensor:
            source, frames = self.source, self.size[0]
            if source is not None and source.recording:
                source.layers[name] = (query, key)
                return plain(query, key, value, scale)
            if source is not None and name in source.layers:
                groups = len(query) // frames
                query, key = (x.repeat(groups, 1, 1, 1) for x in source.layers[name])
            q, k, v = (x.unflatten(0, (-1, frames)).transpose(1, 2).flatten(2, 3) for x in (query, key, value))
            out = plain(q, k, v, scale)
            fine = query.shape[2] == self.size[1] * self.size[2]
            if self.along and fine and len(self.tracks.place):
                out = along(out, self.tracks, scale)
            return out.unflatten(2, (frames, -1)).transpose(1, 2).flatten(0, 1)

        return attend


def along(
    x: Float[Tensor, "groups heads tokens d"],
    tracks: Tracks,
    scale: float | None,
    query: Float[Tensor, "groups heads tokens d"] | None = None,
    key: Float[Tensor, "groups heads tokens d"] | None = None,
) -> Float[Tensor, "groups heads tokens d"]:
    """Tokens of all frames after each attended to those of its track: softmax(Q K^T scale) X within a track.

    Queries and keys are the tokens themselves if not given. Tokens of no track are unchanged.
    """
    place, there = tracks.place.to(x.device), tracks.there.to(x.device)

    def found(tokens: Tensor) -> Tensor:
        return tokens[:, :, place].movedim(2, 0)  # (cells, groups, heads, longest, d)

    value = found(x)
    q, k = (value if tokens is None else found(tokens) for tokens in (query, key))
    bias = torch.zeros(there.shape, device=x.device, dtype=x.dtype).masked_fill(~there, float("-inf"))
    factor = x.shape[-1] ** -0.5 if scale is None else scale
    share = (q @ k.transpose(-1, -2) * factor + bias[:, None, None, None]).softmax(-1)
    mixed = (share @ value).movedim(0, 2)
    out = x.clone()
    out[:, :, place[there]] = mixed[:, :, there]
    return out
