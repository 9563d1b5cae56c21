"""What views show of a mesh, for methods that also run on surfaces without one (strips, tracks)."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from scipy.spatial import KDTree
from torch import Tensor

from ...bench.canvas import Canvas
from ...bench.surfaces.buffers import SurfaceBuffers
from ...bench.types import Item

JUMP = 0.05
"""Difference of neighbouring pixels' depths, as a share of the depth, at which one thing ends before another."""


def buffers_of(item: Item, factor: int = 1) -> SurfaceBuffers | None:
    """The buffers of an item's views with `factor` pixels to a side of a cell; None where its surface is no mesh."""
    made: Any = getattr(item.surface, "buffers", None)
    return None if made is None else made(factor)


def texture_of(item: Item, factor: int = 1) -> tuple[int, int] | None:
    """Height and width in cells of an item's texture, if its surface is a mesh with one."""
    unwrapped: Any = getattr(item.surface, "unwrapped", None)
    if unwrapped is None:
        return None
    made = unwrapped(factor)
    return made.height, made.width


def outlines(buffers: SurfaceBuffers) -> Bool[Tensor, "n 1 h w"]:
    """Pixels at which the mesh ends, or one of its parts before another: neighbours' depths differ by JUMP or more."""
    depth = buffers.depth[:, None]
    found = torch.zeros_like(depth, dtype=torch.bool)
    for axis in (2, 3):
        near, far = depth.narrow(axis, 0, depth.shape[axis] - 1), depth.narrow(axis, 1, depth.shape[axis] - 1)
        jump = (near - far).abs() > JUMP * torch.maximum(near, far)
        found.narrow(axis, 0, depth.shape[axis] - 1).logical_or_(jump)
        found.narrow(axis, 1, depth.shape[axis] - 1).logical_or_(jump)
    return found


def footprints(item: Item, canvas: Canvas, factor: int) -> Float[Tensor, "n h w"]:
    """Cells that each pixel of a canvas covers: the UV Jacobian's determinant on a mesh; 1 elsewhere and off it."""
    buffers = buffers_of(item, factor)
    if buffers is None:
        return torch.ones_like(canvas.weight)
    return torch.where(buffers.visible, buffers.footprint, 1).to(canvas.weight)


@dataclass(frozen=True)
class Colouring:
    """Pictures to the colours of cells and back: bilinearly on the texture of a mesh, elsewhere as a canvas does.

    Noise must be looked up by a canvas, because the mean of several values has less variance.
    """

    cells: Int[Tensor, "k views h w"]
    """The cells that each pixel looks at."""
    parts: Float[Tensor, "k views h w"]
    """How much of a pixel lies in each of them; they add up to 1."""
    weight: Float[Tensor, "views h w"]
    """How much a pixel counts."""
    count: int
    """Number of cells."""

    @staticmethod
    def of(item: Item, canvas: Canvas) -> "Colouring":
        """The colouring of an item's canvas of pixels."""
        cells, buffers, grid = canvas.index[None], buffers_of(item), texture_of(item)
        parts = torch.where(cells < 0, 0.0, 1.0).to(canvas.weight)
        if buffers is not None and grid is not None:
            high, wide = grid
            column, row = (buffers.at.to(canvas.weight.device) - 0.5).unbind(1)
            left, top = column.floor(), row.floor()
            right, down = column - left, row - top
            sides = [(left, top, (1 - right) * (1 - down)), (left + 1, top, right * (1 - down))]
            sides += [(left, top + 1, (1 - right) * down), (left + 1, top + 1, right * down)]
            inside = buffers.visible.to(canvas.index.device)
            near = [y.clamp(0, high - 1).long() * wide + x.clamp(0, wide - 1).long() for x, y, _ in sides]
            cells = torch.stack([torch.where(inside, at, canvas.index) for at in near])
            own = [1.0, 0.0, 0.0, 0.0]
            parts = torch.stack([torch.where(inside, part, one) for (*_, part), one in zip(sides, own, strict=True)])
        return Colouring(cells.clamp(min=0), parts.to(canvas.weight), canvas.weight, canvas.cells)

    def views(self, index: Tensor) -> "Colouring":
        """The colouring of some views."""
        return Colouring(self.cells[:, index], self.parts[:, index], self.weight[index], self.count)

    def paint(
        self, pictures: Float[Tensor, "views c H W"], power: float = 1.0
    ) -> tuple[Float[Tensor, "c cells"], Float[Tensor, " cells"]]:
        """The weighted mean of the pixels that look at each cell, and the weights' sum, 0 where none does."""
        total, mass = pictures.new_zeros(pictures.shape[1], self.count), pictures.new_zeros(self.count)
        flat = pictures.transpose(0, 1).flatten(1)
        for cells, parts in zip(self.cells.flatten(1), self.parts.flatten(1), strict=True):
            weight = parts.to(flat) * self.weight.flatten().to(flat) ** power
            total.index_add_(1, cells, flat * weight)
            mass.index_add_(0, cells, weight)
        return total / mass.clamp(min=1e-12), mass

    def look(
        self, colours: Float[Tensor, "c cells"], mass: Float[Tensor, " cells"]
    ) -> tuple[Float[Tensor, "views c H W"], Bool[Tensor, "views 1 H W"]]:
        """The pictures of a surface's colours, of its cells that have a `mass`; and where there is one."""
        known = (mass > 0).to(colours)
        shape = self.cells.shape[1:]
        total, part = colours.new_zeros(len(colours), shape.numel()), colours.new_zeros(shape.numel())
        for cells, parts in zip(self.cells.flatten(1), self.parts.flatten(1), strict=True):
            weight = parts.to(colours) * known[cells]
            total += weight * colours[:, cells]
            part += weight
        pictures = (total / part.clamp(min=1e-12)).reshape(-1, *shape).transpose(0, 1)
        return pictures, (part > 0).reshape(shape)[:, None]


def spread_out(colours: Float[Tensor, "c cells"], sure: Bool[Tensor, " cells"], canvas: Canvas, item: Item) -> Tensor:
    """Colours whose cells that are not `sure` have those of the nearest sure one on the surface, where it is a mesh.

    Cells that no view sees stay as they are.
    """
    buffers = buffers_of(item)
    if buffers is None:
        return colours
    shown = buffers.visible.flatten()
    cells = canvas.index.flatten().cpu()[shown]
    points = buffers.position.movedim(1, -1).reshape(-1, 3)[shown]
    good = sure.cpu()[cells]
    if not bool(good.any()) or bool(good.all()):
        return colours
    nearest = KDTree(points[good].numpy()).query(points[~good].numpy())[1]
    found = colours.clone()
    found[:, cells[~good].to(colours.device)] = colours[:, cells[good][torch.from_numpy(nearest)].to(colours.device)]
    return found
