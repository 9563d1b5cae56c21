"""TokenFlow: keyframes attend to each other, and their features reach all frames along the source's correspondences.

Geyer, Bar-Tal, Bagon, Dekel, ICLR 2024, arXiv 2307.10373; upstream code read (MIT, commit 5dd6a69). In every step one
random frame of each block of frames is a keyframe. Keyframes go through the network first, with the keys and values of
all keyframes, and the output of each self-attention layer is kept. Then all frames go through it: each token takes the
kept output of its nearest neighbours, by the cosine of the source clip's features, in the keyframes of its own block
and of the block before, weighted by distance in time. In early steps self-attention takes the source's queries and
keys (Plug-and-Play, Tumanyan et al., CVPR 2023, arXiv 2211.12572).

Weights are upstream's: sigmoid(d2 / (d1 + d2)) of the distances d1, d2 to the centres of the two blocks. Left out:
Plug-and-Play's injection of the features of convolutions, which the hooks for attention cannot reach.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Interval
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from ...bench.limits import Share
from ...bench.models.parts.attention import spatial
from ...bench.models.parts.tapped import Attend, Tapped, plain
from ...bench.sampling.loop import Setting, Step
from ._edit import Edit, Editing
from ._source import Source


@dataclass(frozen=True, kw_only=True)
class TokenFlow(Edit):
    """Propagation of keyframes' features by nearest neighbours in the source clip."""

    version: ClassVar[int] = 1
    paper: ClassVar[str] = "2307.10373"
    licence: ClassVar[str] = "MIT"
    requires: ClassVar[tuple[str, ...]] = ("text", "attention")
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "sdedit": {"initial": "noised", "redrawn": 0.9, "injected": 0.0},
        "keyframes": {"propagated": False},
    }

    block: Annotated[int, Interval(ge=1, le=1_000)] = 4
    """Frames to a keyframe; upstream takes 8 of 40."""
    injected: Share = 0.5
    """Share of the steps, from the first, in which self-attention has the source's queries and keys."""
    propagated: bool = True
    """Whether features are propagated; without it every frame attends to all keyframes."""

    @property
    def needs_source(self) -> bool:
        """Always: correspondences are the source's."""
        return True

    def begin(self, setting: Setting) -> Editing:
        """The frames at the first level, and the source beside them."""
        state = super().begin(setting)
        source = state.source or self.inversion(setting)
        return replace(state, source=source, kept=Flow(self, Source.of(source, setting), setting.canvas.views))

    def predict(self, state: Editing, x: Tensor, s: Step) -> tuple[Tensor, Tensor]:
        """x0 and eps of all frames, after the source's frames and the keyframes have passed the network."""
        flow: Flow = state.kept
        flow.source.record(s)
        flow.draw(s.noise((flow.frames,)))
        keys = flow.keys.to(x.device)
        flow.passing = "keyframes"
        s.model.predict(x[keys], s.level, s.condition.rows(keys))
        flow.passing = "frames"
        return s.predict(x)

    def hooks(self, state: Editing, setting: Setting) -> AbstractContextManager[Any]:
        """A context in which self-attention layers are the flow's."""
        return setting.model.attach(state.kept.processor, spatial)


@dataclass
class Flow:
    """The attention of all layers, and what is kept of the source and of the keyframes."""

    method: TokenFlow
    source: Source
    frames: int
    keys: Int[Tensor, " blocks"] = field(default_factory=lambda: torch.zeros(0, dtype=torch.long))
    """Numbers of this step's keyframes."""
    passing: str = ""
    """What the network sees: `keyframes` or `frames`; unread while it sees the source."""

    def draw(self, noise: Float[Tensor, " frames"]) -> None:
        """Choose the keyframe of each block: the frame with the largest number of `noise` (frames,)."""
        blocks = range(0, self.frames, self.method.block)
        self.keys = torch.stack([begin + noise[begin : begin + self.method.block].argmax().cpu() for begin in blocks])

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
            if self.method.propagated:
                return self.gathered(name, out)
            query, _ = self.injected(name, query, key, torch.arange(self.frames))
            return crosswise(query, their_key, their_value, self.frames, len(self.keys), scale)

        if self.source.recording:
            return source
        return keyframes if self.passing == "keyframes" else frames

    def injected(self, name: str, query: Tensor, key: Tensor, which: Tensor) -> tuple[Tensor, Tensor]:
        """Queries and keys of some frames, which are the source's in early steps."""
        if not self.source.within(self.method.injected):
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
        size, found = self.method.block, []
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
