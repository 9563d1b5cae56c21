"""The law of a method that is no affine map, estimated from samples.

The noise of every sample is known, and its law is known exactly. So only the residual of the best affine map of the
noise has to be estimated: with B the least-squares map, Cov = B B^T + Cov(residual). The residual is small where a
method is nearly linear, and then a few hundred samples replace a hundred thousand. A rotation by the windows' stride
maps windows onto windows, so every sample counts once for each such rotation; the law is that under a random rotation.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from .law import FIGURES, Law, Truth
from .problem import Problem, Run

FEWEST = 3
"""Smallest number of runs for an interval."""


@dataclass(frozen=True, kw_only=True)
class Moments:
    """Mean second moments of one run, of noise with a constant 1 appended (X) and the rows that were made (Y)."""

    xx: Tensor
    yx: Tensor
    yy: Tensor


def run_moments(run: Run, problem: Problem) -> Moments:
    """The moments of one run over its channels, rows and the rotations that map windows onto windows.

    The first draw counts as known noise if it has the size of the panorama; all other noise stays in the residual.
    """
    made = run.made.flatten(0, 1)
    on_canvas = bool(run.noise) and run.noise[0].shape == run.made.shape
    noise = run.noise[0].flatten(0, 1) if on_canvas else made[:, :0]
    shifts = range(0, problem.width, problem.period(run.borders))
    y = torch.cat([made.roll(shift, 1) for shift in shifts])
    x = torch.cat([noise.roll(shift, 1) for shift in shifts])
    x = torch.cat([x, x.new_ones(len(x), 1)], 1)
    return Moments(xx=x.T @ x / len(x), yx=y.T @ x / len(x), yy=y.T @ y / len(x))


def estimated_law(parts: Sequence[Moments]) -> Law:
    """The law of a method, from the moments of several runs."""
    xx, yx, yy = (torch.stack([getattr(part, name) for part in parts]).mean(0) for name in ("xx", "yx", "yy"))
    b = yx @ torch.linalg.pinv(xx, hermitian=True)
    rest = yy - b @ yx.T
    covariance = b[:, :-1] @ b[:, :-1].T + (rest + rest.T) / 2
    return Law(mean=b[:, -1], covariance=covariance)


def jackknife_intervals(
    parts: Sequence[Moments], truth: Truth, borders: Sequence[int], lag: int
) -> dict[str, tuple[float, float]]:
    """95 % jackknife intervals over runs (Efron 1982) of the numbers FIGURES, by name; empty below FEWEST runs.

    The run is the unit, because a method may couple the rows and channels of one run. A bootstrap would be biased: a
    run that is drawn twice lets the map fit less noise, which shifts every resample above the estimate.
    """
    n = len(parts)
    if n < FEWEST:
        return {}
    without = [[part for j, part in enumerate(parts) if j != i] for i in range(n)]
    rows = [truth.figures(estimated_law(chosen), borders, lag) for chosen in (parts, *without)]
    table = np.array([[np.nan if row[name] is None else row[name] for name in FIGURES] for row in rows], dtype=float)
    spread = table[1:] - table[1:].mean(0)
    half = stats.t.ppf(0.975, n - 1) * np.sqrt((n - 1) / n * np.square(spread).sum(0))
    return {
        name: (float(middle - h), float(middle + h))
        for name, middle, h in zip(FIGURES, table[0], half, strict=True)
        if np.isfinite([middle, h]).all()
    }
