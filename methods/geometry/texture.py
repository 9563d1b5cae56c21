"""TEXTure: views are painted one after the other, each with regions to keep, to refine and to generate.

Richardson, Metzer, Alaluf, Giryes, Cohen-Or, SIGGRAPH 2023, arXiv 2302.01721; upstream code read (MIT, commit 81e539f),
nothing copied. In each view, what was not painted yet is generated, what was painted at a clearly worse angle is
refined, and the rest is kept: its noised latents are pasted into the sample before every step. In the first half of the
steps what is refined is drawn in every second latent cell only, so that it follows what is there.

Upstream's texture is fitted to the picture by Adam, 200 steps of squared error; here the minimum is written down: each
texel has the mean of the pixels that see it. Lengths of masks are upstream's at 1200 px, as shares of a view. Upstream
draws steps 11 to 19 of 50 with an inpainting checkpoint, without pasting: `free` names that window, and in it our one
model draws without pasting; its default is empty, because a model that is not told what to keep does not keep it.
Left out: the inpainting checkpoint, and cropping to the object's box. Views are the item's, in upstream's order around
the object; upstream adds one from above and one from below.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Bool
from torch import Tensor
from torch.nn import functional as F

from ...bench.limits import Share
from ...bench.models.parts.schedule import Level
from ...bench.sampling.loop import Reported, Setting
from ...bench.types import SyncbenchError
from ._painting import FAINT, Painter, Painting, alternating, grown, odd, shrunk

SIDE = 1200
"""Side of upstream's renders in pixels, by which its masks are measured."""


@dataclass(frozen=True, kw_only=True)
class Texture(Painter):
    """Trimap of keep, refine and generate; blended denoising; one view after the other."""

    version: ClassVar[int] = 1
    paper: ClassVar[str] = "2302.01721"
    licence: ClassVar[str] = "MIT"
    reported: ClassVar[tuple[Reported, ...]] = (
        {
            "metric": "user rating of quality, 1 to 5",
            "value": "3.93 (Latent-Paint 2.95, Text2Mesh 2.57)",
            "setting": "30 people, Stable Diffusion 2 depth",
            "source": "TEXTure, user study",
        },
        {
            "metric": "FID",
            "value": "79.47",
            "setting": "86 pairs of 35 meshes and prompts, 8 views, Stable Diffusion 2 depth",
            "source": "TexFusion, table of FID",
        },
    )
    presets: ClassVar[dict[str, dict[str, Any]]] = {"release": {"free_begin": 0.22, "free_end": 0.4}}

    better: Share = 0.2
    """A painted pixel is refined where its viewing angle's cosine is larger by this than when it was painted."""
    chequered: Share = 0.5
    """Leading fraction of the steps in which what is refined is drawn in every second cell."""
    free_begin: Share = 0.0
    free_end: Share = 0.0
    """Steps in which nothing is pasted, from the second view on, as fractions of all (11 to 19 of 50 upstream)."""
    grow: Share = 19 / SIDE
    """Side of the square by which what is generated is dilated, as a share of a view's."""

    def __post_init__(self) -> None:
        if self.free_end < self.free_begin:
            raise SyncbenchError(f"free_end = {self.free_end} lies before free_begin = {self.free_begin}")

    def levels(self, state: Painting, setting: Setting) -> Iterator[Level]:
        """All steps of one view after the other; after each, its pixels are painted."""
        views = state.canvas.views
        for view in range(views) if setting.item.surface.picture else alternating(views):
            generate, refine = self.trimap(state, view)
            picture = yield from self.drawing(state, setting, [view], generate | refine, later=refine & ~generate)
            state.paint(picture, self.painted(state, view, generate | refine))

    def trimap(self, state: Painting, view: int) -> tuple[Bool[Tensor, "1 1 H W"], Bool[Tensor, "1 1 H W"]]:
        """Pixels of a view to generate, and to refine; all others are kept."""
        known, cosine = state.seen([view])[1], state.cosines([view])
        generate = grown(known <= FAINT, self.grow)
        refine = (known > FAINT) & (cosine > known + self.better)
        return generate, grown(shrunk(refine, 5 / SIDE), 5 / SIDE)

    def painted(self, state: Painting, view: int, update: Bool[Tensor, "1 1 H W"]) -> Bool[Tensor, "1 1 H W"]:
        """Pixels of a view that are painted: the updated ones and a margin, but none at a clearly worse angle."""
        known, cosine = state.seen([view])[1], state.cosines([view])
        side = odd(21 / SIDE * update.shape[-1])
        smooth = F.avg_pool2d(grown(update, 25 / SIDE).float(), side, 1, side // 2, count_include_pad=False) >= 0.5
        return (smooth & ~(cosine + self.better < known)) | (known <= FAINT)

    def opened(self, state: Painting, level: Level) -> Tensor:
        """The mask of a step."""
        done = level.index / level.total
        if state.views != [0] and self.free_begin <= done < self.free_end:
            return torch.ones_like(state.mask)
        return state.soft if done < self.chequered else state.mask
