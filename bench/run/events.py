"""Events of progress, and the listeners of long work."""

from collections.abc import Callable
from dataclasses import dataclass

Tally = Callable[[int, int, str], None]
"""A listener of work that is only counted: (number done, total, name of the next)."""


@dataclass(frozen=True)
class Event:
    """Progress: `done` of `total` in one phase (`unwrap`, `sample`, `score`, `group`), and what just ended.

    In the phase `wait` this sweep waits for `total` tasks of another sweep, which `text` names.
    """

    phase: str
    done: int
    total: int
    text: str = ""
    error: str | None = None


Listener = Callable[[Event], None]


def silent(event: Event) -> None:
    """A listener that does nothing."""
