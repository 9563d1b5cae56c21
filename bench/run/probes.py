"""Which steps of a loop a rehearsal runs, and how many steps each of them stands for.

Most methods make the same network calls in all steps, or in all steps up to some step. So a few steps are run, out of
order. Between two that cost the same no step is run; between two that do not, the border is found by bisection. For
other patterns of costs (the first or the last step differs from its neighbour, or there are more than two borders)
every step is run. The result is exact unless costs change and change back between two steps that are run.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

FEW = 12
"""Largest number of steps of which all are run."""
BORDERS = 2
"""Most places in a loop where the cost may change."""


def probes(total: int, same: Callable[[int, int], bool]) -> Iterator[int]:
    """Numbers of the steps to run of `total`, each once; `same(i, j)`: whether two run steps cost the same.

    >>> list(probes(50, lambda i, j: True))
    [0, 1, 2, 12, 25, 37, 48, 49]
    >>> sorted(probes(50, lambda i, j: (i < 40) == (j < 40)))
    [0, 1, 2, 12, 25, 37, 39, 40, 42, 48, 49]
    >>> len(list(probes(50, lambda i, j: i % 5 == j % 5)))
    50
    """
    if total <= FEW:
        yield from range(total)
        return
    run = [0, 1, 2, total // 4, total // 2, 3 * total // 4, total - 2, total - 1]
    yield from run
    if same(0, 1) and same(total - 2, total - 1):
        for low, high in pairwise(list(run)):
            while high - low > 1 and not same(low, high):
                middle = (low + high) // 2
                run.append(middle)
                yield middle
                low, high = (middle, high) if same(low, middle) else (low, middle)
        if sum(not same(low, high) for low, high in pairwise(sorted(run))) <= BORDERS:
            return
    yield from sorted(set(range(total)) - set(run))


def stand_for(run: Sequence[int], total: int) -> dict[int, int]:
    """Number of steps, of `total`, that each run step stands for: itself, and those up to the next run step.

    >>> stand_for([0, 49, 25], 50)
    {0: 25, 25: 24, 49: 1}
    """
    known = sorted(run)
    return {low: high - low for low, high in pairwise([*known, total])}
