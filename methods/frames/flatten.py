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

from torch import Tensor

from ...bench.limits import Share
from ...bench.models.parts.attention import spatial
from ...bench.sampling.loop import Setting, Step
from ._beside import Source
from ._edit import Edit, Editing
from ._trajectories import Trajectories, tracks_of


@dataclass(frozen=True, kw_only=True)
class Flatten(Edit):
    """Dense attention among frames, then attention along trajectories."""

    version: ClassVar[int] = 1
    paper: ClassVar[str] = "2310.05922"
    licence: ClassVar[str] = "Apache-2.0"
    along_tracks: ClassVar[bool] = True
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

    def prepare(self, setting: Setting) -> Editing:
        """The frames at the first level, with the tracks and the source beside them."""
        state = super().prepare(setting)
        source, canvas = None, setting.canvas
        views, high, wide = canvas.index.shape
        if self.injected:
            found = state.source or self.inversion(setting)
            state, source = replace(state, source=found), Source.of(found, setting)
        return replace(state, kept=Trajectories(self.along, source, tracks_of(canvas), (views, high, wide)))

    def look(self, state: Editing, s: Step) -> Tensor:
        """The frames, after the source's have passed the network."""
        source: Source | None = state.kept.source
        if source is not None and s.level.index < round(self.injected * s.level.total):
            source.record(s)
        elif source is not None:
            source.layers.clear()
        return super().look(state, s)

    def hooks(self, state: Editing, setting: Setting) -> AbstractContextManager[Any]:
        """A context in which self-attention layers are the trajectories'."""
        return setting.model.attach(state.kept.processor, spatial)
