"""Fantasia3D, its appearance stage: score distillation of a field of colour and roughness on the given mesh.

Chen, Chen, Jiao, Jia, ICCV 2023, arXiv 2303.13873; upstream code read (Apache-2.0, commit 453aa09), nothing copied. A
field over the surface (hashed grids and a small network) gives diffuse colour and roughness, metal being 0 as in 22 of
upstream's 26 configurations; views are shaded, encoded and noised, and the field descends along the gradient of score
distillation (DreamFusion, arXiv 2209.14988): w(t) (eps of the model with guidance - the noise), through the encoder.

Here light is ambient and a sun, with Lambert's law and a GGX lobe for a far viewer (Walter et al., EGSR 2007), where
upstream renders an environment map by nvdiffrec; there is no rasteriser to differentiate, because the mesh stays. The
defaults are upstream's strategy 2, which its author recommends; batches are of one GPU. Views are the item's, without
jitter. Upstream's guidance is 50 to 100, and its negative prompt "shadow, oversaturated, low quality, unrealistic"
(`protocol`); with the guidance of samplers results stay blurred. Iterations are counted in steps of the protocol; the
preset `paper` has upstream's 2,000 for 50 steps, and its black background. Models of the reference world draw ground
and sky, so by default each view has a coarse background of its own that is distilled, too, in a quarter of the time.
Left out: the stage that makes the mesh, and normals that vary within a face.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import cos, pi, radians, sin
from typing import Annotated, Any, ClassVar, Literal

import torch
from annotated_types import Interval
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from ...bench.canvas import Canvas
from ...bench.limits import Positive, Share
from ...bench.models.interface import Model
from ...bench.models.parts.schedule import Level
from ...bench.sampling.loop import Setting, Step, canvas_artifact, pixel_canvas
from ...bench.surfaces.light import linear_to_srgb
from ...bench.types import Artifact, Item
from ._buffers import buffers_of
from ._directions import Directed
from ._field import Corners, Field

AMBIENT, SUN = 0.5, 0.62
"""Light of the sky, and of the sun at a right angle, as in the reference world."""
AZIMUTH, ELEVATION = radians(35), radians(50)
"""Where the sun stands, from the front of the object."""
COARSE = 8
"""Cells along a side of a view's background."""
FINE = 200
"""Levels among which iterations choose."""


@dataclass
class _Appearance:
    """A field on a surface, and the views that are distilled at present."""

    field: Field
    corners: list[Corners]
    """What the field needs to know of the points of each view, pixel by pixel that shows the surface."""
    shown: Float[Tensor, "views 1 H W"]
    """1 where a pixel shows the surface."""
    lit: Float[Tensor, "views 3 H W"]
    """Cosines between normal and sun, normal and half vector, and normal and viewer."""
    background: Float[Tensor, "views 3 h w"]
    """Values whose sigmoid is the colour behind the object."""
    descent: torch.optim.Optimizer
    views: Tensor
    """Numbers (k,) of the present views."""
    latents: Tensor
    """Their clean latents (k, c, h, w), with gradients to the field."""
    noise: Tensor
    """The noise that was added to them."""
    late: bool = False
    """Whether the second part of the iterations has begun."""


@dataclass(frozen=True, kw_only=True)
class Fantasia3d(Directed):
    """Score distillation of a PBR field."""

    version: ClassVar[int] = 1
    paper: ClassVar[str] = "2303.13873"
    licence: ClassVar[str] = "Apache-2.0"
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "paper": {"rounds": 40, "background": "black"},
        "strategy0": {"strategy": 0, "latest": 0.5},
        "strategy1": {"strategy": 1, "latest": 0.7},
    }

    rounds: Annotated[int, Interval(ge=1, le=1000)] = 10
    """Iterations for each denoising step of the protocol."""
    batch: Annotated[int, Interval(ge=1, le=64)] = 4
    """Views of an iteration."""
    rate: Positive = 0.01
    """Learning rate of AdamW."""
    strategy: Literal[0, 1, 2] = 2
    """Weight w: a b^2 (0), 1 / b^2 (1), or the one and later the other (2)."""
    switch: Share = 0.15
    """Share of the iterations after which the second part begins; 300 of 2,000."""
    earliest: Share = 0.02
    widest: Share = 0.98
    """Levels are drawn between these fractions of the schedule's largest time."""
    latest: Share = 0.98
    """Largest fraction in the second part."""
    background: Literal["learnt", "black"] = "learnt"
    """What is behind the object."""
    light: bool = True
    """Whether a mesh is shaded; without light its colours are the field's."""
    finest: Annotated[int, Interval(ge=16, le=65536)] = 4096
    """Cells along a side of the field's finest grid."""
    entries: Annotated[int, Interval(ge=10, le=22)] = 19
    """Largest number of corners that a grid keeps, as a power of 2."""

    def prepare(self, setting: Setting) -> _Appearance:
        """A field that is nearly the same everywhere."""
        item, device, dtype = setting.item, setting.model.device, setting.model.dtype
        canvas = pixel_canvas(item, setting.canvas, setting.model)
        points, shown, lit = (part.to(device, dtype) for part in geometry(item, canvas, self.light))
        spread = (4 * int(shown.sum()) - 1).bit_length()  # more corners than that are never read
        field = Field(4, self.finest, 2 ** min(self.entries, max(10, spread)), setting.noise)
        behind = torch.zeros(len(shown), 3, COARSE, COARSE, device=device, dtype=dtype)
        if self.background == "learnt" and bool((shown == 0).any()):
            behind.requires_grad_()
        values = [*field.parameters, *([behind] if behind.requires_grad else [])]
        descent = torch.optim.AdamW(values, lr=self.rate)
        none = torch.empty(0, device=device, dtype=dtype)
        corners = [field.corners(place[inside[0] > 0]) for place, inside in zip(points, shown, strict=True)]
        return _Appearance(field, corners, shown, lit, behind, descent, none.long(), none, none)

    def levels(self, state: _Appearance, setting: Setting) -> Iterator[Level]:
        """A level for every iteration, drawn among all that the model has."""
        levels, views = [*setting.model.schedule(FINE)], setting.canvas.views
        number = self.rounds * len(setting.schedule)
        for iteration in range(number):
            state.late = iteration >= self.switch * number
            state.views = setting.noise((views,)).argsort()[: self.batch]
            drawn = float(torch.special.ndtr(setting.noise((1,)).double()))  # uniform in (0, 1)
            top = self.latest if state.late else self.widest
            time = (self.earliest + drawn * max(top - self.earliest, 0.0)) * levels[0].t
            yield min(levels, key=lambda level: abs(level.t - time))

    def look(self, state: _Appearance, s: Step) -> Tensor:
        """Noised latents (k, c, h, w) of the present views."""
        with torch.enable_grad():
            state.latents = s.model.encode(self.rendered(state, state.views))
        state.noise = s.noise(state.latents.shape)
        return s.level.a * state.latents.detach() + s.level.b * state.noise

    def predict(self, state: _Appearance, x: Tensor, s: Step) -> tuple[Tensor, Tensor]:
        """Clean latents and noise of these views."""
        return s.model.predict(x, s.level, s.condition.rows(state.views))

    def step(self, state: _Appearance, x: Tensor, s: Step) -> _Appearance:
        """The field after one step along the gradient of score distillation."""
        if state.latents.requires_grad:  # no model that only counts calls
            gradient = self.weight(s.level, state.late) * (s.eps - state.noise)
            state.descent.zero_grad()
            state.latents.backward(gradient / len(gradient))
            state.descent.step()
        return state

    def weight(self, level: Level, late: bool) -> float:
        """The factor w of the gradient at a level."""
        first = self.strategy == 0 or (self.strategy == 2 and not late)
        return level.a * level.b**2 if first else 1 / level.b**2

    def spread(self, state: _Appearance, s: Step) -> None:
        """None: views are pictures of one field."""
        return

    def rendered(self, state: _Appearance, views: Tensor) -> Float[Tensor, "k 3 H W"]:
        """Pictures in [0, 1] of some views."""
        colour, rough = self.materials(state, views)
        if self.light:
            colour = shaded(colour, rough, state.lit[views])
        shown = state.shown[views]
        if self.background == "black":
            return linear_to_srgb(colour.clamp(0, 1)) * shown
        behind = F.interpolate(state.background[views].sigmoid(), shown.shape[-2:], mode="bilinear")
        return torch.where(shown > 0, linear_to_srgb(colour.clamp(0, 1)), behind)

    def materials(self, state: _Appearance, views: Tensor) -> tuple[Tensor, Tensor]:
        """Diffuse colour (k, 3, H, W) in linear light and roughness (k, 1, H, W); 0 off the surface."""
        inside = state.shown[views, 0] > 0
        places, weights = zip(*(state.corners[int(view)] for view in views), strict=True)
        found = state.field((torch.cat(places), torch.cat(weights))).sigmoid()
        values = found.new_zeros(*inside.shape, 4).index_put(inside.nonzero(as_tuple=True), found).movedim(-1, 1)
        return 0.03 + 0.94 * values[:, :3], 0.08 + 0.9 * values[:, 3:]

    def finish(self, state: _Appearance, item: Item, canvas: Canvas, model: Model) -> Artifact:
        """The pictures of all views; on a mesh also colour and roughness, as extras `albedo` and `roughness`."""
        pixels, every = pixel_canvas(item, canvas, model), torch.arange(canvas.views)
        pictures = torch.cat([self.rendered(state, view) for view in every.split(1)]).clamp(0, 1).detach()
        if item.surface.picture:
            return canvas_artifact(pixels.paint(pictures), item)
        artifact = Artifact(views=pictures.float().cpu())
        for name, part in zip(("albedo", "roughness"), self.materials(state, every), strict=True):
            artifact.extras[name] = (part.detach() * state.shown).float().cpu()
        return artifact


def geometry(item: Item, canvas: Canvas, light: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Points (views, H, W, 3) in the unit cube, what shows the surface (views, 1, H, W), and cosines of light.

    Cosines (views, 3, H, W) are those of `_Appearance.lit`. Without a mesh, points are places of cells on the canvas,
    seen at a right angle; without cameras the light comes from the viewer.
    """
    buffers = buffers_of(item)
    if buffers is None:
        high, wide = canvas.shape if len(canvas.shape) == 2 else (1, canvas.cells)
        cell = canvas.index.clamp(min=0).cpu()
        flat = torch.stack([cell % wide, cell // wide, torch.zeros_like(cell)], -1)
        shown = (canvas.index >= 0)[:, None].cpu()
        return (flat + 0.5) / max(high, wide), shown, torch.ones(len(cell), 3, *cell.shape[1:])
    visible = buffers.visible
    places = buffers.position.movedim(1, -1)
    low, high = places[visible].amin(0), places[visible].amax(0)
    points = (places - low) / float((high - low).max())
    sun = torch.tensor([0.0, 0.0, -1.0]).expand(len(places), 3)
    if light and "camera" in item.conditions:
        turn = item.conditions["camera"].reshape(-1, 4, 4)[:, :3, :3].cpu()
        place = [cos(ELEVATION) * cos(AZIMUTH), cos(ELEVATION) * sin(AZIMUTH), sin(ELEVATION)]
        sun = torch.einsum("nij,i->nj", turn, torch.tensor(place))  # the world's direction in camera axes
    half = F.normalize(sun + torch.tensor([0.0, 0.0, -1.0]), dim=1)
    cosines = [torch.einsum("nchw,nc->nhw", buffers.normal, way).clamp(min=0) for way in (sun, half)]
    return points, visible[:, None], torch.stack([*cosines, buffers.cosine], 1)


def shaded(
    colour: Float[Tensor, "k 3 H W"], rough: Float[Tensor, "k 1 H W"], lit: Float[Tensor, "k 3 H W"]
) -> Float[Tensor, "k 3 H W"]:
    """Linear light of a surface without metal: Lambert's law, and a GGX lobe with Schlick's reflectance of 4 %."""
    sun, half, viewer = lit[:, :1], lit[:, 1:2], lit[:, 2:].clamp(min=0.05)
    alpha = rough.square()
    lobe = alpha.square() / (pi * (half.square() * (alpha.square() - 1) + 1).square())
    mask = 1 / (4 * torch.maximum(sun, viewer).clamp(min=0.05))
    return colour * (AMBIENT + SUN * sun) + SUN * sun * 0.04 * lobe * mask
