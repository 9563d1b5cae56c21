"""Pix2Video: frames attend to the first and the previous frame, and each clean prediction is pulled to the previous.

Ceylan, Huang, Mitra, ICCV 2023, arXiv 2303.12688; upstream code read (Adobe Research License), nothing copied. The
source clip is inverted; self-attention layers of the decoder take keys and values from the first and the previous
frame; up to half of the steps each frame's predicted clean latent is moved towards that of the previous frame. All
frames of a step go through the network in one call, which gives what upstream's features, recorded frame by frame,
give. Upstream drives Stable Diffusion's depth model: here the item's depth is used where the model reads it.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Interval

from ...bench.limits import Share
from ...bench.models.parts.attention import inside
from ...bench.models.parts.shared_attention import first_and_previous
from ...bench.sampling.loop import Setting, Step
from ...bench.sampling.sharing import Sharing
from ._edit import Edit, Editing


@dataclass(frozen=True, kw_only=True)
class Pix2Video(Edit):
    """Anchored attention in the decoder, and guidance of x0 by the previous frame's."""

    version: ClassVar[int] = 1
    paper: ClassVar[str] = "2303.12688"
    licence: ClassVar[str] = "Adobe Research License"
    requires: ClassVar[tuple[str, ...]] = ("text", "attention")
    presets: ClassVar[dict[str, dict[str, Any]]] = {"attention": {"pull": 0.0}, "guidance": {"sharing": False}}

    sharing: bool = True
    """Whether the decoder's self-attention takes keys and values from the first and the previous frame."""
    pull: Annotated[float, Interval(ge=0, le=1)] = 2 * 100 / (4 * 64 * 64)
    """Share of the difference to the previous frame's x0 that a frame is moved by in a step.

    The paper descends along the gradient of the squared difference with respect to x0, at the rate 100; the released
    code averages the square over the 4 x 64 x 64 numbers of a latent, which is this share.
    """
    end: Share = 0.5
    """First step without guidance, as a fraction of all."""

    def hooks(self, state: Editing, setting: Setting) -> AbstractContextManager[Any]:
        """A context in which the decoder's layers share."""
        if not self.sharing:
            return super().hooks(state, setting)
        return Sharing(select=first_and_previous, where=inside("up_blocks")).attach(setting.model)

    def step(self, state: Editing, x: Any, s: Step) -> Any:
        """The frames at the next level, each but the first moved against its difference to the previous x0."""
        state = super().step(state, x, s)
        if s.level.index < round(self.end * s.level.total) and self.pull:
            gap = s.x0[1:] - s.x0[:-1]
            state.x = torch.cat([state.x[:1], state.x[1:] - self.pull * gap])
        return state
