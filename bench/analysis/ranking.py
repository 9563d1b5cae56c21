"""Ranks of methods in a column: best and second best with their ties, bounds of ranks, Pareto fronts.

Anchors do not compete, nor do methods that miss items which others have. Two methods tie when the interval of their
paired difference over items holds zero, corrected for the comparisons of every two methods of the column. Bounds of
ranks follow from the same comparisons: with 95 % probability all true ranks lie within them (Mogstad, Romano, Shaikh
and Wilhelm, Rev. Econ. Stud. 2024).
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from jaxtyping import Bool

from . import stats
from .frame import BOARD, METRIC, Table, machine_fingerprints
from .pairwise import by_sample, comparison_count, item_differences

AT_ONCE = 100_000
"""Number of pairs of methods that are compared at a time, which bounds the memory."""
Mark = Literal["", "best", "second"]


@dataclass(kw_only=True)
class _Column:
    """The methods that compete in one column."""

    rows: list[Any]
    """Index of each method's row in the table, best mean first."""
    names: list[str]
    samples: Table
    """The methods' losses; see `pairwise.by_sample`."""
    tests: int
    """Number of comparisons of every two methods that have a value, those that miss items included."""
    worse: Bool[np.ndarray, "methods methods"]
    """Whether the first method is shown to be worse than the second."""
    judged: bool = True
    """Whether every two methods share enough items (`stats.ENOUGH`) to be compared."""


def with_ranks(records: Table, table: Table) -> Table:
    """The table of `summary.summary` with the columns `mark`, `rank_low`, `rank_high`, `pareto` and `cost`.

    `records` are tidy. `mark` is `best` for the best mean and all that are not separable from it, `second` for the best
    of the others and its ties; nothing is marked where fewer than `stats.ENOUGH` items are shared or all means are
    equal. `rank_low` is one more than the number of methods shown to be better; `rank_high` is the number of methods
    less those shown to be worse. `pareto` tells whether no other method is as good in this column and as cheap in the
    column of the metric `cost`, and better or cheaper; it is missing where there is no cost. `cost` is a cost metric
    that is equal on every machine, if there is one, else one of a single machine, and among these the primary one.
    """
    table = table.assign(mark="", rank_low=pd.NA, rank_high=pd.NA, pareto=pd.NA, cost="")
    for column in _columns(records, table):
        _judge(column)
        _mark(column, table)
        table.loc[column.rows, "rank_low"] = 1 + column.worse.sum(axis=1)
        table.loc[column.rows, "rank_high"] = len(column.rows) - column.worse.sum(axis=0)
    bound = machine_fingerprints(records)
    for _, part in table.groupby(BOARD, sort=False):
        _front(part, table, bound)
    table["rank_low"], table["rank_high"] = table["rank_low"].astype("Int64"), table["rank_high"].astype("Int64")
    table["pareto"] = table["pareto"].astype("boolean")
    return table


def _columns(records: Table, table: Table) -> list[_Column]:
    real = table[table["anchor"].isna() & table["loss"].notna()]
    keys = [*BOARD, *METRIC]
    if real.empty:
        return []
    samples = dict(iter(records.groupby(keys, sort=False)))
    columns: list[_Column] = []
    for key, part in real.groupby(keys, sort=False):
        whole = part[part["n_items"] == part["n_items"].max()].sort_values("loss", kind="stable")
        names = [str(name) for name in whole["name"]]
        if len(names) > 1:
            losses = by_sample(samples[key])[names]
            nothing = np.zeros((len(names), len(names)), dtype=bool)
            tests = comparison_count(len(part))
            columns.append(_Column(rows=list(whole.index), names=names, samples=losses, tests=tests, worse=nothing))
    return columns


def _judge(column: _Column) -> None:
    """Compare every two methods of a column: fill in its `worse` and `judged`."""
    every = np.stack(np.triu_indices(len(column.rows), 1))
    for start in range(0, every.shape[1], AT_ONCE):
        a, b = every[:, start : start + AT_ONCE]
        signs, counts = stats.separable_signs(item_differences(column.samples, a, b), tests=column.tests)
        column.judged &= bool((counts >= stats.ENOUGH).all())
        column.worse[a[signs > 0], b[signs > 0]] = True
        column.worse[b[signs < 0], a[signs < 0]] = True


def _mark(column: _Column, table: Table) -> None:
    """Fill in `mark` for one column of the table."""
    if not column.judged or table.loc[column.rows, "loss"].nunique() == 1:
        return
    left = list(range(len(column.rows)))
    marks: tuple[Mark, ...] = ("best", "second")
    for mark in marks:
        ties = [i for i in left if not column.worse[i, left[0]]]
        table.loc[[column.rows[i] for i in ties], "mark"] = mark
        left = [i for i in left if i not in ties]
        if not left:
            return


def _front(part: Table, table: Table, bound: set[str]) -> None:
    """Fill in `pareto` and `cost` for one leaderboard; fingerprints in `bound` depend on the machine."""
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
