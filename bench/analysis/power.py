"""How many items a run needs to show a difference, from the spread of existing results."""

from collections.abc import Sequence
from math import isfinite
from typing import Any

import pandas as pd
from tabulate import tabulate

from ..escaping import visible
from . import stats
from .differences import differences
from .frame import direction_arrow

COLUMNS = [
    *("family", "dataset", "metric", "a", "b"),
    *("n_items", "tests", "spread", "observed", "detectable", "difference", "needed"),
]


def items_for(
    records: pd.DataFrame,
    difference: float | None = None,
    primary: Sequence[str] | None = None,
    *,
    power: float = 0.8,
    level: float = 0.05,
) -> pd.DataFrame:
    """Items needed, per metric and pair of methods, for `difference`, or else for the one observed; columns `COLUMNS`.

    `spread` is the standard deviation of the paired difference over items, with as many seeds averaged as the records
    have: more seeds would shrink it. `needed` is after correction for `tests` comparisons, as many as the report makes.
    It is missing where the spread is unknown (fewer than 3 items), where the difference is 0, and where a million items
    are too few.
    """
    rows: list[dict[str, Any]] = []
    compared: Any = differences(records, primary)
    numbers = ["difference", "spread", "detectable"]
    compared[numbers] = compared[numbers].astype(float)  # None, where no item is shared, is not a number
    for row in _rows(compared):
        wanted = abs(row["difference"]) if difference is None else difference
        known = isfinite(row["spread"]) and row["n_items"] >= stats.FEWEST and isfinite(wanted) and wanted > 0
        how = {"tests": row["tests"], "power": power, "level": level}
        needed = stats.items_needed(row["spread"], wanted, **how) if known else None
        rows.append({**row, "observed": row["difference"], "difference": wanted, "needed": needed})
    table: Any = pd.DataFrame(rows, columns=pd.Index([*COLUMNS, "direction"]))
    table["needed"] = table["needed"].astype("Int64")
    return table


def _rows(table: Any) -> list[dict[str, Any]]:
    return table.to_dict("records")


def power_text(table: pd.DataFrame) -> str:
    """The table of `items_for` as text for a terminal."""
    heads = [
        "family / dataset",
        "metric",
        "method",
        "against",
        "items",
        "of",
        "spread",
        "shows",
        "to see",
        "needs items",
    ]
    lines = [
        [
            visible(f"{row['family']} / {row['dataset']}"),
            visible(f"{row['metric']} {direction_arrow(row['direction'])}"),
            visible(row["a"]),
            visible(row["b"]),
            row["n_items"],
            row["tests"],
            *(f"{row[name]:.3g}" if isfinite(row[name]) else "—" for name in ("spread", "detectable", "difference")),
            "—" if row["needed"] is pd.NA else f"{row['needed']}",
        ]
        for row in _rows(table)
    ]
    note = "of: how many comparisons answer the same question; the figures are after correction for them.\n"
    if not any(isfinite(row["spread"]) for row in _rows(table)):
        note = f"No spread is known: that takes at least {stats.FEWEST} items that two methods both have.\n"
    return tabulate(lines, heads, disable_numparse=True) + "\n" + note
