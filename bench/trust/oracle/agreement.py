"""Spearman's rank correlation between each metric and the exact distance from the truth, over methods."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from ...analysis.correlation import rank_correlation
from ...analysis.frame import METRIC, Table, by_item, tidy
from ...errors import SyncbenchError
from ...store.records import read_records

FEWEST = 3
"""Smallest number of methods for a correlation, and of items for its interval."""
RESAMPLES = 999
"""Number of bootstrap samples."""
APART = ("trap", "ceiling")
"""Anchors left out of `spearman`, because they do not try to draw from the law; `with_anchors` includes them."""
COLUMNS = [
    *("metric", "fingerprint", "direction", "methods", "items"),
    *("spearman", "ci_low", "ci_high", "with_anchors", "reason"),
]


def oracle_records(folders: Sequence[str | Path], steps: int) -> pd.DataFrame:
    """Records of strips on the model `gauss`, from results folders of the suite `oracle`.

    Raises SyncbenchError where there are none, or where they were sampled in another number of steps.
    """
    named = ", ".join(map(str, folders))
    records: Table = tidy(read_records(folders))
    records = records[(records["model"] == "gauss") & (records["family"] == "overlap") & (records["metric"] != "")]
    if records.empty:
        raise SyncbenchError(f"no strips of the model gauss in {named}: run the suite oracle with --out into it")
    taken = sorted({int(json.loads(text)["steps"]) for text in records["protocol"].unique()})
    if taken != [steps]:
        raise SyncbenchError(f"{named} holds runs of {' and '.join(map(str, taken))} steps: give one as --steps")
    return records


def agreement(rows: pd.DataFrame, records: pd.DataFrame) -> pd.DataFrame:
    """One row per metric, columns COLUMNS, from `Oracle.rows` and `oracle_records`.

    `spearman` in [-1, 1] is between the exact W2 and the metric's mean loss (lower is better); at 1 both rank methods
    alike. Intervals are percentile bootstrap over items, for a fixed set of methods. Methods with equal laws count
    once.
    """
    every: Table = records
    known: Table = rows[rows["w2"].notna() & rows["same_as"].isna()].set_index("method")["w2"]
    items = by_item(every[every["method"].isin(known.index)])
    correlations = [_correlation(part, known) for _, part in items.groupby(METRIC, sort=True)]
    table = pd.DataFrame(correlations, columns=COLUMNS)
    return table.sort_values("spearman", ascending=False, kind="stable", na_position="last").reset_index(drop=True)


def _correlation(part: Table, known: Table) -> dict[str, Any]:
    """The row (COLUMNS) of one metric; `known` are exact distances by method."""
    first = part.iloc[0]
    row: dict[str, Any] = {name: first[name] for name in ("metric", "fingerprint", "direction")}
    every = part.pivot_table(index="item", columns="method", values="loss", dropna=False).dropna(axis=1)
    apart = set(part.loc[part["anchor"].isin(APART), "method"])
    losses = every[[name for name in every.columns if name not in apart]]
    row |= {"methods": losses.shape[1], "items": losses.shape[0]}
    if losses.shape[1] < FEWEST:
        return row | {"reason": f"{losses.shape[1]} methods have a value on every item: {FEWEST} are needed"}
    table, w2 = losses.to_numpy(), known[losses.columns].to_numpy()
    row["spearman"] = rank_correlation(table.mean(0), w2)
    row["with_anchors"] = rank_correlation(every.to_numpy().mean(0), known[every.columns].to_numpy())
    if np.isnan(row["spearman"]):
        return row | {"spearman": None, "with_anchors": None, "reason": "the metric tells no two methods apart"}
    if len(table) < FEWEST:
        return row | {"reason": f"{len(table)} items: an interval needs {FEWEST}"}

    def statistic(chosen: np.ndarray, axis: int) -> np.ndarray:
        return rank_correlation(table[np.moveaxis(chosen, axis, -1)].mean(-2), w2)

    answer: Any = stats.bootstrap(
        (np.arange(len(table)),),
        statistic,
        vectorized=True,
        n_resamples=RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    return row | {"ci_low": float(answer.confidence_interval.low), "ci_high": float(answer.confidence_interval.high)}
