"""Calibration: how well a metric that estimates something stands for the exact metric of it, on the exact world.

A metric that estimates names its exact counterpart: `estimates = "reprojection"`. Both score the same samples, a line
being a method of a sweep (or one strength of damage to the truth) and a column an item. Then

    spearman     is between the lines' means of both, in [-1, 1]; at 1 the estimate ranks lines as the exact metric
                 does. Its interval is a percentile bootstrap that draws lines and items anew, independently
    bias         is the mean of estimate minus exact over items, with its interval; only where both have one unit
    tells        is the smallest exact difference from which on the estimate tells two lines apart rightly, in 95 % of
                 the pairs that differ by as much or more: the interval of its paired difference, corrected for all
                 pairs, excludes zero on the right side

With few lines a perfect ranking may be luck, and the bootstrap cannot say so: of 4 lines 1 in 24 rankings is perfect.
"""

from dataclasses import dataclass
from itertools import combinations
from math import isfinite
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from scipy import stats as scipy_stats

from ..analysis import stats
from ..analysis.correlation import rank_correlation
from ..analysis.pairwise import comparison_count

FEWEST = 3
"""Smallest number of lines, and of items, for a rank correlation with an interval."""
ANSWERED = 0.5
"""Smallest share of the items on which a line must have both values; lines below it are left out."""
TOLD = 0.95
"""Share of the pairs that `tells` promises to be told apart."""
RESAMPLES = 999
"""Number of bootstrap samples."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """How a metric's values agree with those of the exact metric that it estimates."""

    exact: str
    """Label of the exact metric."""
    over: str
    """What was compared, in words: methods of a data set, or damage to its scenes."""
    lines: int
    """Number of methods, or of strengths of damage, that were compared."""
    items: int
    spearman: float | None
    low: float | None
    high: float | None
    bias: float | None
    """Mean of estimate minus exact; None where their units differ."""
    bias_low: float | None
    bias_high: float | None
    unit: str
    """Unit of the exact metric, which is that of `tells` and of the bias."""
    tells: float | None
    """Smallest exact difference that the estimate tells; None where it does not tell the largest ones, or cannot."""
    told: int
    """Number of pairs of lines that the estimate tells apart rightly."""
    wrong: int
    """Number of pairs that it tells apart the wrong way round."""
    pairs: int
    left_out: int = 0
    """Number of lines on which too few items have a value."""
    reason: str | None = None
    """Why there is no correlation; None where there is one."""

    def text(self) -> str:
        """The calibration as one sentence without its end."""
        less = f", {self.left_out} of them left out for want of values" if self.left_out else ""
        if self.spearman is None:
            return f"cannot be held against {self.exact} over {self.over}{less}: {self.reason}"
        said = f"ranks {self.over}{less and f'{less},'} as {self.exact} does with Spearman {self.spearman:.2f}"
        if self.low is not None and self.high is not None:
            said += f" ({self.low:.2f} to {self.high:.2f})"
        said += f", {self.items} items"
        unit = f" {self.unit}" if self.unit else ""
        if self.bias is not None:
            said += f"; bias {self.bias:+.3g}{unit}"
            if self.bias_low is not None and self.bias_high is not None:
                said += f" ({self.bias_low:+.3g} to {self.bias_high:+.3g})"
        tells = "not even the largest differences" if self.tells is None else f"differences from {self.tells:.3g}{unit}"
        return f"{said}; tells {tells} ({self.told} of {self.pairs} pairs, {self.wrong} wrongly)"


def calibrate(
    estimate: Float[np.ndarray, "lines items"],
    exact: Float[np.ndarray, "lines items"],
    *,
    name: str,
    over: str,
    unit: str = "",
    alike: bool = False,
) -> Calibration:
    """The calibration of `estimate` against `exact`, both as losses (lower is better); nan where there is no value.

    `name` is that of the exact metric and `unit` its unit; `alike` says that both have this unit and lower is better
    for both, without which there is no bias. A line is left out where fewer than half of the items have both values;
    then the items are those on which all lines have both.
    """
    both: Bool[np.ndarray, "lines items"] = np.isfinite(estimate) & np.isfinite(exact)
    kept = both.mean(1) >= ANSWERED if both.size else np.zeros(len(both), dtype=bool)
    columns = both[kept].all(0) if kept.any() else np.zeros(both.shape[1], dtype=bool)
    guess, truth = estimate[kept][:, columns], exact[kept][:, columns]
    lines, items = guess.shape
    facts: dict[str, Any] = {"exact": name, "over": over, "lines": lines, "items": items, "unit": unit}
    facts["left_out"] = int((~kept).sum())
    reason = _shortage(lines, items)
    rho = float("nan") if reason else float(rank_correlation(guess.mean(1), truth.mean(1)))
    if reason is None and not isfinite(rho):
        reason = "one of the two tells no two lines apart"
    if reason:
        nothing = dict.fromkeys(("spearman", "low", "high", "bias", "bias_low", "bias_high", "tells"))
        return Calibration(**facts, **nothing, told=0, wrong=0, pairs=0, reason=reason)
    low, high = _spread(guess, truth)
    bias = stats.interval((guess - truth).mean(0)) if alike else None
    tells, told, wrong, pairs = _telling(guess, truth)
    return Calibration(
        **facts,
        spearman=rho,
        low=low,
        high=high,
        bias=None if bias is None else bias.mean,
        bias_low=None if bias is None else bias.low,
        bias_high=None if bias is None else bias.high,
        tells=tells,
        told=told,
        wrong=wrong,
        pairs=pairs,
    )


def _shortage(lines: int, items: int) -> str | None:
    if lines < FEWEST:
        return f"only {lines} have both values on half of the items: {FEWEST} are needed"
    if items < FEWEST:
        return f"every one of the {lines} has both values on only {items} items: {FEWEST} are needed"
    return None


def _spread(guess: Float[np.ndarray, "lines items"], truth: Float[np.ndarray, "lines items"]) -> tuple[float, float]:
    """The bootstrap interval of the correlation; a resample in which all lines are equal counts as 0."""

    def statistic(lines: np.ndarray, items: np.ndarray, axis: int) -> np.ndarray:
        lines, items = np.moveaxis(lines, axis, -1), np.moveaxis(items, axis, -1)
        means = [table[lines[..., :, None], items[..., None, :]].mean(-1) for table in (guess, truth)]
        return np.nan_to_num(rank_correlation(*means), nan=0.0)

    answer: Any = scipy_stats.bootstrap(
        (np.arange(len(guess)), np.arange(guess.shape[1])),
        statistic,
        vectorized=True,
        paired=False,
        n_resamples=RESAMPLES,
        batch=100,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    return float(answer.confidence_interval.low), float(answer.confidence_interval.high)


def _telling(
    guess: Float[np.ndarray, "lines items"], truth: Float[np.ndarray, "lines items"]
) -> tuple[float | None, int, int, int]:
    """The smallest exact difference that is told, and numbers of pairs: told rightly, told wrongly, all."""
    first, second = np.array(list(combinations(range(len(guess)), 2))).T
    signs, _ = stats.separable_signs((guess[first] - guess[second]).T, tests=comparison_count(len(guess)))
    gaps = (truth[first] - truth[second]).mean(1)
    right = (signs != 0) & (signs == np.sign(gaps))
    wrong = int(((signs != 0) & ~right).sum())
    order = np.argsort(-np.abs(gaps), kind="stable")
    share = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    good = np.flatnonzero((share >= TOLD) & right[order])
    tells = float(np.abs(gaps[order[good[-1]]])) if len(good) else None
    return tells, int(right.sum()), wrong, len(gaps)
