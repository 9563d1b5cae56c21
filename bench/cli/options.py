"""Parts that commands share: options, the application, and conversions of text to names and of tables to JSON."""

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

from ..errors import SyncbenchError, SyncbenchWarning, quoted
from ..escaping import json_text, visible
from ..isolation.signals import AGAIN, GOES_ON, raising_signals
from ..limits import SEED

RESUMED = ("run", "score", "train", "fetch")
"""Names of the commands that, started again, go on where they were interrupted."""


class _Group(TyperGroup):
    """A group of commands in which a SyncbenchError or OSError becomes one line on stderr and exit code 2."""

    def invoke(self, ctx: Any) -> Any:
        _open_streams()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("always", SyncbenchWarning)
                warnings.showwarning = _in_one_line(warnings.showwarning)
                try:
                    with raising_signals():
                        return super().invoke(ctx)
                finally:
                    sys.stdout.flush()  # here, where a failure to write can still be reported
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise  # the reader of a pipe has ended, which is no error
            what = f"cannot use '{quoted(error.filename)}'" if error.filename else "cannot write the answer"
            print(visible(f"error: {what}: {error.strerror or error}"), file=sys.stderr)
            if not error.filename:
                discard_stdout()
            raise typer.Exit(2) from None
        except SyncbenchError as error:
            print(f"error: {quoted(error, 1_000)}", file=sys.stderr)
            raise typer.Exit(2) from None
        except KeyboardInterrupt as stop:
            print(GOES_ON if ctx.invoked_subcommand in RESUMED else AGAIN, file=sys.stderr)
            raise typer.Exit(128 + getattr(stop, "number", signal.SIGINT)) from None


def _open_streams() -> None:
    """Replace closed standard streams by ones without effect, and set the handler of characters they cannot hold."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 (open for as long as we run)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            narrow = codecs.lookup(stream.encoding).name != "utf-8"
            if narrow or cast(Any, stream).errors == "strict":
                cast(Any, stream).reconfigure(errors="syncbench")


def discard_stdout() -> None:
    """Discard what could not be written to stdout and what is to come, so that Python does not try again."""
    with suppress(OSError, ValueError), open(os.devnull, "wb") as nowhere:  # a stream that is no file needs no help
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def _in_one_line(show: Callable[..., None]) -> Callable[..., None]:
    """A `warnings.showwarning` that prints a SyncbenchWarning in one line on stderr and leaves others to `show`."""

    def show_warning(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
        if issubclass(category, SyncbenchWarning):
            print(f"warning: {visible(str(message))}", file=sys.stderr)
        else:
            show(message, category, *rest, **more)

    return show_warning


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
    """Print a JSON value to stdout."""
    print(json_text(content, indent=1))


def split_names(text: str | None) -> list[str] | None:
    """The names in a text such as `a,b`; None for None. Raises SyncbenchError for an empty list."""
    if text is None:
        return None
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise SyncbenchError("an empty list of names: leave the option out, or name something")
    return names


def split_numbers(text: str | None) -> list[int] | None:
    """The seeds in a text such as `0,1`; None for None. Raises SyncbenchError for anything else."""
    names = split_names(text)
    if names is None:
        return None
    if not all(re.fullmatch("[0-9]{1,19}", name) and int(name) <= SEED for name in names):
        raise SyncbenchError(f"--seeds {quoted(text)}: write whole numbers from 0 to 2^63 - 1, separated by commas")
    return [int(name) for name in names]


def table_rows(table: Any) -> list[dict[str, Any]]:
    """A DataFrame's rows as JSON values; missing values and values that are no numbers are null."""
    return json.loads(cast(str, table.to_json(orient="records")))


def terminal() -> dict[str, Any]:
    """`width` and `color` for text on stdout: those of the terminal, or None and False where it is none."""
    is_terminal = sys.stdout.isatty()
    return {"width": shutil.get_terminal_size().columns if is_terminal else None, "color": is_terminal}
