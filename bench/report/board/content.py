"""What a board shows, as JSON values: leaderboards, every row and its values by item, cards of metrics and methods."""

# (Cells of a table are whatever the records hold.)

import json
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ...analysis.differences import differences
from ...analysis.frame import BOARD, METHOD, METRIC, boards, by_item, tidy
from ...analysis.ranking import stand
from ...analysis.summary import COLUMNS, summary
from ...catalogue.listing import PACKAGE, list_components
from ...catalogue.registry import component_id, suggest
from ...run.events import Tally
from ...store.folder import Store
from ...store.records import (
    Table,
    gather_records,
    is_records_file,
    records_of_families,
    stored_methods,
    unseen_conditions,
)
from ...trust.grades import Grades
from ...types import FAMILIES, Json, SyncbenchError
from ..leaderboard import DIFFERENCES, Leaderboard, lay_out
from ..report import of_boards


def content(
    folders: Sequence[Path],
    families: Sequence[str] | None,
    grades: Grades,
    items: int,
    progress: Tally,
) -> dict[str, Any]:
    """Everything on the board. Text is as it is in the records: escaping is the page's."""
    stores = [Store(name) for name in folders if not is_records_file(name)]
    records = gather_records(folders)
    shared = {
        "version": version(PACKAGE),
        "sources": [
            *(_source(store) for store in stores),
            *({"name": name.name} for name in folders if is_records_file(name)),
        ],
        "families": [{"id": family, "about": about} for family, about in FAMILIES.items()],
        "columns": COLUMNS,
        "heads": DIFFERENCES,
    }
    if records is None:
        for name in families or ():
            if name not in FAMILIES:
                raise SyncbenchError(f"unknown family '{name}'{suggest(name, FAMILIES, 'there are')}")
        nothing: list[Any] = []
        return {**shared, "boards": nothing, "rows": nothing, "cards": nothing, "methods": nothing}
    r = tidy(records_of_families(records, families))
    table = stand(r, summary(r)).reset_index(drop=True)
    laid = lay_out(table, differences(r), grades=grades, pairs="best", more=of_boards(r, unseen_conditions(folders)))
    values, named = _by_item(r, table)
    pictures = _gallery(stores, r, items, progress) if items and stores else {}
    for store in stores:
        store.warn()
    made = [
        _board(about, one, named[tuple(about.values())], pictures.get(tuple(about.values())))
        for (about, _), one in zip(boards(table), laid, strict=True)
    ]
    rows = [[_plain(v) for v in row] for row in table[COLUMNS].itertuples(index=False, name=None)]
    # only cards that some column stands on
    used = sorted({c.grade.card for one in laid for c in one.columns if c.grade and c.grade.card is not None})
    return {
        **shared,
        "boards": made,
        "rows": rows,
        "values": values,
        "losses": [_plain(v) for v in table["loss"]],
        "cards": [grades.cards[n].as_json() for n in used],
        "methods": _methods(r, folders),
    }


def _gallery(stores: list[Store], r: Table, items: int, progress: Tally) -> dict[tuple[Any, ...], Json]:
    from .gallery import Shown, gallery  # torch and PyAV, which records alone do not need

    # the lowest seed of every line and item
    first = r.sort_values("seed", kind="stable").drop_duplicates([*BOARD, "name", "item"])
    jobs = first[["key", "name", "item", *BOARD]].itertuples(index=False, name=None)
    return gallery(
        stores, [Shown(key, name, str(item), tuple(board)) for key, name, item, *board in jobs], items, progress
    )


def _source(store: Store) -> Json:
    """A folder in words: its suite, how many jobs, on what, with which packages. No path of this machine."""
    keys = store.finished()
    first = next((job for job in map(store.job, keys) if job), None)
    return {
        "name": store.root.resolve().name,
        "suite": store.run.suite.name,
        "jobs": len(keys),
        "device": first.device if first else "",
        "versions": first.versions if first else {},
    }


def _board(about: dict[str, Any], one: Leaderboard, items: list[str], gallery: Json | None) -> Json:
    family = str(about["family"])
    columns = [
        {
            "metric": column.metric,
            "header": column.header,
            "unit": column.unit,
            "panel": column.panel,
            "fingerprint": column.fingerprint,
            "first": column.brief,
            "grade": column.grade.state if column.grade else None,
            "said": column.grade.text if column.grade else "",
        }
        for column in one.columns
    ]
    lines = [
        {
            "name": line.method,
            "sample": line.name,
            "anchor": line.mark,
            "rank": line.rank,
            "cells": [[cell.text, cell.mark, cell.note, cell.row] for cell in line.cells],
        }
        for line in (*one.methods, *one.anchors)
    ]
    return {
        "family": family,
        "title": one.title,
        "subtitle": one.subtitle,
        "protocol": json.loads(about["protocol"]),
        "order": one.order,
        "columns": columns,
        "lines": lines,
        "notes": one.notes,
        "remarks": one.remarks,
        "differences": one.differences,
        "items": items,
        "gallery": gallery,
    }


def _by_item(r: Table, table: Table) -> tuple[list[list[float | None]], dict[tuple[Any, ...], list[str]]]:
    """Values of every row of the table by item (seeds averaged), and the items of each leaderboard in that order."""
    scored = r[r["metric"] != ""]
    named = {tuple(key): sorted(map(str, part["item"].unique())) for key, part in scored.groupby(BOARD, sort=False)}
    keys = [*BOARD, *METHOD, *METRIC]
    found = by_item(scored)
    found["place"] = found.groupby(BOARD, sort=False)["item"].rank("dense").astype(int) - 1
    rows = table[keys].assign(anchor=table["anchor"].fillna(""), row=range(len(table)))
    found = found.merge(rows, on=keys)
    size = [len(named[key]) for key in table[BOARD].itertuples(index=False, name=None)]
    values: list[list[float | None]] = [[None] * n for n in size]
    for row, place, value in zip(*(found[name].tolist() for name in ("row", "place", "value")), strict=True):
        values[row][place] = _plain(value)
    return values, named


def _methods(r: Table, folders: Sequence[Path]) -> list[Json]:
    """A card of every method in the records: what it is, and what papers report of it.

    Methods from outside the tree are known by the records and by what their samples keep of them.
    """
    known = {component.id: component for component in list_components("methods")}
    facts = r.drop_duplicates("method").set_index("method")[["door", "method_version"]]
    labels: dict[str, list[str]] = {}
    for label in sorted(map(str, r["method"].unique())):
        labels.setdefault(component_id(label), []).append(label)
    outside = stored_methods(folders, labels.keys() - known.keys())
    made: list[Json] = []
    for name, of in labels.items():
        said = asdict(known[name]) if name in known else {"source": "outside the tree", **outside.get(name, {})}
        door, number = facts.loc[of[0]]
        family = (said["family"] or "every family") if name in known else None
        keep = ("title", "paper", "licence", "presets", "reported", "doc", "source")
        measured = {"door": door, "version": _plain(number), "family": family}
        made.append({"id": name, "labels": of, **{key: said.get(key) for key in keep}, **measured})
    return made


def _plain(value: Any) -> Any:
    """A JSON value: what is missing or not finite is null, NumPy's numbers are Python's."""
    if value is None or value is pd.NA:
        return None
    found: Any = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(found, float) and not isfinite(found) else found
