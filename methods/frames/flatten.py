"""FLATTEN: after attention to all frames, every token attends to the tokens of its own trajectory.

Cong, Xu, Simon et al., ICLR 2024, arXiv 2310.05922; upstream code read (Apache-2.0). Trajectories are the item's tracks
(exact in the reference world, else estimated from optical flow): the tokens of one canvas cell. At the layers with as
many tokens as the latent has cells, the output of attention among all frames attends once more, without weights of its
own (queries, keys and values are that output), to the tokens of the same cell. In early steps self-attention takes the
source's queries and keys (Plug-and-Play), as upstream; its injection of convolutions is left out.

Upstream loops over pixels and masks a full matrix; here the tokens of each cell are gathered, so memory is linear.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ...bench.canvas import Canvas
from ...bench.limits import Share
from ...bench.models.parts.attention import spatial
from ...bench.models.parts.tapped import Attend, Tapped, plain
from ...bench.sampling.loop import Setting, Step
from ._edit import Edit, Editing
from ._source import Source


@dataclass(frozen=True, kw_only=True)
class Flatten(Edit):
    """Dense attention among frames, then attention along trajectories."""

    version: ClassVar[int] = 1
    paper: ClassVar[str] = "2310.05922"
    licence: ClassVar[str] = "Apache-2.0"
    requires: ClassVar[tuple[str, ...]] = ("text", "attention")
    presets: ClassVar[dict[str, dict[str, Any]]] = {"dense": {"along": False}}

    along: bool = True
    """Whether tokens attend along their trajectories after attending to all frames."""
    injected: Share = 0.4
    """Share of the steps, from the first, in which self-attention has the source's queries and keys; 0 switches the
    source's pass off."""

    @property
    def needs_source(self) -> bool:
        """Where the source's queries are used."""
        return super().needs_source or self.injected > 0

    def begin(self, setting: Setting) -> Editing:
        """The frames at the first level, with the tracks and the source beside them."""
        state = super().begin(setting)
        source, canvas = None, setting.canvas
        size = canvas.views, *canvas.index.shape[1:]
        if self.injected:
            found = state.source or self.inversion(setting)
            state, source = replace(state, source=found), Source.of(found, setting)
        return replace(state, kept=Trajectories(self, source, tracks_of(canvas), size))

    def look(self, state: Editing, s: Step) -> Tensor:
        """The frames, after the source's have passed the network."""
        source: Source | None = state.kept.source
        if source is not None and s.level.index < round(self.injected * s.level.total):
            source.record(s)
        elif source is not None:
            source.layers.clear()
        return state.x

    def hooks(self, state: Editing, setting: Setting) -> AbstractContextManager[Any]:
        """A context in which self-attention layers are the trajectories'."""
        return setting.model.attach(state.kept.processor, spatial)


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

    method: Flatten
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
            if self.method.along and fine and len(self.tracks.place):
                out = along(out, self.tracks, scale)
            return out.unflatten(2, (frames, -1)).transpose(1, 2).flatten(0, 1)

        return attend


def along(x: Float[Tensor, "groups heads tokens d"], tracks: Tracks, scale: float | None) -> Tensor:
    """Tokens of all frames after each attended to those of its track: softmax(X X^T scale) X within a track.

    Tokens of no track are unchanged.
    """
    place, there = tracks.place.to(x.device), tracks.there.to(x.device)
    found = x[:, :, place].movedim(2, 0)  # (cells, groups, heads, longest, d)
    bias = torch.zeros(there.shape, device=x.device, dtype=x.dtype).masked_fill(~there, float("-inf"))
    factor = x.shape[-1] ** -0.5 if scale is None else scale
    share = (found @ found.transpose(-1, -2) * factor + bias[:, None, None, None]).softmax(-1)
    mixed = (share @ found).movedim(0, 2)
    out = x.clone()
    out[:, :, place[there]] = mixed[:, :, there]
    return out
