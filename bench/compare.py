"""Paired differences between methods: same items, same seeds, with intervals, corrected p-values and their limits."""

# pyright: reportMissingTypeStubs=false

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import Any, Literal

import pandas as pd

from . import stats
from .errors import SyncbenchError
from .report import METRIC, Table, base, boards, by_item, floors, leads, target, tidy

COLUMNS = [
    *("family", "dataset", "metric", "fingerprint", "direction", "a", "b", "difference", "ci_low", "ci_high"),
    *("n_items", "excludes_zero", "better", "p", "p_adjusted", "correction", "spread", "detectable", "reason"),
    *("protocol", "dataset_version", "metric_version"),
]
"""Columns of `differences`."""
MANY = 3
"""Above this many methods each is compared with the best and the floor only, unless all pairs are asked for."""
Pairs = Literal["best", "all"]
PAIRS: tuple[Pairs, ...] = ("best", "all")


def differences(
    records: pd.DataFrame,
    primary: Sequence[str] | None = None,
    *,
    pairs: Pairs = "best",
    exploratory: bool = False,
) -> pd.DataFrame:
    """Mean of a - b per pair of methods over the items and seeds both have, columns `COLUMNS`.

    `a` and `b` are names of lines: methods, with their models where a board has several. Every method is compared with
    the floor anchor of its own model and with the board's, then methods with each other (`pairs`: `best` leaves those
    that do not concern the best method out, above `MANY` methods); other anchors are left out. For `target:VALUE`
    metrics the difference is that of the distances from VALUE, so below zero always means `a` is nearer. `better` names
    the better of the two where the 95 % interval excludes zero; `detectable` is the smallest true difference this many
    items would show.

    `p_adjusted` is corrected as `correction` says: by Holm over the comparisons of one metric for `primary` metrics
    (default: the family's), which bounds the chance of any false finding; by Benjamini and Hochberg over all other
    comparisons of the leaderboard, which bounds the false fraction. The latter, of the metrics that are neither
    primary nor a cost, are made only if `exploratory`.
    """
    r = tidy(records)
    if primary is not None:
        known = {str(m) for m in r["metric"] if m}
        unknown = [name for name in primary if name not in known | {base(m) for m in known}]
        if unknown:
            raise SyncbenchError(f"no metric '{unknown[0]}' in these results: they hold {', '.join(sorted(known))}")
    found: list[dict[str, Any]] = []
    for board, part in boards(r[r["metric"] != ""]):
        others: list[dict[str, Any]] = []
        for key, column in part.groupby(METRIC, sort=True):
            about = {**board, **dict(zip(METRIC, key, strict=True))}
            if leads(column, primary):
                tests = _compare(column, about, pairs)
                found.extend(_corrected(tests, "Holm", stats.holm))
            elif exploratory and column["role"].iloc[0] != "cost":
                others.extend(_compare(column, about, pairs))
        found.extend(_corrected(others, "BH", stats.benjamini_hochberg))
    return pd.DataFrame(found, columns=pd.Index(COLUMNS))


def _corrected(
    tests: list[dict[str, Any]], name: str, correct: Callable[[list[float]], Any]
) -> Iterator[dict[str, Any]]:
    for test, p in zip(tests, correct([test["p"] for test in tests]), strict=True):
        yield {**test, "p_adjusted": float(p), "correction": name}


def _compare(column: Table, about: dict[str, Any], which: Pairs) -> list[dict[str, Any]]:
    """Comparisons of one column of one leaderboard."""
    methods = column.drop_duplicates(["name", "method_version"])
    anchors = dict(zip(methods["name"], methods["anchor"], strict=True))
    direction = str(about["direction"])
    distance = "value" if target(direction) is None else "loss"
    # Seeds are paired too: a seed that only one of the two methods has does not count.
    seeds = column.pivot_table(index=["item", "seed"], columns="name", values=distance, aggfunc="last")
    if seeds.empty:
        return []
    seeds = seeds.reindex(columns=methods["name"].unique())  # the pivot leaves out who has no value at all
    ranked = by_item(column).groupby("name")["loss"].mean().sort_values(kind="stable")
    real = [m for m in ranked.index if anchors[m] == ""]
    pairs = [(m, low) for m in real for low in floors(methods, m) if low in ranked.index]
    pairs += [pair for pair in combinations(real, 2) if which == "all" or len(real) <= MANY or pair[0] == real[0]]
    answers: list[dict[str, Any]] = []
    for a, b in pairs:
        both = seeds[[a, b]].dropna().groupby("item").mean()
        one = stats.paired(both[a], both[b])
        better = None
        if one.interval.separable:
            better = a if (one.interval.mean < 0) != (direction == "higher") else b
        answers.append(
            {
                **about,
                "a": a,
                "b": b,
                "difference": one.interval.mean if one.interval.n else None,
                "ci_low": one.interval.low,
                "ci_high": one.interval.high,
                "n_items": one.interval.n,
                "excludes_zero": one.interval.excludes_zero,
                "better": better,
                "p": one.p,
                "spread": one.spread,
                "detectable": one.detectable,
                "reason": one.interval.reason if one.interval.n else "no item scored for both",
            }
        )
    return answers
