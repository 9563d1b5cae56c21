"""Paired differences between methods: same items, same seeds, with intervals that hold together and their limits."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, Literal

import numpy as np
import pandas as pd

from ..catalogue.registry import suggest
from ..errors import SyncbenchError
from . import stats
from .frame import METRIC, Table, base, boards, by_item, floors, leads, target, tidy
from .pairwise import by_sample, comparisons, judged, paired

COLUMNS = [
    *("family", "dataset", "metric", "fingerprint", "direction", "a", "b", "difference", "ci_low", "ci_high"),
    *("n_items", "excludes_zero", "better", "p", "tests", "correction", "spread", "detectable", "reason"),
    *("protocol", "dataset_version", "metric_version"),
]
"""Columns of `differences`."""
MANY = 3
"""Above this many methods each is compared with the best and the floor only, unless all pairs are asked for."""
Pairs = Literal["best", "all"]
PAIRS: tuple[Pairs, ...] = ("best", "all")


@dataclass(frozen=True, kw_only=True)
class _Pair:
    """One comparison before it is judged."""

    about: dict[str, Any]
    a: str
    b: str
    differences: np.ndarray
    """By item; nan where one of the two has no value."""
    tests: float
    """How many comparisons answer the same question."""


def differences(
    records: pd.DataFrame,
    primary: Sequence[str] | None = None,
    *,
    pairs: Pairs = "best",
    against: str | None = None,
    exploratory: bool = False,
) -> pd.DataFrame:
    """Mean of a - b per pair of lines over the items and seeds both have, columns `COLUMNS`.

    `a` and `b` are names of lines: methods, with their models where a board has several. Every method is compared with
    the floor anchor of its own model and with the board's, then methods with each other (`pairs`: `best` leaves those
    that do not concern the best method out, above `MANY` methods); other anchors are left out. `against` names one line
    that all others are compared with instead. For `target:VALUE` metrics the difference is that of the distances from
    VALUE, so below zero always means `a` is nearer.

    `ci_low` and `ci_high` hold together: with 95 % all comparisons of the question hold their true differences, where a
    question is one metric's methods against each other, against the floor, or against `against`; `p` is corrected
    alike (Bonferroni, `tests` comparisons whether they are listed or not). `better` names the better of the two where
    the interval excludes zero, from `stats.ENOUGH` items on. `detectable` is the smallest true difference that this
    many items show 4 times in 5. `primary` metrics default to the family's. Of the metrics that are neither primary nor
    a cost comparisons are made only if `exploratory`: those of a leaderboard are corrected together by Benjamini and
    Hochberg, which bounds the false fraction of the findings, with intervals to match (Benjamini and Yekutieli, J. Am.
    Statist. Assoc. 2005).
    """
    r = tidy(records)
    if primary is not None:
        known = {str(m) for m in r["metric"] if m}
        unknown = [name for name in primary if name not in known | {base(m) for m in known}]
        if unknown:
            raise SyncbenchError(f"no metric '{unknown[0]}' in these results: they hold {', '.join(sorted(known))}")
    if against is not None and against not in set(r["name"]):
        raise SyncbenchError(
            f"no line '{against}' in these results{suggest(against, sorted(set(r['name'])), 'they hold')}"
        )
    found: list[dict[str, Any]] = []
    for board, part in boards(r[r["metric"] != ""]):
        confirmed: list[_Pair] = []
        explored: list[_Pair] = []
        for key, column in part.groupby(METRIC, sort=True):
            about = {**board, **dict(zip(METRIC, key, strict=True))}
            if leads(column, primary):
                confirmed += _pairs(column, about, pairs, against)
            elif exploratory and column["role"].iloc[0] != "cost":
                explored += _pairs(column, about, pairs, against)
        found += _rows(confirmed, judged([one.differences for one in confirmed], [one.tests for one in confirmed]))
        found += _explored(explored)
    return pd.DataFrame(found, columns=pd.Index(COLUMNS))


def _explored(pairs: list[_Pair]) -> list[dict[str, Any]]:
    """Rows corrected by Benjamini and Hochberg. An interval excludes zero exactly where its p is below the level."""
    p = [one.p for one in judged([pair.differences for pair in pairs], [1.0] * len(pairs))]
    adjusted = stats.benjamini_hochberg(p)
    tests = np.isfinite(p).sum() / max(1, int((adjusted < stats.LEVEL).sum()))
    same = [replace(pair, tests=max(1.0, float(tests))) for pair in pairs]
    rows = _rows(same, judged([pair.differences for pair in same], [pair.tests for pair in same]))
    number = {"tests": len(pairs), "correction": "BH"}
    return [{**row, **number, "p": float(value)} for row, value in zip(rows, adjusted, strict=True)]


def _pairs(column: Table, about: dict[str, Any], which: Pairs, against: str | None) -> list[_Pair]:
    """Comparisons of one column of one leaderboard."""
    lines = column.drop_duplicates("name")
    anchors = dict(zip(lines["name"], lines["anchor"], strict=True))
    samples = by_sample(column, "value" if target(str(about["direction"])) is None else "loss")
    ranked = by_item(column).groupby("name")["loss"].mean().dropna().sort_values(kind="stable")
    real = [name for name in ranked.index if anchors[name] == ""]
    if against is not None:
        others = [name for name in real if name != against]
        return _made(samples, about, [(name, against) for name in others], len(others)) if against in anchors else []
    low = [(name, one) for name in real for one in floors(lines, name)]
    found = _made(samples, about, low, len(low))
    two = [pair for pair in combinations(real, 2) if which == "all" or len(real) <= MANY or pair[0] == real[0]]
    return found + _made(samples, about, two, comparisons(len(real)))


def _made(samples: Table, about: dict[str, Any], pairs: list[tuple[str, str]], tests: int) -> list[_Pair]:
    rows = paired(samples, pairs)
    return [_Pair(about=about, a=a, b=b, differences=d, tests=tests) for (a, b), d in zip(pairs, rows, strict=True)]


def _rows(pairs: list[_Pair], answers: list[stats.Interval]) -> list[dict[str, Any]]:
    return [_row(pair, one) for pair, one in zip(pairs, answers, strict=True)]


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
        "detectable": stats.effect(one.n, pair.tests) * spread if one.n >= stats.ENOUGH else None,
        "reason": reason,
    }
