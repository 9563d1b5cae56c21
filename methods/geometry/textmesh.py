"""TextMesh: four sides of a mesh as tiles of one picture that follows their depth, then baked into its texture.

Tsalicoglou, Manhardt, Tonioni, Niemeyer, Tombari, 3DV 2024, arXiv 2304.12439, section 3.3; no code was published.
Written from the paper: depth-conditioned Stable Diffusion makes the 2 x 2 picture at once, so that its sides agree in
style, and the texture takes its colours from them. Left out: the first stage, which makes the mesh, and its texture, of
which the paper's pictures start (here they start from noise); the score distillation that paints what the four sides do
not see. In its place the other views, if the item has any, are tiles of further pictures.
"""

from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Interval
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from ...bench.canvas import Canvas
from ...bench.limits import Scale
from ...bench.models.interface import Model
from ...bench.sampling.loop import Setting, Step, pixel_canvas, views_artifact
from ...bench.types import Anchor, Artifact, Item
from .._tiling import filled, tiled
from ..independent import Independent
from ._ring import ring


@dataclass(frozen=True)
class _Tiled:
    """The views, and their order in the pictures."""

    x: Float[Tensor, "views c h w"]
    order: Int[Tensor, " views"]


@dataclass(frozen=True, kw_only=True)
class TextMesh(Independent):
    """Views of four sides are made in one picture, and painted on the surface that all views look at.

    Baked views agree by construction; the preset `unbaked` leaves them as they were made.
    """

    version: ClassVar[int] = 1
    anchor: ClassVar[Anchor | None] = None
    paper: ClassVar[str] = "2304.12439"
    presets: ClassVar[dict[str, dict[str, Any]]] = {"unbaked": {"bake": False}}
    requires: ClassVar[tuple[str, ...]] = ("depth",)

    side: Annotated[int, Interval(ge=1, le=8)] = 2
    """Tiles along a side of a picture."""
    bake: bool = True
    """Whether the finished views are painted on the surface and looked up there again."""
    power: Scale = 4.0
    """Exponent of the surface's weights, cosines of the viewing angle on a mesh, in the painting."""

    def order(self, item: Item, views: int) -> Tensor:
        """Numbers of the views: those of the first picture, evenly spaced around the object, then the others."""
        around, _ = ring(item, views)
        count = min(len(around), self.side**2)
        first = [around[place * len(around) // count] for place in range(count)]
        return torch.tensor([*first, *(view for view in range(views) if view not in first)])

    def prepare(self, setting: Setting) -> _Tiled:
        """The noise of each view, and its place in the pictures."""
        order = self.order(setting.item, setting.canvas.views)
        return _Tiled(self.start(setting.noise, setting.canvas), order)

    def look(self, state: _Tiled, s: Step) -> Tensor:
        """The views."""
        return state.x

    def predict(self, state: _Tiled, x: Tensor, s: Step) -> tuple[Tensor, Tensor]:
        """Clean views and noise, predicted as tiles of pictures."""
        order = filled(state.order, self.side**2)
        return tiled(s.model, x, s.level, s.condition, order, (self.side, self.side))

    def step(self, state: _Tiled, x: Tensor, s: Step) -> _Tiled:  # type: ignore[override]
        """The views at the next noise level, each from its own prediction."""
        return replace(state, x=super().step(state.x, x, s))

    def finish(self, state: _Tiled, item: Item, canvas: Canvas, model: Model) -> Artifact:
        """The views as an artifact, looked up in the texture where they see the surface."""
        views = model.decode(state.x)
        if self.bake:
            views = self.baked(views, pixel_canvas(item, canvas, model), state.order)
        return views_artifact(views, item, canvas, model.factor)

    def baked(
        self, views: Float[Tensor, "views 3 h w"], pixels: Canvas, order: Int[Tensor, " views"]
    ) -> Float[Tensor, "views 3 h w"]:
        """The views of a surface that has the colours of the first picture and, where it sees nothing, of the others.

        What no view paints, the background, stays.
        """
        first = min(len(views), self.side**2)
        found = views
        for some in (order[first:], order[:first]):
            if len(some):
                part = replace(pixels, index=pixels.index[some], weight=pixels.weight[some] ** self.power)
                known = pixels.look((part.mass > 0).reshape(1, *pixels.shape).to(views))
                found = laid_over(pixels.look(part.paint(views[some])), known, found)
        return torch.where((pixels.index >= 0)[:, None], found, views)


def laid_over(
    top: Float[Tensor, "n 3 h w"], known: Float[Tensor, "n 1 h w"], below: Float[Tensor, "n 3 h w"]
) -> Float[Tensor, "n 3 h w"]:
    """The pictures `top` where they are known (1, else 0), and `below` elsewhere.

    Cells of a surface that fall between the pixels of all painting views are holes, no places that nobody saw: a pixel
    most of whose neighbours, 5 x 5, are known has their mean.
    """
    share = functional.avg_pool2d(known, 5, 1, 2)
    mean = functional.avg_pool2d(top * known, 5, 1, 2) / share.clamp(min=1e-6)
    return torch.where(known > 0.5, top, torch.where(share > 0.5, mean, below))
