"""The attention of FateZero: which words two prompts share, and the source's maps fused with the edit's."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from ...bench.models.parts.attention import cross_attention
from ...bench.models.parts.shared_attention import lines_of, middle
from ...bench.models.parts.tapped import Attend, Tapped, plain
from ._beside import Source


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

    cross_share: float
    """Share of the steps in which cross-attention is the source's."""
    self_share: float
    """Share of the steps in which self-attention is the source's outside the mask."""
    threshold: float
    """Part of the largest attention from which on a pixel is in the mask."""
    coarse: int
    """Largest side, in cells, of the layers in which maps are replaced."""
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
        return max(self.rows_of(tokens)) <= self.coarse

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
            elif self.source.within(self.self_share) and self.small(query.shape[2]):
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
            elif self.source.within(self.cross_share):
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
        return total > self.threshold * total.amax((2, 3), keepdim=True)

    def inside(self, tokens: int) -> Bool[Tensor, "frames 1 tokens 1"]:
        """The mask at the cells of a layer."""
        assert self.mask is not None
        cells = F.adaptive_max_pool2d(self.mask.float(), self.rows_of(tokens))
        return cells.flatten(2)[..., None] > 0.5


def maps(query: Tensor, key: Tensor, scale: float | None) -> Tensor:
    """softmax(Q K^T scale), (rows, heads, tokens, keys)."""
    factor = query.shape[-1] ** -0.5 if scale is None else scale
    return (query @ key.transpose(-1, -2) * factor).softmax(-1)
