"""Records as a table to reckon with: what may be compared, which way is better, seeds averaged within their item.

The item is the unit: seeds are averaged within it first, and methods are compared on the items they share. Rows of
unlike versions, fingerprints, protocols, content or weights are never pooled.
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
"""What rows must share to be compared."""
MODEL = ["model", "revision"]
JOINT = " · "
"""Stands between method and model in the name of a line, where a board has several models."""
HUGE = 1e150
"""Values beyond it cannot be squared, so nothing can be said of their mean."""
METHOD = ["name", "method", "method_version", "door", "anchor", *MODEL]
"""A line of a leaderboard. `name` is the method's label, with its version and its model where a board has several."""
METRIC = ["metric", "metric_version", "fingerprint", "direction", "unit"]


def target(direction: str) -> float | None:
    """The ideal value of `target:VALUE`, None for `lower` and `higher`; SyncbenchError for anything else."""
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
    """Values turned so that lower is better: the value, its negative, or its distance from the target."""
    ideal = target(direction)
    return (-value if direction == "higher" else value) if ideal is None else abs(value - ideal)


def base(metric: str) -> str:
    """A metric's id without its backbone: `intra_lpips` of `intra_lpips[reference]`."""
    return metric.partition("[")[0]


def leads(column: Table, names: Sequence[str] | None = None) -> bool:
    """Whether the records of one metric are judged first: its name is among `names`, with or without backbone.

    None stands for the consistency metrics that are primary in their family.
    """
    first = column.iloc[0]
    if names is not None:
        return first["metric"] in names or base(first["metric"]) in names
    return first["role"] == "consistency" and bool(column["primary"].notna().any())


def in_brief(rows: Table) -> Any:
    """Which rows (a boolean each, of records or of `summary`) stand in a brief report.

    Those of primary consistency metrics, and of every other role the metric in the first place.
    """
    first = rows.groupby(["family", "role"])["primary"].transform("min")
    return rows["primary"].notna() & ((rows["role"] == "consistency") | (rows["primary"] == first))


def of_machines(records: Table) -> set[str]:
    """Fingerprints of numbers that are the machine's as much as the method's: they end with the machine."""
    pairs = records[["fingerprint", "machine"]].drop_duplicates().itertuples(index=False, name=None)
    return {fingerprint for fingerprint, machine in pairs if machine and fingerprint.endswith(machine)}


def tidy(records: Table) -> Table:
    """Records ready for grouping: duplicates dropped, protocols as text, values as floats, `loss` added.

    Items that have one id and unlike content get names of their own.

    Tidy records come back as they are.
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
    """Items of one id and unlike content are other items: their names say so, and nothing pairs or pools them."""
    unlike = r.groupby([*BOARD, "item"])["content"].transform("nunique") > 1
    for _, part in r[unlike].groupby(BOARD):
        pairs = list(zip(part["item"], part["content"], strict=True))
        names = distinct_names(pairs)
        r.loc[part.index, "item"] = [names[pair] for pair in pairs]


def by_item(r: Table) -> Table:
    """Seeds averaged within their item: one row per method, metric and item, in order of item."""
    keys = [*BOARD, *METHOD, *METRIC, "item"]
    grouped = r.groupby(keys, sort=False)
    return grouped.agg(value=("value", "mean"), loss=("loss", "mean"), coverage=("coverage", "mean")).reset_index()


def floor(lines: Table) -> str | None:
    """The name of the floor among lines (columns `METHOD`): `independent` if it is there, else the first floor."""
    floors = lines[lines["anchor"] == "floor"].sort_values("name", kind="stable")
    plain = floors[floors["method"] == "independent"]
    return next(iter([*plain["name"], *floors["name"]]), None)


def floors(lines: Table, name: str) -> list[str]:
    """What the line `name` is compared with: the floor of its own model, then the leaderboard's, each once."""
    own = lines.loc[lines["name"] == name, MODEL].iloc[0]
    found = [floor(lines[(lines[MODEL] == own).all(axis=1)]), floor(lines)]
    return list(dict.fromkeys(one for one in found if one is not None))


def boards(table: Table) -> Iterator[tuple[dict[str, Any], Table]]:
    """Split rows into what may be compared: same family, dataset and protocol."""
    for key, part in table.groupby(BOARD, sort=True):
        yield dict(zip(BOARD, key, strict=True)), part


def arrow(direction: str) -> str:
    """↓, ↑ or → and the target."""
    ideal = target(direction)
    return {"lower": "↓", "higher": "↑"}[direction] if ideal is None else f"→{ideal:g}"


def csv(table: Table) -> str:
    """A table as CSV that no spreadsheet takes for formulas (`escaping.csv_cell`)."""
    return table.map(csv_cell).to_csv(index=False)
