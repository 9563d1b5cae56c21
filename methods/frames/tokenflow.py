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
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

from annotated_types import Interval
from torch import Tensor

from ...bench.limits import Share
from ...bench.models.parts.attention import spatial
from ...bench.sampling.loop import Setting, Step
from ._beside import Source
from ._edit import Edit, Editing
from ._keyframes import Flow


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

    def prepare(self, setting: Setting) -> Editing:
        """The frames at the first level, and the source beside them."""
        state = super().prepare(setting)
        source = state.source or self.inversion(setting)
        beside = Source.of(source, setting)
        flow = Flow(self.block, self.injected, self.propagated, beside, setting.canvas.views)
        return replace(state, source=source, kept=flow)

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
