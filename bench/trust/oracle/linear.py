"""The affine map from a method's noise to its output, if there is one, found by unit impulses, one in each channel."""

from dataclasses import dataclass
from math import prod

import torch
from jaxtyping import Float
from torch import Tensor

from ...sampling.loop import Method
from .law import Law
from .problem import Problem, Run, draw_count, per_channel

CHUNK = 512
"""Number of impulses in one run, which bounds memory."""
TOLERANCE = 1e-6
"""Largest difference from an affine map that counts as rounding, in true standard deviations."""


@dataclass(frozen=True, kw_only=True)
class AffineMap:
    """row = matrix @ noise + constant, with noise ~ N(0, 1): all draws of a method, in the order of drawing."""

    matrix: Float[Tensor, "width draws"]
    constant: Float[Tensor, " width"]

    def __call__(self, noise: Float[Tensor, "n draws"]) -> Float[Tensor, "n width"]:
        """The rows (n, width) that the map makes of noise (n, draws)."""
        return noise @ self.matrix.T + self.constant

    @property
    def law(self) -> Law:
        """The exact law of the rows."""
        return Law(mean=self.constant, covariance=self.matrix @ self.matrix.T)


def affine_map(method: Method, problem: Problem, runs: list[Run]) -> AffineMap | None:
    """The method's affine map, found by impulses and checked against `runs` of Gaussian noise; None if it has none.

    Impulses go through many channels at once, so a method that mixes channels, or refuses so many, has no map. Noise
    that is drawn while sampling counts like noise drawn before.
    """
    try:
        fitted = _by_impulses(method, problem, draw_count(runs[0].noise))
    except Exception:  # a method made for three channels may raise anything with hundreds
        return None
    for run in runs:
        noise = per_channel(run.noise)
        if noise.shape[1] != fitted.matrix.shape[1]:
            return None
        if not bool((fitted(noise) - run.made[:, 0]).abs().max() <= TOLERANCE):  # also where it is not a number
            return None
    return fitted


def _by_impulses(method: Method, problem: Problem, count: int) -> AffineMap:
    columns: list[Tensor] = []
    rest = torch.zeros(problem.width, dtype=torch.float64)
    for start in range(0, count, CHUNK):
        size = min(CHUNK, count - start)
        # The last channel gets no noise, so its output is the constant.
        impulses = torch.zeros(size + 1, count, dtype=torch.float64)
        impulses[torch.arange(size), start + torch.arange(size)] = 1
        answers = problem.run(method, channels=size + 1, draw=_Feed(impulses)).made[:, 0]
        rest = answers[-1]
        columns.append(answers[:-1] - rest)
    return AffineMap(matrix=torch.cat(columns).T, constant=rest)


class _Feed:
    """A source of draws (..., channels, h, w) that returns the next columns of `values` (channels, draws)."""

    def __init__(self, values: Tensor) -> None:
        self._values, self._at = values, 0

    def __call__(self, shape: tuple[int, ...]) -> Tensor:
        before, (channels, high, wide) = shape[:-3], shape[-3:]
        count = prod(before) * high * wide
        part = self._values[:, self._at : self._at + count]
        self._at += count
        return part.reshape(channels, *before, high, wide).movedim(0, -3).contiguous()
