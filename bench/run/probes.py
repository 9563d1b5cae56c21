"""Which steps of a loop a rehearsal runs, and how many steps each of them stands for.

A method asks a network for the same in most of its steps, or in all of them up to some step. So a few steps are run,
out of order, and between two that cost the same nothing is run; between two that do not, the border is looked for by
halving. Where costs look like anything else (the first or the last step differs from its neighbour, or there are more
borders than two), every step is run. What this gives is exact but for costs that change and change back between probes.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

FEW = 12
"""Steps up to which all are run."""
BORDERS = 2
"""Most places in a loop where the cost may change."""


def probes(total: int, same: Callable[[int, int], bool]) -> Iterator[int]:
    """Numbers of the steps to run of `total`, each once; `same` says of two that have been run whether they cost alike.

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
    """How many of `total` steps each of those that were run stands for: itself, and those up to the next.

    >>> stand_for([0, 49, 25], 50)
    {0: 25, 25: 24, 49: 1}
    """
    known = sorted(run)
    return {low: high - low for low, high in pairwise([*known, total])}
