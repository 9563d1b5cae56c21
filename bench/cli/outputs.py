"""The command `import`, which takes in outputs of other programs."""

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import SyncbenchError, quoted
from ..escaping import visible
from .options import AsJson, Comma, Set, app, print_json, split_names

if TYPE_CHECKING:
    from ..outputs.importing import Imported

SHOWN = 10
"""Number of missing, unmatched and extra names that are printed each."""


@app.command("import")
def import_(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Outputs: a file or folder an item, or one file.")],
    dataset: Annotated[str, typer.Option(metavar="D", help="Data set whose items they are of.")],
    family: Annotated[str | None, typer.Option(metavar="F", help="Family, which must be the data set's.")] = None,
    method: Annotated[str | None, typer.Option(metavar="NAME", help="Its name in tables [FOLDER's].")] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Results folder [results/runs/NAME].")] = None,
    set_: Set = [],  # noqa: B006
    items: Annotated[str | None, Comma] = None,
    limit: Annotated[int | None, typer.Option(metavar="N", help="First items of the data set.")] = None,
    manifest: Annotated[
        Path | None, typer.Option(metavar="FILE", help="csv, jsonl, json or yaml that says which output is which.")
    ] = None,
    fit: Annotated[str, typer.Option(metavar="none|resize|crop", help="What to do with another size.")] = "none",
    grid: Annotated[
        str | None, typer.Option(metavar="ROWSxCOLUMNS", help="Of a picture of several views [by their size].")
    ] = None,
    up: Annotated[str, typer.Option(metavar="y|z|x", help="Axis of meshes that points up.")] = "y",
    normals: Annotated[
        str, typer.Option(metavar="opencv|opengl", help="Camera axes of pictures of normals.")
    ] = "opencv",
    seed: Annotated[int | None, typer.Option(metavar="N", help="Seed of outputs without a seed's folder.")] = None,
    model: Annotated[str, typer.Option(metavar="NAME", help="Checkpoint that made them [not stated].")] = "",
    paper: Annotated[str, typer.Option(metavar="ID", help="arXiv id or DOI, for `cite`.")] = "",
    title: Annotated[str, typer.Option(metavar="TEXT", help="Title of the paper.")] = "",
    same_protocol: Annotated[
        bool, typer.Option("--same-protocol", help="They follow the data set's own protocol (steps, guidance, ...).")
    ] = False,
    metrics: Annotated[str | None, Comma] = None,
    anchors: Annotated[
        bool, typer.Option(help="Set ceiling, floor and traps of the items' own pictures beside.")
    ] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and match everything, write nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make samples of outputs of any program: pictures, frames, clips, channels, textured meshes. Then `score` DIR."""
    from ..outputs.fit import FITS
    from ..outputs.importing import check_seed, import_folder
    from ..outputs.read import AXES
    from ..run.progress import shown

    for option, value, known in (("--fit", fit, FITS), ("--normals", normals, AXES), ("--up", up, ("y", "z", "x"))):
        if value not in known:
            raise SyncbenchError(f"{option} {quoted(value, 60)}: choose {', '.join(known)}")
    with shown() as listener:
        done = import_folder(
            folder,
            dataset,
            out,
            family=family,
            method=method,
            paper=paper,
            title=title,
            model=model,
            overrides=set_,
            items=split_names(items),
            limit=limit,
            manifest=manifest,
            seed=check_seed(seed),
            same_protocol=same_protocol,
            metrics=split_names(metrics),
            anchors=anchors,
            dry_run=dry_run,
            progress=listener,
            fit=fit,
            grid=_grid(grid),
            up=up,
            normals=normals,
        )
    if as_json:
        print_json({**done.as_json(), "dry_run": dry_run})
        return
    _print(done, dry_run)


def _grid(text: str | None) -> tuple[int, int] | None:
    """Rows and columns of a text such as `3x2`."""
    if text is None:
        return None
    match = re.fullmatch(r"([1-9]\d{0,2})x([1-9]\d{0,2})", text)
    if match is None:
        raise SyncbenchError(f"--grid {quoted(text, 60)}: write rows x columns, e.g. 3x2")
    return int(match[1]), int(match[2])


def _print(done: "Imported", dry_run: bool) -> None:
    """Print what an import did on stdout, and what it left out on stderr."""
    many = len(done.outputs)
    became = "would be" if dry_run else "is now" if many == 1 else "are now"
    what = "1 output {} a sample" if many == 1 else f"{many} outputs {{}} samples"
    print(visible(f"{what.format(became)} of {done.method}: {done.out}"))
    if done.replaced:
        print(f"{done.replaced} of an earlier import {'would be ' if dry_run else ''}replaced")
    if done.anchors:
        print("anchors: " + ", ".join(f"{name} ({count})" for name, count in done.anchors.items()))
    for what, names in (
        ("no output for item", done.missing),
        ("of no item", done.unmatched),
        ("no output of a kind that is read", done.extra),
    ):
        for name in names[:SHOWN]:
            print(visible(f"{what}: {name}"), file=sys.stderr)
        if len(names) > SHOWN:
            print(f"{what}: {len(names) - SHOWN} more (--json lists all)", file=sys.stderr)
    if done.no_anchor:
        print(f"no anchors: {done.no_anchor}", file=sys.stderr)
    if not dry_run:
        print(f"next: syncbench score {visible(str(done.out))}")
