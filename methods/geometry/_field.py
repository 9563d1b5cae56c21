"""A field over space: features on grids of growing resolution, hashed where they are large, and a small network.

Müller, Evans, Schied, Keller, SIGGRAPH 2022, arXiv 2201.05989, written from the paper's equations 1 to 4.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

PRIMES = (1, 2654435761, 805459861)
"""Multipliers of a corner's three coordinates in its hash."""
COARSEST, FEATURES, WIDTH = 16, 2, 32
"""Cells along a side of the coarsest grid, features at a corner, and width of the network's one hidden layer."""

Corners = tuple[Int[Tensor, "n grids 8"], Float[Tensor, "n grids 8"]]
"""Places of features, and their weights."""


class Field:
    """Numbers (n, out) at points (n, 3) in the unit cube."""

    def __init__(
        self, out: int, finest: int, entries: int, draw: Callable[[Sequence[int]], Tensor], levels: int = 16
    ) -> None:
        """`draw(shape)` gives unit noise, of which the first values are made; `entries` of each grid are a power of 2.

        With features near zero, the field begins nearly constant.
        """
        self.sides = [round(COARSEST * (finest / COARSEST) ** (i / (levels - 1))) for i in range(levels)]
        self.entries = entries
        inputs = levels * FEATURES
        self.grids = (1e-4 * draw((levels, entries, FEATURES))).requires_grad_()
        self.first = (draw((inputs, WIDTH)) * (2 / inputs) ** 0.5).requires_grad_()
        self.last = (draw((WIDTH, out)) * (1 / WIDTH) ** 0.5).requires_grad_()
        self.bias = torch.zeros(WIDTH, device=self.first.device, dtype=self.first.dtype, requires_grad=True)

    @property
    def parameters(self) -> list[Tensor]:
        """What an optimiser changes."""
        return [self.grids, self.first, self.bias, self.last]

    def __call__(self, corners: Corners) -> Float[Tensor, "n out"]:
        """The field at the points whose `corners` were found before."""
        places, weights = corners
        found = self.grids.flatten(0, 1).index_select(0, places.flatten()).unflatten(0, places.shape)
        features = (found * weights[..., None]).sum(2).flatten(1)
        return torch.relu(features @ self.first + self.bias) @ self.last

    def corners(self, points: Float[Tensor, "n 3"]) -> Corners:
        """Where the features of the eight corners around each point lie in all grids, and the corners' weights.

        A corner's place is its number, or its hash where a grid has more corners than it keeps. Points that do not move
        need this once.
        """
        sides = torch.tensor(self.sides, device=points.device)[:, None]
        at = points.clamp(0, 1)[:, None] * sides
        low = torch.minimum(at.floor(), sides - 1)
        step = torch.tensor([[number >> axis & 1 for axis in range(3)] for number in range(8)], device=points.device)
        part = (at - low)[:, :, None]
        weights = torch.where(step > 0, part, 1 - part).prod(-1)
        x, y, z = (low.long()[:, :, None] + step).unbind(-1)
        wide = sides + 1
        hashed = (x * PRIMES[0]) ^ (y * PRIMES[1]) ^ (z * PRIMES[2])
        places = torch.where(wide**3 <= self.entries, (x * wide + y) * wide + z, hashed) % self.entries
        first = torch.arange(len(self.sides), device=points.device)[:, None] * self.entries
        return (places + first).int(), weights
