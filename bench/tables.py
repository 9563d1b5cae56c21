"""Rows laid out as leaderboards: one row a method, one column a metric, anchors apart, the best marked."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import floor as down
from math import isfinite, log10
from statistics import median
from typing import Any

from .report import METHOD, METRIC, Table, base, boards, target

PANELS: dict[str, frozenset[str]] = {
    "consistency": frozenset(),
    "quality, variety, text": frozenset(
        {"clip_text", "variety", "sharpness", "overlap_sharpness", "edit_strength", "edge_alignment"}
    ),
    "cost": frozenset({"network_evaluations", "seconds", "peak_memory"}),
}
"""Where a metric is shown; whatever is named nowhere is a consistency metric."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """One metric of one fingerprint."""

    metric: str
    header: str
    """Name and arrow, e.g. `seam_ratio →1`."""
    unit: str
    panel: str
    fingerprint: str
    decimals: int


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One value as shown."""

    text: str
    detail: str = ""
    """Exact interval and number of items, for hovering."""
    best: bool = False
    note: int | None = None
    """Number of the footnote that says why a value is missing or incomplete."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One method."""

    method: str
    mark: str
    """`floor`, `trap`, `ceiling`, or nothing."""
    cells: tuple[Cell, ...]


@dataclass(frozen=True, kw_only=True)
class Leaderboard:
    """What may be compared: one family, dataset and protocol."""

    title: str
    subtitle: str
    columns: tuple[Column, ...]
    methods: tuple[Line, ...]
    anchors: tuple[Line, ...]
    notes: tuple[str, ...]
    """Footnotes, from number 1."""
    remarks: tuple[str, ...] = ()
    differences: tuple[tuple[str, ...], ...] = ()
    """Rows under `DIFFERENCES`."""
    brief: bool = False
    """One table instead of one a panel."""

    def panels(self) -> list[tuple[str, list[int]]]:
        """Panel names with the positions of their columns; a brief board has one panel without a name."""
        if self.brief:
            return [("", list(range(len(self.columns))))]
        found = {name: [i for i, c in enumerate(self.columns) if c.panel == name] for name in PANELS}
        return [(name, where) for name, where in found.items() if where]


@dataclass
class _Notes:
    texts: list[str] = field(default_factory=list[str])

    def number(self, text: str) -> int:
        """The footnote's number, the same for the same text."""
        if text not in self.texts:
            self.texts.append(text)
        return self.texts.index(text) + 1


DIFFERENCES = ("metric", "method", "against", "difference", "95 % interval", "p (Holm)", "items", "verdict")


def lay_out(table: Table, differences: Table, *, span: bool = False, brief: bool = False) -> list[Leaderboard]:
    """Leaderboards from `report.summary` and `compare.differences`."""
    compared = {tuple(key.values()): part for key, part in boards(differences)} if len(differences) else {}
    laid = [_leaderboard(board, part, compared.get(tuple(board.values())), span=span) for board, part in boards(table)]
    return [replace(board, brief=brief) for board in laid]


def _leaderboard(board: dict[str, Any], part: Table, pairs: Table | None, *, span: bool) -> Leaderboard:
    part = part.assign(anchor=part["anchor"].fillna(""))
    keys = part.drop_duplicates(METRIC)[METRIC].to_dict("records")
    columns = [_column(key, keys, part) for key in keys]
    order = sorted(range(len(keys)), key=lambda i: (list(PANELS).index(columns[i].panel), i))
    keys, columns = [keys[i] for i in order], [columns[i] for i in order]
    lookup = {tuple(row[name] for name in (*METHOD, *METRIC)): row for row in part.to_dict("records")}
    best = [_best(_where(part, key)) for key in keys]
    models = {str(m): str(r) for m, r in zip(part["model"], part["revision"], strict=True)}
    notes = _Notes()
    lines: dict[bool, list[tuple[float, Line]]] = {False: [], True: []}
    methods = part.drop_duplicates(METHOD)
    for who in methods[METHOD].to_dict("records"):
        cells: list[Cell] = []
        for key, column, winner in zip(keys, columns, best, strict=True):
            row = lookup.get((*who.values(), *key.values()))
            cells.append(_cell(row, column, notes, best=winner == _name(who), span=span))
        first = _where(part, keys[0])
        mine = first.loc[(first["name"] == who["name"]) & (first["method_version"] == who["method_version"]), "loss"]
        rank = float(mine.iloc[0]) if len(mine) and isfinite(mine.iloc[0]) else float("inf")
        twice = (methods["name"] == who["name"]).sum() > 1
        label = f"{who['name']} v{who['method_version']}" if twice else str(who["name"])
        label += " ‡" if who["door"] == "as_published" else ""
        line = Line(method=label, mark=str(who["anchor"]), cells=tuple(cells))
        lines[bool(who["anchor"])].append((rank, line))
    return Leaderboard(
        title=" / ".join([str(board["family"]), str(board["dataset"]), *(models if len(models) == 1 else {})]),
        subtitle=_subtitle(board, models),
        columns=tuple(columns),
        methods=_ranked(lines[False]),
        anchors=_ranked(lines[True]),
        notes=tuple(notes.texts),
        remarks=(*_remarks(part, keys, span), *_few(pairs)),
        differences=() if pairs is None else tuple(_difference(row) for row in pairs.to_dict("records")),
    )


def _ranked(lines: list[tuple[float, Line]]) -> tuple[Line, ...]:
    return tuple(line for _, line in sorted(lines, key=lambda pair: pair[0]))


def _where(part: Table, key: dict[str, Any]) -> Table:
    return part[(part[METRIC] == list(key.values())).all(axis=1)]


def _name(row: Any) -> tuple[Any, ...]:
    return tuple(row[name] for name in METHOD)


def _subtitle(board: dict[str, Any], models: dict[str, str]) -> str:
    protocol = json.loads(board["protocol"])
    said = ", ".join(f"{name} {value}" for name, value in protocol.items() if value not in ("", None))
    weights = ", ".join([*models.values()] if len(models) == 1 else [f"{m} {r}" for m, r in models.items()])
    return f"{said}; dataset version {board['dataset_version']}, weights {weights}"


def arrow(direction: str) -> str:
    """↓, ↑ or → and the target."""
    ideal = target(direction)
    return {"lower": "↓", "higher": "↑"}[direction] if ideal is None else f"→{ideal:g}"


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
        header=f"{key['metric']}{number} {arrow(key['direction'])}",
        unit=str(key["unit"] or ""),
        panel=next(
            (name for name, ids in PANELS.items() if base(key["metric"]).partition("@")[0] in ids), "consistency"
        ),
        fingerprint=key["fingerprint"],
        decimals=min(max(decimals, 0), 5),
    )


def _best(column: Table) -> tuple[Any, ...] | None:
    """The best method that is no anchor and misses no item the others have; None if there is nothing to choose."""
    real = column[(column["anchor"] == "") & column["loss"].notna()]
    real = real[real["n_items"] == real["n_items"].max()]
    if len(real) < 2 or real["loss"].nunique() < 2:
        return None
    return _name(real.loc[real["loss"].idxmin()])


def _cell(row: Any, column: Column, notes: _Notes, *, best: bool, span: bool) -> Cell:
    if row is None:
        return Cell(text="—", note=notes.number("not computed"))
    if not isfinite(row["value"]):
        return Cell(text="—", note=notes.number(f"{row['reason']}"))
    d = column.decimals
    text, detail = f"{row['value']:,.{d}f}", f"{row['n_items']} items"
    if isfinite(row["ci_low"]):
        text += f" ±{(row['ci_high'] - row['ci_low']) / 2:,.{d}f}"
        detail = f"95 % interval {row['ci_low']:.{d + 1}f} to {row['ci_high']:.{d + 1}f}, {detail}"
    if span and column.panel != "cost" and isfinite(row["span"]):
        text += f" ({row['span']:.0%})"
    note = notes.number(str(row["reason"])) if row["missing"] else None
    return Cell(text=text, detail=detail, best=best, note=note)


def _remarks(part: Table, keys: Sequence[dict[str, Any]], span: bool) -> list[str]:
    said: list[str] = []
    items, seeds = int((part["n_items"] + part["missing"]).max()), int(part["n_seeds"].max())
    said.append(f"Mean over {items} items, {seeds} seed{'' if seeds == 1 else 's'} each; ± half a 95 % interval.")
    if any(target(key["direction"]) is not None for key in keys):
        said.append("→ columns are ranked by the items' mean distance from the target.")
    if span:
        said.append("In brackets: the way from the floor (0 %) to the ceiling (100 %).")
    if (part["door"] == "as_published").any():
        said.append("‡ runs a pipeline of its own, not the shared loop.")
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


def _few(pairs: Table | None) -> list[str]:
    if pairs is None or pairs.empty or pairs["n_items"].max() >= 6:
        return []
    return ["Fewer than 6 items: p of the paired differences cannot fall below 0.05, whatever the data."]


def _difference(row: dict[str, Any]) -> tuple[str, ...]:
    if row["difference"] is None or not isfinite(row["difference"]):
        return (row["metric"], row["a"], row["b"], "—", "—", "—", str(row["n_items"]), str(row["reason"]))
    known = row["ci_low"] is not None and isfinite(row["ci_low"])
    scale: float = (row["ci_high"] - row["ci_low"]) / 2 if known else abs(row["difference"])
    d = min(max(1 - down(log10(scale)), 0), 5) if scale > 0 else 3
    if not known:
        verdict = str(row["reason"])
    elif row["excludes_zero"]:
        verdict = f"{row['better']} is better"
    else:
        verdict = f"not separable (would show {row['detectable']:.{d}f})"
    bounds = f"{row['ci_low']:+.{d}f} to {row['ci_high']:+.{d}f}" if known else "—"
    p = f"{row['p_holm']:.3g}" if isfinite(row["p_holm"]) else "—"
    header = f"{row['metric']} {arrow(row['direction'])}"
    return (header, row["a"], row["b"], f"{row['difference']:+.{d}f}", bounds, p, str(row["n_items"]), verdict)
