"""The attention of TokenFlow: keyframes' outputs, gathered by the source's nearest neighbours."""

from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from ...bench.models.parts.tapped import Attend, Tapped, plain
from ._beside import Source


@dataclass
class Flow:
    """The attention of all layers, and what is kept of the source and of the keyframes."""

    block: int
    """Frames to a keyframe."""
    share: float
    """Share of the steps in which self-attention has the source's queries and keys."""
    propagated: bool
    """Whether frames take the keyframes' outputs; otherwise they attend to all keyframes."""
    source: Source
    frames: int
    keys: Int[Tensor, " blocks"] = field(default_factory=lambda: torch.zeros(0, dtype=torch.long))
    """Numbers of this step's keyframes."""
    passing: str = ""
    """What the network sees: `keyframes` or `frames`; unread while it sees the source."""

    def draw(self, noise: Float[Tensor, " frames"]) -> None:
        """Choose the keyframe of each block: the frame with the largest number of `noise` (frames,)."""
        blocks = range(0, self.frames, self.block)
        self.keys = torch.stack([begin + noise[begin : begin + self.block].argmax().cpu() for begin in blocks])

    def processor(self, name: str, layer: Any) -> Tapped:
        """The processor of a layer."""
        return Tapped(layer.processor, lambda hidden: self.formula(name, hidden))

    def formula(self, name: str, hidden: Tensor) -> Attend:
        """The formula of a self-attention layer whose input is `hidden` (rows, tokens, c)."""

        def source(query: Tensor, key: Tensor, value: Tensor, scale: float | None) -> Tensor:
            self.source.layers[name] = (F.normalize(hidden.float(), dim=-1), query, key)
            return plain(query, key, value, scale)

        def keyframes(query: Tensor, key: Tensor, value: Tensor, scale: float | None) -> Tensor:
            query, key = self.injected(name, query, key, self.keys)
            out = together(query, key, value, len(self.keys), scale)
            self.source.layers[f"{name} keyframes"] = (out, key, value)
            return out

        def frames(query: Tensor, key: Tensor, value: Tensor, scale: float | None) -> Tensor:
            out, their_key, their_value = self.source.layers[f"{name} keyframes"]
            if self.propagated:
                return self.gathered(name, out)
            query, _ = self.injected(name, query, key, torch.arange(self.frames))
            return crosswise(query, their_key, their_value, self.frames, len(self.keys), scale)

        if self.source.recording:
            return source
        return keyframes if self.passing == "keyframes" else frames

    def injected(self, name: str, query: Tensor, key: Tensor, which: Tensor) -> tuple[Tensor, Tensor]:
        """Queries and keys of some frames, which are the source's in early steps."""
        if not self.source.within(self.share):
            return query, key
        _, their_query, their_key = self.source.layers[name]
        groups = len(query) // len(which)
        which = which.to(query.device)
        return their_query[which].repeat(groups, 1, 1, 1), their_key[which].repeat(groups, 1, 1, 1)

    def gathered(self, name: str, out: Float[Tensor, "rows heads tokens d"]) -> Tensor:
        """The keyframes' outputs at the tokens to which each frame's tokens correspond in the source."""
        features = self.source.layers[name][0]
        blocks, groups = len(self.keys), len(out) // len(self.keys)
        kept = out.unflatten(0, (groups, blocks))
        size, found = self.block, []
        for frame in range(self.frames):
            own = frame // size
            near = [own] if own == 0 else [own, own - 1]
            parts = [kept[:, b][:, :, nearest(features[frame], features[self.keys[b]])] for b in near]
            if len(near) == 1:
                found.append(parts[0])
                continue
            gaps = [abs(frame - (b * size + size // 2)) for b in near]
            share = torch.sigmoid(torch.tensor(gaps[1] / max(1e-9, gaps[0] + gaps[1])))
            found.append(torch.lerp(parts[1], parts[0], share.to(out.device, out.dtype)))
        return torch.stack(found, 1).flatten(0, 1)


def nearest(tokens: Float[Tensor, "n c"], others: Float[Tensor, "m c"]) -> Int[Tensor, " n"]:
    """For each token the number of the other with the largest cosine; both are of unit length."""
    return torch.cat([(part @ others.T).argmax(-1) for part in tokens.split(1024)])


def together(query: Tensor, key: Tensor, value: Tensor, frames: int, scale: float | None) -> Tensor:
    """Every frame's queries attend to the keys and values of all frames; rows are (groups, frames)."""
    return crosswise(query, key, value, frames, frames, scale)


def crosswise(query: Tensor, key: Tensor, value: Tensor, frames: int, others: int, scale: float | None) -> Tensor:
    """Queries of `frames` frames attend to the keys and values of `others` frames, all in one sequence."""
    q, k, v = (
        x.unflatten(0, (-1, n)).transpose(1, 2).flatten(2, 3)
        for x, n in ((query, frames), (key, others), (value, others))
    )
    return plain(q, k, v, scale).unflatten(2, (frames, -1)).transpose(1, 2).flatten(0, 1)
