"""Records prepared for statistics: which rows may be compared, which direction is better, seeds averaged by item.

The item is the unit of inference: seeds are averaged within it first, and methods are compared on the items that they
share. Rows of unlike versions, fingerprints, protocols, content or weights are never pooled.
"""

import json
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from ..catalogue.content import digest, distinct_names
from ..errors import SyncbenchError
from ..escaping import csv_cell
from ..store.records import Table as Table

BOARD = ["family", "dataset", "dataset_version", "protocol"]
"""Columns that name a leaderboard: rows must agree in them to be compared."""
MODEL = ["model", "revision"]
"""Columns that name a model."""
JOINT = " · "
"""Stands between method and model in the name of a line, where a leaderboard has several models."""
HUGE = 1e150
"""Largest magnitude of a value: squares of larger ones leave the range of floats."""
METHOD = ["name", "method", "method_version", "door", "anchor", *MODEL]
"""Columns that name a line of a leaderboard. `name` is the method's label, with its version and its model where a
leaderboard has several."""
METRIC = ["metric", "metric_version", "fingerprint", "direction", "unit"]
"""Columns that name a column of a leaderboard."""


def target_value(direction: str) -> float | None:
    """VALUE of a direction `target:VALUE`; None for `lower` and `higher`. Raises SyncbenchError for anything else."""
    if direction in ("lower", "higher"):
        return None
    kind, _, value = direction.partition(":")
    try:
        if kind == "target":
            return float(value)
    except ValueError:
        pass
    raise SyncbenchError(f"unknown direction '{direction}' in the records: it must be lower, higher or target:VALUE")


def loss(value: Any, direction: str) -> Any:
    """Values for which lower is better: the value itself, its negative, or its distance from the target."""
    ideal = target_value(direction)
    return (-value if direction == "higher" else value) if ideal is None else abs(value - ideal)


def metric_id(metric: str) -> str:
    """The id of a metric without its backbone: `intra_lpips` of `intra_lpips[reference]`."""
    return metric.partition("[")[0]


def is_primary(column: Table, names: Sequence[str] | None = None) -> bool:
    """Whether the records of one metric are of a primary metric: its name is in `names`, with or without backbone.

    `names` None means the consistency metrics that are primary in their family.
    """
    first = column.iloc[0]
    if names is not None:
        return first["metric"] in names or metric_id(first["metric"]) in names
    return first["role"] == "consistency" and bool(column["primary"].notna().any())


def brief_rows(rows: Table) -> Any:
    """For each row, of records or of `summary`, whether a brief report shows it.

    A brief report shows primary consistency metrics and, of every other role, the metric in the first place.
    """
    first = rows.groupby(["family", "role"])["primary"].transform("min")
    return rows["primary"].notna() & ((rows["role"] == "consistency") | (rows["primary"] == first))


def machine_fingerprints(records: Table) -> set[str]:
    """Fingerprints of metrics that depend on the machine (`Metric.machine`): they end with the machine's name."""
    pairs = records[["fingerprint", "machine"]].drop_duplicates().itertuples(index=False, name=None)
    return {fingerprint for fingerprint, machine in pairs if machine and fingerprint.endswith(machine)}


def tidy(records: Table) -> Table:
    """Records ready for grouping: duplicates dropped, protocols as text, values as floats, `name` and `loss` added.

    Items of one id and unlike content get distinct names. Records that are tidy already are returned as they are.
    Raises SyncbenchError for a value beyond HUGE.
    """
    if "loss" in records:
        return records
    r = records.drop_duplicates(["key", "metric", "metric_version", "fingerprint"], keep="last")
    jobs = r.drop_duplicates("key").set_index("key")[["protocol", "params"]].map(partial(json.dumps, sort_keys=True))
    params = r["key"].map(jobs["params"]).reset_index(drop=True)
    r = r.drop(columns="params").reset_index(drop=True)
    r["protocol"] = r["key"].map(jobs["protocol"])
    _tell_apart(r)
    versions = r.groupby([*BOARD, "model"])["revision"].transform("nunique")
    model = r["model"].where(versions == 1, r["model"] + " " + r["revision"])
    several = model.groupby([r[key] for key in BOARD]).transform("nunique") > 1
    versions = r.groupby([*BOARD, *MODEL, "method"])["method_version"].transform("nunique")
    label = r["method"].where(versions == 1, r["method"] + " v" + r["method_version"].astype(str))
    # One label may stand for unlike fields: a default changed, or what the method loads.
    unlike = params.groupby([r[key] for key in (*BOARD, *MODEL, "method", "method_version")]).transform("nunique") > 1
    label = label.where(~unlike, label + " (" + params[unlike].map(digest).str[:6] + ")")
    r["name"] = label.where(~several, label + JOINT + model)
    r["anchor"] = r["anchor"].astype(object).where(r["anchor"].notna(), "")
    r["value"] = r["value"].astype(float)
    huge = r[r["value"].abs() > HUGE]
    if len(huge):
        one = huge.iloc[0]
        raise SyncbenchError(
            f"{one['metric']} of {one['method']} on {one['item']} is {one['value']:g}, too large to average: "
            "mend the metric and score again, or leave it out"
        )
    r["loss"] = r["value"]
    for direction in r.loc[r["metric"] != "", "direction"].unique():
        which = r["direction"] == direction
        r.loc[which, "loss"] = loss(r.loc[which, "value"], str(direction))
    return r


def _tell_apart(r: Table) -> None:
    """Give items of one id and unlike content distinct names, in place, so that nothing pairs or pools them."""
    unlike = r.groupby([*BOARD, "item"])["content"].transform("nunique") > 1
    for _, part in r[unlike].groupby(BOARD):
        pairs = list(zip(part["item"], part["content"], strict=True))
        names = distinct_names(pairs)
        r.loc[part.index, "item"] = [names[pair] for pair in pairs]


def by_item(r: Table) -> Table:
    """Records with seeds averaged within their item: one row per method, metric and item."""
    keys = [*BOARD, *METHOD, *METRIC, "item"]
    grouped = r.groupby(keys, sort=False)
    return grouped.agg(value=("value", "mean"), loss=("loss", "mean"), coverage=("coverage", "mean")).reset_index()


def floor_line(lines: Table) -> str | None:
    """The name of the floor anchor among lines (columns METHOD): `independent`, else the first floor; None without."""
    floors = lines[lines["anchor"] == "floor"].sort_values("name", kind="stable")
    independent = floors[floors["method"] == "independent"]
    return next(iter([*independent["name"], *floors["name"]]), None)


def floor_lines(lines: Table, name: str) -> list[str]:
    """Names of the floor anchors with which the line `name` is compared: its own model's, then the leaderboard's."""
    own = lines.loc[lines["name"] == name, MODEL].iloc[0]
    floors = [floor_line(lines[(lines[MODEL] == own).all(axis=1)]), floor_line(lines)]
    return list(dict.fromkeys(floor for floor in floors if floor is not None))


def split_boards(table: Table) -> Iterator[tuple[dict[str, Any], Table]]:
    """The rows of each leaderboard, with its columns BOARD by name: rows that may be compared."""
    for key, part in table.groupby(BOARD, sort=True):
        yield dict(zip(BOARD, key, strict=True)), part


def direction_arrow(direction: str) -> str:
    """A direction as an arrow: ↓ for `lower`, ↑ for `higher`, → and the value for `target:VALUE`."""
    ideal = target_value(direction)
    return {"lower": "↓", "higher": "↑"}[direction] if ideal is None else f"→{ideal:g}"


def safe_csv(table: Table) -> str:
    """A table as CSV in which no spreadsheet reads a formula (see `escaping.csv_cell`)."""
    return table.map(csv_cell).to_csv(index=False)
