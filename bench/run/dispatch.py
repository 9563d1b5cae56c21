"""How the tasks of a sweep are carried out: each is claimed, done by an executor, and tried again if it was lost.

Several sweeps of one folder share its tasks by claims. A task whose worker died is tried once more, alone. Where an
earlier sweep died at a task, that task is tried once more, and this sweep works in a separate process, so that such a
task cannot end the sweep again.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self

from ..isolation.signals import check
from .claims import Claims
from .events import Event, Listener
from .execute import Executor, Lost
from .loaded import Loaded

POLL = 0.5
"""Seconds between checks of the claims of other sweeps."""


@dataclass(frozen=True)
class Outcome:
    """The result of a task."""

    key: str
    name: str
    error: str | None = None


class Task(Protocol):
    """Something to be done in a results folder, as plain data."""

    @property
    def key(self) -> str:
        """The key that is claimed for the task."""
        ...

    def pieces(self) -> Sequence[Self]:
        """The task in its smallest pieces, so that one that ends a process is done alone."""
        ...

    def lost(self, reason: str, loaded: Loaded) -> Outcome:
        """Store `reason` as the error of the task, and return this result."""
        ...


Prepare = Callable[[str], Task | None]
"""(key) -> its task; None if there is nothing left to do."""


@dataclass
class Carried:
    """One phase of a sweep; call `carry_out`."""

    root: Path
    work: Callable[[Any, Loaded], Outcome]
    prepare: Prepare
    execute: Executor
    phase: str
    listen: Listener
    small: bool = False
    total: int = 0
    number: int = 0
    """Number of keys that are finished, by this sweep or another."""
    done: int = 0
    """Number of keys that this sweep has done."""
    second: list[Task] = field(default_factory=list[Any])
    """Tasks to be tried a second time, each in a separate process."""
    held: list[str] = field(default_factory=list[str])
    """Keys that other sweeps have claimed."""

    def carry_out(self, keys: Sequence[str]) -> int:
        """Do the tasks of `keys`, or wait until another sweep has done them. Returns how many were done here."""
        self.total = len(keys)
        if not keys:
            return 0
        self.listen(Event(self.phase, 0, self.total))
        with Claims(self.root) as claims, self._where(claims) as execute:
            left, told = list(keys), False
            while left:
                self.held, before = [], self.number
                for task, answer in execute(self.work, self._claimed(claims, left), self.small):
                    if isinstance(answer, Lost) and (answer.again or len(task.pieces()) > 1):
                        self.second.append(task)
                    else:
                        self._through(claims, self._outcome(task, answer))
                    check()
                self._again(claims, execute)
                left = self.held
                if left and self.number == before:
                    if not told:
                        self.listen(Event("wait", 0, len(left), claims.holder(left[0])))
                        told = True
                    time.sleep(POLL)
        return self.done

    def _where(self, claims: Claims) -> AbstractContextManager[Executor]:
        """The executor; one of a separate process where a sweep in its own process has died."""
        if self.execute.apart or not claims.left():
            return nullcontext(self.execute)
        self.execute.loaded.release()  # before another process loads the same
        return self.execute.isolated()

    def _claimed(self, claims: Claims, keys: Sequence[str]) -> Iterator[Task]:
        """Tasks whose claims are ours, each claimed when it is drawn."""
        for key in keys:
            taken = claims.take(key)
            if taken == "held":
                self.held.append(key)
                continue
            task = self.prepare(key)
            if task is None:
                self._through(claims, Outcome(key, ""), elsewhere=True)
            elif taken == "left":
                self.second.append(task)
            else:
                yield task

    def _again(self, claims: Claims, execute: Executor) -> None:
        """The second try of each task, in its smallest pieces, in a process of its own."""
        tasks, self.second = self.second, []
        if not tasks:
            return
        self.execute.loaded.release()  # before another process loads the same
        with execute.isolated() as alone:
            for task in tasks:
                outcome = None
                for piece, answer in alone(self.work, task.pieces(), self.small):
                    found = self._outcome(piece, answer)
                    outcome = found if outcome is None or found.error else outcome
                    check()
                assert outcome is not None
                self._through(claims, outcome)

    def _outcome(self, task: Task, answer: Outcome | Lost) -> Outcome:
        return task.lost(answer.reason, self.execute.loaded) if isinstance(answer, Lost) else answer

    def _through(self, claims: Claims, outcome: Outcome, elsewhere: bool = False) -> None:
        claims.release(outcome.key)
        self.number += 1
        self.done += not elsewhere
        self.listen(Event(self.phase, self.number, self.total, outcome.name, outcome.error))
