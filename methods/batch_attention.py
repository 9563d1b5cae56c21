"""Batch attention: every view attends to the keys and values of all views, with the weights as they are.

Extended attention as in ControlVideo (Zhang et al., ICLR 2024, arXiv 2305.13077, "fully cross-frame") and TokenFlow's
keyframes (Geyer et al., ICLR 2024, arXiv 2307.10373, upstream commit 5dd6a69, MIT), and what MVDream (arXiv 2308.16512)
trains; written from the formula. Left out: everything those methods add to it.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from ..bench.canvas import Canvas
from ..bench.limits import Share
from ..bench.models.interface import Model
from ..bench.models.parts.attention import inside, spatial
from ..bench.sampling.sharing import Sharing, everyone
from ..bench.types import Anchor
from .independent import Independent


@dataclass(frozen=True, kw_only=True)
class BatchAttention(Independent):
    """O_i = softmax(Q_i [K_1 .. K_n]^T / sqrt(d)) [V_1 .. V_n] in self-attention; otherwise views move alone.

    It knows nothing of where views overlap: on strips of the reference model colours and textures agree better
    than when sampled alone, while layouts hardly move and seams stay. With `shared` noise views of one prompt
    are equal with or without it; the preset is meant for views that differ in prompt or condition.
    """

    version: ClassVar[int] = 1
    anchor: ClassVar[Anchor | None] = None
    paper: ClassVar[str] = "2305.13077"
    licence: ClassVar[str] = "MIT (TokenFlow)"
    requires: ClassVar[tuple[str, ...]] = ("attention",)
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "shared": {"shared_noise": True},
        "decoder": {"layers": "decoder"},
        "early": {"end": 0.5},
    }

    strength: float = 1.0
    """Layers answer (1 - strength) * own attention + strength * shared attention."""
    layers: Literal["all", "decoder"] = "all"
    """Which self-attention layers share: all, or those of the network's upward half."""
    begin: Share = 0.0
    end: Share = 1.0
    """Sharing acts on denoising steps from `begin` to before `end`, as fractions of all."""

    def attach(self, model: Model, canvas: Canvas) -> AbstractContextManager[Any]:
        """Share attention while the loop runs."""
        where = spatial if self.layers == "all" else inside("up_blocks")
        sharing = Sharing(select=everyone, where=where, strength=self.strength, begin=self.begin, end=self.end)
        return sharing.attach(model)
