"""What report cards say of a leaderboard's columns: which metrics kept their promises and which did not.

The package ships the cards of its own metrics on the bundled backbones (`cards/METRIC.json`); a user's own come from
`syncbench validate METRIC --out DIR`. A card speaks for one metric, family, version and fingerprint, and for no other.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError

from ..catalogue.registry import component_id
from ..errors import SyncbenchError
from .verdicts import Card

READER = TypeAdapter(tuple[Card, ...], config=ConfigDict(allow_inf_nan=False))
State = Literal["passed", "failed", "silent", "unknown"]
SHIPPED = Path(__file__).parent
NAME = "cards"
"""The folder, beside this file and where `syncbench validate --out` writes, that holds one file of cards a metric."""
CURE = "`syncbench validate METRIC --out DIR` writes them"


@dataclass(frozen=True, kw_only=True)
class Grade:
    """What is known of one metric in one family."""

    state: State
    """`silent`: a card in which the metric answered too seldom to be judged; `unknown`: no card."""
    text: str
    """One sentence."""
    card: int | None = None
    """Place of the card among those asked."""


@dataclass(frozen=True)
class Grades:
    """Cards, and where each metric stands by them."""

    cards: tuple[Card, ...]

    def of(self, family: str, metric: str, version: int, fingerprint: str) -> Grade:
        """The grade of one column of a leaderboard."""
        same = [
            n for n, c in enumerate(self.cards) if c.family == family and component_id(c.metric) == component_id(metric)
        ]
        fits = [n for n in same if (self.cards[n].version, self.cards[n].fingerprint) == (version, fingerprint)]
        if not fits:  # the fingerprint tells presets and backbones apart, whatever they are called
            why = "its report card is of another version or backbone" if same else "it has no report card"
            return Grade(state="unknown", text=why)
        card = self.cards[fits[-1]]  # a later file's card replaces an earlier one's
        broken = [check for check in card.checks if check.passed is False]
        if broken:
            said = "; ".join(f"{check.name}: {check.seen}" for check in broken)
            return Grade(state="failed", text=f"its report card fails ({said})", card=fits[-1])
        if not card.ladders:
            return Grade(state="silent", text="its report card has no answer to judge", card=fits[-1])
        return Grade(state="passed", text="its report card passes", card=fits[-1])


def grades(files: Iterable[str | Path] = ()) -> Grades:
    """The shipped cards, then those of `files` (written by `validate --out`; a folder stands for its cards/*.json).

    Raises SyncbenchError for files that are not report cards.
    """
    found: list[Card] = []
    for name in (SHIPPED, *map(Path, files)):
        inside = sorted((name / NAME).glob("*.json")) if name.is_dir() else [name]
        if not inside:
            raise SyncbenchError(f"no report cards in '{name / NAME}': {CURE}")
        found += [card for path in inside for card in _read(path)]
    return Grades(tuple(found))


def _read(path: Path) -> tuple[Card, ...]:
    try:
        return READER.validate_json(path.read_bytes())
    except OSError as error:
        raise SyncbenchError(f"cannot read report cards '{path}': {error.strerror}; {CURE}") from error
    except ValidationError as error:
        raise SyncbenchError(f"'{path}' holds no report cards: {CURE}") from error
