"""Statistics over items: bootstrap intervals, paired differences, Holm's correction, detectable effects.

The unit of inference is the item. Seeds are nested in it: average them within the item first (`report.py` does).
Resampling and tests are SciPy's; here is only what ties them together and says when there is no answer.
"""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# (SciPy has no type stubs.)

from bisect import bisect_left
from dataclasses import dataclass
from functools import lru_cache
from math import isfinite, nan, sqrt
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike
from scipy import optimize, special, stats

from .errors import SyncbenchError

RESAMPLES = 2999
"""Bootstrap resamples, the same for every table so that numbers agree between them."""
SEED = 0
FEWEST = 3
"""Items below which no interval is given."""

MOST = 10**6
"""Items above which no number is given."""
ALIKE = "all items alike: nothing to resample"


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean over items and its bootstrap interval, or why there is none."""

    mean: float
    low: float | None
    high: float | None
    n: int
    reason: str | None = None
    """Why there is no interval, or why it is not BCa."""

    @property
    def half(self) -> float | None:
        """Half the width."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2

    @property
    def excludes_zero(self) -> bool:
        """Whether zero lies outside the interval; False where there is none."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)

    @property
    def separable(self) -> bool:
        """Whether the interval excludes zero, or all items are alike and not zero."""
        return self.excludes_zero or (self.reason == ALIKE and self.mean != 0)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Mean of a - b over items, its interval, and the evidence."""

    interval: Interval
    spread: float
    """Standard deviation of the difference over items; nan below two."""
    p: float
    """Two-sided sign-flip permutation p; exact up to 13 items. nan below two items."""
    detectable: float | None
    """Smallest true difference found 4 times in 5 with this many items (see `detectable`)."""


def intervals(
    table: Float[np.ndarray, "items columns"], *, confidence: float = 0.95, seed: int = SEED
) -> list[Interval]:
    """BCa bootstrap interval of the mean of each column, all columns resampled by the same draws.

    Efron, JASA 1987, as in scipy.stats.bootstrap. With few items it is too narrow, as every bootstrap is:
    of 95 % intervals from 12 normal items 90 to 96 % hold the truth (bounds of tests/test_stats.py). Columns not fit
    for it (fewer than 3 items, all alike) come back without bounds and with the reason.
    """
    n, _ = table.shape
    if not np.isfinite(table).all():
        raise ValueError("intervals need finite values; drop nulls first")
    means = table.mean(axis=0) if n else np.full(table.shape[1], nan)
    if n < FEWEST:
        reason = f"{n} item{'' if n == 1 else 's'}: an interval needs {FEWEST}"
        return [Interval(mean=float(m), low=None, high=None, n=n, reason=reason) for m in means]
    # Relative to the mean: sums of equal floats differ in the last bits.
    alike = np.ptp(table, axis=0) <= 1e-12 * np.abs(table).max(axis=0)
    lows, highs, how = np.full(len(means), nan), np.full(len(means), nan), np.full(len(means), "", dtype=object)
    varied = np.flatnonzero(~alike)
    if len(varied):
        lows[varied], highs[varied] = _bootstrap(table[:, varied], "BCa", confidence, seed)
        broken = np.flatnonzero(~alike & ~(np.isfinite(lows) & np.isfinite(highs)))
        if len(broken):
            lows[broken], highs[broken] = _bootstrap(table[:, broken], "percentile", confidence, seed)
            how[broken] = "percentile interval: the BCa correction is undefined here"
    how[alike] = ALIKE
    return [
        Interval(
            mean=float(means[i]),
            low=None if alike[i] else float(lows[i]),
            high=None if alike[i] else float(highs[i]),
            n=n,
            reason=str(how[i]) or None,
        )
        for i in range(len(means))
    ]


def _bootstrap(
    table: Float[np.ndarray, "items columns"], method: str, confidence: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """The bounds of scipy.stats.bootstrap (percentile or BCa) of the mean, from the same draws, an order faster.

    Resampled means are a matrix product with how often each item was drawn, for all columns at once, and the
    jackknife of a mean has a closed form. tests/test_stats.py holds it to SciPy's answer.
    """
    centre = table.mean(axis=0)
    parts = [table[:, i : i + 1024] - centre[i : i + 1024] for i in range(0, table.shape[1], 1024)]
    tail = np.array([(1 - confidence) / 2, (1 + confidence) / 2])
    bounds: list[np.ndarray] = []
    for away in parts:
        means = draws(len(table), seed) @ away / len(table)
        # Exact ties with the mean count half in the bias correction; the product's rounding must not break them.
        means[np.abs(means) <= 1e-12 * np.abs(away).max(axis=0)] = 0.0
        levels = np.repeat(tail[:, None], away.shape[1], axis=1)
        if method == "BCa":
            with np.errstate(all="ignore"):
                bias = special.ndtri(((means < 0).mean(axis=0) + (means <= 0).mean(axis=0)) / 2)
                acceleration = (away**3).sum(axis=0) / (6 * (away**2).sum(axis=0) ** 1.5)
                z = bias + special.ndtri(levels)
                levels = special.ndtr(bias + z / (1 - acceleration * z))
        known = np.isfinite(levels.sum(axis=0))
        found = [np.quantile(means[:, i], levels[:, i]) if known[i] else np.full(2, nan) for i in range(away.shape[1])]
        bounds.append(np.array(found).reshape(-1, 2))
    low, high = np.concatenate(bounds).T + centre
    return low, high


@lru_cache(maxsize=8)
def draws(items: int, seed: int = SEED) -> Float[np.ndarray, "resamples items"]:
    """How often each resample holds each item: the draws of scipy.stats.bootstrap."""
    drawn = np.random.default_rng(seed).integers(0, items, (RESAMPLES, items))
    drawn += items * np.arange(RESAMPLES)[:, None]
    return np.bincount(drawn.ravel(), minlength=items * RESAMPLES).reshape(RESAMPLES, items).astype(float)


def interval(values: ArrayLike, *, confidence: float = 0.95, seed: int = SEED) -> Interval:
    """Mean of `values`, one per item, with its interval. See `intervals`."""
    return intervals(np.asarray(values, dtype=float).reshape(-1, 1), confidence=confidence, seed=seed)[0]


def pooled(values: Float[np.ndarray, " rows"], group: Int[np.ndarray, " rows"], groups: int) -> list[Interval]:
    """`interval` of the finite values of each group (numbered 0 to groups - 1), those of equal size at once."""
    known = np.isfinite(values)
    values, group = values[known], group[known]
    values = values[np.argsort(group, kind="stable")]
    sizes = np.bincount(group, minlength=groups)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    answers: dict[int, Interval] = {}
    for n in np.unique(sizes):
        which = np.flatnonzero(sizes == n)
        table = values[starts[which][None, :] + np.arange(n)[:, None]] if n else np.empty((0, len(which)))
        answers.update(zip(which.tolist(), intervals(table), strict=True))
    return [answers[i] for i in range(groups)]


def paired(a: ArrayLike, b: ArrayLike, *, confidence: float = 0.95, seed: int = SEED) -> Difference:
    """Mean of a - b over items, `a` and `b` in the same order of items."""
    d = np.asarray(a, dtype=float) - np.asarray(b, dtype=float)
    return Difference(
        interval=interval(d, confidence=confidence, seed=seed),
        spread=float(d.std(ddof=1)) if len(d) > 1 else nan,
        p=signflip(d, seed=seed),
        detectable=detectable(d),
    )


def signflip(differences: ArrayLike, *, resamples: int = 9999, seed: int = SEED) -> float:
    """Two-sided p that paired differences are symmetric about 0: every sign pattern, or `resamples` random ones.

    The smallest p of n items is 2 / 2^n, so fewer than 6 items can never reach 0.05.
    """
    d = np.asarray(differences, dtype=float)
    if len(d) < 2:
        return nan
    if 2 ** len(d) <= resamples:
        every: Any = stats.permutation_test((d,), np.mean, permutation_type="samples", vectorized=True)
        return float(every.pvalue)
    rng = np.random.default_rng(seed)

    def flip(size: tuple[int, ...]) -> np.ndarray:
        return d * (2.0 * rng.integers(0, 2, size, dtype=np.int8) - 1.0)

    some: Any = stats.monte_carlo_test(
        d, flip, np.mean, vectorized=True, n_resamples=resamples, batch=max(1, 2**20 // len(d))
    )
    return float(some.pvalue)


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


def detectable(differences: ArrayLike, *, power: float = 0.8, level: float = 0.05) -> float | None:
    """Smallest true mean difference that a two-sided paired t-test finds with probability `power`.

    Solved with the noncentral t distribution at the spread and number of items observed; tends to
    2.80 sd / sqrt(n) for many items. None below 3 items.
    """
    d = np.asarray(differences, dtype=float)
    n = len(d)
    if n < FEWEST:
        return None
    error = float(d.std(ddof=1)) / sqrt(n)

    def lacking(shift: float) -> float:
        return _found(shift, n, level) - power

    critical = float(stats.t.ppf(1 - level / 2, n - 1))
    shift: Any = optimize.brentq(lacking, 0.0, 1.5 * critical + 1)
    return float(shift) * error


def _found(shift: float, n: int, level: float) -> float:
    """Power of the two-sided t-test of n items at a true mean of `shift` standard errors (noncentral t)."""
    critical = stats.t.ppf(1 - level / 2, n - 1)
    return float(stats.nct.sf(critical, n - 1, shift) + stats.nct.cdf(-critical, n - 1, shift))


def items_needed(spread: float, difference: float, *, power: float = 0.8, level: float = 0.05) -> int | None:
    """Fewest items with which a two-sided paired t-test finds a true `difference` with probability `power`.

    `spread` is the standard deviation of the difference over items. Tends to 7.85 (spread / difference)^2, at least
    3; None above a million. Raises SyncbenchError for numbers that make no sense.
    """
    if not (isfinite(spread) and spread >= 0 and isfinite(difference) and difference > 0):
        raise SyncbenchError(f"spread {spread:g}, difference {difference:g}: a spread from 0 and a difference above 0")
    if not (0 < level < power < 1):
        raise SyncbenchError(f"power {power:g} at level {level:g}: both between 0 and 1, the level below the power")
    if spread == 0:
        return FEWEST
    sizes = range(FEWEST, MOST + 1)
    place = bisect_left(sizes, power, key=lambda n: _found(difference * sqrt(n) / spread, n, level))
    return sizes[place] if place < len(sizes) else None
