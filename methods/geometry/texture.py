"""TEXTure: views are painted one after the other, each with regions to keep, to refine and to generate.

Richardson, Metzer, Alaluf, Giryes, Cohen-Or, SIGGRAPH 2023, arXiv 2302.01721; upstream code read (MIT, commit 81e539f),
nothing copied. In each view, what was not painted yet is generated, what was painted at a clearly worse angle is
refined, and the rest is kept: its noised latents are pasted into the sample before every step. In the first half of the
steps what is refined is drawn in every second latent cell only, so that it follows what is there.

Upstream's texture is fitted to the picture by Adam, 200 steps of squared error; here the minimum is written down: each
texel has the mean of the pixels that see it. Lengths of masks are upstream's at 1200 px, as shares of a view. Upstream
draws steps 11 to 19 of 50, from the second view on, with an inpainting checkpoint that reads the picture so far, and
pastes nothing then; `inpainter` names one whose latents are the model's, and without it these steps are as the others.
Left out: cropping to the object's box. Views are the item's: those around the object to both sides of the first in
turn, then those from above and below; upstream has ten (`rig=texture`).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from jaxtyping import Bool
from torch import Tensor
from torch.nn import functional as F

from ...bench.limits import Share
from ...bench.models.interface import Condition
from ...bench.models.parts.schedule import Level
from ...bench.sampling.loop import Reported, Setting, Step
from ...bench.types import Item
from ._painting import FAINT, Painter, Painting, alternating, completed, grown, odd, shrunk
from ._ring import ring
from ._second import SECOND, inpainting, revision_of

SIDE = 1200
"""Side of upstream's renders in pixels, by which its masks are measured."""


@dataclass
class _Inpainted(Painting):
    """A surface that two networks paint."""

    prompts: tuple[str, ...] = ()
    second: Any = None
    """The inpainting checkpoint."""
    told: Condition | None = None
    """What it was told of the views `asked`."""
    asked: list[int] = field(default_factory=list[int])


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
    presets: ClassVar[dict[str, dict[str, Any]]] = {"inpainting": {"inpainter": SECOND}}

    better: Share = 0.2
    """A painted pixel is refined where its viewing angle's cosine is larger by this than when it was painted."""
    chequered: Share = 0.5
    """Leading fraction of the steps in which what is refined is drawn in every second cell."""
    inpainter: str = ""
    """Folder or hub id of an inpainting checkpoint for some of the steps; empty: none."""
    inpainting_begin: Share = 0.22
    inpainting_end: Share = 0.4
    """Begin and end of these steps, as fractions of all."""
    grow: Share = 19 / SIDE
    """Side of the square by which what is generated is dilated, as a share of a view's."""

    def loads(self) -> dict[str, str]:
        """The fingerprint of the inpainting checkpoint, where there is one on this machine."""
        return {"inpainter_weights": revision} if (revision := self._revision) else {}

    def lacks(self, item: Item) -> str | None:
        """A reason where the inpainting checkpoint is missing, or as for directions."""
        if self.inpainter and not self._revision:
            return f"its inpainting checkpoint is not on this machine: `syncbench fetch {self.inpainter}` brings it"
        return super().lacks(item)

    @property
    def _revision(self) -> str:
        return revision_of(self.inpainter, "inpainting checkpoint")

    def prepare(self, setting: Setting) -> Painting:
        """A surface without colours; and the inpainting checkpoint, if one is named."""
        state = super().prepare(setting)
        if not self.inpainter:
            return state
        second = inpainting(self.inpainter, setting.model)
        return _Inpainted(**vars(state), prompts=self.prompts(setting.item, setting.canvas.views), second=second)

    def levels(self, state: Painting, setting: Setting) -> Iterator[Level]:
        """All steps of one view after the other; after each, its pixels are painted."""
        views = state.canvas.views
        for view in range(views) if setting.item.surface.picture else order(setting.item, views):
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
        if self.inpaints(state, level):
            return torch.ones_like(state.mask)
        return state.soft if level.index / level.total < self.chequered else state.mask

    def inpaints(self, state: Painting, level: Level) -> bool:
        """Whether a step is the inpainting checkpoint's."""
        inside = self.inpainting_begin <= level.index / level.total < self.inpainting_end
        return isinstance(state, _Inpainted) and state.views != [0] and inside

    def predict(self, state: Painting, x: Tensor, s: Step) -> tuple[Tensor, Tensor]:
        """Clean latents and noise of the present view, by the model or by the inpainting checkpoint."""
        if not (isinstance(state, _Inpainted) and self.inpaints(state, s.level)):
            return super().predict(state, x, s)
        if state.asked != state.views:
            pictures, known = state.seen(state.views)
            mask = F.interpolate(state.mask, pictures.shape[-2:])
            given = {"image": completed(pictures, known > 0), "mask": mask}
            words = [state.prompts[view] for view in state.views]
            state.told = state.second.condition(words, s.sampling.guidance, s.sampling.negative, **given)
            state.asked = list(state.views)
        assert state.told is not None
        return state.second.predict(x, s.level, state.told)


def order(item: Item, views: int) -> list[int]:
    """Numbers of the views as they are painted: around the object to both sides of the first in turn, then others."""
    around, others = ring(item, views)
    return [*(around[place] for place in alternating(len(around))), *others]
