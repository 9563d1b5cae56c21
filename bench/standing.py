"""Where methods stand in a column: best and second best with their ties, rank intervals, Pareto fronts.

Anchors do not compete, nor do methods that miss items which others have. All of it is about items: two methods tie
when the 95 % interval of their paired difference over items holds zero, and ranks are those of resampled items.
"""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# (SciPy has no type stubs.)

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from . import stats
from .report import BOARD, METHOD, METRIC, Table, of_machines

Mark = Literal["", "best", "second"]


@dataclass(kw_only=True)
class _Column:
    """The methods that compete in one column."""

    rows: list[Any]
    """Where they are in the table, best mean first."""
    losses: Table
    """Items and seeds down, methods (by row) across."""


def stand(records: Table, table: Table) -> Table:
    """`report.summary`'s table with columns `mark`, `rank_low`, `rank_high`, `pareto`, `cost`.

    `records` are tidy. `mark` is `best` for the best mean and whatever is not separable from it, `second` for the
    best of the others and its ties; nothing is marked where fewer than 3 items are shared or all means are equal.
    `rank_low` and `rank_high` bound the rank in 95 % of resamples of the items. `pareto` says whether no other
    method is as good in this column and as cheap in the column of the metric `cost`, and better or cheaper; missing
    where there is no cost. That is one that is equal on every machine, if there is one, else one of a single machine;
    among these the primary one.
    """
    table = table.assign(mark="", rank_low=pd.NA, rank_high=pd.NA, pareto=pd.NA, cost="")
    columns = _columns(records, table)
    _mark(columns, table)
    for column in columns:
        low, high = _ranks(column)
        table.loc[column.rows, "rank_low"] = low
        table.loc[column.rows, "rank_high"] = high
    bound = of_machines(records)
    for _, part in table.groupby(BOARD, sort=False):
        _front(part, table, bound)
    table["rank_low"], table["rank_high"] = table["rank_low"].astype("Int64"), table["rank_high"].astype("Int64")
    table["pareto"] = table["pareto"].astype("boolean")
    return table


def _columns(records: Table, table: Table) -> list[_Column]:
    real = table[table["anchor"].isna() & table["loss"].notna()]
    keys = [*BOARD, *METRIC]
    real = real[real["n_items"] == real.groupby(keys)["n_items"].transform("max")]
    if real.empty:
        return []
    wanted = real[[*BOARD, *METHOD, *METRIC]].assign(row=real.index).drop(columns="anchor")
    shared = [name for name in wanted.columns if name != "row"]
    losses = records.merge(wanted, on=shared)[[*keys, "item", "seed", "row", "loss"]]
    found: list[_Column] = []
    for _, part in losses.groupby(keys, sort=False):
        pivot = part.pivot_table(index=["item", "seed"], columns="row", values="loss", aggfunc="last")
        order = real.loc[pivot.columns, "loss"].sort_values(kind="stable").index
        if len(order) > 1:
            found.append(_Column(rows=list(order), losses=pivot[order]))
    return found


def _mark(columns: list[_Column], table: Table) -> None:
    left = {n: list(column.rows) for n, column in enumerate(columns) if table.loc[column.rows, "loss"].nunique() > 1}
    marks: tuple[Mark, ...] = ("best", "second")
    for mark in marks:
        left = {n: rows for n, rows in left.items() if rows}
        # One call for all columns: columns of equally many items are resampled together.
        differences = [_differences(columns[n], rows) for n, rows in left.items()]
        values = np.concatenate([d.ravel() for d in differences]) if differences else np.empty(0)
        sizes = [size for d in differences for size in [d.shape[1]] * len(d)]
        intervals = iter(stats.pooled(values, np.repeat(np.arange(len(sizes)), sizes), len(sizes)))
        for n, rows in list(left.items()):
            against = {row: next(intervals) for row in rows[1:]}
            if any(one.n < stats.FEWEST for one in against.values()):
                del left[n]
                continue
            ties = [rows[0], *(row for row, one in against.items() if not one.separable)]
            table.loc[ties, "mark"] = mark
            left[n] = [row for row in rows if row not in ties]


def _differences(column: _Column, rows: list[Any]) -> np.ndarray:
    """By method other than the first: its loss less the first's, by item, over the seeds both have."""
    against = column.losses[rows].sub(column.losses[rows[0]], axis=0)[rows[1:]]
    return against.groupby("item").mean().to_numpy().T


def _ranks(column: _Column) -> tuple[np.ndarray, np.ndarray]:
    losses = column.losses.groupby("item").mean().dropna().to_numpy()
    if len(losses) < stats.FEWEST:
        every = len(column.rows)
        return np.ones(every, dtype=int), np.full(every, every)
    means = np.round(stats.draws(len(losses)) @ losses / len(losses), 12)  # equal methods stay equal
    low = rankdata(means, method="min", axis=1)
    tied = (np.diff(np.sort(means, axis=1), axis=1) == 0).any()
    high = rankdata(means, method="max", axis=1) if tied else low
    bounds = (
        np.quantile(low, 0.025, axis=0, method="inverted_cdf"),
        np.quantile(high, 0.975, axis=0, method="inverted_cdf"),
    )
    return bounds[0].astype(int), bounds[1].astype(int)


def _front(part: Table, table: Table, bound: set[str]) -> None:
    """Fill in `pareto` and `cost` for one leaderboard; fingerprints in `bound` are of one machine."""
    real = part[part["anchor"].isna() & part["loss"].notna()]
    costs: dict[tuple[Any, ...], Table] = {}
    for key, column in real[real["role"] == "cost"].groupby(METRIC, sort=False):
        place = column["primary"].min()
        order = (column["fingerprint"].iloc[0] in bound, pd.isna(place), 0 if pd.isna(place) else place, *key)
        # Two columns of one metric are of unlike machines or versions: neither knows all methods.
        if (real["metric"] == key[0]).sum() == len(column) and column["name"].is_unique:
            costs[order] = column.set_index("name")["loss"]
    if not costs:
        return
    chosen = min(costs)
    cost = costs[chosen]
    table.loc[part.index, "cost"] = chosen[3]
    for _, column in real[real["role"] != "cost"].groupby(METRIC, sort=False):
        column = column[(column["n_items"] == column["n_items"].max()) & column["name"].isin(cost.index)]
        if column["name"].duplicated().any():
            continue
        points = np.stack([column["loss"], cost[column["name"]]], axis=1).astype(float)
        as_good = np.all(points[None] <= points[:, None], axis=-1)
        better = np.any(points[None] < points[:, None], axis=-1)
        table.loc[column.index, "pareto"] = ~np.any(as_good & better, axis=-1)
