"""Base of methods that paint a surface view after view: what is there already is kept while the next view is drawn.

They run on the shared loop, whose steps are all steps of the first views, then all of the next. Colours lie in cells
of pixels. A cell of a texture that no pixel of a view met, though pixels met cells beside it, has the mean of those:
one pixel a cell, rounded to the nearest, leaves a third of the cells of a surface unmet. What is seen at a grazing
angle, or so near the object's outline that its latent cell may hold background, is painted for want of better, and any
later view counts it as not painted.
"""

from abc import abstractmethod
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from ...bench.canvas import Canvas
from ...bench.limits import Share
from ...bench.models.interface import Model
from ...bench.models.parts.schedule import Level
from ...bench.sampling.loop import Setting, Step, canvas_artifact, pixel_canvas
from ...bench.types import Artifact, Item
from ._buffers import buffers_of, outlines, spread_out, texture_of
from ._directions import Directed

FAINT = 2.0**-10
"""The weight of what is painted for want of better; exact in every precision, because weights are compared with it."""


@dataclass
class Painting:
    """A surface in the course of being painted, and the views that are drawn at present."""

    canvas: Canvas
    """The canvas of pixels."""
    grid: tuple[int, int] | None
    """Height and width of the texture in cells, which are the canvas's first; None where every cell is met."""
    colours: Float[Tensor, "3 cells"]
    best: Float[Tensor, " cells"]
    """The weight with which each cell was painted; FAINT: for want of better; 0: not painted."""
    sure: Bool[Tensor, "views 1 H W"]
    """Pixels that are painted for good."""
    top: Float[Tensor, " cells"]
    """The largest weight with which any view sees each cell or, in a texture, one of those around it."""
    noise: Float[Tensor, "views c h w"]
    """The noise that each view starts from."""
    views: list[int] = field(default_factory=list[int])
    """Numbers of the views that are drawn at present."""
    x: Tensor = field(default_factory=lambda: torch.empty(0))
    """Their latents (k, c, h, w)."""
    given: Tensor = field(default_factory=lambda: torch.empty(0))
    """Clean latents (k, c, h, w) of the picture before they are drawn."""
    mask: Tensor = field(default_factory=lambda: torch.empty(0))
    """1 in the cells (k, 1, h, w) that are drawn anew, 0 where `given` stays."""
    soft: Tensor = field(default_factory=lambda: torch.empty(0))
    """As `mask`, for the first steps of methods that draw some cells later."""

    def filled(self) -> tuple[Float[Tensor, "3 cells"], Float[Tensor, " cells"]]:
        """Colours and weights, with those of cells that were not met from the cells around them."""
        if self.grid is None:
            return self.colours, self.best
        high, wide = self.grid
        colours, best = self.colours.clone(), self.best.clone()
        texels = high * wide
        weight = best[:texels].reshape(1, 1, high, wide)
        around = F.avg_pool2d(torch.cat([colours[:, :texels].reshape(1, 3, high, wide) * weight, weight], 1), 3, 1, 1)
        unmet = (weight == 0) & (around[:, 3:] > 0)
        at = unmet.flatten().nonzero()[:, 0]
        mean = around[0, :3] / around[0, 3:].clamp(min=1e-9)
        colours[:, at] = mean.flatten(1)[:, at]
        best[at] = F.max_pool2d(weight, 3, 1, 1).flatten()[at]
        return colours, best

    def seen(self, views: Sequence[int]) -> tuple[Float[Tensor, "k 3 H W"], Float[Tensor, "k 1 H W"]]:
        """Pictures of some views, and the weights with which their pixels were painted; 0: not painted."""
        colours, best = self.filled()
        index = self.canvas.index[list(views)]
        known = torch.where(index >= 0, best[index.clamp(min=0)], 0)[:, None]
        pictures = colours[:, index.clamp(min=0)].transpose(0, 1)
        return pictures, known

    def cosines(self, views: Sequence[int]) -> Float[Tensor, "k 1 H W"]:
        """The weights of the views' pixels: on a mesh the cosine of the viewing angle."""
        return self.canvas.weight[list(views)][:, None].to(self.best)

    def paint(self, pictures: Float[Tensor, "k 3 H W"], where: Bool[Tensor, "k 1 H W"]) -> None:
        """Write the pixels of the present views chosen by `where`; where several meet a cell, their mean.

        What is painted for want of better never replaces what is painted for good.
        """
        for view, picture, chosen in zip(self.views, pictures, where[:, 0], strict=True):
            index, sure = self.canvas.index[view], self.sure[view, 0]
            weak = chosen & ~sure & (index >= 0)
            weak = weak & (self.best[index.clamp(min=0)] <= FAINT)
            self._write(picture, index, weak, torch.full_like(self.canvas.weight[view], FAINT))
            self._write(picture, index, chosen & sure & (index >= 0), self.canvas.weight[view])

    def _write(self, picture: Tensor, index: Tensor, pixels: Tensor, weights: Tensor) -> None:
        cells, at = index[pixels].unique(return_inverse=True)
        count = self.best.new_zeros(len(cells)).index_add_(0, at, torch.ones_like(at, dtype=self.best.dtype))
        total = self.colours.new_zeros(3, len(cells)).index_add_(1, at, picture[:, pixels].to(self.colours))
        self.colours[:, cells] = total / count
        self.best[cells] = self.best.new_zeros(len(cells)).scatter_reduce_(0, at, weights[pixels].to(self.best), "amax")


@dataclass(frozen=True, kw_only=True)
class Painter(Directed):
    """Draws some views at a time and paints the surface with them; the state is a `Painting`."""

    version: ClassVar[int] = 1
    grazing: Share = 0.1
    """Smallest cosine of the viewing angle at which a pixel is painted for good."""
    fixed_noise: bool = True
    """Whether all views start from the same noise, as with a fixed seed, or from one noise on the surface."""

    def prepare(self, setting: Setting) -> Painting:
        """A surface without colours."""
        canvas = pixel_canvas(setting.item, setting.canvas, setting.model)
        noise = setting.canvas.look(setting.noise())
        noise = noise[:1].expand_as(noise) if self.fixed_noise else noise
        blank = torch.zeros(4, canvas.cells, dtype=setting.model.dtype, device=setting.model.device)
        grid = texture_of(setting.item)
        sure = (canvas.weight > self.grazing)[:, None]
        buffers = buffers_of(setting.item)
        if buffers is not None:
            edges = grown(outlines(buffers), (setting.model.factor + 1) / buffers.depth.shape[-1])
            sure = (sure & ~edges.to(sure.device)) | ~buffers.visible[:, None].to(sure.device)
        top = torch.zeros(canvas.cells, dtype=canvas.weight.dtype, device=canvas.weight.device)
        top.scatter_reduce_(0, canvas.index.clamp(min=0).flatten(), canvas.weight.flatten(), "amax")
        if grid is not None:
            texels = grid[0] * grid[1]
            top[:texels] = F.max_pool2d(top[:texels].reshape(1, 1, *grid), 3, 1, 1).flatten()
        return Painting(canvas, grid, blank[:3], blank[3], sure, top.to(blank), noise)

    @abstractmethod
    def levels(self, state: Painting, setting: Setting) -> Iterable[Level]:
        """The steps of one group of views after the other; see `drawing`."""

    def drawing(
        self,
        state: Painting,
        setting: Setting,
        views: Sequence[int],
        mask: Bool[Tensor, "k 1 H W"],
        first: int = 0,
        later: Bool[Tensor, "k 1 H W"] | None = None,
    ) -> Generator[Level, None, Tensor]:
        """The steps from number `first` in which the pixels `mask` of some views are drawn; returns their pictures.

        Outside the mask they stay as they are on the surface. Pixels in `later` are drawn in every second cell at
        first, in a chequered pattern, for as long as `soft` is used.
        """
        state.views = list(views)
        noise, levels = state.noise[state.views], [*setting.schedule]
        levels = levels[first:] or levels[-1:]  # a rehearsal may list a few of all
        size = noise.shape[-2:]
        state.mask = state.soft = F.adaptive_max_pool2d(mask.to(noise), size)
        pictures, known = state.seen(views)
        if bool(mask.all()) and first == 0:
            state.given = torch.zeros_like(noise)  # of which nothing is used
        else:
            state.given = setting.model.encode(completed(pictures, known > 0))
        if later is not None:
            chequered = (torch.arange(size[0])[:, None] + torch.arange(size[1])) % 2
            only = F.adaptive_max_pool2d((mask & ~later).to(noise), size) == 0
            state.soft = torch.where(only, state.mask * chequered.to(noise), state.mask)
        state.x = noise if first == 0 else levels[0].a * state.given + levels[0].b * noise
        yield from levels
        return setting.model.decode(state.x)

    def opened(self, state: Painting, level: Level) -> Tensor:
        """The mask (k, 1, h, w) of a step: where the present views are drawn, not kept. Default: that of the views."""
        return state.mask

    def look(self, state: Painting, s: Step) -> Tensor:
        """The present views, with the picture as it was, noised, outside their mask."""
        kept = s.level.a * state.given + s.level.b * state.noise[state.views]
        state.x = torch.where(self.opened(state, s.level) > 0.5, state.x, kept)
        return state.x

    def predict(self, state: Painting, x: Tensor, s: Step) -> tuple[Tensor, Tensor]:
        """Clean latents and noise of the present views."""
        rows = torch.tensor(state.views)
        return s.model.predict(x, s.level, s.condition.rows(rows))

    def step(self, state: Painting, x: Tensor, s: Step) -> Painting:
        """The present views at the next noise level."""
        state.x = s.level.move(s.x0, s.eps, s.sampling.eta, lambda: s.canvas.look(s.noise())[state.views])
        return state

    def spread(self, state: Painting, s: Step) -> None:
        """None: views are drawn one after the other, so that no two predictions are of the same step."""
        return

    def finish(self, state: Painting, item: Item, canvas: Canvas, model: Model) -> Artifact:
        """The views of the painted surface."""
        state.colours = spread_out(state.colours, state.best > FAINT, state.canvas, item)
        pictures, known = state.seen(range(state.canvas.views))
        pictures = completed(pictures, known > 0).clamp(0, 1).float()
        if item.surface.picture:
            return canvas_artifact(state.canvas.paint(pictures), item)
        return Artifact(views=pictures.cpu())


def completed(pictures: Float[Tensor, "k 3 H W"], known: Bool[Tensor, "k 1 H W"]) -> Float[Tensor, "k 3 H W"]:
    """Pictures whose unknown pixels have the mean of the known ones; mid-grey where none is known."""
    weight = known.to(pictures)
    total = weight.sum((1, 2, 3), keepdim=True)
    mean = (pictures * weight).sum((2, 3), keepdim=True) / total.clamp(min=1)
    return torch.where(known, pictures, torch.where(total > 0, mean, 0.5))


def alternating(views: int) -> list[int]:
    """Numbers of views on a ring, from the first to both sides in turn.

    >>> alternating(6)
    [0, 1, 5, 2, 4, 3]
    """
    return sorted(range(views), key=lambda i: (min(i, views - i), i))


def grown(mask: Bool[Tensor, "k 1 H W"], share: float) -> Bool[Tensor, "k 1 H W"]:
    """A mask dilated by a square whose side is `share` of the picture's, rounded to an odd number of pixels."""
    side = odd(share * mask.shape[-1])
    return F.max_pool2d(mask.float(), side, 1, side // 2) > 0.5


def shrunk(mask: Bool[Tensor, "k 1 H W"], share: float) -> Bool[Tensor, "k 1 H W"]:
    """A mask eroded by a square, the counterpart of `grown`."""
    return ~grown(~mask, share)


def odd(pixels: float) -> int:
    """The odd number of pixels nearest to a length, at least 1."""
    return 2 * max(0, round((pixels - 1) / 2)) + 1
