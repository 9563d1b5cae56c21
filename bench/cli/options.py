"""What commands share: options, the application, and how text becomes names and tables become JSON."""

import codecs
import errno
import io
import json
import os
import re
import shutil
import signal
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from typer.core import TyperGroup

from ..errors import DamagedWarning, SyncbenchError, quoted
from ..escaping import json_text, visible
from ..isolation.signals import AGAIN, GOES_ON, heard
from ..limits import SEED

RESUMED = ("run", "score", "train", "fetch")
"""Commands that go on where they were interrupted."""


class _Group(TyperGroup):
    """Commands whose user errors are one line and exit code 2."""

    def invoke(self, ctx: Any) -> Any:
        _open_streams()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("always", DamagedWarning)
                warnings.showwarning = _told(warnings.showwarning)
                try:
                    with heard():
                        return super().invoke(ctx)
                finally:
                    sys.stdout.flush()  # here, where what cannot be written can still be told
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise  # nobody reads on, which is no mistake
            what = f"cannot use '{quoted(error.filename)}'" if error.filename else "cannot write the answer"
            print(visible(f"error: {what}: {error.strerror or error}"), file=sys.stderr)
            if not error.filename:
                _close_stdout()
            raise typer.Exit(2) from None
        except SyncbenchError as error:
            print(f"error: {quoted(error, 1_000)}", file=sys.stderr)
            raise typer.Exit(2) from None
        except KeyboardInterrupt as stop:
            print(GOES_ON if ctx.invoked_subcommand in RESUMED else AGAIN, file=sys.stderr)
            raise typer.Exit(128 + getattr(stop, "number", signal.SIGINT)) from None


def _open_streams() -> None:
    """Streams that are closed swallow what is written; what a stream cannot hold is shown another way."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 (open for as long as we run)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            narrow = codecs.lookup(stream.encoding).name != "utf-8"
            if narrow or cast(Any, stream).errors == "strict":
                cast(Any, stream).reconfigure(errors="syncbench")


def _close_stdout() -> None:
    """Forget what could not be written, so that nobody tries again on the way out."""
    with suppress(OSError, ValueError), open(os.devnull, "wb") as nowhere:  # a stream that is no file needs no help
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def _told(show: Callable[..., None]) -> Callable[..., None]:
    """`warnings.showwarning` that tells of damaged results in one line."""

    def told(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
        if issubclass(category, DamagedWarning):
            print(f"warning: {visible(str(message))}", file=sys.stderr)
        else:
            show(message, category, *rest, **more)

    return told


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
Cards = Annotated[
    list[Path], typer.Option(metavar="FILE", help="Report cards of your own metrics (`validate --out`); repeatable.")
]
Jobs = Annotated[int, typer.Option(metavar="N", help="Processes.")]
Timeout = Annotated[
    float | None,
    typer.Option(metavar="SECONDS", help="A job or metric that takes longer has failed (its model's loading apart)."),
]
Threads = Annotated[
    int | None, typer.Option(metavar="N", help="Threads of each process [by the work and the cores that are free].")
]
Retry = Annotated[bool, typer.Option("--retry-errors", help="Do failed jobs and metrics again.")]


def print_json(content: Any) -> None:
    """Any JSON value to stdout."""
    print(json_text(content, indent=1))


def split_names(text: str | None) -> list[str] | None:
    """Names of `a,b`; None stays None. SyncbenchError for an empty list."""
    if text is None:
        return None
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise SyncbenchError("an empty list of names: leave the option out, or name something")
    return names


def split_numbers(text: str | None) -> list[int] | None:
    """Seeds of `0,1`; None stays None. SyncbenchError for anything else."""
    names = split_names(text)
    if names is None:
        return None
    if not all(re.fullmatch("[0-9]{1,19}", name) and int(name) <= SEED for name in names):
        raise SyncbenchError(f"--seeds {quoted(text)}: write whole numbers from 0 to 2^63 - 1, separated by commas")
    return [int(name) for name in names]


def table_rows(table: Any) -> list[dict[str, Any]]:
    """A DataFrame's rows as JSON values: what is missing or not a number is null."""
    return json.loads(cast(str, table.to_json(orient="records")))


def terminal() -> dict[str, Any]:
    """`width` and `color` for text on stdout: the terminal's, or None and no colour elsewhere."""
    shown = sys.stdout.isatty()
    return {"width": shutil.get_terminal_size().columns if shown else None, "color": shown}
