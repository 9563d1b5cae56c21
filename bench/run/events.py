"""What long work tells of its progress, to whoever listens."""

from collections.abc import Callable
from dataclasses import dataclass

Tally = Callable[[int, int, str], None]
"""Of work that only counts: told what is done, of how many, and what is next."""


@dataclass(frozen=True)
class Event:
    """Progress: `done` of `total` in one phase (`unwrap`, `sample`, `score`, `group`), and what just ended.

    In the phase `wait` nothing is done here: `total` tasks are with another sweep, which `text` names.
    """

    phase: str
    done: int
    total: int
    text: str = ""
    error: str | None = None


Listener = Callable[[Event], None]


def silent(event: Event) -> None:
    """Listen to nothing."""
