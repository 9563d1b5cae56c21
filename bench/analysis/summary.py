"""From records to the rows of a report: means over items with intervals, reasons for missing values, spans."""

from typing import Any

import numpy as np
import pandas as pd

from . import stats
from .frame import BOARD, METHOD, METRIC, Table, by_item, floor_line, tidy

RANKS = ["mark", "rank_low", "rank_high", "pareto"]
COLUMNS = [
    *("family", "dataset", "model", "method", "metric", "fingerprint", "direction", "value", "ci_low", "ci_high"),
    *("n_items", "n_seeds", "coverage", "reason"),
    *("unit", "anchor", "door", "span", "failed", "protocol", "dataset_version", "revision"),
    *("method_version", "metric_version", "role", "primary"),
    *RANKS,
]
"""Columns of `report_rows`. `span` is 0 at the floor anchor and 1 at the ceiling; `failed` is the number of jobs that
raised an error; the last four are those of `ranking.with_ranks`."""


def report_rows(records: pd.DataFrame) -> pd.DataFrame:
    """One row per method and metric, columns `COLUMNS`, from records (columns `Record.columns()`).

    `value` is the mean over the items that have a value; `ci_low` and `ci_high` are its 95 % interval over items;
    `reason` tells why there is no value, why items are missing, or why there is no interval.
    """
    from .ranking import with_ranks

    r = tidy(records)
    return with_ranks(r, summary(r))[COLUMNS]


def summary(records: Table) -> Table:
    """One row per method and metric: COLUMNS without RANKS, and `loss` (mean, lower is better), `missing` (items)."""
    r = tidy(records)
    keys = [*BOARD, *METHOD, *METRIC]
    failed = r[r["status"] == "error"].groupby([*BOARD, *METHOD])["key"].nunique().rename("failed")
    r = r[r["metric"] != ""]
    if r.empty:
        return pd.DataFrame(columns=[*(name for name in COLUMNS if name not in RANKS), "loss", "missing"])
    items = by_item(r).sort_values([*keys, "item"], kind="stable")
    grouped = items.groupby(keys, sort=True)
    table = grouped.agg(
        loss=("loss", "mean"), coverage=("coverage", "mean"), n_items=("value", "count"), planned=("value", "size")
    )
    purpose = r.groupby(keys).agg(role=("role", "first"), primary=("primary", "min")).reindex(table.index)
    table["role"], table["primary"] = purpose["role"], purpose["primary"].astype("Int64")
    intervals = stats.group_intervals(items["value"].to_numpy(dtype=float), np.asarray(grouped.ngroup()), len(table))
    table["value"] = [interval.mean if interval.n else None for interval in intervals]
    table["ci_low"] = [interval.low for interval in intervals]
    table["ci_high"] = [interval.high for interval in intervals]
    table["missing"] = table["planned"] - table["n_items"]
    scored = r[r["value"].notna()]
    table["n_seeds"] = scored.groupby(keys)["seed"].nunique().reindex(table.index, fill_value=0)
    void = r[r["value"].isna()]
    # A cell shows its most frequent reason.
    why = void.groupby([*keys, "reason"], dropna=False).size().sort_values(kind="stable").reset_index()
    why = why.drop_duplicates(keys, keep="last").set_index(keys)["reason"].reindex(table.index)
    table["reason"] = [
        _reason(n, gone, text, interval.reason)
        for n, gone, text, interval in zip(table["n_items"], table["missing"], why, intervals, strict=True)
    ]
    table = table.reset_index().merge(failed.reset_index(), how="left", on=[*BOARD, *METHOD])
    table["failed"] = table["failed"].fillna(0).astype(int)
    table["span"] = _spans(table, items)
    table["anchor"] = table["anchor"].where(table["anchor"] != "", None)
    for name in ("value", "ci_low", "ci_high", "span"):
        table[name] = table[name].astype(float)
    return table


def _reason(n: int, gone: int, text: Any, interval: str | None) -> str | None:
    """Why a row has no value, lacks `gone` items, or has no `interval`; None where nothing is missing."""
    why = text if isinstance(text, str) and text else "no reason given"
    if n == 0:
        return why
    return f"{gone} of {n + gone} items without a value: {why}" if gone else interval


def _spans(table: Table, items: Table) -> Table:
    """Place of each row between the anchors: (floor - loss) / (floor - ceiling), from 0 at the floor to 1.

    It is missing where an anchor is missing, and where the two are not separable, because the quotient would be noise.
    """
    span: Table = pd.Series(np.nan, index=table.index)
    keys = [*BOARD, *METRIC]
    anchored = dict(iter(items[items["anchor"].isin(["floor", "ceiling"])].groupby(keys, sort=False)))
    for key, column in table.groupby(keys, sort=False):
        low = column.loc[column["name"] == floor_line(column), ["name", "loss"]]
        high = column.loc[column["anchor"] == "ceiling", ["name", "loss"]]
        if low.empty or high.empty:
            continue
        losses = anchored[key].pivot_table(index="item", columns="name", values="loss", aggfunc="last")
        both = losses.reindex(columns=[low["name"].iloc[0], high["name"].iloc[0]]).dropna()
        if len(both) and stats.interval(both.iloc[:, 0] - both.iloc[:, 1]).separable:
            whole = float(low["loss"].iloc[0]) - float(high["loss"].iloc[0])
            span[column.index] = (float(low["loss"].iloc[0]) - column["loss"]) / whole
    return span
