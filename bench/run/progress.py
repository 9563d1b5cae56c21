"""Progress of a sweep: a rich bar with an estimate on a terminal, plain lines elsewhere. Always on stderr."""

import sys
import time
from collections.abc import Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from ..escaping import visible, visible_lines
from ..files.temporary import STALE
from .events import Event, Listener, Tally

VERBS = {
    "plan": "planning",
    "forecast": "rehearsing",
    "unwrap": "unwrapping",
    "sample": "sampling",
    "import": "importing",
    "score": "scoring",
    "group": "scoring groups",
}
EVERY = 10.0
"""Seconds between plain lines; errors and the last line are always printed."""


@contextmanager
def shown() -> Generator[Listener]:
    """A context with a listener for `run`: a bar if stderr is a terminal, else plain lines."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines()
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[now]}", markup=False),
    )
    with Progress(*columns, console=console) as progress:
        yield _Bar(progress)


@contextmanager
def told(phase: str) -> Generator[Tally]:
    """A context with a listener for work that is only counted: call it with (number done, total, name of the next)."""
    with shown() as listener:
        yield lambda done, total, text: listener(Event(phase, done, total, text))


class _Bar:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[tuple[str, int], TaskID] = {}
        self._round = 0

    def __call__(self, event: Event) -> None:
        if event.phase == "wait":
            self._progress.console.print(_waiting(event), markup=False, highlight=False)
            return
        if event.done == 0:
            self._round += 1
        key = (event.phase, self._round)
        if key not in self._tasks:
            self._tasks[key] = self._progress.add_task(VERBS.get(event.phase, event.phase), total=event.total, now="")
        self._progress.update(self._tasks[key], completed=event.done, now=visible(event.text))
        if event.error:
            said = visible_lines(f"failed: {event.text}: {event.error}")
            self._progress.console.print(said, markup=False, highlight=False)


class _Lines:
    def __init__(self) -> None:
        self._start = self._told = 0.0

    def __call__(self, event: Event) -> None:
        now = time.monotonic()
        if event.phase == "wait":
            _say(_waiting(event))
            return
        if event.done == 0:
            self._start = self._told = now
            _say(f"{VERBS.get(event.phase, event.phase)}: {event.total} to do")
            return
        if event.error:
            _say(f"failed: {event.text}: {event.error}")
        if event.done == event.total or now - self._told >= EVERY:
            self._told = now
            left = (now - self._start) / event.done * (event.total - event.done)
            tail = f"about {_clock(left)} left" if event.done < event.total else f"took {_clock(now - self._start)}"
            _say(f"{VERBS.get(event.phase, event.phase)}: {event.done}/{event.total}, {tail}")


def _waiting(event: Event) -> str:
    who = event.text or "another sweep"
    return f"waiting for {event.total} that {who} does in this folder (if it has died: {STALE / 60:.0f} minutes)"


def _say(text: str) -> None:
    print(visible_lines(text), file=sys.stderr, flush=True)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d} min" if minutes else f"{rest} s"
