"""Paired differences between methods on the items and seeds that both have, with simultaneous confidence intervals."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, Literal

import numpy as np
import pandas as pd

from ..catalogue.registry import suggest
from ..errors import SyncbenchError
from . import stats
from .frame import METRIC, Table, by_item, floor_lines, is_primary, metric_id, split_boards, target_value, tidy
from .pairwise import by_sample, comparison_count, corrected_intervals, paired_differences

COLUMNS = [
    *("family", "dataset", "metric", "fingerprint", "direction", "a", "b", "difference", "ci_low", "ci_high"),
    *("n_items", "excludes_zero", "better", "p", "tests", "correction", "spread", "detectable", "reason"),
    *("protocol", "dataset_version", "metric_version"),
]
"""Columns of `differences`."""
MANY = 3
"""With more methods than this, each is compared with the best and the floor only, unless `pairs` is `all`."""
Pairs = Literal["best", "all"]
PAIRS: tuple[Pairs, ...] = ("best", "all")


@dataclass(frozen=True, kw_only=True)
class _Pair:
    """One comparison of two lines, before its interval is computed."""

    about: dict[str, Any]
    """The columns that the leaderboard and the metric determine."""
    a: str
    b: str
    differences: np.ndarray
    """Differences (items,) a - b; nan where one of the two has no value."""
    tests: float
    """Number of comparisons that its interval and p-value are corrected for."""


def differences(
    records: pd.DataFrame,
    primary: Sequence[str] | None = None,
    *,
    pairs: Pairs = "best",
    against: str | None = None,
    exploratory: bool = False,
) -> pd.DataFrame:
    """Mean of a - b, over the items and seeds that both have, for pairs of lines; columns `COLUMNS`.

    `a` and `b` are names of lines: methods, with their models where a leaderboard has several. Every method is compared
    with the floor anchor of its own model and with the leaderboard's, then methods with each other (`pairs`: with
    `best` and more than `MANY` methods, only with the best one); other anchors are left out. `against` names one line
    with which all others are compared instead. For `target:VALUE` metrics the difference is that of the distances from
    VALUE, so below zero always means that `a` is nearer.

    `ci_low` and `ci_high` are simultaneous: with 95 % probability the intervals of all comparisons of one question hold
    their true differences, where a question is one metric's methods against each other, against the floor, or against
    `against`. `p` is corrected likewise (Bonferroni, over `tests` comparisons whether they are listed or not). `better`
    names the better of the two where the interval excludes zero, from `stats.ENOUGH` items on. `detectable` is the
    smallest true difference that this many items show 4 times in 5. `primary` metrics default to the family's. Metrics
    that are neither primary nor a cost are compared only if `exploratory`. Those of a leaderboard are corrected
    together by Benjamini and Hochberg, which bounds the expected fraction of false findings, with intervals to match
    (Benjamini and Yekutieli, J. Am. Statist. Assoc. 2005). Raises SyncbenchError for a metric in `primary`, or a line
    `against`, that the records do not have.
    """
    r = tidy(records)
    if primary is not None:
        known = {str(m) for m in r["metric"] if m}
        unknown = [name for name in primary if name not in known | {metric_id(m) for m in known}]
        if unknown:
            raise SyncbenchError(f"no metric '{unknown[0]}' in these results: they hold {', '.join(sorted(known))}")
    if against is not None and against not in set(r["name"]):
        raise SyncbenchError(
            f"no line '{against}' in these results{suggest(against, sorted(set(r['name'])), 'they hold')}"
        )
    rows: list[dict[str, Any]] = []
    for board, part in split_boards(r[r["metric"] != ""]):
        confirmed: list[_Pair] = []
        explored: list[_Pair] = []
        for key, column in part.groupby(METRIC, sort=True):
            about = {**board, **dict(zip(METRIC, key, strict=True))}
            if is_primary(column, primary):
                confirmed += _pairs(column, about, pairs, against)
            elif exploratory and column["role"].iloc[0] != "cost":
                explored += _pairs(column, about, pairs, against)
        rows += _rows(confirmed) + _explored(explored)
    return pd.DataFrame(rows, columns=pd.Index(COLUMNS))


def _explored(pairs: list[_Pair]) -> list[dict[str, Any]]:
    """Rows corrected by Benjamini and Hochberg. An interval excludes zero exactly where its p is below the level."""
    p = [one.p for one in corrected_intervals([pair.differences for pair in pairs], [1.0] * len(pairs))]
    adjusted = stats.benjamini_hochberg(p)
    tests = np.isfinite(p).sum() / max(1, int((adjusted < stats.LEVEL).sum()))
    rows = _rows([replace(pair, tests=max(1.0, float(tests))) for pair in pairs])
    number = {"tests": len(pairs), "correction": "BH"}
    return [{**row, **number, "p": float(value)} for row, value in zip(rows, adjusted, strict=True)]


def _pairs(column: Table, about: dict[str, Any], which: Pairs, against: str | None) -> list[_Pair]:
    """The comparisons of one metric on one leaderboard."""
    lines = column.drop_duplicates("name")
    anchors = dict(zip(lines["name"], lines["anchor"], strict=True))
    samples = by_sample(column, "value" if target_value(str(about["direction"])) is None else "loss")
    ranked = by_item(column).groupby("name")["loss"].mean().dropna().sort_values(kind="stable")
    real = [name for name in ranked.index if anchors[name] == ""]
    if against is not None:
        others = [name for name in real if name != against]
        return _paired(samples, about, [(name, against) for name in others], len(others)) if against in anchors else []
    low = [(name, one) for name in real for one in floor_lines(lines, name)]
    found = _paired(samples, about, low, len(low))
    two = [pair for pair in combinations(real, 2) if which == "all" or len(real) <= MANY or pair[0] == real[0]]
    return found + _paired(samples, about, two, comparison_count(len(real)))


def _paired(samples: Table, about: dict[str, Any], pairs: list[tuple[str, str]], tests: int) -> list[_Pair]:
    """The comparisons of pairs of lines, each one of `tests`."""
    rows = paired_differences(samples, pairs)
    return [_Pair(about=about, a=a, b=b, differences=d, tests=tests) for (a, b), d in zip(pairs, rows, strict=True)]


def _rows(pairs: list[_Pair]) -> list[dict[str, Any]]:
    """Rows (`COLUMNS`) of the comparisons, each with its corrected interval."""
    answers = corrected_intervals([pair.differences for pair in pairs], [pair.tests for pair in pairs])
    return [_row(pair, interval) for pair, interval in zip(pairs, answers, strict=True)]


def _row(pair: _Pair, one: stats.Interval) -> dict[str, Any]:
    known = pair.differences[np.isfinite(pair.differences)]
    spread = float(known.std(ddof=1)) if len(known) > 1 else float("nan")
    better = None
    if one.separable:
        better = pair.a if (one.mean < 0) != (pair.about["direction"] == "higher") else pair.b
    reason = one.reason if one.n else "no item scored for both"
    if stats.ENOUGH > one.n >= stats.FEWEST and reason is None:
        reason = f"{one.n} items: judged from {stats.ENOUGH}"
    return {
        **pair.about,
        "a": pair.a,
        "b": pair.b,
        "difference": one.mean if one.n else None,
        "ci_low": one.low,
        "ci_high": one.high,
        "n_items": one.n,
        "excludes_zero": one.excludes_zero,
        "better": better,
        "p": one.p,
        "tests": int(pair.tests),
        "correction": "Bonferroni",
        "spread": spread,
        "detectable": stats.detectable_effect(one.n, pair.tests) * spread if one.n >= stats.ENOUGH else None,
        "reason": reason,
    }
