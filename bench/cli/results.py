"""Commands that read results: report, board, gate, power, cite."""

import sys
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from ..errors import SyncbenchError
from .options import AsJson, Cards, Comma, Folders, Margins, app, print_json, split_names, table_rows, terminal


@app.command("report")
def report(
    folders: Folders,
    format: Annotated[str, typer.Option(metavar="text|md|csv|json|tex|html")] = "text",
    out: Annotated[Path | None, typer.Option(metavar="FILE")] = None,
    families: Annotated[str | None, Comma] = None,
    primary: Annotated[str | None, typer.Option(metavar="A,B", help="Metrics of the paired differences.")] = None,
    pairs: Annotated[str, typer.Option(metavar="best|all", help="With many methods: which differences.")] = "best",
    against: Annotated[
        str | None, typer.Option(metavar="METHOD", help="Differences of all others from this one only.")
    ] = None,
    exploratory: Annotated[
        bool, typer.Option("--exploratory", help="Differences of the other metrics too (Benjamini-Hochberg).")
    ] = False,
    span: Annotated[bool, typer.Option("--span", help="Add each value's place between floor and ceiling.")] = False,
    brief: Annotated[bool, typer.Option("--brief", help="One small table a leaderboard, no differences.")] = False,
    cards: Cards = [],  # noqa: B006
) -> None:
    """Leaderboards with intervals over items, and paired differences."""
    from ..analysis.differences import PAIRS
    from ..report.report import report as make

    if pairs not in PAIRS:
        raise SyncbenchError(f"--pairs {pairs}: choose best or all")
    text = make(
        folders,
        format,
        out=out,
        families=split_names(families),
        primary=split_names(primary),
        pairs=cast(Any, pairs),
        against=against,
        exploratory=exploratory,
        span=span,
        brief=brief,
        cards=cards,
        **(terminal() if out is None else {}),
    )
    if out is None:
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
    else:
        print(out)


@app.command("board")
def board(
    folders: Folders,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="[DIR/board.html]")] = None,
    families: Annotated[str | None, Comma] = None,
    items: Annotated[int, typer.Option(metavar="N", help="Items of each dataset with pictures; 0: none.")] = 6,
    meshes: Annotated[int, typer.Option(metavar="N", help="Of those of given meshes: how many turn in 3-D.")] = 1,
    cards: Cards = [],  # noqa: B006
) -> None:
    """One offline HTML file: sortable leaderboards, plots, galleries, report cards, where every number comes from."""
    from ..report.board import board as make
    from ..run.progress import told

    with told("drawing") as progress:
        print(
            make(
                folders, out, families=split_names(families), cards=cards, items=items, meshes=meshes, progress=progress
            )
        )


@app.command("gate")
def gate(
    folders: Folders,
    baseline: Annotated[
        list[Path], typer.Option(metavar="FILE.parquet|DIR", help="What must not be lost; folders may repeat.")
    ],
    margin: Margins = [],  # noqa: B006
    reseeded: Annotated[bool, typer.Option("--reseeded", help="Other seeds than the baseline's.")] = False,
    allow_undecided: Annotated[bool, typer.Option("--allow-undecided", help="Undecided comparisons hold.")] = False,
    update: Annotated[bool, typer.Option("--update", help="Make DIR the new baseline (one .parquet file).")] = False,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write JUnit XML too.")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Answer in Markdown, for a pull request.")] = False,
    as_json: AsJson = False,
) -> None:
    """Exit 0 if nothing regressed against a baseline, 1 if something did, 2 if they cannot be compared.

    With --update the run becomes the baseline, whatever the comparison says, and the exit code is 0.
    """
    from ..gate.gate import gate as compare

    margins: dict[str, float] = {}
    for text in margin:
        name, equals, value = text.partition("=")
        try:
            margins[name] = float(value)
        except ValueError:
            raise SyncbenchError(f"--margin {text}: write METRIC=LOSS, e.g. seam_ratio=0.1") from None
        if not equals or not name:
            raise SyncbenchError(f"--margin {text}: write METRIC=LOSS, e.g. seam_ratio=0.1")
    written = None
    if update:
        from ..gate.baseline import update as renew

        if len(baseline) != 1 or allow_undecided or junit:
            raise SyncbenchError(
                "--update writes one --baseline FILE.parquet and takes no --junit, no --allow-undecided"
            )
        written = renew(folders, baseline[0], margins=margins, reseeded=reseeded)
        result = written.gate
    else:
        result = compare(folders, baseline, margins=margins, allow_undecided=allow_undecided, reseeded=reseeded)
    if junit is not None and result is not None:
        from ..files.writing import write_whole
        from ..gate.junit import junit as xml

        write_whole(junit, xml(result))
    if as_json:
        facts: dict[str, Any] = {}
        if result is not None:
            rows = table_rows(result.table)
            facts = {"code": result.code, "headline": result.headline, "rows": rows, "notes": result.notes}
        if written is not None:
            facts["written"] = {"file": str(written.path), "records": written.records, "dropped": written.dropped}
        print_json(facts)
    else:
        if result is not None:
            sys.stdout.write(result.markdown() if markdown else result.text())
        if written is not None:
            sys.stdout.write(f"\n{written.text()}" if result is not None else written.text())
    raise typer.Exit(0 if written is not None or result is None else result.code)


@app.command("power")
def power(
    folders: Annotated[
        list[Path] | None, typer.Argument(metavar="[DIR...]", help="Results to take spreads from.")
    ] = None,
    difference: Annotated[float | None, typer.Option(metavar="D", help="To be seen [the observed ones].")] = None,
    spread: Annotated[float | None, typer.Option(metavar="S", help="Of the paired difference, without DIR.")] = None,
    primary: Annotated[str | None, typer.Option(metavar="A,B", help="Metrics [the family's].")] = None,
    comparisons: Annotated[
        int, typer.Option(metavar="N", help="It is one of so many, without DIR; k methods make k (k - 1) / 2.")
    ] = 1,
    chance: Annotated[float, typer.Option("--power", metavar="P", help="Chance of seeing it.")] = 0.8,
    level: Annotated[float, typer.Option(metavar="P", help="Of the two-sided test.")] = 0.05,
    as_json: AsJson = False,
) -> None:
    """How many items it takes to see a difference between two methods."""
    if bool(folders) == (spread is not None):
        raise SyncbenchError("name results folders, or --spread S with --difference D")
    if difference is not None and not difference > 0:
        raise SyncbenchError(f"--difference {difference:g}: must be above 0")
    if spread is not None:
        from ..analysis.stats import items_needed

        if difference is None:
            raise SyncbenchError("--spread needs --difference D")
        if comparisons < 1:
            raise SyncbenchError(f"--comparisons {comparisons}: 1 or more")
        needed = items_needed(spread, difference, tests=comparisons, power=chance, level=level)
        print_json({"needed": needed}) if as_json else print(needed or "more than a million")
        return
    from ..analysis.power import items_for, power_text
    from ..store.records import read_records

    table = items_for(read_records(folders or []), difference, split_names(primary), power=chance, level=level)
    if as_json:
        print_json(table_rows(table))
    else:
        sys.stdout.write(power_text(table))


@app.command("cite")
def cite(
    folders: Folders,
    families: Annotated[str | None, Comma] = None,
    brief: Annotated[bool, typer.Option("--brief", help="Of what the brief report shows only.")] = False,
) -> None:
    """BibTeX of the methods, metrics, data sets and models that a report of results shows."""
    from ..report.cite import cite as entries

    sys.stdout.write(entries(folders, families=split_names(families), brief=brief))
