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
from difflib import SequenceMatcher
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Interval
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from ...bench.limits import Share
from ...bench.models.parts.attention import cross_attention, spatial
from ...bench.models.parts.shared_attention import lines_of, middle
from ...bench.models.parts.tapped import Attend, Tapped, plain
from ...bench.sampling.loop import Setting, Step
from ...bench.types import SyncbenchError
from ._edit import Edit, Editing
from ._source import Source


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

    def begin(self, setting: Setting) -> Editing:
        """The inverted frames, and the source beside them."""
        state = super().begin(setting)
        source = state.source or self.inversion(setting)
        tokens: Callable[[str], Sequence[str]] | None = getattr(setting.model, "tokens", None)
        if tokens is None:
            raise SyncbenchError(f"fatezero compares words, and model {setting.model.id} does not tell its tokens")
        words = Alignment.of(tokens(setting.item.source), tokens(setting.item.prompts[0]))
        views, high, wide = setting.canvas.index.shape
        fusion = Fusion(self, Source.of(source, setting), words, (high, wide), views)
        return replace(state, source=source, kept=fusion)

    def look(self, state: Editing, s: Step) -> Tensor:
        """The frames, after the source's have passed the network."""
        fusion: Fusion = state.kept
        fusion.source.record(s)
        fusion.mask = fusion.masks() if self.masked else None
        return state.x

    def hooks(self, state: Editing, setting: Setting) -> AbstractContextManager[Any]:
        """A context in which self- and cross-attention layers are the fusion's."""
        return setting.model.attach(
            state.kept.processor, lambda name, layer: spatial(name, layer) or cross_attention(name, layer)
        )


@dataclass(frozen=True)
class Alignment:
    """Which tokens of the edit's prompt are tokens of the source's."""

    pairs: tuple[tuple[int, int], ...]
    """(token of the edit, token of the source)."""
    replaced: tuple[int, ...]
    """Tokens of the source that the edit has not."""
    ends: tuple[int, int]
    """Numbers of tokens of edit and source; all later rows are padding."""

    @staticmethod
    def of(source: Sequence[str], edit: Sequence[str]) -> "Alignment":
        """The alignment by the longest common parts.

        >>> Alignment.of(["a", "red", "cube"], ["a", "blue", "cube"])
        Alignment(pairs=((0, 0), (2, 2)), replaced=(1,), ends=(3, 3))
        """
        blocks = SequenceMatcher(None, edit, source, autojunk=False).get_matching_blocks()
        pairs = tuple((block.a + i, block.b + i) for block in blocks for i in range(block.size))
        common = {b for _, b in pairs}
        return Alignment(pairs, tuple(i for i in range(len(source)) if i not in common), (len(edit), len(source)))

    def mixed(self, edit: Float[Tensor, "... tokens"], source: Float[Tensor, "... tokens"]) -> Tensor:
        """The edit's maps with those of common tokens, and of padding, replaced by the source's."""
        found = edit.clone()
        for mine, theirs in self.pairs:
            found[..., mine] = source[..., theirs]
        padding = min(edit.shape[-1] - self.ends[0], source.shape[-1] - self.ends[1])
        if padding > 0:
            found[..., -padding:] = source[..., -padding:]
        return found


@dataclass
class Fusion:
    """The attention of all layers: records the source's maps, and uses them for the edit."""

    method: FateZero
    source: Source
    words: Alignment
    size: tuple[int, int]
    """Height and width of a latent."""
    views: int
    mask: Bool[Tensor, "frames 1 h w"] | None = None
    """Where the edit keeps its own self-attention; None: nowhere."""

    def processor(self, name: str, layer: Any) -> Tapped:
        """The processor of a layer."""
        formula = self.crossed(name) if cross_attention(name, layer) else self.fused(name)
        return Tapped(layer.processor, lambda hidden: formula)

    def rows_of(self, tokens: int) -> tuple[int, int]:
        """Height and width of a layer's cells."""
        rows = lines_of(*self.size)(tokens)
        return rows, tokens // rows

    def small(self, tokens: int) -> bool:
        """Whether maps of a layer are replaced."""
        return max(self.rows_of(tokens)) <= self.method.coarse

    def fused(self, name: str) -> Attend:
        """The formula of a self-attention layer, in which all frames have the middle one's keys and values."""

        def attend(query: Tensor, key: Tensor, value: Tensor, scale: float | None) -> Tensor:
            frames = self.views
            chosen = next(iter(middle(0, frames)))
            shape = (-1, frames, *key.shape[1:])
            key, value = (
                x.view(shape)[:, chosen : chosen + 1].expand(shape[0], frames, *x.shape[1:]).flatten(0, 1)
                for x in (key, value)
            )
            out = plain(query, key, value, scale)
            if self.source.recording:
                self.source.layers[name] = (query, key)
            elif self.source.within(self.method.fused) and self.small(query.shape[2]):
                their_query, their_key = self.source.layers[name]
                theirs = plain(their_query, their_key, value[-frames:], scale)
                mine = out[-frames:]
                if self.mask is not None:
                    theirs = torch.where(self.inside(query.shape[2]), mine, theirs)
                out = torch.cat([out[:-frames], theirs])
            return out

        return attend

    def crossed(self, name: str) -> Attend:
        """The formula of a cross-attention layer."""

        def attend(query: Tensor, key: Tensor, value: Tensor, scale: float | None) -> Tensor:
            out = plain(query, key, value, scale)
            if not self.small(query.shape[2]):
                return out
            if self.source.recording:
                self.source.layers[name] = maps(query, key, scale)
            elif self.source.within(self.method.crossed):
                mine = maps(query[-self.views :], key[-self.views :], scale)
                mixed = self.words.mixed(mine, self.source.layers[name])
                out = torch.cat([out[: -self.views], mixed @ value[-self.views :]])
            return out

        return attend

    def masks(self) -> Bool[Tensor, "frames 1 h w"] | None:
        """Where the source's frames attend to replaced words, by all recorded layers; None without such words."""
        recorded = [found for found in self.source.layers.values() if isinstance(found, Tensor)]
        if not self.words.replaced or not recorded:
            return None
        total = torch.zeros(self.views, 1, *self.size, device=recorded[0].device, dtype=torch.float32)
        for found in recorded:
            share = found[..., list(self.words.replaced)].float().mean((1, 3))  # (frames, cells)
            cells = share.view(self.views, 1, *self.rows_of(share.shape[1]))
            total += F.interpolate(cells, self.size, mode="bilinear", align_corners=False)
        total = F.max_pool2d(total, 3, 1, 1)
        return total > self.method.threshold * total.amax((2, 3), keepdim=True)

    def inside(self, tokens: int) -> Bool[Tensor, "frames 1 tokens 1"]:
        """The mask at the cells of a layer."""
        assert self.mask is not None
        cells = F.adaptive_max_pool2d(self.mask.float(), self.rows_of(tokens))
        return cells.flatten(2)[..., None] > 0.5


def maps(query: Tensor, key: Tensor, scale: float | None) -> Tensor:
    """softmax(Q K^T scale), (rows, heads, tokens, keys)."""
    factor = query.shape[-1] ** -0.5 if scale is None else scale
    return (query @ key.transpose(-1, -2) * factor).softmax(-1)
