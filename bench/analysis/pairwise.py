"""Paired differences of two methods in one column of a leaderboard, and the number of comparisons to correct for.

A sample of one method is paired with the other method's sample of this item and seed. Differences are averaged over the
seeds of an item, because the item is the unit of inference. Every question about a column is corrected for all
comparisons that could answer it: "which method is better than which?" for every two methods (the best one is chosen by
the same data, so comparing with it alone does not make fewer), "is it better than the floor?" for every method.
"""

from collections.abc import Sequence
from math import comb
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from ..store.records import Table
from . import stats


def by_sample(column: Table, value: str = "loss") -> Table:
    """Values of one metric on a leaderboard, a row per item and seed, a column per line; nan where there is none."""
    names = column["name"].unique()
    table: Any = column.pivot_table(index=["item", "seed"], columns="name", values=value, aggfunc="last")
    return table.reindex(columns=pd.Index(names))  # a pivot drops lines without any value


def paired_differences(samples: Table, pairs: Sequence[tuple[str, str]]) -> Float[np.ndarray, "pairs items"]:
    """Mean difference a - b of each pair of lines (names) by item, over the seeds that both have; nan without any."""
    where = {name: i for i, name in enumerate(samples.columns)}
    first, second = (np.array([where[pair[side]] for pair in pairs], dtype=int) for side in (0, 1))
    return item_differences(samples, first, second).T


def item_differences(
    samples: Table, first: Int[np.ndarray, " pairs"], second: Int[np.ndarray, " pairs"]
) -> Float[np.ndarray, "items pairs"]:
    """Mean difference of the columns `first` and `second` of `samples` by item, over the seeds that both have.

    Where the two have no common seed of an item, the difference is nan.
    """
    items = samples.index.get_level_values("item")
    values = samples.to_numpy(dtype=float)
    if not len(first) or not len(values):
        return np.full((0, len(first)), np.nan)
    codes, _ = pd.factorize(items, sort=True)
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    gaps = (values[:, first] - values[:, second])[order]
    finite = np.isfinite(gaps)
    sums = np.add.reduceat(np.where(finite, gaps, 0.0), starts, axis=0)
    counts = np.add.reduceat(finite.astype(float), starts, axis=0)
    return np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)


def corrected_intervals(
    differences: Sequence[Float[np.ndarray, " items"]], tests: Sequence[float]
) -> list[stats.Interval]:
    """Interval and p-value of each list of differences, corrected for as many `tests`; nan are left out."""
    sizes = [len(d) for d in differences]
    values = np.concatenate(differences) if differences else np.empty(0)
    return stats.group_intervals(
        values, np.repeat(np.arange(len(sizes)), sizes), len(sizes), np.asarray(tests, dtype=float)
    )


def comparison_count(methods: int) -> int:
    """Number of comparisons of every two of so many methods, at least one."""
    return max(1, comb(methods, 2))
