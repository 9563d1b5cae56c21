"""The command line. Heavy imports happen inside commands, so that `--help` and `ls` answer at once.

Exit codes: 0 done, 1 some jobs failed or a gate fell, 2 usage or unreadable input. Tables and JSON go to stdout,
progress and errors to stderr.
"""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from typer.core import TyperGroup

from .errors import SyncbenchError
from .listing import KINDS, Kind
from .registry import list_components, suggest

if TYPE_CHECKING:
    from .run import Sweep


class _Group(TyperGroup):
    """Commands whose user errors are one line and exit code 2."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except SyncbenchError as error:
            print(f"error: {error}", file=sys.stderr)
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            print("interrupted: finished jobs are safe; the same command goes on", file=sys.stderr)
            raise typer.Exit(130) from None


app = typer.Typer(
    cls=_Group,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="How well does a diffusion method make several outputs agree?",
)

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="A results folder.")]
Folders = Annotated[list[Path], typer.Argument(metavar="DIR...", help="Results folders.")]
AsJson = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]
Comma = typer.Option(metavar="A,B")
# Typer reads these lists and never changes their defaults.
Set = Annotated[
    list[str],
    typer.Option("--set", metavar="NAME.FIELD=V", help="Field of a component, or protocol.FIELD; repeatable."),
]
Recipe = Annotated[list[str], typer.Option("--set", metavar="FIELD=V", help="Another argument of the recipe.")]
Items = Annotated[list[str], typer.Option(metavar="ID", help="Columns; repeatable.")]
Margins = Annotated[list[str], typer.Option(metavar="METRIC=LOSS", help="Largest loss to accept; repeatable.")]
Jobs = Annotated[int, typer.Option(metavar="N", help="Processes.")]
Retry = Annotated[bool, typer.Option("--retry-errors", help="Do failed jobs and metrics again.")]


@app.command("ls")
def ls(
    kind: Annotated[str, typer.Argument(metavar="{methods,metrics,datasets,models,suites}")] = "",
    as_json: AsJson = False,
) -> None:
    """List what there is, without importing any of it."""
    from .suite import list_suites

    kinds = (*KINDS, "suites")
    if kind and kind not in kinds:
        raise SyncbenchError(f"cannot list '{kind}'{suggest(kind, kinds, 'there is')}")
    listed: dict[str, list[dict[str, Any]]] = {}
    for name in [kind] if kind else kinds:
        listed[name] = [dict(suite) for suite in list_suites()] if name == "suites" else _components(cast(Kind, name))
    if as_json:
        _print_json(listed[kind] if kind else listed)
        return
    for name, rows in listed.items():
        if not kind:
            print(f"{name}:")
        _print_rows(rows)


@app.command("run")
def run(
    suite: Annotated[
        str, typer.Argument(metavar="SUITE", help="Name of a suite (`syncbench ls suites`) or a TOML file.")
    ],
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Results folder [results/runs/SUITE].")] = None,
    families: Annotated[str | None, Comma] = None,
    methods: Annotated[str | None, Comma] = None,
    datasets: Annotated[str | None, Comma] = None,
    metrics: Annotated[str | None, Comma] = None,
    items: Annotated[str | None, Comma] = None,
    limit: Annotated[int | None, typer.Option(metavar="N", help="First items of each dataset.")] = None,
    seeds: Annotated[str | None, typer.Option(metavar="0,1")] = None,
    model: Annotated[
        str | None, typer.Option(metavar="M", help="Instead of the suite's: id, folder or hub id.")
    ] = None,
    set_: Set = [],  # noqa: B006
    device: Annotated[str | None, typer.Option(metavar="auto|cpu|cuda")] = None,
    jobs: Jobs = 1,
    shard: Annotated[str | None, typer.Option(metavar="I/N", help="Do the I-th of N parts.")] = None,
    retry_errors: Retry = False,
    as_json: AsJson = False,
) -> None:
    """Sample and score what a results folder lacks of a suite. Interrupt at will; the same command goes on."""
    from .narrow import narrowed
    from .suite import read_suite

    chosen = narrowed(
        read_suite(suite),
        families=_names(families),
        methods=_names(methods),
        datasets=_names(datasets),
        metrics=_names(metrics),
        items=_names(items),
        limit=limit,
        seeds=_numbers(seeds),
        model=model,
        overrides=set_,
        device=device,
    )
    from .execute import executor
    from .progress import shown
    from .run import RUNS, parse_shard, sweep

    root, part = out or RUNS / chosen.name, parse_shard(shard)
    with executor(jobs) as execute, shown() as listener:
        done = sweep(chosen, root, execute, part=part, retry_errors=retry_errors, progress=listener)
    _finish(done, as_json)


@app.command("score")
def score(
    folder: Folder,
    metrics: Annotated[str | None, Comma] = None,
    jobs: Jobs = 1,
    retry_errors: Retry = False,
    as_json: AsJson = False,
) -> None:
    """Compute missing metrics from stored artifacts; samples nothing."""
    from .execute import executor
    from .progress import shown
    from .run import rescore

    with executor(jobs) as execute, shown() as listener:
        done = rescore(folder, execute, metrics=_names(metrics), retry_errors=retry_errors, progress=listener)
    _finish(done, as_json)


@app.command("report")
def report(
    folders: Folders,
    format: Annotated[str, typer.Option(metavar="text|md|csv|json|tex|html")] = "text",
    out: Annotated[Path | None, typer.Option(metavar="FILE")] = None,
    primary: Annotated[str | None, typer.Option(metavar="A,B", help="Metrics of the paired differences.")] = None,
    pairs: Annotated[str, typer.Option(metavar="best|all", help="With many methods: which differences.")] = "best",
    exploratory: Annotated[
        bool, typer.Option("--exploratory", help="Differences of the other metrics too (Benjamini-Hochberg).")
    ] = False,
    confidence_set: Annotated[
        bool, typer.Option("--confidence-set", help="Add the model confidence set of each primary metric.")
    ] = False,
    span: Annotated[bool, typer.Option("--span", help="Add each value's place between floor and ceiling.")] = False,
    brief: Annotated[bool, typer.Option("--brief", help="One small table a leaderboard, no differences.")] = False,
) -> None:
    """Leaderboards with intervals over items, and paired differences."""
    import shutil

    from .compare import PAIRS
    from .report import report as make

    if pairs not in PAIRS:
        raise SyncbenchError(f"--pairs {pairs}: choose best or all")
    terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if terminal else None
    color = terminal and not out
    text = make(
        folders,
        format,
        out=out,
        primary=_names(primary),
        pairs=cast(Any, pairs),
        exploratory=exploratory,
        confidence_set=confidence_set,
        span=span,
        brief=brief,
        width=width,
        color=color,
    )
    if out is None:
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
    else:
        print(out)


@app.command("validate")
def validate(
    metrics: Annotated[list[str] | None, typer.Argument(metavar="[METRIC]...", help="None: all of the tree.")] = None,
    families: Annotated[str | None, Comma] = None,
    items: Annotated[int, typer.Option(metavar="N", help="True scenes a family.")] = 6,
    levels: Annotated[int, typer.Option(metavar="N", help="Most rungs of a ladder of damage.")] = 5,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep cards.json and pictures of the ladders.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Report cards of metrics: controlled damage to true scenes. Exit 1 if a promise was broken."""
    import shutil

    from .cards import pictures, text
    from .progress import shown
    from .run import Event
    from .types import FAMILIES, Family
    from .validate import save
    from .validate import validate as make

    names = _names(families)
    for name in names or ():
        if name not in FAMILIES:
            raise SyncbenchError(f"unknown family '{name}'{suggest(name, FAMILIES, 'there are')}")
    chosen: tuple[Family, ...] = tuple(family for family in FAMILIES if names is None or family in names)
    with shown() as tell:
        cards = make(
            metrics or (),
            families=chosen,
            items=items,
            levels=levels,
            progress=lambda heard: tell(Event("validating", heard.done, heard.total, heard.text)),
        )
    if not cards:
        raise SyncbenchError(f"none of the metrics is defined for {', '.join(chosen)}")
    if out is not None:
        save(cards, out / "cards.json")
        pictures(cards, out)
    if as_json:
        _print_json([card.as_json() for card in cards])
    else:
        terminal = sys.stdout.isatty()
        sys.stdout.write(text(cards, width=shutil.get_terminal_size().columns if terminal else None, color=terminal))
    if not all(card.passed for card in cards):
        raise typer.Exit(1)


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
    from .gate import gate as compare

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
        from .baseline import update as renew

        if len(baseline) != 1 or allow_undecided or junit:
            raise SyncbenchError(
                "--update writes one --baseline FILE.parquet and takes no --junit, no --allow-undecided"
            )
        written = renew(folders, baseline[0], margins=margins, reseeded=reseeded)
        result = written.gate
    else:
        result = compare(folders, baseline, margins=margins, allow_undecided=allow_undecided, reseeded=reseeded)
    if junit is not None and result is not None:
        from .junit import junit as xml
        from .report import save

        save(xml(result), junit)
    if as_json:
        facts: dict[str, Any] = {}
        if result is not None:
            # NaN (an unbounded interval) is no JSON; pandas writes null
            rows = json.loads(cast(str, result.table.to_json(orient="records")))  # pyright: ignore[reportUnknownMemberType]
            facts = {"code": result.code, "headline": result.headline, "rows": rows, "notes": result.notes}
        if written is not None:
            facts["written"] = {"file": str(written.path), "records": written.records, "dropped": written.dropped}
        _print_json(facts)
    else:
        if result is not None:
            sys.stdout.write(result.markdown() if markdown else result.text())
        if written is not None:
            sys.stdout.write(f"\n{written.text()}" if result is not None else written.text())
    raise typer.Exit(0 if written is not None or result is None else result.code)


@app.command("show")
def show(
    folder: Folder,
    item: Items = [],  # noqa: B006
    seed: Annotated[int | None, typer.Option(help="Which sample [the lowest].")] = None,
    borders: Annotated[bool, typer.Option("--borders", help="Mark where windows end.")] = False,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="[DIR/sheet.png]")] = None,
) -> None:
    """Draw contact sheets: methods down, items across."""
    from .show import show as draw

    for path in draw(folder, out, items=item or None, seed=seed, borders=borders):
        print(path)


@app.command("check")
def check(
    component: Annotated[str, typer.Argument(metavar="ID|module:Class|file.py")],
    set_: Set = [],  # noqa: B006
    as_json: AsJson = False,
) -> None:
    """Test one component against its contract."""
    from .check import check as verdicts_of
    from .options import parse_assignments

    overrides = {name: value for values in parse_assignments(set_).values() for name, value in values.items()}
    verdicts = verdicts_of(component, overrides)
    if as_json:
        _print_json([vars(verdict) for verdict in verdicts])
    else:
        for verdict in verdicts:
            print(
                f"{'ok  ' if verdict.kept else 'FAIL'}  {verdict.promise}{f': {verdict.seen}' if verdict.seen else ''}"
            )
    raise typer.Exit(0 if all(verdict.kept for verdict in verdicts) else 1)


@app.command("oracle")
def oracle(
    methods: Annotated[str | None, Comma] = None,
    steps: Annotated[int, typer.Option(metavar="N", help="DDIM steps.")] = 50,
    samples: Annotated[int | None, typer.Option(metavar="N", help="Rows of methods that are not linear [192].")] = None,
    against: Annotated[
        list[Path], typer.Option(metavar="DIR", help="Results of the suite oracle: do metrics rank alike? Repeatable.")
    ] = [],  # noqa: B006
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Also write CSV files and a figure there.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compare methods with the exact joint law of a Gaussian panorama [every method]."""
    import shutil

    from .oracle import SAMPLES, Problem
    from .oracle import oracle as compare
    from .oracle.agreement import agreement, results
    from .oracle.page import drawing, text, write
    from .progress import told

    if out is not None:
        drawing()
    records = results(against, steps) if against else None
    with told("measuring") as progress:
        found = compare(
            _names(methods),
            problem=Problem(steps=steps),
            samples=SAMPLES if samples is None else samples,
            progress=progress,
        )
    ranks = None if records is None else agreement(found.rows, records)
    if out is not None:
        for path in write(found, ranks, out):
            print(path, file=sys.stderr)
    if as_json:
        tables = {"rows": found.rows, "agreement": ranks} if against else {"rows": found.rows}
        # NaN (no law, no interval) is no JSON; pandas writes null
        content = {name: json.loads(cast(Any, t).to_json(orient="records")) for name, t in tables.items()}
        _print_json(content if against else content["rows"])
        return
    terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if terminal else None
    sys.stdout.write(text(found, ranks, width=width, color=terminal))


@app.command("doctor")
def doctor(as_json: AsJson = False) -> None:
    """What this machine and installation can do."""
    from .doctor import doctor as look

    findings = look()
    if as_json:
        _print_json([vars(finding) for finding in findings])
        return
    for finding in findings:
        print(f"{finding.status:<4}  {finding.name:<16} {finding.found}{f' -> {finding.cure}' if finding.cure else ''}")


@app.command("power")
def power(
    folders: Annotated[
        list[Path] | None, typer.Argument(metavar="[DIR...]", help="Results to take spreads from.")
    ] = None,
    difference: Annotated[float | None, typer.Option(metavar="D", help="To be seen [the observed ones].")] = None,
    spread: Annotated[float | None, typer.Option(metavar="S", help="Of the paired difference, without DIR.")] = None,
    primary: Annotated[str | None, typer.Option(metavar="A,B", help="Metrics [the family's].")] = None,
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
        from .stats import items_needed

        if difference is None:
            raise SyncbenchError("--spread needs --difference D")
        needed = items_needed(spread, difference, power=chance, level=level)
        _print_json({"needed": needed}) if as_json else print(needed or "more than a million")
        return
    from .power import items_for, text
    from .report import load

    table = items_for(load(folders or []), difference, _names(primary), power=chance, level=level)
    if as_json:
        _print_json(json.loads(cast(str, table.to_json(orient="records"))))  # pyright: ignore[reportUnknownMemberType]
    else:
        sys.stdout.write(text(table))


@app.command("cite")
def cite(
    folders: Folders,
    brief: Annotated[bool, typer.Option("--brief", help="Of what the brief report shows only.")] = False,
) -> None:
    """BibTeX of the methods, metrics, data sets and models that a report of results shows."""
    from .cite import cite as entries

    sys.stdout.write(entries(folders, brief=brief))


@app.command("train")
def train(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A model; an unknown name lists them.")],
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Checkpoints and the finished model [results/runs/train/NAME].")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="[the recipe's]")] = None,
    minutes: Annotated[float | None, typer.Option(help="Train so long instead.")] = None,
    resume: Annotated[bool, typer.Option(help="Go on from the last checkpoint in DIR, if there is one.")] = True,
    seed: int = 0,
    device: Annotated[str, typer.Option(metavar="auto|cpu|cuda")] = "auto",
    card: Annotated[bool, typer.Option(help="Measure the finished model and draw its card.")] = True,
    set_: Recipe = [],  # noqa: B006
) -> None:
    """Train one of the models that ship with syncbench. Interrupt at will; the same command goes on."""
    from .run import RUNS
    from .training import train as begin

    recipe = {} if steps is None else {"steps": steps}
    folder = out or RUNS / "train" / name
    begin(name, folder, set_, minutes=minutes, resume=resume, seed=seed, device=device, card=card, **recipe)
    print(folder / "model")


def _components(kind: Kind) -> list[dict[str, Any]]:
    names = ["id", "family", "version", "title", "paper", "door", "requires", "presets", "source"]
    if kind == "metrics":
        names.insert(3, "direction")
    return [{name: getattr(component, name) for name in names} for component in list_components(kind)]


def _print_rows(rows: list[dict[str, Any]]) -> None:
    wide = max((len(row["id"]) for row in rows), default=0)
    for row in rows:
        facts = [row.get("family"), row.get("direction"), row.get("paper")]
        facts += [f"@{preset}" for preset in row.get("presets", ())]
        tail = ", ".join(str(fact) for fact in facts if fact)
        print(f"  {row['id']:<{wide}}  {row['title']}{f'  ({tail})' if tail else ''}")


def _print_json(content: Any) -> None:
    print(json.dumps(content, indent=1, ensure_ascii=False))


def _names(text: str | None) -> list[str] | None:
    if text is None:
        return None
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise SyncbenchError("an empty list of names: leave the option out, or name something")
    return names


def _numbers(text: str | None) -> list[int] | None:
    names = _names(text)
    if names is None:
        return None
    if not all(name.isdigit() for name in names):
        raise SyncbenchError(f"--seeds {text}: write whole numbers from 0 up, separated by commas")
    return [int(name) for name in names]


def _finish(done: "Sweep", as_json: bool) -> None:
    """Say what a sweep did; exit 1 if anything failed."""
    failed = len(done.errors)
    if as_json:
        facts = {"out": str(done.root), "jobs": len(done.keys), "sampled": done.sampled, "scored": done.scored}
        _print_json({**facts, "errors": done.errors})
    else:
        print(
            f"{len(done.keys)} jobs, {done.sampled} sampled and {done.scored} scored now, {failed} failed: {done.root}"
        )
        for name, error in list(done.errors.items())[:5]:
            print(f"failed: {name}: {error}", file=sys.stderr)
        if failed:
            print("look into job.json, then try again with --retry-errors", file=sys.stderr)
    raise typer.Exit(1 if failed else 0)


if __name__ == "__main__":
    app()
