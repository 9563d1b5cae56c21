"""Text2Tex: views are painted one after the other where nothing is yet, then again where another view sees better.

Chen, Siddiqui, Lee, Tulyakov, Niessner, ICCV 2023, arXiv 2303.11396; upstream code read (CC BY-NC-SA 3.0, commit
8524249), nothing copied. In the first stage each view draws what was not painted (new), keeps the rest by pasting its
noised latents before every step, and then redraws from `strength` of the steps on what it sees at the best angle of all
views (update), if that is more than a twentieth of what it sees of the object. In the second stage the view with most
to improve is redrawn, over and over: a view's heat is the mean of 1 for a new pixel, 0.5 for one to update and 0.1 for
one to keep, and a view that was chosen has its heat divided by 100.

The defaults are those of upstream's README; `release` has the options' own defaults. Upstream chooses among 36
candidates beside its ten first views; here candidates are the item's views. Left out: the inpainting of holes in the
texture, which no view sees, and views that the method chooses freely.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Interval
from jaxtyping import Bool
from torch import Tensor

from ...bench.limits import Fraction, Share
from ...bench.models.parts.schedule import Level
from ...bench.sampling.loop import Reported, Setting
from ._painting import FAINT, Painter, Painting, grown

NEW, UPDATE, KEEP = 1.0, 0.5, 0.1
"""Heat of a pixel."""
CHOSEN = 0.01
"""Factor of a view's heat after it was chosen."""
SAME = 0.02
"""Difference of cosines below which two angles are equally good."""


@dataclass(frozen=True, kw_only=True)
class Text2Tex(Painter):
    """Generate, then refine, with masks by the quality of the view."""

    version: ClassVar[int] = 1
    paper: ClassVar[str] = "2303.11396"
    licence: ClassVar[str] = "CC BY-NC-SA 3.0"
    reported: ClassVar[tuple[Reported, ...]] = (
        {
            "metric": "FID, KID x1000",
            "value": "38.93, 7.94 (TEXTure 43.13, 11.13)",
            "setting": "Paint3D's meshes",
            "source": "Paint3D, table of textures from text",
        },
    )
    presets: ClassVar[dict[str, dict[str, Any]]] = {"release": {"strength": 0.5, "updates": 8}}

    strength: Fraction = 0.3
    """Share of the steps, the last ones, in which what is updated is redrawn."""
    updates: Annotated[int, Interval(ge=0, le=200)] = 20
    """Views that are redrawn in the second stage; fewer where nothing is left to improve."""
    least: Share = 0.05
    """Smallest share of a view's object that is updated in the first stage."""
    grow: Share = 9 / 768
    """Side of the square by which what is new is dilated while it is drawn, as a share of a view's."""

    def levels(self, state: Painting, setting: Setting) -> Iterator[Level]:
        """All steps of each view in turn, its update, then the steps of the views that are refined."""
        total = len(setting.schedule)
        late = total - max(1, round(self.strength * total))
        for view in range(state.canvas.views):
            new, update = self.regions(state, view)
            picture = yield from self.drawing(state, setting, [view], grown(new, self.grow))
            state.paint(picture, new)
            if float(update.sum()) > self.least * float(self.of_object(state, view).sum()):
                picture = yield from self.drawing(state, setting, [view], update, late)
                state.paint(picture, update)
        penalty = torch.ones(state.canvas.views)
        for _ in range(self.updates):
            heat = torch.tensor([self.heat(state, view) for view in range(state.canvas.views)]) * penalty
            if float(heat.max()) <= 0:
                return
            view = int(heat.argmax())
            penalty[view] *= CHOSEN
            new, update = self.regions(state, view)
            picture = yield from self.drawing(state, setting, [view], new | update, late)
            state.paint(picture, new | update)

    def regions(self, state: Painting, view: int) -> tuple[Bool[Tensor, "1 1 H W"], Bool[Tensor, "1 1 H W"]]:
        """Pixels of a view that are new, and those that it sees better than any other, though one painted them."""
        known, cosine = state.seen([view])[1], state.cosines([view])
        new = known <= FAINT
        best = state.top[state.canvas.index[view].clamp(min=0)][None, None]
        return new, ~new & (cosine > known + SAME) & (cosine > best - SAME)

    def heat(self, state: Painting, view: int) -> float:
        """How much there is to improve in a view; 0 where nothing is new or to be updated."""
        new, update = self.regions(state, view)
        inside = self.of_object(state, view)
        new, update = new & inside & state.sure[[view]], update & inside
        fresh, better = float(new.sum()), float(update.sum())
        if fresh + better == 0:
            return 0.0
        pixels = float(inside.sum())
        return (NEW * fresh + UPDATE * better + KEEP * (pixels - fresh - better)) / pixels

    def of_object(self, state: Painting, view: int) -> Bool[Tensor, "1 1 H W"]:
        """Pixels of the view that show the object."""
        index = state.canvas.index[view][None, None]
        return index >= 0 if state.grid is None else index < state.grid[0] * state.grid[1]
