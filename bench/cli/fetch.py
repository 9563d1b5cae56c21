"""The command that brings published weights to this machine."""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import SyncbenchError
from ..escaping import visible
from .options import AsJson, app, print_json

if TYPE_CHECKING:
    from ..fetch import ByteProgress, Listing


@app.command("fetch")
def fetch(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Short names, or owner/name of the hub; none: list.")
    ] = None,
    suite: Annotated[
        str | None, typer.Option(metavar="S", help="Whatever the models and metrics of a suite need.")
    ] = None,
    variant: Annotated[str, typer.Option(metavar="V", help="Other weights of the same networks, such as fp16.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would come, and bring nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Bring published weights to this machine. Without names: list what there is and what lies here.

    This is the only command that uses the network: every other one works offline, always. Interrupt at will; the same
    command goes on. Weights are kept where the hub and torch keep them (HF_HOME, TORCH_HOME); HF_ENDPOINT names a
    mirror.
    """
    from ..fetch import fetch as begin
    from ..fetch import listing
    from ..fetch.manifest import weights_named
    from ..fetch.needs import metrics_of, models_of
    from ..suites.suite import read_suite

    entries = [one for name in names or () for one in weights_named(name)]
    if suite is not None:
        asked = read_suite(suite)
        entries += [*models_of(asked), *metrics_of(asked)]
        if not entries:
            raise SyncbenchError(f"suite {asked.name} needs nothing that is not bundled")
    entries = list({one.name: one for one in entries}.values())
    if not entries:
        lines = listing()
    else:
        with _byte_progress() as told:
            lines = begin(entries, variant=variant, dry=dry_run, told=told)
    if as_json:
        print_json([line.as_json() for line in lines])
        return
    sys.stdout.write(visible_table(lines))


def visible_table(lines: "list[Listing]") -> str:
    """The listing as text: name, whether it is on this machine, size, licence, title and place, with notes."""
    wide, licences = max(len(line.name) for line in lines), max(len(line.licence) for line in lines)
    text = ""
    for line in lines:
        size = "?" if line.size is None else f"{'~' if line.about else ''}{_amount(line.size)}"
        state = "here" if line.where else "-"
        gated = ", gated" if line.gated else ""
        title = line.title or line.source
        text += f"  {line.name:<{wide}}  {state:<4}  {size:>8}  {line.licence + gated:<{licences}}  {title}\n"
        if line.where and len(lines) < 20:
            text += f"  {'':<{wide}}  {line.where}\n"
        if line.note and len(lines) < 20:
            text += f"  {'':<{wide}}  {line.note}\n"
    return "".join(visible(one) + "\n" for one in text.splitlines())


def _amount(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


@contextmanager
def _byte_progress() -> "Generator[ByteProgress]":
    """A context with a function that shows progress on stderr: a bar of bytes on a terminal, else a line per name."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _line
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        tasks: dict[str, Any] = {}

        def told(name: str, got: int, of: int | None) -> None:
            if name not in tasks:
                tasks[name] = progress.add_task(name, total=of)
            progress.update(tasks[name], completed=got, total=of)

        yield told


def _line(name: str, got: int, of: int | None) -> None:
    if got == 0:
        print(f"fetching {name}{'' if of is None else f': {_amount(of)}'}", file=sys.stderr, flush=True)
