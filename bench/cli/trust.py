"""Commands that examine metrics, methods, components and the machine: validate, oracle, check, doctor."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ..catalogue.registry import suggest
from ..errors import SyncbenchError
from .options import AsJson, Comma, Set, Threads, app, print_json, split_names, table_rows, terminal


@app.command("validate")
def validate(
    metrics: Annotated[list[str] | None, typer.Argument(metavar="[METRIC]...", help="None: all of the tree.")] = None,
    families: Annotated[str | None, Comma] = None,
    items: Annotated[int, typer.Option(metavar="N", help="True scenes a family.")] = 12,
    levels: Annotated[int, typer.Option(metavar="N", help="Most rungs of a ladder of damage.")] = 5,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep cards/METRIC.json and pictures of the ladders.")
    ] = None,
    calibrate: Annotated[
        list[Path],
        typer.Option(
            metavar="DIR", help="Results of world items: do estimates rank methods as exact metrics do? Repeatable."
        ),
    ] = [],  # noqa: B006
    threads: Threads = None,
    as_json: AsJson = False,
) -> None:
    """Report cards of metrics: controlled damage to true scenes. Exit 1 if a promise was broken."""
    from ..files.writing import disk
    from ..isolation.guard import threaded
    from ..isolation.threads import threads_for
    from ..run.execute import executor
    from ..run.progress import shown, told
    from ..trust.calibrated import calibrations
    from ..trust.cards import cards_text, ladder_figures
    from ..trust.validate import estimates_of, save_cards, with_calibrations
    from ..trust.validate import validate as make
    from ..trust.verdicts import Card
    from ..types import FAMILIES, Family

    names = split_names(families)
    for name in names or ():
        if name not in FAMILIES:
            raise SyncbenchError(f"unknown family '{name}'{suggest(name, FAMILIES, 'there are')}")
    chosen: tuple[Family, ...] = tuple(family for family in FAMILIES if names is None or family in names)
    if out is not None:
        with disk(out):
            out.mkdir(parents=True, exist_ok=True)
    found = None
    if calibrate:  # first, because what is wrong with a folder shows at once
        with executor(1, None, threads) as execute, shown() as listener:
            found = calibrations(calibrate, estimates_of(metrics or ()), execute, listener)

    def keep(made: Sequence[Card]) -> None:  # family by family, because an interruption must lose no hours
        if out is not None:
            save_cards(with_calibrations(made, found or {}), out)

    with told("validating") as progress, threaded(threads_for(asked=threads, small=True)):
        cards = make(metrics or (), families=chosen, items=items, levels=levels, progress=progress, keep=keep)
    if not cards:
        raise SyncbenchError(f"nothing to validate: costs are counted, and the others are not of {', '.join(chosen)}")
    cards = with_calibrations(cards, found or {})
    if out is not None:
        ladder_figures(cards, out)
    if as_json:
        print_json([card.as_json() for card in cards])
    else:
        sys.stdout.write(cards_text(cards, **terminal()))
    if not all(card.passed for card in cards):
        raise typer.Exit(1)


@app.command("oracle")
def oracle(
    methods: Annotated[str | None, Comma] = None,
    steps: Annotated[int, typer.Option(metavar="N", help="DDIM steps.")] = 50,
    samples: Annotated[int | None, typer.Option(metavar="N", help="Rows of methods that are not linear [192].")] = None,
    against: Annotated[
        list[Path], typer.Option(metavar="DIR", help="Results of the suite oracle: do metrics rank alike? Repeatable.")
    ] = [],  # noqa: B006
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Also write CSV files and a figure there.")] = None,
    threads: Threads = None,
    as_json: AsJson = False,
) -> None:
    """Compare methods with the exact joint law of a Gaussian panorama [every method]."""
    from ..isolation.guard import threaded
    from ..isolation.threads import threads_for
    from ..run.progress import told
    from ..trust.oracle import SAMPLES, Problem
    from ..trust.oracle import oracle as compare
    from ..trust.oracle.agreement import agreement, oracle_records
    from ..trust.oracle.page import oracle_text, write_oracle

    records = oracle_records(against, steps) if against else None
    with told("measuring") as progress, threaded(threads_for(asked=threads, small=True)):
        found = compare(
            split_names(methods),
            problem=Problem(steps=steps),
            samples=SAMPLES if samples is None else samples,
            progress=progress,
        )
    ranks = None if records is None else agreement(found.rows, records)
    if out is not None:
        for path in write_oracle(found, ranks, out):
            print(path, file=sys.stderr)
    if as_json:
        tables = {"rows": found.rows, "agreement": ranks} if against else {"rows": found.rows}
        content = {name: table_rows(t) for name, t in tables.items()}
        print_json(content if against else content["rows"])
        return
    sys.stdout.write(oracle_text(found, ranks, **terminal()))


@app.command("check")
def check(
    component: Annotated[str, typer.Argument(metavar="ID|module:Class|file.py")],
    set_: Set = [],  # noqa: B006
    as_json: AsJson = False,
) -> None:
    """Test one component against its contract."""
    from ..catalogue.fields import parse_assignments
    from ..trust.check import check as verdicts_of

    overrides = {name: value for values in parse_assignments(set_).values() for name, value in values.items()}
    verdicts = verdicts_of(component, overrides)
    if as_json:
        print_json([vars(verdict) for verdict in verdicts])
    else:
        for verdict in verdicts:
            print(
                f"{'ok  ' if verdict.kept else 'FAIL'}  {verdict.promise}{f': {verdict.seen}' if verdict.seen else ''}"
            )
    raise typer.Exit(0 if all(verdict.kept for verdict in verdicts) else 1)


@app.command("doctor")
def doctor(as_json: AsJson = False) -> None:
    """What this machine and installation can do."""
    from .doctor import doctor as look

    findings = look()
    if as_json:
        print_json([vars(finding) for finding in findings])
        return
    for finding in findings:
        print(f"{finding.status:<4}  {finding.name:<16} {finding.found}{f' -> {finding.cure}' if finding.cure else ''}")
