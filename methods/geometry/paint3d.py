"""Paint3D, its coarse stage: two views side by side in one picture, front and back first; who paints first, stays.

Zeng, Chen, Qi, Liu, Zhao, Wang, Fu, Liu, Yu, CVPR 2024, arXiv 2312.13913; upstream code read (Apache-2.0, commit
d5545d3), nothing copied. Views of a pair are the two halves of one picture, so that the network's own attention makes
them alike. The first pair is the front and the back; later pairs stand on either side of the front. What earlier pairs
painted is kept; a pixel is painted where its angle is at most 68 degrees and no view painted before.

Upstream fills what is new in later pairs by an inpainting ControlNet beside that of depth; here what is known is noised
and pasted before every step. Upstream has three pairs, never generates the two sides and sees the object from above and
below (`rig=paint3d`); here pairs are those of the item's views, the ones from above and below last. Left out: the
second stage, which refines the texture in its own plane by networks that were trained for that (position-guided
inpainting and upscaling); a smaller guidance in later pairs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import cos, radians
from typing import ClassVar

import torch
from torch import Tensor

from ...bench.limits import Share
from ...bench.models.parts.schedule import Level
from ...bench.sampling.loop import Reported, Setting, Step
from ...bench.types import Item
from .._tiling import tiled
from ._painting import FAINT, Painter, Painting, grown
from ._ring import ring

ANGLE = cos(radians(68))
"""Upstream's."""


@dataclass(frozen=True, kw_only=True)
class Paint3d(Painter):
    """Pairs of views, drawn as one picture."""

    version: ClassVar[int] = 1
    paper: ClassVar[str] = "2312.13913"
    licence: ClassVar[str] = "Apache-2.0"
    reported: ClassVar[tuple[Reported, ...]] = (
        {
            "metric": "FID",
            "value": "41.84 (with both parts of the second stage 27.28)",
            "setting": "301 meshes, Stable Diffusion 1.5 with depth",
            "source": "Paint3D, ablation",
        },
    )

    grazing: Share = ANGLE
    """Smallest cosine of the viewing angle at which a pixel is painted for good."""
    grow: Share = 10 / 512
    """Side of the square by which what is drawn is dilated, as a share of a view's."""

    def levels(self, state: Painting, setting: Setting) -> Iterator[Level]:
        """All steps of one pair after the other."""
        for pair in paired(setting.item, state.canvas.views):
            new = state.seen(pair)[1] <= FAINT
            pictures = yield from self.drawing(state, setting, pair, grown(new, self.grow))
            state.paint(pictures, new)

    def predict(self, state: Painting, x: Tensor, s: Step) -> tuple[Tensor, Tensor]:
        """Clean latents and noise of a pair, predicted as the halves of one picture."""
        rows = s.condition.rows(torch.tensor(state.views))
        return tiled(s.model, x, s.level, rows, torch.arange(len(x)), (1, len(x)))


def paired(item: Item, views: int) -> list[list[int]]:
    """Pairs of an item's views: those around the object as in `pairs`, then of the others every two, as numbered."""
    around, others = ring(item, views)
    found = [[around[place] for place in pair] for pair in pairs(len(around))]
    return [*found, *(others[k : k + 2] for k in range(0, len(others), 2))]


def pairs(views: int) -> list[list[int]]:
    """Pairs of views on a ring: the first and its opposite, then those on either side of the first, outwards.

    >>> pairs(8), pairs(5), pairs(1)
    ([[0, 4], [1, 7], [2, 6], [3, 5]], [[0, 2], [1, 4], [3]], [[0]])
    """
    if views == 1:
        return [[0]]
    back = views // 2
    found, done = [[0, back]], {0, back}
    for view in range(1, views):
        pair = sorted({view, views - view} - done)
        done.update(pair)
        found += [pair] if pair else []
    return found
