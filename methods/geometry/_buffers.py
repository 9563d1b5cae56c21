"""What views show of a mesh, for methods that also run on surfaces without one (strips, tracks)."""

from typing import Any

import torch
from jaxtyping import Bool, Float
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
