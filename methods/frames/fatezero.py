"""FateZero: attention maps of the source clip replace those of the edit, where and while the edit should keep to it.

Qi, Cun, Zhang, Lei, Wang, Shan, Chen, ICCV 2023, arXiv 2303.09535; upstream code read (MIT, commit 9b6cb7b). In early
steps cross-attention to words that both prompts have is the source's (Prompt-to-Prompt, Hertz et al., ICLR 2023, arXiv
2208.01626), and self-attention is the source's outside the mask of the words that are replaced. Frames attend to the
middle frame.

Upstream stores the maps of the inversion. Here the source's frames pass the network again in every step, and a
source's self-attention map is its queries and keys: softmax(Q_src K_src^T) V is the same product without the map. So
memory grows with the number of pixels and not with its square. Layers wider than `coarse` cells a side take no part, as
upstream's. Left out: blending of latents, other weights for words, and checkpoints tuned on the clip.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

from annotated_types import Interval
from torch import Tensor

from ...bench.limits import Share
from ...bench.models.parts.attention import cross_attention, spatial
from ...bench.sampling.loop import Setting, Step
from ...bench.types import SyncbenchError
from ._beside import Source
from ._edit import Edit, Editing
from ._fusion import Alignment, Fusion


@dataclass(frozen=True, kw_only=True)
class FateZero(Edit):
    """Fused attention maps under a mask of the replaced words."""

    version: ClassVar[int] = 1
    paper: ClassVar[str] = "2303.09535"
    licence: ClassVar[str] = "MIT"
    requires: ClassVar[tuple[str, ...]] = ("text", "attention")
    presets: ClassVar[dict[str, dict[str, Any]]] = {"style": {"masked": False}}

    crossed: Share = 0.8
    """Share of the steps, from the first, in which cross-attention to common words is the source's."""
    fused: Share = 0.8
    """Share of the steps in which self-attention is the source's outside the mask."""
    masked: bool = True
    """Whether the edit keeps its own self-attention within the mask; without it the source's is used everywhere, as
    upstream does for changes of style."""
    threshold: Share = 0.3
    """The mask has the pixels whose attention to replaced words is above this part of the frame's largest."""
    coarse: Annotated[int, Interval(ge=1, le=256)] = 32
    """Largest side, in cells, of the layers in which maps are replaced."""

    @property
    def needs_source(self) -> bool:
        """Always: maps are the source's."""
        return True

    def prepare(self, setting: Setting) -> Editing:
        """The inverted frames, and the source beside them."""
        state = super().prepare(setting)
        source = state.source or self.inversion(setting)
        tokens: Callable[[str], Sequence[str]] | None = getattr(setting.model, "tokens", None)
        if tokens is None:
            raise SyncbenchError(f"fatezero compares words, and model {setting.model.id} does not tell its tokens")
        words = Alignment.of(tokens(setting.item.source), tokens(setting.item.prompts[0]))
        views, high, wide = setting.canvas.index.shape
        fusion = Fusion(
            self.crossed,
            self.fused,
            self.threshold,
            self.coarse,
            Source.of(source, setting),
            words,
            (high, wide),
            views,
        )
        return replace(state, source=source, kept=fusion)

    def look(self, state: Editing, s: Step) -> Tensor:
        """The frames, after the source's have passed the network."""
        fusion: Fusion = state.kept
        fusion.source.record(s)
        fusion.mask = fusion.masks() if self.masked else None
        return super().look(state, s)

    def hooks(self, state: Editing, setting: Setting) -> AbstractContextManager[Any]:
        """A context in which self- and cross-attention layers are the fusion's."""
        return setting.model.attach(
            state.kept.processor, lambda name, layer: spatial(name, layer) or cross_attention(name, layer)
        )
