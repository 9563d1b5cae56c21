"""The law of one method: exact where it is an affine map of its noise, else estimated from samples, else a reason."""

from dataclasses import dataclass, replace

import torch

from ...errors import SyncbenchError
from ...isolation.guard import Failure, attempt, unchanged
from ...sampling.loop import Method
from .law import Law
from .linear import affine_map
from .problem import Problem, Run
from .samples import Moments, estimated_law, run_moments

SAMPLES = 192
"""Default number of rows drawn from a method that is no affine map."""
CHECKS = 2
"""Number of runs against which an affine map is checked."""
TALL = 16
"""Number of rows in one picture for methods that need pictures and refuse a single row."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The law of a method, or the reason why it has none."""

    law: Law | None
    kind: str | None
    """`law`, `exact`, `sampled`, or None where there is none."""
    borders: tuple[int, ...] = ()
    """Columns where its windows begin or end."""
    parts: tuple[Moments, ...] = ()
    """Moments of each run from which the law was estimated; empty for an exact law."""
    samples: int = 0
    """Number of rows that were drawn; 0 for an exact law."""
    reason: str | None = None
    """Why there is no law; None where there is one."""


def measured_law(method: Method, problem: Problem, samples: int = SAMPLES) -> Measured:
    """The law of a method on `problem`; an exception that it raises becomes the reason.

    A method that refuses a single row gets sixteen independent ones, which are sixteen such problems.
    """
    missing = sorted(set(method.requires) - problem.model().capabilities)
    if missing:
        return Measured(law=None, kind=None, reason=f"needs a model with {', '.join(missing)}; gauss has none")
    tall = replace(problem, rows=TALL)
    with unchanged():
        answer = attempt(lambda: _of_one_row(method, problem, samples))
    if isinstance(answer, Failure):  # the reason is that of the next attempt
        with unchanged():
            answer = attempt(lambda: _sampled(method, tall, [], samples))
    return Measured(law=None, kind=None, reason=answer.text) if isinstance(answer, Failure) else answer


def _of_one_row(method: Method, problem: Problem, samples: int) -> Measured:
    runs = [problem.run(method, seed) for seed in range(CHECKS)]
    exact = affine_map(method, problem, runs)
    if exact is not None:
        return Measured(law=exact.law, kind="exact", borders=runs[0].borders)
    return _sampled(method, problem, runs, samples)


def _sampled(method: Method, problem: Problem, runs: list[Run], samples: int) -> Measured:
    """The law estimated from `runs` (of seeds 0, 1, ...) and as many further ones as `samples` rows need."""
    runs = runs or [problem.run(method)]
    size = problem.rows * len(runs[0].made)
    parts = [run_moments(run, problem) for run in runs]
    while len(parts) * size < samples:
        parts.append(run_moments(problem.run(method, seed=len(parts)), problem))
    law = estimated_law(parts)
    if not bool(torch.isfinite(law.covariance).all()):
        raise SyncbenchError("makes values that are no finite numbers")
    borders = runs[0].borders
    return Measured(law=law, kind="sampled", borders=borders, parts=tuple(parts), samples=len(parts) * size)
