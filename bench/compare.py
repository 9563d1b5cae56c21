"""Paired differences between methods: same items, same seeds, with intervals, corrected p-values and their limits."""

# pyright: reportMissingTypeStubs=false

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import pandas as pd

from . import stats
from .errors import SyncbenchError
from .report import METRIC, PRIMARY, Table, base, boards, by_item, floor, target, tidy

COLUMNS = [
    *("family", "dataset", "metric", "fingerprint", "direction", "a", "b", "difference", "ci_low", "ci_high"),
    *("n_items", "excludes_zero", "better", "p", "p_holm", "detectable", "reason"),
    *("protocol", "dataset_version", "metric_version"),
]
"""Columns of `differences`."""
MANY = 6
"""Above this many methods only the best is compared with every other."""


def differences(records: pd.DataFrame, primary: Sequence[str] | None = None) -> pd.DataFrame:
    """Mean of a - b per pair of methods over the items and seeds both have, columns `COLUMNS`.

    `a` and `b` are names of lines: methods, with their models where a board has several. Every method against the
    floor anchor, then methods against each other; other anchors are left out. For `target:VALUE` metrics the
    difference is that of the distances from VALUE, so below zero always means `a` is nearer. `better` names the
    better of the two where the 95 % interval excludes zero; `p_holm` is corrected over the comparisons of one
    metric; `detectable` is the smallest true difference this many items would show.
    """
    r = tidy(records)
    if primary is not None:
        known = {str(m) for m in r["metric"] if m}
        unknown = [name for name in primary if name not in known | {base(m) for m in known}]
        if unknown:
            raise SyncbenchError(f"no metric '{unknown[0]}' in these results: they hold {', '.join(sorted(known))}")
    found: list[dict[str, Any]] = []
    for board, part in boards(r[r["metric"] != ""]):
        wanted = PRIMARY.get(str(board["family"]), ()) if primary is None else tuple(primary)
        for key, column in part.groupby(METRIC, sort=True):
            about = dict(zip(METRIC, key, strict=True))
            if about["metric"] in wanted or base(about["metric"]) in wanted:
                found.extend({**board, **about, **one} for one in _compare(column, about["direction"]))
    return pd.DataFrame(found, columns=pd.Index(COLUMNS))


def _compare(column: Table, direction: str) -> list[dict[str, Any]]:
    """Comparisons of one column of one leaderboard."""
    methods = column.drop_duplicates(["name", "method_version"])
    anchors = dict(zip(methods["name"], methods["anchor"], strict=True))
    distance = "value" if target(direction) is None else "loss"
    # Seeds are paired too: a seed that only one of the two methods has does not count.
    seeds = column.pivot_table(index=["item", "seed"], columns="name", values=distance, aggfunc="last")
    if seeds.empty:
        return []
    ranked = by_item(column).groupby("name")["loss"].mean().sort_values(kind="stable")
    real = [m for m in ranked.index if anchors[m] == ""]
    low = floor(methods)
    pairs = [(m, low) for m in real if low in ranked.index]
    pairs += [pair for pair in combinations(real, 2) if len(real) <= MANY or pair[0] == real[0]]
    answers: list[dict[str, Any]] = []
    for a, b in pairs:
        both = seeds[[a, b]].dropna().groupby("item").mean()
        one = stats.paired(both[a], both[b])
        better = None
        if one.interval.excludes_zero:
            better = a if (one.interval.mean < 0) != (direction == "higher") else b
        answers.append(
            {
                "a": a,
                "b": b,
                "difference": one.interval.mean if one.interval.n else None,
                "ci_low": one.interval.low,
                "ci_high": one.interval.high,
                "n_items": one.interval.n,
                "excludes_zero": one.interval.excludes_zero,
                "better": better,
                "p": one.p,
                "detectable": one.detectable,
                "reason": one.interval.reason if one.interval.n else "no item scored for both",
            }
        )
    for answer, p in zip(answers, stats.holm([answer["p"] for answer in answers]), strict=True):
        answer["p_holm"] = float(p)
    return answers
