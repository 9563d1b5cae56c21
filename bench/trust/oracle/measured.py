"""The law of one method: exact where the method is an affine map of its noise, else from samples, else none and why."""

from dataclasses import dataclass, replace

import torch

from ...errors import SyncbenchError
from ...isolation.guard import Failure, attempt, unchanged
from ...sampling.loop import Method
from .law import Law
from .linear import affine
from .problem import Problem, Run
from .samples import Moments, estimate, moments

SAMPLES = 192
"""Rows of a method that is measured from samples."""
CHECKS = 2
"""Runs that an affine map is held against."""
TALL = 16
"""Rows at once for methods that look at pictures and refuse a single row."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The law of a method."""

    law: Law | None
    kind: str | None
    """`law`, `exact`, `sampled`, or None where there is none."""
    borders: tuple[int, ...] = ()
    """Columns where its windows begin or end."""
    parts: tuple[Moments, ...] = ()
    """What the law was estimated from, run by run."""
    samples: int = 0
    """Rows that were drawn."""
    reason: str | None = None
    """Why there is no law."""


def measured(method: Method, problem: Problem, samples: int = SAMPLES) -> Measured:
    """The law of a method that runs on `problem`. What it raises becomes the reason.

    A method that refuses one row gets sixteen independent ones, which are sixteen problems of the same kind.
    """
    missing = sorted(set(method.requires) - problem.model().capabilities)
    if missing:
        return Measured(law=None, kind=None, reason=f"needs a model with {', '.join(missing)}; gauss has none")
    tall = replace(problem, rows=TALL)
    with unchanged():
        found = attempt(lambda: _of_one_row(method, problem, samples))
    if isinstance(found, Failure):  # a method may raise anything; the next attempt tells what
        with unchanged():
            found = attempt(lambda: _sampled(method, tall, [], samples))
    return Measured(law=None, kind=None, reason=found.text) if isinstance(found, Failure) else found


def _of_one_row(method: Method, problem: Problem, samples: int) -> Measured:
    runs = [problem.run(method, seed) for seed in range(CHECKS)]
    found = affine(method, problem, runs)
    if found is not None:
        return Measured(law=found.law, kind="exact", borders=runs[0].borders)
    return _sampled(method, problem, runs, samples)


def _sampled(method: Method, problem: Problem, runs: list[Run], samples: int) -> Measured:
    """From `runs` of seeds 0, 1, ... and as many more as it takes."""
    runs = runs or [problem.run(method)]
    size = problem.rows * len(runs[0].made)
    parts = [moments(run, problem) for run in runs]
    while len(parts) * size < samples:
        parts.append(moments(problem.run(method, seed=len(parts)), problem))
    law = estimate(parts)
    if not bool(torch.isfinite(law.covariance).all()):
        raise SyncbenchError("makes values that are no finite numbers")
    borders = runs[0].borders
    return Measured(law=law, kind="sampled", borders=borders, parts=tuple(parts), samples=len(parts) * size)
