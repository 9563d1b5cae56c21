"""`report`: leaderboards and paired differences of results folders, in every format."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from ..analysis.frame import BOARD, Table, csv, in_brief, tidy
from ..analysis.summary import COLUMNS, summary
from ..errors import SyncbenchError
from ..escaping import printable_json
from ..files import write_whole
from ..store.records import read_records, records_of_families, result_paths, unseen_conditions

if TYPE_CHECKING:
    from ..analysis.differences import Pairs
    from ..trust.grades import Grades

Format = Literal["text", "md", "csv", "json", "tex", "html"]
FORMATS: tuple[Format, ...] = ("text", "md", "csv", "json", "tex", "html")
SUFFIXES: dict[str, Format] = {f".{'txt' if format == 'text' else format}": format for format in FORMATS}


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
        found = [sheet for name in result_paths(folders) for sheet in sorted(name.glob("sheet*.png"))]
        sheets = [sheet for sheet in found if not sheet.is_symlink()]  # it could lead to any file of this machine
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
    """`report` of records already loaded; `unseen` are conditions that models took no notice of, by job."""
    r = tidy(records)
    if brief:
        r = r[(r["metric"] == "") | in_brief(r)]  # the empty metric stands for failed jobs
    from ..analysis.ranking import stand

    table = stand(r, summary(r))
    if format == "csv":
        return csv(table[COLUMNS])
    if format == "json":
        text = table[COLUMNS].to_json(orient="records", double_precision=15, indent=1, force_ascii=False)
        return printable_json(text) + "\n"
    from ..analysis.differences import differences
    from . import pages
    from .leaderboard import lay_out

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
