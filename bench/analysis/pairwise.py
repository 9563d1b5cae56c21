"""Two methods at a time: their paired differences in one column of a leaderboard, and how many comparisons that makes.

A sample of one method is paired with the sample of the other of the same item and seed; differences are averaged over
the seeds of an item, because the item is the unit. Every question about a column is corrected for all comparisons that
could answer it: "which method is better than which?" for every two methods (the best one is picked by the same data, so
comparing with it alone is no fewer), "is it better than the floor?" for every method.
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
    """Values of one column of a leaderboard: items and seeds down, lines (by name) across; nan where there is none."""
    names = column["name"].unique()
    table: Any = column.pivot_table(index=["item", "seed"], columns="name", values=value, aggfunc="last")
    return table.reindex(columns=pd.Index(names))  # a pivot drops lines without any value


def paired(samples: Table, pairs: Sequence[tuple[str, str]]) -> Float[np.ndarray, "pairs items"]:
    """Mean difference a - b of each pair of lines by item, over the seeds that both have; nan where they have none."""
    where = {name: i for i, name in enumerate(samples.columns)}
    first, second = (np.array([where[pair[side]] for pair in pairs], dtype=int) for side in (0, 1))
    return differences(samples, first, second).T


def differences(
    samples: Table, first: Int[np.ndarray, " pairs"], second: Int[np.ndarray, " pairs"]
) -> Float[np.ndarray, "items pairs"]:
    """`paired` of lines by their positions."""
    items = samples.index.get_level_values("item")
    values = samples.to_numpy(dtype=float)
    if not len(first) or not len(values):
        return np.full((0, len(first)), np.nan)
    codes, _ = pd.factorize(items, sort=True)
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    apart = (values[:, first] - values[:, second])[order]
    known = np.isfinite(apart)
    sums = np.add.reduceat(np.where(known, apart, 0.0), starts, axis=0)
    counts = np.add.reduceat(known.astype(float), starts, axis=0)
    return np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)


def judged(differences: Sequence[Float[np.ndarray, " items"]], tests: Sequence[float]) -> list[stats.Interval]:
    """Interval and corrected p-value of each list of differences, each one of so many `tests`; nan are left out."""
    sizes = [len(d) for d in differences]
    values = np.concatenate(differences) if differences else np.empty(0)
    return stats.pooled(values, np.repeat(np.arange(len(sizes)), sizes), len(sizes), np.asarray(tests, dtype=float))


def comparisons(methods: int) -> int:
    """How many comparisons so many methods make, every two of them; at least one."""
    return max(1, comb(methods, 2))
