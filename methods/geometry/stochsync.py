"""StochSync: sets of views in turn are noised afresh, denoised to the end, and replace the surface's colours.

Yeo, Kim, Sung, ICLR 2025, arXiv 2501.15445; upstream code read (MIT, commit 253e8e8), nothing copied. An outer step
takes one of several sets of views that hardly overlap, renders them from the surface, encodes them, adds fresh noise of
the step's level (the whole of it, as score distillation does), denoises by the deterministic sampler down to a clean
picture, decodes, and writes the pixels to the surface, whose cells have their mean with weights cos^6. Levels fall from
0.9 of the schedule to 0.27; the first two steps begin with noise alone. In the last two the level is doubled and a
view's pixels are mixed with the surface's by a mask that fades towards where the view ends, which removes seams.

Sets alternate, of every `sets`-th view; upstream's panoramas have two sets of five views (preset `paper`), its mesh
runs four of four (preset `mesh`, on 16 views).
The denoiser takes those steps of the protocol's schedule that lie below the outer step's level, upstream as many in
each (25). The number of outer steps is the protocol's unless `outer` says another (upstream 25).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Interval
from jaxtyping import Float
from torch import Tensor

from ...bench.canvas import Canvas
from ...bench.limits import Count, Fraction, Share
from ...bench.models.interface import Model
from ...bench.models.parts.schedule import Level
from ...bench.sampling.loop import Setting, Step, canvas_artifact, pixel_canvas
from ...bench.types import Artifact, Item
from ._buffers import Colouring
from ._directions import Directed
from ._painting import completed

POWER = 6.0
"""Exponent of the weights where views of a set overlap."""


@dataclass
class _Coloured:
    """A surface's colours, and the views that are denoised at present."""

    colouring: Colouring
    colours: Float[Tensor, "3 cells"]
    mass: Float[Tensor, " cells"]
    """0 where no view has coloured the surface yet."""
    views: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.long))
    """Numbers (k,) of the views of the present set."""
    x: Tensor = field(default_factory=lambda: torch.empty(0))
    """Their latents (k, c, h, w)."""


@dataclass(frozen=True, kw_only=True)
class StochSync(Directed):
    """Fresh noise, a whole denoising, colours replaced; one set of views after the other."""

    version: ClassVar[int] = 1
    paper: ClassVar[str] = "2501.15445"
    licence: ClassVar[str] = "MIT"
    presets: ClassVar[dict[str, dict[str, Any]]] = {"paper": {"outer": 25}, "mesh": {"outer": 25, "sets": 4}}

    stride: Fraction | None = 0.5
    """Step between windows of a strip as a fraction of a window: with two sets, those of a set do not overlap."""
    outer: Count | None = None
    """Number of outer steps; None: as many as the protocol has denoising steps."""
    sets: Annotated[int, Interval(ge=1, le=16)] = 2
    """Number of sets that take turns."""
    highest: Share = 0.9
    lowest: Share = 0.27
    """Levels of the third and of the last outer step, as fractions of the schedule's largest time."""
    soft: Annotated[int, Interval(ge=0, le=100)] = 2
    """Number of the last outer steps with faded masks and doubled levels."""

    def prepare(self, setting: Setting) -> _Coloured:
        """A surface without colours."""
        canvas = pixel_canvas(setting.item, setting.canvas, setting.model)
        blank = torch.zeros(4, canvas.cells, dtype=setting.model.dtype, device=setting.model.device)
        return _Coloured(Colouring.of(setting.item, canvas), blank[:3], blank[3])

    def levels(self, state: _Coloured, setting: Setting) -> Iterator[Level]:
        """The denoiser's steps of each outer step."""
        model, levels = setting.model, [*setting.schedule]
        outer, total = self.outer or len(levels), setting.canvas.views
        for step in range(outer):
            state.views = torch.arange(step % min(self.sets, total), total, self.sets)
            own = state.colouring.views(state.views)
            taken = levels[begin(levels, self.time(step, outer)) :]
            noise = setting.canvas.look(setting.noise())[state.views]
            if step < 2:
                state.x = noise
            else:
                seen = completed(*own.look(state.colours, state.mass))
                state.x = taken[0].a * model.encode(seen) + taken[0].b * noise
            yield from taken
            soft = step >= max(2, outer - self.soft)
            replace(state, own, model.decode(state.x), soft)

    def time(self, step: int, outer: int) -> float:
        """The level of an outer step as a fraction of the largest time."""
        if step < 2:
            return 1.0
        done = (step - 2) / max(outer - 3, 1)
        time = self.highest + done * (self.lowest - self.highest)
        return min(2 * time, 1.0) if step >= outer - self.soft else time

    def look(self, state: _Coloured, s: Step) -> Tensor:
        """The views (k, c, h, w) of the present set."""
        return state.x

    def predict(self, state: _Coloured, x: Tensor, s: Step) -> tuple[Tensor, Tensor]:
        """Clean latents and noise of these views."""
        return s.model.predict(x, s.level, s.condition.rows(state.views))

    def step(self, state: _Coloured, x: Tensor, s: Step) -> _Coloured:
        """These views at the next noise level, by the deterministic sampler whatever the protocol says."""
        state.x = s.level.move(s.x0, s.eps)
        return state

    def spread(self, state: _Coloured, s: Step) -> None:
        """None: views of one set hardly overlap, and sets are denoised one after the other."""
        return

    def finish(self, state: _Coloured, item: Item, canvas: Canvas, model: Model) -> Artifact:
        """The views of the coloured surface."""
        if item.surface.picture:
            return canvas_artifact(state.colours.clamp(0, 1).unflatten(1, item.surface.canvas().shape), item)
        pictures = completed(*state.colouring.look(state.colours, state.mass))
        return Artifact(views=pictures.clamp(0, 1).float().cpu())


def begin(levels: list[Level], time: float) -> int:
    """Number of the first step at or below a fraction of the largest time; the last step at the latest."""
    found = [number for number, level in enumerate(levels) if level.t <= time * levels[0].t + 1e-9]
    return found[0] if found else len(levels) - 1


def replace(state: _Coloured, own: Colouring, pictures: Float[Tensor, "k 3 H W"], soft: bool) -> None:
    """Give the surface the colours of a set's pictures.

    `soft`: mixed with what was there; a pixel's part is its nearness to the view's middle column, times its weight.
    """
    painted, mass = own.paint(pictures.to(state.colours), POWER)
    wide = pictures.shape[3]
    fade = 1 - (torch.arange(wide, device=mass.device) + 0.5 - wide / 2).abs() * 2 / wide
    part = own.paint((fade * own.weight.to(fade)).clamp(0, 1)[:, None].to(painted), POWER)[0]
    part = part if soft else torch.ones_like(part)
    part = torch.where(state.mass > 0, part, 1.0)  # nothing to mix with
    state.colours = torch.where(mass > 0, torch.lerp(state.colours, painted, part), state.colours)
    state.mass = state.mass + mass
