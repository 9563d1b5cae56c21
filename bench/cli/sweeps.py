"""Commands that make results: list, run, score, show, bake, train."""

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from ..catalogue.listing import KINDS, Kind
from ..catalogue.registry import list_components, suggest
from ..errors import SyncbenchError, quoted
from ..escaping import visible
from .options import (
    AsJson,
    Comma,
    Folder,
    Items,
    Jobs,
    Recipe,
    Retry,
    Set,
    Threads,
    Timeout,
    app,
    discard_stdout,
    print_json,
    split_names,
    split_numbers,
    terminal,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..run.sweep import Sweep
    from ..types import Family


@app.command("ls")
def ls(
    kind: Annotated[str, typer.Argument(metavar="{methods,metrics,datasets,models,suites}")] = "",
    as_json: AsJson = False,
) -> None:
    """List what there is, without importing any of it."""
    from ..suites.suite import list_suites

    kinds = (*KINDS, "suites")
    if kind and kind not in kinds:
        raise SyncbenchError(f"cannot list '{kind}'{suggest(kind, kinds, 'there are')}")
    listed: dict[str, list[dict[str, Any]]] = {}
    for name in [kind] if kind else kinds:
        listed[name] = [dict(suite) for suite in list_suites()] if name == "suites" else _components(cast(Kind, name))
    if as_json:
        print_json(listed[kind] if kind else listed)
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
    any_size: Annotated[bool, typer.Option("--any-size", help="Views need not be of the model's native size.")] = False,
    plan: Annotated[
        bool, typer.Option("--plan", help="Say what it would take, and neither start nor write anything.")
    ] = False,
    jobs: Jobs = 1,
    shard: Annotated[str | None, typer.Option(metavar="I/N", help="Do the I-th of N parts.")] = None,
    retry_errors: Retry = False,
    timeout: Timeout = None,
    threads: Threads = None,
    tables: Annotated[
        bool, typer.Option("--tables", help="Print each family's small table as soon as it is done.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Sample and score what a results folder lacks of a suite. Interrupt at will; the same command goes on."""
    from ..suites.narrow import narrowed
    from ..suites.suite import read_suite

    chosen = narrowed(
        read_suite(suite),
        families=split_names(families),
        methods=split_names(methods),
        datasets=split_names(datasets),
        metrics=split_names(metrics),
        items=split_names(items),
        limit=limit,
        seeds=split_numbers(seeds),
        model=model,
        overrides=set_,
        device=device,
        any_size=any_size,
    )
    from ..run.execute import executor
    from ..run.progress import shown
    from ..run.sweep import RUNS, parse_shard, sweep

    root, part = out or RUNS / chosen.name, parse_shard(shard)
    if tables and as_json:
        raise SyncbenchError("--tables prints tables, and --json one object: take one of them")
    if plan:
        from ..run.forecast import forecast
        from .forecast import forecast_text

        with shown() as listener:
            expected = forecast(chosen, root, listener)
        print_json(expected.as_json()) if as_json else sys.stdout.write(forecast_text(expected))
        return
    with executor(jobs, timeout, threads) as execute, shown() as listener:
        done = sweep(
            chosen,
            root,
            execute,
            part=part,
            retry_errors=retry_errors,
            progress=listener,
            finished=_print_table(root) if tables else None,
        )
    _finish(done, as_json)


def _print_table(root: Path) -> "Callable[[Family], None]":
    """A function that prints a family's small table. Where it cannot, it says so on stderr, and the sweep goes on."""

    def finished(family: "Family") -> None:
        from ..report.report import report

        try:
            print(report(root, families=[family], brief=True, **terminal()).rstrip() + "\n", flush=True)
        except SyncbenchError as error:
            print(f"no table of {family}: {quoted(error, 1_000)}", file=sys.stderr)
        except BrokenPipeError:
            print("tables are no longer read: the sweep goes on without printing them", file=sys.stderr)
            discard_stdout()

    return finished


@app.command("score")
def score(
    folder: Folder,
    metrics: Annotated[str | None, Comma] = None,
    datasets: Annotated[
        str | None, typer.Option(metavar="A,B", help="Data sets of DIR that may be loaded although not installed.")
    ] = None,
    trust: Annotated[bool, typer.Option("--trust", help="Run the code that DIR names: it is yours.")] = False,
    jobs: Jobs = 1,
    retry_errors: Retry = False,
    timeout: Timeout = None,
    threads: Threads = None,
    as_json: AsJson = False,
) -> None:
    """Compute missing metrics from stored artifacts; samples nothing.

    Only components of syncbench and of installed packages are loaded, and those named here.
    """
    from ..run.execute import executor
    from ..run.progress import shown
    from ..run.rescore import rescore

    with executor(jobs, timeout, threads) as execute, shown() as listener:
        done = rescore(
            folder,
            execute,
            metrics=split_names(metrics),
            datasets=split_names(datasets) or (),
            trust=trust,
            retry_errors=retry_errors,
            progress=listener,
        )
    _finish(done, as_json)


@app.command("show")
def show(
    folder: Folder,
    item: Items = [],  # noqa: B006
    seed: Annotated[int | None, typer.Option(help="Which sample [the lowest].")] = None,
    borders: Annotated[bool, typer.Option("--borders", help="Mark where windows end.")] = False,
    turntable: Annotated[
        bool, typer.Option("--turntable", help="Bake samples on given meshes: textures, and meshes that turn.")
    ] = False,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="[DIR/sheet.png]")] = None,
    format: Annotated[
        str | None, typer.Option(metavar="mp4|webp", help="Of clips in motion [mp4, if it can be written].")
    ] = None,
) -> None:
    """Draw contact sheets: methods down, items across. Clips move in a film, beside their source."""
    from ..report.sheets import show as draw
    from ..run.progress import told

    how: dict[str, Any] = {"items": item or None, "seed": seed, "borders": borders, "format": format}
    with told("turning") as progress:
        paths = draw(folder, out, **how, turntable=turntable, progress=progress)
    for path in paths:
        print(path)


@app.command("bake")
def bake(
    folder: Folder,
    methods: Annotated[str | None, Comma] = None,
    items: Annotated[str | None, Comma] = None,
    seed: Annotated[int | None, typer.Option(help="Which samples [all].")] = None,
    density: Annotated[float, typer.Option(metavar="X", help="Texels per pixel of a view.")] = 2.0,
    power: Annotated[float, typer.Option(metavar="P", help="Views are averaged with weights cos^P.")] = 6.0,
    winner: Annotated[bool, typer.Option("--winner", help="The least slanted view takes each texel.")] = False,
    formats: Annotated[str, typer.Option("--format", metavar="glb,obj", help="Files to write.")] = "glb,obj",
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="[DIR/meshes]")] = None,
) -> None:
    """Write textured meshes (GLB; OBJ with MTL and PNG) of the samples on given meshes."""
    from ..report.meshes import bake as write
    from ..run.progress import told
    from ..surfaces.textured_files import KINDS as WRITTEN
    from ..surfaces.textured_files import Kind as FileKind

    asked = formats.split(",")
    kinds: list[FileKind] = [kind for kind in WRITTEN if kind in asked]
    if set(asked) - set(WRITTEN):
        raise SyncbenchError(f"--format {quoted(formats, 60)}: glb, obj or glb,obj")
    with told("baking") as progress:
        paths = write(
            folder,
            out,
            methods=split_names(methods),
            items=split_names(items),
            seed=seed,
            density=density,
            power=power,
            winner=winner,
            kinds=kinds,
            progress=progress,
        )
    for path in paths:
        print(path)


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
    from ..run.sweep import RUNS
    from ..training import train as begin

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


def _finish(done: "Sweep", as_json: bool) -> None:
    """Print what a sweep did, and exit with 1 if any job failed, else with 0."""
    failed, left_out = len(done.errors), Counter(done.left_out.values())
    if as_json:
        facts = {"out": str(done.root), "jobs": len(done.keys), "sampled": done.sampled, "scored": done.scored}
        print_json({**facts, "errors": done.errors, "left_out": done.left_out})
    else:
        counts = f"{len(done.keys)} jobs, {done.sampled} sampled and {done.scored} scored now, {failed} failed"
        print(f"{counts}{f', {left_out.total()} not possible' if left_out else ''}: {done.root}")
        for reason, many in left_out.most_common(5):
            print(visible(f"not possible ({many} of {len(done.keys)} jobs): {reason}"), file=sys.stderr)
        for name, error in list(done.errors.items())[:5]:
            print(visible(f"failed: {name}: {error}"), file=sys.stderr)
        if any(not name.startswith("model ") for name in done.errors):
            print("look into job.json, then try again with --retry-errors", file=sys.stderr)
    raise typer.Exit(1 if failed else 0)
