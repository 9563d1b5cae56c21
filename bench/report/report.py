"""Leaderboards and paired differences of results folders, in every format."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from ..analysis.frame import BOARD, Table, brief_rows, safe_csv, tidy
from ..analysis.summary import COLUMNS, summary
from ..errors import SyncbenchError
from ..escaping import printable_json
from ..files.writing import write_whole
from ..store.records import read_records, records_of_families, result_paths, unseen_conditions

if TYPE_CHECKING:
    from ..analysis.differences import Pairs
    from ..trust.grades import Grades

Format = Literal["text", "md", "csv", "json", "tex", "html"]
FORMATS: tuple[Format, ...] = ("text", "md", "csv", "json", "tex", "html")
SUFFIXES: dict[str, Format] = {f".{'txt' if format == 'text' else format}": format for format in FORMATS}


def unread_conditions(r: Table, unseen: Mapping[str, tuple[str, ...]]) -> dict[tuple[Any, ...], list[str]]:
    """Remarks, by leaderboard, on conditions that models did not read; `unseen` has their names by the key of a job.

    A method may read what its model does not, as editing reads the source clip: then the remark says so.
    """
    done = r[r["metric"] != ""].drop_duplicates("key")
    jobs = done[["key", "anchor", "item", "model", *BOARD]].sort_values([*BOARD, "model"])
    jobs["names"] = [frozenset(unseen.get(key, ())) for key in jobs["key"]]
    remarks: dict[tuple[Any, ...], list[str]] = {}
    for (model, *board), part in jobs.groupby(["model", *BOARD], sort=False, dropna=False):
        names: set[str] = set().union(*part["names"])
        some: set[str] = set()
        for _, same in part.groupby("item", sort=False):
            methods = same.loc[same["anchor"] == "", "names"]
            some |= {name for name in set().union(*same["names"]) if any(name not in one for one in methods)}
        for group, beside in ((names - some, ""), (some, "; some methods do themselves")):
            if group:
                many = "conditions" if len(group) > 1 else "condition"
                text = f"Model {model} takes no notice of the items' {many} {', '.join(sorted(group))}{beside}."
                remarks.setdefault(tuple(board), []).append(text)
    return remarks


def report(
    folders: Sequence[str | Path] | str | Path,
    format: Format | str | None = None,
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
    """Leaderboards and paired differences of results folders (or `.parquet` files) in `format` (default: text).

    `out` is a file that gets the text, too; a known suffix of it overrides `format`. `families` are those that are
    reported (default: all). `primary` names the metrics of the differences (default: the family's primary ones);
    `pairs` is `best` (with many methods, only differences from the best and the floor) or `all`; `against` names the
    one line with which all others are compared instead; `exploratory` adds the differences of other metrics, corrected
    for their number. `span` adds each value's place between the floor (0 %) and the ceiling (100 %). `brief` leaves one
    small table per leaderboard, of the primary metrics. `cards` are files of report cards (`validate --out`) besides
    the shipped ones; metrics that fail theirs are marked. `sheets` are the PNG contact sheets in html (default: every
    `sheet*.png` of the folders). `width` and `color` are those of the terminal. csv and json have the rows of the
    leaderboards (`summary.COLUMNS`). Raises SyncbenchError for an unknown format or an `out` whose suffix tells none,
    and for folders without results.
    """
    suffix = "" if out is None else Path(out).suffix.lower()
    if format is None and suffix and suffix not in SUFFIXES:
        cure = f"end the name in one of {', '.join(SUFFIXES)}, or give a format"
        raise SyncbenchError(f"'{out}': no format is written to {suffix} files; {cure}")
    format = SUFFIXES.get(suffix, format or "text")
    if format not in FORMATS:
        raise SyncbenchError(f"unknown format '{format}': choose one of {', '.join(FORMATS)}")
    if sheets is None:
        every = [sheet for name in result_paths(folders) for sheet in sorted(name.glob("sheet*.png"))]
        sheets = [sheet for sheet in every if not sheet.is_symlink()]  # a link could lead to any file of this machine
    from ..trust.grades import grades

    text = render(
        records_of_families(read_records(folders), families),
        format,
        primary,
        unseen=unseen_conditions(folders),
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
    """`report` of records that are loaded already; `unseen` are conditions that models did not read, by job."""
    r = tidy(records)
    if brief:
        r = r[(r["metric"] == "") | brief_rows(r)]  # the empty metric stands for failed jobs
    from ..analysis.ranking import with_ranks

    table = with_ranks(r, summary(r))
    if format == "csv":
        return safe_csv(table[COLUMNS])
    if format == "json":
        text = table[COLUMNS].to_json(orient="records", double_precision=15, indent=1, force_ascii=False)
        return printable_json(text) + "\n"
    from ..analysis.differences import differences
    from . import pages
    from .lay_out import leaderboards

    compared = r[:0]
    if not brief and format != "tex":
        compared = differences(r, primary, pairs=pairs, against=against, exploratory=exploratory)
    blind = unread_conditions(r, unseen or {})
    laid = leaderboards(
        table, compared, grades=grades, span=span, brief=brief, pairs=None if against else pairs, more=blind
    )
    if format == "tex":
        from .latex import latex

        return latex(laid)
    if format == "html":
        return pages.html_page(laid, sheets)
    return pages.markdown_page(laid) if format == "md" else pages.text_page(laid, width=width, color=color)
