"""Canvas: a shared surface and the views that look at it.

One class serves every family. A strip of windows, a sphere, a texture atlas, flow tracks and "all
channels share the pixel" differ only in the constructor that fills `index` and `weight`.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from math import prod

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Canvas:
    """Which cell of a shared surface each view pixel sees, and how much that pixel counts.

    `index` (views, h, w) holds flat cell numbers in row-major order of `shape`, -1 for background.
    `weight` (views, h, w) is non-negative. `look` and `paint` are adjoint up to the weights:
    `paint(look(z)) == z` on covered cells.
    """

    index: Int[Tensor, "views h w"]
    weight: Float[Tensor, "views h w"]
    shape: tuple[int, ...]
    borders: tuple[int, ...] = ()
    """Cell columns where one view ends or begins inside the surface (strips only)."""
    wraps: bool = False
    """Whether the last column continues at the first."""

    def __post_init__(self) -> None:
        if self.index.shape != self.weight.shape or self.index.ndim != 3:
            raise ValueError(
                f"index {tuple(self.index.shape)} and weight {tuple(self.weight.shape)} must both be (views, h, w)"
            )
        if int(self.index.max()) >= prod(self.shape) or int(self.index.min()) < -1:
            raise ValueError("index names a cell outside the surface")
        if bool((self.weight < 0).any()):
            raise ValueError("weights must not be negative")

    @property
    def views(self) -> int:
        """Number of views."""
        return self.index.shape[0]

    @property
    def cells(self) -> int:
        """Number of cells."""
        return prod(self.shape)

    @cached_property
    def _flat(self) -> tuple[Tensor, Tensor, Tensor]:
        """Positions of foreground pixels in the flattened views, their cells and their weights, each (n,)."""
        index = self.index.reshape(-1)
        seen = (index >= 0).nonzero().squeeze(1)
        return seen, index[seen], self.weight.reshape(-1)[seen]

    @cached_property
    def _looked(self) -> Tensor:
        """The cell (n,) of every pixel of the flattened views, 0 for background."""
        return (self.index.clamp(min=0) if self._background else self.index).reshape(-1)

    @cached_property
    def mass(self) -> Float[Tensor, " cells"]:
        """Sum of weights per cell; 0 where no view looks."""
        _, cell, weight = self._flat
        return torch.zeros(self.cells, dtype=weight.dtype, device=weight.device).index_add_(0, cell, weight)

    @cached_property
    def count(self) -> Int[Tensor, "*shape"]:
        """How many view pixels with positive weight look at each cell."""
        _, cell, weight = self._flat
        ones = (weight > 0).long()
        return torch.zeros_like(self.mass, dtype=torch.long).index_add_(0, cell, ones).reshape(self.shape)

    @cached_property
    def first(self) -> Bool[Tensor, "views h w"]:
        """Whether a view pixel is the first, in order, that looks at its cell; False on the background."""
        seen, cell, _ = self._flat
        earliest = torch.full((self.cells,), self.index.numel(), device=seen.device)
        earliest = earliest.scatter_reduce(0, cell, seen, "amin")
        first = torch.zeros(self.index.numel(), dtype=torch.bool, device=seen.device)
        first[seen] = earliest[cell] == seen
        return first.reshape(self.index.shape)

    def look(self, z: Float[Tensor, "c *shape"]) -> Float[Tensor, "views c h w"]:
        """The views of a surface `z`, each pixel from its own cell; background pixels are 0."""
        flat = z.reshape(z.shape[0], -1)
        x = flat.index_select(1, self._looked).reshape(z.shape[0], *self.index.shape)
        if self._background:
            x = torch.where(self.index < 0, 0.0, x)
        return x.transpose(0, 1)

    def paint(self, x: Float[Tensor, "views c h w"]) -> Float[Tensor, "c *shape"]:
        """The surface made of views `x`: each cell is the weighted mean of the pixels that see it, 0 where none does.

        This is the closed form of min_z sum_i weight_i (look(z)_i - x_i)^2 (MultiDiffusion, arXiv 2302.08113, eq. 5).
        """
        seen, cell, weight = self._flat
        pixels = x.transpose(0, 1).reshape(x.shape[1], -1)
        if self._background:
            pixels = pixels[:, seen]
        weight = weight.to(x.dtype)
        total = torch.zeros(x.shape[1], self.cells, dtype=x.dtype, device=x.device)
        total = total.index_add(1, cell, pixels * weight)
        return (total / self.mass.to(x.dtype).clamp(min=1e-12)).reshape(x.shape[1], *self.shape)

    def spread(self, x: Float[Tensor, "views c h w"]) -> float | None:
        """How far views `x` disagree: mean variance on cells seen at least twice, over the variance of all pixels.

        None where no cell is seen twice or the views are constant.
        """
        shared = (self.count > 1).reshape(-1)
        scale = float(x.var())
        if not bool(shared.any()) or scale <= 0:
            return None
        mean = self.paint(x)
        second = self.paint((x - self.look(mean)).square())
        return float(second.reshape(x.shape[1], -1)[:, shared].mean()) / scale

    def with_weight(self, weight: Float[Tensor, "views h w"]) -> "Canvas":
        """This canvas with other weights."""
        return replace(self, weight=weight)

    def raised(self, power: float) -> "Canvas":
        """This canvas with its weights to the `power`: cos^p of an atlas, equal weights for 0."""
        return self if power == 1 else replace(self, weight=self.weight**power)

    def winners(self) -> "Canvas":
        """This canvas with weight 1 for the pixel of the largest weight of each cell, the first of equal ones, else 0.

        `paint` is then winner-takes-all, and of a background pixel that is a cell of its own nothing changes.
        """
        seen, cell, weight = self._flat
        largest = torch.zeros_like(self.mass).scatter_reduce(0, cell, weight, "amax")
        best = (weight == largest[cell]) & (weight > 0)
        earliest = torch.full((self.cells,), self.index.numel(), device=seen.device)
        earliest = earliest.scatter_reduce(0, cell[best], seen[best], "amin")
        winner = torch.zeros(self.index.numel(), dtype=self.weight.dtype, device=seen.device)
        winner[seen] = (earliest[cell] == seen).to(winner.dtype)
        return replace(self, weight=winner.reshape(self.index.shape))

    def every(self, pace: int) -> "Canvas":
        """The canvas of the first view and of every `pace`-th one after it."""
        return self if pace == 1 else replace(self, index=self.index[::pace], weight=self.weight[::pace])

    def magnify(self, factor: int) -> "Canvas":
        """The canvas of decoded pixels: every cell and every view pixel becomes a block of `factor` x `factor`.

        The canvas must have two dimensions (`shape`). Windows stay where their latents are, which they might not if the
        surface laid them out again at pixel size with a rounded stride.
        """
        high, wide = self.shape
        index, weight = (x.repeat_interleave(factor, 1).repeat_interleave(factor, 2) for x in (self.index, self.weight))
        row, column = index // wide * factor, index % wide * factor
        row = row + (torch.arange(index.shape[1], device=index.device) % factor)[:, None]
        column = column + torch.arange(index.shape[2], device=index.device) % factor
        fine = torch.where(index < 0, -1, row * wide * factor + column)
        borders = tuple(b * factor for b in self.borders)
        return Canvas(fine, weight, (high * factor, wide * factor), borders, self.wraps)

    def to(self, device: torch.device | str) -> "Canvas":
        """This canvas with its tensors on `device`."""
        return replace(self, index=self.index.to(device), weight=self.weight.to(device))

    @cached_property
    def _background(self) -> bool:
        return bool((self.index < 0).any())
