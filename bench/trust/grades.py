"""Grades of a leaderboard's columns: which metrics pass their report cards.

The package ships the cards of its own metrics on the bundled backbones (`cards/METRIC.json`); `syncbench validate
METRIC --out DIR` makes those of other metrics. A card is valid for one metric, family, version and fingerprint only.
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
"""Name of the folder with one file of cards per metric, beside this file and in the DIR of `validate --out DIR`."""
HOW_TO_MAKE = "`syncbench validate METRIC --out DIR` writes them"


@dataclass(frozen=True, kw_only=True)
class Grade:
    """The grade of one metric in one family."""

    state: State
    """`silent`: the metric had too few values for its card to judge it; `unknown`: there is no card."""
    text: str
    """The grade in words."""
    calibrated: tuple[str, ...] = ()
    """How well an estimate stands for the exact metric, in sentences without their ends; empty for exact metrics."""
    card: int | None = None
    """Index of the card in `Grades.cards`; None without a card."""


@dataclass(frozen=True)
class Grades:
    """Report cards, and the grade of each metric by them."""

    cards: tuple[Card, ...]

    def of(self, family: str, metric: str, version: int, fingerprint: str) -> Grade:
        """The grade of one column of a leaderboard."""
        same = [
            n for n, c in enumerate(self.cards) if c.family == family and component_id(c.metric) == component_id(metric)
        ]
        fits = [n for n in same if (self.cards[n].version, self.cards[n].fingerprint) == (version, fingerprint)]
        if not fits:  # presets and backbones differ in the fingerprint, whatever they are called
            why = "its report card is of another version or backbone" if same else "it has no report card"
            return Grade(state="unknown", text=why)
        card = self.cards[fits[-1]]  # a later file's card replaces an earlier one's
        how = tuple(one.text() for one in card.calibrations)
        broken = [check for check in card.checks if check.passed is False]
        if broken:
            failures = "; ".join(f"{check.name}: {check.seen}" for check in broken)
            return Grade(state="failed", text=f"its report card fails ({failures})", calibrated=how, card=fits[-1])
        if not card.ladders:
            return Grade(state="silent", text="its report card has no answer to judge", calibrated=how, card=fits[-1])
        return Grade(state="passed", text="its report card passes", calibrated=how, card=fits[-1])


def grades(files: Iterable[str | Path] = ()) -> Grades:
    """Grades by the shipped cards and those of `files`, which `validate --out` wrote; a folder means its cards/*.json.

    Raises SyncbenchError for files that are no report cards.
    """
    cards: list[Card] = []
    for name in (SHIPPED, *map(Path, files)):
        inside = sorted((name / NAME).glob("*.json")) if name.is_dir() else [name]
        if not inside:
            raise SyncbenchError(f"no report cards in '{name / NAME}': {HOW_TO_MAKE}")
        cards += [card for path in inside for card in _read(path)]
    return Grades(tuple(cards))


def _read(path: Path) -> tuple[Card, ...]:
    try:
        return READER.validate_json(path.read_bytes())
    except OSError as error:
        raise SyncbenchError(f"cannot read report cards '{path}': {error.strerror}; {HOW_TO_MAKE}") from error
    except ValidationError as error:
        raise SyncbenchError(f"'{path}' holds no report cards: {HOW_TO_MAKE}") from error
