"""VidToMe: similar tokens of neighbouring frames are merged before self-attention and parted again after it.

Li, Ma, Yang, Yang, CVPR 2024, arXiv 2312.10656; upstream code read (MIT). Frames are taken in chunks. In each chunk one
random frame's tokens are targets; of the other frames' tokens the most similar share joins its nearest target, by the
cosine of the layer's input, as in Token Merging (Bolya et al., ICLR 2023, arXiv 2210.09461). Self-attention sees the
merged tokens of the chunk as one sequence, and what was merged has one output. Merged tokens of one chunk are then
merged with those kept of the chunks before, so that all chunks share. The order of chunks is drawn anew in every step.

Left out: Plug-and-Play's injection, which is no part of the idea, and the layers in which upstream does not merge: here
all spatial self-attention layers do.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

from annotated_types import Interval
from torch import Tensor

from ...bench.limits import Share
from ...bench.models.parts.attention import spatial
from ...bench.sampling.loop import Setting, Step
from ._edit import Edit, Editing
from ._merging import Merged, Merging


@dataclass(frozen=True, kw_only=True)
class VidToMe(Edit):
    """Self-attention over merged tokens."""

    version: ClassVar[int] = 1
    paper: ClassVar[str] = "2312.10656"
    licence: ClassVar[str] = "MIT"
    requires: ClassVar[tuple[str, ...]] = ("text", "attention")
    presets: ClassVar[dict[str, dict[str, Any]]] = {"local": {"shared": 0.0}}

    chunk: Annotated[int, Interval(ge=1, le=1_000)] = 4
    """Frames whose tokens are merged with one another."""
    merged: Share = 0.9
    """Share of the tokens of a chunk's other frames that join a target."""
    shared: Share = 0.8
    """Share of a chunk's merged tokens that join one kept of earlier chunks; 0 leaves chunks apart."""

    def prepare(self, setting: Setting) -> Editing:
        """The frames at the first level, and the merging of this step."""
        merging = Merging(self.chunk, self.merged, self.shared, setting.canvas.views)
        return replace(super().prepare(setting), kept=merging)

    def look(self, state: Editing, s: Step) -> Tensor:
        """The frames, after the chunks' order and targets were drawn."""
        state.kept.draw(s.noise((state.kept.frames,)).cpu())
        return super().look(state, s)

    def hooks(self, state: Editing, setting: Setting) -> AbstractContextManager[Any]:
        """A context in which self-attention layers see merged tokens."""
        return setting.model.attach(lambda name, layer: Merged(layer.processor, state.kept), spatial)
