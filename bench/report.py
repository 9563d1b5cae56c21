"""From records to numbers and pages: rows with intervals, paired differences, and `report` in every format.

The item is the unit: seeds are averaged within it first, intervals are over items, and methods are compared on the
items they share. Rows of unlike versions, fingerprints, protocols or weights are never pooled.
"""

# pyright: reportMissingTypeStubs=false

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from . import stats
from .content import digest, told_apart
from .errors import SyncbenchError
from .escaping import csv_cell, printable_json
from .files import write_whole
from .records import Table as Table
from .records import load, of_families, paths, unseen

if TYPE_CHECKING:
    from .compare import Pairs
    from .grades import Grades

Format = Literal["text", "md", "csv", "json", "tex", "html"]
FORMATS: tuple[Format, ...] = ("text", "md", "csv", "json", "tex", "html")
SUFFIXES: dict[str, Format] = {f".{'txt' if format == 'text' else format}": format for format in FORMATS}

BOARD = ["family", "dataset", "dataset_version", "protocol"]
"""What rows must share to be compared."""
MODEL = ["model", "revision"]
HUGE = 1e150
"""Values beyond it cannot be squared, so nothing can be said of their mean."""
METHOD = ["name", "method", "method_version", "door", "anchor", *MODEL]
"""A line of a leaderboard. `name` is the method's label, with its version and its model where a board has several."""
METRIC = ["metric", "metric_version", "fingerprint", "direction", "unit"]
STANDING = ["mark", "rank_low", "rank_high", "pareto"]
COLUMNS = [
    *("family", "dataset", "model", "method", "metric", "fingerprint", "direction", "value", "ci_low", "ci_high"),
    *("n_items", "n_seeds", "coverage", "reason"),
    *("unit", "anchor", "door", "span", "failed", "protocol", "dataset_version", "revision"),
    *("method_version", "metric_version", "role", "primary"),
    *STANDING,
]
"""Columns of `rows`. `span`: 0 at the floor anchor, 1 at the ceiling. `failed`: jobs that raised an error. The last
four are those of `standing.stand`."""


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
    r["name"] = label.where(~several, label + " · " + model)
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
        names = told_apart(pairs)
        r.loc[part.index, "item"] = [names[pair] for pair in pairs]


def by_item(r: Table) -> Table:
    """Seeds averaged within their item: one row per method, metric and item, in order of item."""
    keys = [*BOARD, *METHOD, *METRIC, "item"]
    grouped = r.groupby(keys, sort=False)
    return grouped.agg(value=("value", "mean"), loss=("loss", "mean"), coverage=("coverage", "mean")).reset_index()


def rows(records: pd.DataFrame) -> pd.DataFrame:
    """One row per method and metric, columns `COLUMNS`, from records (columns `Record.columns()`).

    `value` is the mean over items that have one; `ci_low`, `ci_high` its 95 % interval over items; `reason` says
    why there is no value, why items are missing, or why there is no interval.
    """
    from .standing import stand

    r = tidy(records)
    return stand(r, summary(r))[COLUMNS]


def summary(records: Table) -> Table:
    """`rows` with the columns tables need besides: `loss` (mean, lower is better) and `missing` (items)."""
    r = tidy(records)
    keys = [*BOARD, *METHOD, *METRIC]
    failed = r[r["status"] == "error"].groupby([*BOARD, *METHOD])["key"].nunique().rename("failed")
    r = r[r["metric"] != ""]
    if r.empty:
        return pd.DataFrame(columns=[*(name for name in COLUMNS if name not in STANDING), "loss", "missing"])
    items = by_item(r).sort_values([*keys, "item"], kind="stable")
    grouped = items.groupby(keys, sort=True)
    table = grouped.agg(
        loss=("loss", "mean"), coverage=("coverage", "mean"), n_items=("value", "count"), planned=("value", "size")
    )
    said = r.groupby(keys).agg(role=("role", "first"), primary=("primary", "min")).reindex(table.index)
    table["role"], table["primary"] = said["role"], said["primary"].astype("Int64")
    found = stats.pooled(items["value"].to_numpy(dtype=float), np.asarray(grouped.ngroup()), len(table))
    table["value"] = [one.mean if one.n else None for one in found]
    table["ci_low"] = [one.low for one in found]
    table["ci_high"] = [one.high for one in found]
    table["missing"] = table["planned"] - table["n_items"]
    scored = r[r["value"].notna()]
    table["n_seeds"] = scored.groupby(keys)["seed"].nunique().reindex(table.index, fill_value=0)
    void = r[r["value"].isna()]
    # The commonest reason speaks for the cell.
    why = void.groupby([*keys, "reason"], dropna=False).size().sort_values(kind="stable").reset_index()
    why = why.drop_duplicates(keys, keep="last").set_index(keys)["reason"].reindex(table.index)
    table["reason"] = [
        _reason(n, gone, text, one.reason)
        for n, gone, text, one in zip(table["n_items"], table["missing"], why, found, strict=True)
    ]
    table = table.reset_index().merge(failed.reset_index(), how="left", on=[*BOARD, *METHOD])
    table["failed"] = table["failed"].fillna(0).astype(int)
    table["span"] = _spans(table, items)
    table["anchor"] = table["anchor"].where(table["anchor"] != "", None)
    for name in ("value", "ci_low", "ci_high", "span"):
        table[name] = table[name].astype(float)
    return table


def _reason(n: int, gone: int, text: Any, interval: str | None) -> str | None:
    said = text if isinstance(text, str) and text else "no reason given"
    if n == 0:
        return said
    return f"{gone} of {n + gone} items without a value: {said}" if gone else interval


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


def _spans(table: Table, items: Table) -> Table:
    """(floor - loss) / (floor - ceiling) per column.

    Missing where an anchor is, and where the two are not separable: the whole would be noise, and shares of it too.
    """
    span: Table = pd.Series(np.nan, index=table.index)
    keys = [*BOARD, *METRIC]
    anchored = dict(iter(items[items["anchor"].isin(["floor", "ceiling"])].groupby(keys, sort=False)))
    for key, column in table.groupby(keys, sort=False):
        low = column.loc[column["name"] == floor(column), ["name", "loss"]]
        high = column.loc[column["anchor"] == "ceiling", ["name", "loss"]]
        if low.empty or high.empty:
            continue
        losses = anchored[key].pivot_table(index="item", columns="name", values="loss", aggfunc="last")
        both = losses.reindex(columns=[low["name"].iloc[0], high["name"].iloc[0]]).dropna()
        if len(both) and stats.interval(both.iloc[:, 0] - both.iloc[:, 1]).separable:
            whole = float(low["loss"].iloc[0]) - float(high["loss"].iloc[0])
            span[column.index] = (float(low["loss"].iloc[0]) - column["loss"]) / whole
    return span


def of_boards(r: Table, unseen: Mapping[str, tuple[str, ...]]) -> dict[tuple[Any, ...], list[str]]:
    """Sentences about conditions that models took no notice of (names by the key of a job), by leaderboard."""
    known = r.drop_duplicates("key")[["key", "model", *BOARD]]
    known = known[known["key"].isin(list(unseen))]
    said: dict[tuple[Any, ...], dict[str, None]] = {}
    for key, model, *board in known.sort_values([*BOARD, "model"]).itertuples(index=False, name=None):
        names = unseen[key]
        many = "conditions" if len(names) > 1 else "condition"
        text = f"Model {model} takes no notice of the items' {many} {', '.join(names)}."
        said.setdefault(tuple(board), {})[text] = None
    return {board: list(texts) for board, texts in said.items()}


def boards(table: Table) -> Iterator[tuple[dict[str, Any], Table]]:
    """Split rows into what may be compared: same family, dataset and protocol."""
    for key, part in table.groupby(BOARD, sort=True):
        yield dict(zip(BOARD, key, strict=True)), part


def report(
    folders: Sequence[str | Path] | str | Path,
    format: Format | str = "text",
    *,
    out: str | Path | None = None,
    families: Sequence[str] | None = None,
    primary: Sequence[str] | None = None,
    pairs: "Pairs" = "best",
    against: str | None = None,
    exploratory: bool = False,
    span: bool = False,
    brief: bool = False,
    cards: Sequence[str | Path] = (),
    sheets: Sequence[Path] | None = None,
    width: int | None = None,
    color: bool = False,
) -> str:
    """Leaderboards and paired differences of run folders as text, also written to `out` if given.

    `families` leaves the others out; `primary` names the metrics of the differences (default: the family's); `pairs`
    is `best` (with many methods, only differences from the best and the floor) or `all`; `against` names the one line
    to compare all others with instead; `exploratory` adds the other metrics' differences, corrected for their number;
    `span` adds each value's place between the floor (0 %) and the ceiling (100 %); `brief` leaves one small table a
    leaderboard, of the primary metrics (`in_brief`); `cards` are files of report
    cards (`validate --out`) besides the shipped ones, by which metrics are marked that fail; `sheets` are the PNG
    contact sheets put into html (default: every `sheet*.png` of the folders); `width` and `color` are the terminal's.
    With `out`, a known suffix overrides `format`. csv and json hold the rows (`COLUMNS`). A `.parquet` file
    (`baseline.write`) may stand for a folder.
    """
    if out is not None:
        format = SUFFIXES.get(Path(out).suffix.lower(), format)
    if format not in FORMATS:
        raise SyncbenchError(f"unknown format '{format}': choose one of {', '.join(FORMATS)}")
    if sheets is None:
        found = [sheet for name in paths(folders) for sheet in sorted(name.glob("sheet*.png"))]
        sheets = [sheet for sheet in found if not sheet.is_symlink()]  # it could lead to any file of this machine
    from .grades import grades

    text = render(
        of_families(load(folders), families),
        format,
        primary,
        unseen=unseen(folders),
        pairs=pairs,
        against=against,
        exploratory=exploratory,
        span=span,
        brief=brief,
        grades=grades(cards),
        sheets=sheets,
        width=width,
        color=color,
    )
    if out is not None:
        write_whole(Path(out), text)
    return text


def render(
    records: pd.DataFrame,
    format: str,
    primary: Sequence[str] | None = None,
    *,
    unseen: Mapping[str, tuple[str, ...]] | None = None,
    pairs: "Pairs" = "best",
    against: str | None = None,
    exploratory: bool = False,
    span: bool = False,
    brief: bool = False,
    grades: "Grades | None" = None,
    sheets: Sequence[Path] = (),
    width: int | None = None,
    color: bool = False,
) -> str:
    """`report` of records already loaded; `unseen` are conditions that models took no notice of, by job."""
    r = tidy(records)
    if brief:
        r = r[(r["metric"] == "") | in_brief(r)]  # the empty metric stands for failed jobs
    from .standing import stand

    table = stand(r, summary(r))
    if format == "csv":
        return csv(table[COLUMNS])
    if format == "json":
        text = table[COLUMNS].to_json(orient="records", double_precision=15, indent=1, force_ascii=False)
        return printable_json(text) + "\n"
    from . import pages
    from .compare import differences
    from .tables import lay_out

    compared = r[:0]
    if not brief and format != "tex":
        compared = differences(r, primary, pairs=pairs, against=against, exploratory=exploratory)
    blind = of_boards(r, unseen or {})
    laid = lay_out(table, compared, grades=grades, span=span, brief=brief, pairs=None if against else pairs, more=blind)
    if format == "tex":
        from .latex import latex

        return latex(laid)
    if format == "html":
        return pages.html(laid, sheets)
    return pages.markdown(laid) if format == "md" else pages.text(laid, width=width, color=color)


def csv(table: Table) -> str:
    """A table as CSV that no spreadsheet takes for formulas (`escaping.csv_cell`)."""
    return table.map(csv_cell).to_csv(index=False)
