"""What a board shows, as JSON values: leaderboards, every row and its values by item, cards of metrics and methods."""

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
from ...analysis.frame import BOARD, METHOD, METRIC, by_item, split_boards, tidy
from ...analysis.ranking import with_ranks
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
from ..lay_out import leaderboards
from ..leaderboard import DIFFERENCES, Leaderboard
from ..report import unread_conditions


def board_content(
    folders: Sequence[Path],
    families: Sequence[str] | None,
    grades: Grades,
    items: int,
    meshes: int,
    progress: Tally,
) -> dict[str, Any]:
    """Everything that the board shows. Text is as in the records; the page escapes it. Raises SyncbenchError."""
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
    table = with_ranks(r, summary(r)).reset_index(drop=True)
    laid = leaderboards(
        table, differences(r), grades=grades, pairs="best", more=unread_conditions(r, unseen_conditions(folders))
    )
    values, named = _by_item(r, table)
    pictures = _gallery(stores, r, items, meshes, progress) if items and stores else {}
    for store in stores:
        store.warn()
    shown = [
        _board(about, one, named[tuple(about.values())], pictures.get(tuple(about.values())))
        for (about, _), one in zip(split_boards(table), laid, strict=True)
    ]
    rows = [[_json_value(v) for v in row] for row in table[COLUMNS].itertuples(index=False, name=None)]
    # only cards of metrics that are shown
    used = sorted({c.grade.card for one in laid for c in one.columns if c.grade and c.grade.card is not None})
    return {
        **shared,
        "boards": shown,
        "rows": rows,
        "values": values,
        "losses": [_json_value(v) for v in table["loss"]],
        "cards": [grades.cards[n].as_json() for n in used],
        "methods": _methods(r, folders),
    }


def _gallery(stores: list[Store], r: Table, items: int, meshes: int, progress: Tally) -> dict[tuple[Any, ...], Json]:
    from .gallery import GallerySample, gallery  # torch and PyAV, which records alone do not need

    # the lowest seed of every line and item
    first = r.sort_values("seed", kind="stable").drop_duplicates([*BOARD, "name", "item"])
    jobs = first[["key", "name", "item", *BOARD]].itertuples(index=False, name=None)
    return gallery(
        stores,
        [GallerySample(key, name, str(item), tuple(board)) for key, name, item, *board in jobs],
        items,
        meshes,
        progress,
    )


def _source(store: Store) -> Json:
    """Facts about a results folder: name, suite, number of jobs, device, versions of packages; no path."""
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
            "calibrated": list(column.grade.calibrated) if column.grade else [],
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
    """Values of every row of the table by item, seeds averaged, and the item ids of each leaderboard in order."""
    scored = r[r["metric"] != ""]
    named = {tuple(key): sorted(map(str, part["item"].unique())) for key, part in scored.groupby(BOARD, sort=False)}
    keys = [*BOARD, *METHOD, *METRIC]
    means = by_item(scored)
    means["place"] = means.groupby(BOARD, sort=False)["item"].rank("dense").astype(int) - 1
    rows = table[keys].assign(anchor=table["anchor"].fillna(""), row=range(len(table)))
    means = means.merge(rows, on=keys)
    size = [len(named[key]) for key in table[BOARD].itertuples(index=False, name=None)]
    values: list[list[float | None]] = [[None] * n for n in size]
    for row, place, value in zip(*(means[name].tolist() for name in ("row", "place", "value")), strict=True):
        values[row][place] = _json_value(value)
    return values, named


def _methods(r: Table, folders: Sequence[Path]) -> list[Json]:
    """A card for every method in the records: its docstring, paper, presets, and the numbers that papers report.

    Facts of methods from outside the tree come from the records and from the jobs of the folders.
    """
    known = {component.id: component for component in list_components("methods")}
    facts = r.drop_duplicates("method").set_index("method")[["door", "method_version"]]
    labels: dict[str, list[str]] = {}
    for label in sorted(map(str, r["method"].unique())):
        labels.setdefault(component_id(label), []).append(label)
    outside = stored_methods(folders, labels.keys() - known.keys())
    cards: list[Json] = []
    for name, of in labels.items():
        about = asdict(known[name]) if name in known else {"source": "outside the tree", **outside.get(name, {})}
        door, number = facts.loc[of[0]]
        family = (about["family"] or "every family") if name in known else None
        keep = ("title", "paper", "licence", "presets", "reported", "doc", "source")
        measured = {"door": door, "version": _json_value(number), "family": family}
        cards.append({"id": name, "labels": of, **{key: about.get(key) for key in keep}, **measured})
    return cards


def _json_value(value: Any) -> Any:
    """A cell as a JSON value: null where it is missing or not finite, a Python number where it is one of NumPy's."""
    if value is None or value is pd.NA:
        return None
    number: Any = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(number, float) and not isfinite(number) else number
