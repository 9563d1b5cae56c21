"""Statistics over items: intervals and p-values of means and paired differences, and the power of a number of items.

The unit of inference is the item. Seeds are nested in it and must be averaged within the item first (see `frame`).

One procedure gives every interval, p-value, tie and rank. It uses Student's t and Hall's transformation of it, which
removes the skewness of the mean, and takes the more cautious of the two: an interval is the smallest that holds both
intervals, a p-value the larger of both. With n items, mean m, standard error s / sqrt(n) and skewness g of the items
(adjusted Fisher-Pearson), T = (m - truth) / (s / sqrt(n)) is compared with Student's t of n - 1 degrees of freedom, and
so is

    h(T) = T + 2 A T^2 + 4/3 A^2 T^3 + A,    A = g / (6 sqrt(n)),

which is monotone and has a closed inverse (Hall, J. R. Statist. Soc. B 54, 1992; as a t interval: Willink, Commun.
Statist. Theory Methods 34, 2005). Nothing is resampled. tests/analysis/test_coverage.py simulates the coverage: of 95 %
intervals of 6, 12 and 24 items at least 93 % hold the mean of normal and symmetric laws, and at least 90 % that of
skewed ones up to lognormal; of BCa bootstrap intervals of 6 items, 77 to 86 % do.
"""

from bisect import bisect_left
from dataclasses import dataclass
from functools import lru_cache
from math import isfinite, nan, sqrt
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, Num
from numpy.typing import ArrayLike
from scipy import optimize, stats

from ..errors import SyncbenchError

FEWEST = 3
"""Smallest number of items for which an interval is given."""
ENOUGH = 6
"""Smallest number of items for which methods are judged: with fewer there is no verdict, no tie and no rank."""
LEVEL = 0.05
"""Level of every test, after correction; intervals hold the truth with probability 1 - LEVEL."""
MOST = 10**6
"""Largest number of items that `items_needed` returns."""
LARGE = 1.5
"""Standardised effect of a paired difference: a table whose items show only larger ones has a note that says so."""
ALIKE = "all items alike: nothing to estimate a spread from"


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean over items with its interval and the p-value of its being zero, or the reason why there are none."""

    mean: float
    low: float | None
    high: float | None
    n: int
    p: float = nan
    """Two-sided p-value times the number of tests (at most 1); nan where there is none."""
    reason: str | None = None
    """Why there is no interval; None where there is one."""

    @property
    def half(self) -> float | None:
        """Half the width of the interval; None where there is no interval."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2

    @property
    def excludes_zero(self) -> bool:
        """Whether zero lies outside the interval; False where there is no interval."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)

    @property
    def separable(self) -> bool:
        """Whether ENOUGH items or more show that the mean is not zero: by their interval, or by all being equal."""
        return self.n >= ENOUGH and (self.excludes_zero or (self.reason == ALIKE and self.mean != 0))


def intervals(
    table: Float[np.ndarray, "items columns"], *, tests: Num[np.ndarray, " columns"] | float = 1
) -> list[Interval]:
    """Interval and p-value of the mean of each column.

    `tests` is the number of tests of which each column is one. With 95 % probability all their intervals hold their
    means (Bonferroni), and each one excludes zero exactly where its corrected p is below 0.05. Columns without an
    interval (fewer than 3 items, or all equal) have a reason. Raises ValueError for values that are not finite.
    """
    n, columns = table.shape
    if not np.isfinite(table).all():
        raise ValueError("intervals need finite values; drop nulls first")
    means = table.mean(axis=0) if n else np.full(columns, nan)
    if n < FEWEST:
        reason = f"{n} item{'' if n == 1 else 's'}: an interval needs {FEWEST}"
        return [Interval(mean=float(m), low=None, high=None, n=n, reason=reason) for m in means]
    alike = _alike(table)
    many = np.broadcast_to(np.asarray(tests, dtype=float), (columns,))
    lows, highs, p = (np.full(columns, nan) for _ in range(3))
    varied = np.flatnonzero(~alike)
    if len(varied):
        error, skew = error_and_skew(table[:, varied])
        lows[varied], highs[varied] = _bounds(n, means[varied], error, skew, many[varied])
        p[varied] = np.minimum(1.0, many[varied] * p_two_sided(n, means[varied] / error, skew))
    return [
        Interval(mean=float(means[i]), low=None, high=None, n=n, reason=ALIKE)
        if alike[i]
        else Interval(mean=float(means[i]), low=float(lows[i]), high=float(highs[i]), n=n, p=float(p[i]))
        for i in range(columns)
    ]


def separable_signs(
    table: Float[np.ndarray, "items columns"], *, tests: float = 1
) -> tuple[Int[np.ndarray, " columns"], Int[np.ndarray, " columns"]]:
    """Sign of each column's mean where it is `separable` from zero, else 0, and its number of items; nan are left out.

    The signs are those of `intervals` with as many `tests`, computed without an object for each column.
    """
    ordered = np.sort(table, axis=0)  # nan come last
    counts = np.isfinite(ordered).sum(axis=0)
    answers = np.zeros(table.shape[1], dtype=int)
    for n in np.unique(counts[counts >= ENOUGH]):
        which = np.flatnonzero(counts == n)
        values = ordered[:n, which]
        means, alike = values.mean(axis=0), _alike(values)
        answers[which[alike]] = np.sign(means[alike])
        which, means, values = which[~alike], means[~alike], values[:, ~alike]
        if len(which):
            error, skew = error_and_skew(values)
            lows, highs = _bounds(int(n), means, error, skew, np.asarray(float(tests)))
            answers[which] = np.where(lows > 0, 1, np.where(highs < 0, -1, 0))
    return answers, counts


def _alike(table: Float[np.ndarray, "items columns"]) -> Bool[np.ndarray, " columns"]:
    """Whether all items of a column are equal up to rounding: sums of equal floats differ in the last bits."""
    return np.ptp(table, axis=0) <= 1e-12 * np.abs(table).max(axis=0)


def _bounds(
    n: int,
    means: Float[np.ndarray, " columns"],
    error: Float[np.ndarray, " columns"],
    skew: Float[np.ndarray, " columns"],
    tests: Float[np.ndarray, "*columns"],
) -> tuple[Float[np.ndarray, " columns"], Float[np.ndarray, " columns"]]:
    """Both ends of each interval of n items, from means and the results of `error_and_skew`."""
    below, above = (interval_reach(n, skew * side, LEVEL / tests / 2) for side in (1, -1))
    return means - below * error, means + above * error


def error_and_skew(
    table: Float[np.ndarray, "items columns"],
) -> tuple[Float[np.ndarray, " columns"], Float[np.ndarray, " columns"]]:
    """Standard error of each column's mean, and A = g / (6 sqrt(n)) of its skewness g; needs 3 items, not all equal."""
    n = len(table)
    error = table.std(axis=0, ddof=1) / sqrt(n)
    return error, np.asarray(stats.skew(table, axis=0, bias=False)) / (6 * sqrt(n))


def interval_reach(n: int, skew: Float[np.ndarray, " columns"], tail: ArrayLike) -> Float[np.ndarray, " columns"]:
    """Distance from the mean of n items to the lower end of its interval, in standard errors.

    The truth lies below that end with probability `tail`. `skew` is A of `error_and_skew`; with its sign reversed, the
    result is the distance to the upper end.
    """
    t = stats.t.isf(tail, n - 1)
    near = np.abs(skew) < 1e-9
    a = np.where(near, 1.0, skew)
    return np.maximum(t, np.where(near, t, (np.cbrt(1 + 6 * a * (t - a)) - 1) / (2 * a)))


def p_one_sided(
    n: int, t: Float[np.ndarray, " columns"], skew: Float[np.ndarray, " columns"]
) -> Float[np.ndarray, " columns"]:
    """p-value of the true mean being at most zero, for means of n items that are `t` standard errors from zero."""
    transformed = t + 2 * skew * t**2 + 4 / 3 * skew**2 * t**3 + skew
    return np.maximum(stats.t.sf(t, n - 1), stats.t.sf(transformed, n - 1))


def p_two_sided(
    n: int, t: Float[np.ndarray, " columns"], skew: Float[np.ndarray, " columns"]
) -> Float[np.ndarray, " columns"]:
    """p-value of the true mean being zero, for means of n items that are `t` standard errors from zero."""
    return np.minimum(1.0, 2 * np.minimum(p_one_sided(n, t, skew), p_one_sided(n, -t, -skew)))


def interval(values: ArrayLike, *, tests: float = 1) -> Interval:
    """Mean of `values`, one per item, with its interval as one of `tests`; see `intervals`."""
    return intervals(np.asarray(values, dtype=float).reshape(-1, 1), tests=tests)[0]


def group_intervals(
    values: Float[np.ndarray, " rows"],
    group: Int[np.ndarray, " rows"],
    groups: int,
    tests: Num[np.ndarray, " groups"] | float = 1,
) -> list[Interval]:
    """`interval` of the finite values of each group (numbered 0 to groups - 1); groups of equal size go together."""
    finite = np.isfinite(values)
    values, group = values[finite], group[finite]
    values = values[np.argsort(group, kind="stable")]
    sizes = np.bincount(group, minlength=groups)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    many = np.broadcast_to(np.asarray(tests, dtype=float), (groups,))
    answers: dict[int, Interval] = {}
    for n in np.unique(sizes):
        which = np.flatnonzero(sizes == n)
        table = values[starts[which][None, :] + np.arange(n)[:, None]] if n else np.empty((0, len(which)))
        answers.update(zip(which.tolist(), intervals(table, tests=many[which]), strict=True))
    return [answers[i] for i in range(groups)]


@lru_cache(maxsize=256)
def unchanged_bound(n: int, tail: float, chance: float) -> float:
    """The number below which, with probability `chance`, the upper bound of a mean of zero stays, in standard errors.

    The bound is that of `interval_reach` at `tail` for n standard normal items. The number is simulated, so `chance` is
    at most 0.9999. For large n it tends to the sum of the two normal quantiles.
    """
    many = min(n, 200)  # with more items, skewness and spread are all but known
    items = np.random.default_rng(0).standard_normal((many, 50_000))
    error, skew = error_and_skew(items)
    bounds = items.mean(axis=0) + interval_reach(many, -skew, tail) * error
    return float(np.quantile(bounds, min(chance, 0.9999))) * sqrt(many)


def holm(p: ArrayLike) -> Float[np.ndarray, " tests"]:
    """Holm's step-down adjusted p-values (Scand. J. Statist. 1979), in the order given; nan stays nan."""
    values = np.asarray(p, dtype=float)
    adjusted = np.full(values.shape, nan)
    known = np.flatnonzero(np.isfinite(values))
    order = known[np.argsort(values[known], kind="stable")]
    steps = values[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def benjamini_hochberg(p: ArrayLike) -> Float[np.ndarray, " tests"]:
    """Step-up adjusted p-values (Benjamini and Hochberg, J. R. Statist. Soc. B 1995) by SciPy; nan stays nan.

    Calling everything below 0.05 a finding makes at most 5 % of the findings false, on average.
    """
    values = np.asarray(p, dtype=float)
    adjusted = np.full(values.shape, nan)
    known = np.isfinite(values)
    if known.any():
        adjusted[known] = stats.false_discovery_control(values[known], method="bh")
    return adjusted


@lru_cache(maxsize=4096)
def detectable_effect(n: int, tests: float = 1, *, power: float = 0.8, level: float = LEVEL) -> float:
    """Smallest true mean, in standard deviations, that n normal items show with probability `power`.

    Items show a mean if its interval, as one of `tests`, excludes zero. The result is simulated up to 200 items; above,
    where the skewness of normal items hardly matters, it follows from the noncentral t distribution.
    """
    tail = level / tests / 2
    if n > 200:
        critical = float(stats.t.isf(tail, n - 1))

        def lacking(shift: float) -> float:
            return float(stats.nct.sf(critical, n - 1, shift)) - power

        shift: Any = optimize.brentq(lacking, 0.0, 2 * critical + 5)
        return float(shift) / sqrt(n)
    items = np.random.default_rng(0).standard_normal((n, 4000))
    error, skew = error_and_skew(items)
    # A shift of the items moves their mean alone: each simulated sample has one shift from which on it is shown.
    return float(np.quantile(interval_reach(n, skew, tail) * error - items.mean(axis=0), power))


def items_needed(
    spread: float, difference: float, *, tests: float = 1, power: float = 0.8, level: float = LEVEL
) -> int | None:
    """Smallest number of items, at least ENOUGH, that show a true mean `difference` with probability `power`.

    `spread` is the standard deviation of the difference over items. With one test the number tends to
    7.85 (spread / difference)^2; it is None above MOST. See `detectable_effect`. Raises SyncbenchError for a spread
    below 0, a difference not above 0, and probabilities out of order.
    """
    if not (isfinite(spread) and spread >= 0 and isfinite(difference) and difference > 0):
        raise SyncbenchError(f"spread {spread:g}, difference {difference:g}: a spread from 0 and a difference above 0")
    if not (0 < level < power < 1):
        raise SyncbenchError(f"power {power:g} at level {level:g}: both between 0 and 1, the level below the power")
    sizes = range(ENOUGH, MOST + 1)
    place = bisect_left(
        sizes, -difference, key=lambda n: -detectable_effect(n, tests, power=power, level=level) * spread
    )
    return sizes[place] if place < len(sizes) else None


def shortage_note(n: int, tests: int) -> str | None:
    """A note that n items show only large differences after correction for `tests` comparisons; None if they do not."""
    if n < ENOUGH:
        items = "1 item" if n == 1 else f"{n} items"
        return f"{items} cannot be judged: take at least {ENOUGH}, and {_enough(tests)} for {_comparisons(tests)}."
    size = detectable_effect(n, tests)
    if size <= LARGE:
        return None
    return (
        f"{n} items show, after correction for {_comparisons(tests)}, only differences of {size:.1f} times their "
        f"spread over items: take at least {_enough(tests)}, which show {LARGE:g} times."
    )


def _comparisons(tests: int) -> str:
    return "one comparison" if tests == 1 else f"{tests} comparisons"


def _enough(tests: int) -> int:
    return next(n for n in range(ENOUGH, MOST) if detectable_effect(n, tests) <= LARGE)
