"""A method as an affine map of its noise, if it is one: unit impulses in, one to a channel, columns of the map out."""

from dataclasses import dataclass
from math import prod

import torch
from jaxtyping import Float
from torch import Tensor

from ...sampling.loop import Method
from .law import Law
from .problem import Problem, Run, draws, per_channel

CHUNK = 512
"""Impulses to a run; bounds memory."""
TOLERANCE = 1e-6
"""Largest departure from an affine map, in standard deviations of the truth, that is rounding."""


@dataclass(frozen=True, kw_only=True)
class Affine:
    """row = matrix @ noise + constant, with noise ~ N(0, 1): every draw a method makes, in the order it makes them."""

    matrix: Float[Tensor, "width draws"]
    constant: Float[Tensor, " width"]

    def __call__(self, noise: Float[Tensor, "n draws"]) -> Float[Tensor, "n width"]:
        """The rows that noise becomes."""
        return noise @ self.matrix.T + self.constant

    @property
    def law(self) -> Law:
        """The exact law of the rows."""
        return Law(mean=self.constant, covariance=self.matrix @ self.matrix.T)


def affine(method: Method, problem: Problem, runs: list[Run]) -> Affine | None:
    """The map, or None if the method is not one: found by impulses, then held against `runs` of real noise.

    Impulses go through many channels at once, so a method that passes anything from channel to channel is no such map
    either, nor one that refuses so many. Noise drawn while sampling counts like that drawn before.
    """
    try:
        found = _by_impulses(method, problem, draws(runs[0].noise))
    except Exception:  # whatever a method made for three channels does with hundreds
        return None
    for run in runs:
        noise = per_channel(run.noise)
        if noise.shape[1] != found.matrix.shape[1]:
            return None
        if not bool((found(noise) - run.made[:, 0]).abs().max() <= TOLERANCE):  # also where it is not a number
            return None
    return found


def _by_impulses(method: Method, problem: Problem, count: int) -> Affine:
    columns: list[Tensor] = []
    rest = torch.zeros(problem.width, dtype=torch.float64)
    for start in range(0, count, CHUNK):
        size = min(CHUNK, count - start)
        # The last channel gets no noise and answers the constant.
        impulses = torch.zeros(size + 1, count, dtype=torch.float64)
        impulses[torch.arange(size), start + torch.arange(size)] = 1
        answers = problem.run(method, channels=size + 1, draw=_Feed(impulses)).made[:, 0]
        rest = answers[-1]
        columns.append(answers[:-1] - rest)
    return Affine(matrix=torch.cat(columns).T, constant=rest)


class _Feed:
    """Answers draws (..., channels, h, w) with the next columns of `values` (channels, draws)."""

    def __init__(self, values: Tensor) -> None:
        self._values, self._at = values, 0

    def __call__(self, shape: tuple[int, ...]) -> Tensor:
        before, (channels, high, wide) = shape[:-3], shape[-3:]
        count = prod(before) * high * wide
        part = self._values[:, self._at : self._at + count]
        self._at += count
        return part.reshape(channels, *before, high, wide).movedim(0, -3).contiguous()
