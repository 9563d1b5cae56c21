"""Records to rows: means over items with their intervals, reasons for what is missing, places between the anchors."""

from typing import Any

import numpy as np
import pandas as pd

from . import stats
from .frame import BOARD, METHOD, METRIC, Table, by_item, floor, tidy

STANDING = ["mark", "rank_low", "rank_high", "pareto"]
COLUMNS = [
    *("family", "dataset", "model", "method", "metric", "fingerprint", "direction", "value", "ci_low", "ci_high"),
    *("n_items", "n_seeds", "coverage", "reason"),
    *("unit", "anchor", "door", "span", "failed", "protocol", "dataset_version", "revision"),
    *("method_version", "metric_version", "role", "primary"),
    *STANDING,
]
"""Columns of `rows`. `span`: 0 at the floor anchor, 1 at the ceiling. `failed`: jobs that raised an error. The last
four are those of `standing.stand`."""


def rows(records: pd.DataFrame) -> pd.DataFrame:
    """One row per method and metric, columns `COLUMNS`, from records (columns `Record.columns()`).

    `value` is the mean over items that have one; `ci_low`, `ci_high` its 95 % interval over items; `reason` says
    why there is no value, why items are missing, or why there is no interval.
    """
    from .ranking import stand

    r = tidy(records)
    return stand(r, summary(r))[COLUMNS]


def summary(records: Table) -> Table:
    """`rows` with the columns tables need besides: `loss` (mean, lower is better) and `missing` (items)."""
    r = tidy(records)
    keys = [*BOARD, *METHOD, *METRIC]
    failed = r[r["status"] == "error"].groupby([*BOARD, *METHOD])["key"].nunique().rename("failed")
    r = r[r["metric"] != ""]
    if r.empty:
        return pd.DataFrame(columns=[*(name for name in COLUMNS if name not in STANDING), "loss", "missing"])
    items = by_item(r).sort_values([*keys, "item"], kind="stable")
    grouped = items.groupby(keys, sort=True)
    table = grouped.agg(
        loss=("loss", "mean"), coverage=("coverage", "mean"), n_items=("value", "count"), planned=("value", "size")
    )
    said = r.groupby(keys).agg(role=("role", "first"), primary=("primary", "min")).reindex(table.index)
    table["role"], table["primary"] = said["role"], said["primary"].astype("Int64")
    found = stats.pooled(items["value"].to_numpy(dtype=float), np.asarray(grouped.ngroup()), len(table))
    table["value"] = [one.mean if one.n else None for one in found]
    table["ci_low"] = [one.low for one in found]
    table["ci_high"] = [one.high for one in found]
    table["missing"] = table["planned"] - table["n_items"]
    scored = r[r["value"].notna()]
    table["n_seeds"] = scored.groupby(keys)["seed"].nunique().reindex(table.index, fill_value=0)
    void = r[r["value"].isna()]
    # The commonest reason speaks for the cell.
    why = void.groupby([*keys, "reason"], dropna=False).size().sort_values(kind="stable").reset_index()
    why = why.drop_duplicates(keys, keep="last").set_index(keys)["reason"].reindex(table.index)
    table["reason"] = [
        _reason(n, gone, text, one.reason)
        for n, gone, text, one in zip(table["n_items"], table["missing"], why, found, strict=True)
    ]
    table = table.reset_index().merge(failed.reset_index(), how="left", on=[*BOARD, *METHOD])
    table["failed"] = table["failed"].fillna(0).astype(int)
    table["span"] = _spans(table, items)
    table["anchor"] = table["anchor"].where(table["anchor"] != "", None)
    for name in ("value", "ci_low", "ci_high", "span"):
        table[name] = table[name].astype(float)
    return table


def _reason(n: int, gone: int, text: Any, interval: str | None) -> str | None:
    said = text if isinstance(text, str) and text else "no reason given"
    if n == 0:
        return said
    return f"{gone} of {n + gone} items without a value: {said}" if gone else interval


def _spans(table: Table, items: Table) -> Table:
    """(floor - loss) / (floor - ceiling) per column.

    Missing where an anchor is, and where the two are not separable: the whole would be noise, and shares of it too.
    """
    span: Table = pd.Series(np.nan, index=table.index)
    keys = [*BOARD, *METRIC]
    anchored = dict(iter(items[items["anchor"].isin(["floor", "ceiling"])].groupby(keys, sort=False)))
    for key, column in table.groupby(keys, sort=False):
        low = column.loc[column["name"] == floor(column), ["name", "loss"]]
        high = column.loc[column["anchor"] == "ceiling", ["name", "loss"]]
        if low.empty or high.empty:
            continue
        losses = anchored[key].pivot_table(index="item", columns="name", values="loss", aggfunc="last")
        both = losses.reindex(columns=[low["name"].iloc[0], high["name"].iloc[0]]).dropna()
        if len(both) and stats.interval(both.iloc[:, 0] - both.iloc[:, 1]).separable:
            whole = float(low["loss"].iloc[0]) - float(high["loss"].iloc[0])
            span[column.index] = (float(low["loss"].iloc[0]) - column["loss"]) / whole
    return span
