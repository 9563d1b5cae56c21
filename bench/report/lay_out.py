"""How leaderboards are laid out: from tables of results to columns, cells, ranks, footnotes and remarks."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import floor as down
from math import isfinite, log10
from statistics import median
from typing import Any

import pandas as pd

from ..analysis import stats
from ..analysis.differences import MANY, Pairs
from ..analysis.frame import (
    METHOD,
    METRIC,
    Table,
    brief_rows,
    direction_arrow,
    floor_line,
    is_primary,
    split_boards,
    target_value,
)
from ..analysis.pairwise import comparison_count
from ..trust.grades import Grades
from .leaderboard import ESTIMATE, FAILED, PANELS, Cell, Column, Leaderboard, Line

DOORS = {"as_published": "‡", "imported": "§"}
"""Marks of methods that do not share the loop, by their door."""


@dataclass
class _Notes:
    """The footnotes of a leaderboard."""

    texts: list[str] = field(default_factory=list[str])

    def number(self, text: str) -> int:
        """The number of the footnote with this text, which is added if it is new."""
        if text not in self.texts:
            self.texts.append(text)
        return self.texts.index(text) + 1


def leaderboards(
    table: Table,
    differences: Table,
    *,
    grades: Grades | None = None,
    span: bool = False,
    brief: bool = False,
    pairs: Pairs | None = "best",
    more: Mapping[tuple[Any, ...], Sequence[str]] | None = None,
) -> list[Leaderboard]:
    """Leaderboards from the tables of `ranking.with_ranks` and `differences.differences`.

    With `grades`, metrics whose report cards fail are marked, and metrics without one are named. `span` adds the place
    of each value between the anchors. `pairs` tells how the differences were chosen; None where all are against one
    line. `more` are further remarks by leaderboard.
    """
    compared = {tuple(key.values()): part for key, part in split_boards(differences)} if len(differences) else {}
    laid: list[Leaderboard] = []
    for board, part in split_boards(table):
        one = _leaderboard(board, part, compared.get(tuple(board.values())), grades, span=span)
        remarks = list((more or {}).get(tuple(board.values()), ()))
        if one.differences and pairs == "best" and len(one.methods) > MANY:
            remarks.append(
                "Paired differences from the best and the floor only; report --pairs all compares every two methods."
            )
        laid.append(replace(one, brief=brief, remarks=(*one.remarks, *remarks)))
    return laid


def _leaderboard(
    board: dict[str, Any], part: Table, pairs: Table | None, grades: Grades | None, *, span: bool
) -> Leaderboard:
    part = part.assign(anchor=part["anchor"].fillna(""), row=part.index, brief=brief_rows(part))
    keys = part.drop_duplicates(METRIC)[METRIC].to_dict("records")
    columns = [_graded(_column(key, keys, part), str(board["family"]), key, grades) for key in keys]
    # The family's first primary metric orders the board.
    places = [float(_where(part, key)["primary"].astype(float).fillna(float("inf")).min()) for key in keys]
    order = sorted(range(len(keys)), key=lambda i: (list(PANELS).index(columns[i].panel), places[i], i))
    keys, columns = [keys[i] for i in order], [columns[i] for i in order]
    lookup = {tuple(row[name] for name in (*METHOD, *METRIC)): row for row in part.to_dict("records")}
    held = sorted({(str(m), str(r)) for m, r in zip(part["model"], part["revision"], strict=True)})
    models = {m if sum(m == other for other, _ in held) == 1 else f"{m} {r}": r for m, r in held}
    notes = _Notes()
    lines: dict[bool, list[tuple[float, Line]]] = {False: [], True: []}
    methods = part.drop_duplicates(METHOD)
    for who in methods[METHOD].to_dict("records"):
        cells: list[Cell] = []
        for key, column in zip(keys, columns, strict=True):
            cells.append(_cell(lookup.get((*who.values(), *key.values())), column, notes, span=span))
        first = lookup.get((*who.values(), *keys[0].values()))
        loss = first["loss"] if first and isfinite(first["loss"]) else float("inf")
        label = f"{who['name']} {DOORS[who['door']]}" if who["door"] in DOORS else str(who["name"])
        line = Line(name=str(who["name"]), method=label, mark=str(who["anchor"]), cells=tuple(cells), rank=_rank(first))
        lines[bool(who["anchor"])].append((loss, line))
    return Leaderboard(
        title=" / ".join([str(board["family"]), str(board["dataset"]), *(models if len(models) == 1 else {})]),
        subtitle=_subtitle(board, models),
        columns=tuple(columns),
        methods=_ranked(lines[False]),
        anchors=_ranked(lines[True]),
        notes=tuple(notes.texts),
        order=columns[0].header,
        remarks=(*_remarks(part, keys, columns, span), *_doubts(columns), *_few(part)),
        differences=() if pairs is None else tuple(_difference(row) for row in pairs.to_dict("records")),
    )


def _ranked(lines: list[tuple[float, Line]]) -> tuple[Line, ...]:
    return tuple(line for _, line in sorted(lines, key=lambda pair: pair[0]))


def _where(part: Table, key: dict[str, Any]) -> Table:
    return part[(part[METRIC] == list(key.values())).all(axis=1)]


def _rank(row: Any) -> str:
    # pandas gives a missing integer as NA or as None
    if row is None or row["rank_low"] is pd.NA or row["rank_low"] is None:
        return ""
    return f"{row['rank_low']}" if row["rank_low"] == row["rank_high"] else f"{row['rank_low']}-{row['rank_high']}"


def _subtitle(board: dict[str, Any], models: dict[str, str]) -> str:
    protocol = json.loads(board["protocol"])
    said = ", ".join(f"{name} {value}" for name, value in protocol.items() if value not in ("", None))
    weights = ", ".join([*models.values()] if len(models) == 1 else [f"{m} {r}" for m, r in models.items()])
    return f"{said or 'protocol not stated'}; dataset version {board['dataset_version']}, weights {weights}"


def _column(key: dict[str, Any], keys: Sequence[dict[str, Any]], part: Table) -> Column:
    same = [other for other in keys if other["metric"] == key["metric"]]
    # Unlike fingerprints stand in columns of their own, numbered, with the fingerprints below the table.
    number = f" ({same.index(key) + 1})" if len(same) > 1 else ""
    column = _where(part, key)
    halves = [h for h in ((column["ci_high"] - column["ci_low"]) / 2) if isfinite(h) and h > 0]
    if halves:
        decimals = 1 - down(log10(median(halves)))
    else:
        largest = max((abs(v) for v in column["value"] if isfinite(v)), default=0.0)
        whole = all(float(v).is_integer() for v in column["value"] if isfinite(v))
        decimals = 0 if whole or not largest else 3 - down(log10(largest))
    return Column(
        metric=key["metric"],
        header=f"{key['metric']}{number} {direction_arrow(key['direction'])}",
        unit=str(key["unit"] or ""),
        panel=next(name for name, roles in PANELS.items() if column["role"].iloc[0] in roles),
        fingerprint=key["fingerprint"],
        decimals=min(max(decimals, 0), 5),
        brief=bool(column["brief"].any()),
    )


def _graded(column: Column, family: str, key: dict[str, Any], grades: Grades | None) -> Column:
    if grades is None or column.panel == "cost":
        return column
    grade = grades.of(family, key["metric"], int(key["metric_version"]), key["fingerprint"])
    header = f"{column.header} {ESTIMATE}" if grade.calibrated else column.header
    header = f"{header} {FAILED}" if grade.state == "failed" else header
    return replace(column, grade=grade, header=header)


def _doubts(columns: Sequence[Column]) -> list[str]:
    """Remarks on metrics whose report cards fail, on those that estimate, and on metrics without a card."""
    graded = [(column, column.grade) for column in columns if column.grade]
    said = [f"{FAILED} {column.metric}: {grade.text}." for column, grade in graded if grade.state == "failed"]
    said += [f"{ESTIMATE} {column.metric} {text}." for column, grade in graded for text in grade.calibrated]
    unknown = [column.metric for column, grade in graded if grade.state == "unknown"]
    if unknown:
        names = ", ".join(dict.fromkeys(unknown))
        said.append(f"Without a report card of this version and backbone (syncbench validate makes them): {names}.")
    return said


def _cell(row: Any, column: Column, notes: _Notes, *, span: bool) -> Cell:
    if row is None:
        return Cell(text="—", note=notes.number("not computed"))
    if not isfinite(row["value"]):
        return Cell(text="—", row=row["row"], note=notes.number(f"{row['reason']}"))
    d = column.decimals
    text, detail = f"{row['value']:,.{d}f}", f"{row['n_items']} items"
    if isfinite(row["ci_low"]):
        text += f" ±{(row['ci_high'] - row['ci_low']) / 2:,.{d}f}"
        detail = f"95 % interval {row['ci_low']:.{d + 1}f} to {row['ci_high']:.{d + 1}f}, {detail}"
    if span and column.panel != "cost" and isfinite(row["span"]):
        text += f" ({row['span']:.0%})"
    note = notes.number(str(row["reason"])) if row["missing"] else None
    return Cell(text=text, detail=detail, mark=row["mark"], row=row["row"], note=note)


def _remarks(part: Table, keys: Sequence[dict[str, Any]], columns: Sequence[Column], span: bool) -> list[str]:
    said: list[str] = []
    items, seeds = int((part["n_items"] + part["missing"]).max()), int(part["n_seeds"].max())
    many = f"{items} item{'' if items == 1 else 's'}, {seeds} seed{'' if seeds == 1 else 's'} each"
    said.append(f"Mean over {many}; ± half a 95 % interval.")
    if any(target_value(key["direction"]) is not None for key in keys):
        said.append("→ columns are ranked by the items' mean distance from the target.")
    said += _fronts(part, keys, columns)
    if span:
        several = part.loc[part["anchor"] == "floor", "name"].nunique() > 1
        low = f"the floor {floor_line(part)}" if several else "the floor"
        said.append(f"In brackets: the way from {low} (0 %) to the ceiling (100 %), where the two are separable.")
    if (part["door"] == "as_published").any():
        said.append("‡ runs a pipeline of its own, not the shared loop.")
    if (part["door"] == "imported").any():
        said.append("§ made by another program and imported: seeds, protocol and weights as told, cost not known.")
    failed = part.drop_duplicates(METHOD)
    for name, count in zip(failed["name"], failed["failed"], strict=True):
        if count:
            said.append(f"{name}: {count} job{'' if count == 1 else 's'} failed.")
    for key in keys:
        same = [other for other in keys if other["metric"] == key["metric"]]
        if len(same) > 1:
            about = f"version {key['metric_version']}, {key['fingerprint']}"
            said.append(f"{key['metric']} ({same.index(key) + 1}): {about}.")
    return said


def _fronts(part: Table, keys: Sequence[dict[str, Any]], columns: Sequence[Column]) -> list[str]:
    """Remarks that name the Pareto front of quality and cost, one for each primary metric."""
    cost = next((column.header for column in columns if column.metric == part["cost"].iloc[0]), None)
    said: list[str] = []
    for key, column in zip(keys, columns, strict=True):
        here = _where(part, key)
        names = here.loc[here["pareto"].fillna(False).astype(bool), ["name", "loss"]].sort_values("loss")["name"]
        if cost and len(names) and is_primary(here):
            said.append(f"Pareto front of {column.header} against {cost}: {', '.join(map(str, names))}.")
    return said


def _few(part: Table) -> list[str]:
    """A remark that the items show only large differences, where that is so (see `stats.shortage_note`)."""
    methods = part.loc[part["anchor"] == "", "name"].nunique()
    said = stats.shortage_note(int(part["n_items"].max()), comparison_count(methods)) if methods else None
    return [said] if said else []


def _difference(row: dict[str, Any]) -> tuple[str, ...]:
    if row["difference"] is None or not isfinite(row["difference"]):
        return (row["metric"], row["a"], row["b"], "—", "—", "—", str(row["n_items"]), str(row["reason"]))
    known = row["ci_low"] is not None and isfinite(row["ci_low"])
    scale: float = (row["ci_high"] - row["ci_low"]) / 2 if known else abs(row["difference"])
    d = min(max(1 - down(log10(scale)), 0), 5) if scale > 0 else 3
    if isinstance(row["better"], str):
        verdict = f"{row['better']} is better"
    elif isinstance(row["reason"], str):
        verdict = row["reason"]
    else:
        verdict = f"not separable (would show {row['detectable']:.{d}f})"
    bounds = f"{row['ci_low']:+.{d}f} to {row['ci_high']:+.{d}f}" if known else "—"
    p = f"{row['p']:.2g} (of {row['tests']})" if isfinite(row["p"]) else "—"
    header = f"{row['metric']} {direction_arrow(row['direction'])}"
    return (header, row["a"], row["b"], f"{row['difference']:+.{d}f}", bounds, p, str(row["n_items"]), verdict)
