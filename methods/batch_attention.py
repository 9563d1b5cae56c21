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
    """O_i = softmax(Q_i [K_1 .. K_n]^T / sqrt(d)) [V_1 .. V_n] in self-attention; the rest is independent sampling.

    The method does not know where views overlap: on strips of the reference model, colours and textures agree better
    than under independent sampling, while layouts hardly change and seams stay. The preset `shared` starts all views
    from one noise. It is meant for views that differ in prompt or condition: views of one prompt are then equal anyway.
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
    """A layer returns (1 - strength) * attention to the own view + strength * attention to all views."""
    layers: Literal["all", "decoder"] = "all"
    """Which self-attention layers share: all of them, or those of the U-Net's decoder (`up_blocks`)."""
    begin: Share = 0.0
    end: Share = 1.0
    """Sharing acts on denoising steps from `begin` to before `end`, as fractions of all."""

    def attach(self, model: Model, canvas: Canvas) -> AbstractContextManager[Any]:
        """A context within which the chosen layers of `model` attend to all views."""
        where = spatial if self.layers == "all" else inside("up_blocks")
        sharing = Sharing(select=everyone, where=where, strength=self.strength, begin=self.begin, end=self.end)
        return sharing.attach(model)
