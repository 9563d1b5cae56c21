"""Report cards: does a metric measure what it claims? Every metric is tested on controlled damage to true scenes.

The checks of every metric and family, over items whose truth is known:

    answers      the truth of most scenes gets a number
    repeats      the number is equal (to 1e-4 of it) in another order and with another number of threads
    agrees       its `reference(artifact, item)`, which computes it another way, gives an equal number (to 1e-4 of it)
    notices      some ladder of damage raises the loss: Spearman 0.9 between strength and mean loss, and the strongest
                 damage is separable from the truth (95 % interval over items). A consistency metric must notice
                 broken consistency
    floor        broken consistency never improves a consistency metric
    guarded      any damage that the metric rewards is noticed by another metric of the family
    steady       JPEG, half precision and resizing cost less than a tenth of the largest noticed change (resizing takes
                 detail, which metrics of quality measure: there the cost is reported, not judged)
    ranks        a metric that estimates another, exact one (`estimates`) ranks truth and damage as that one does: the
                 interval of Spearman's correlation over strengths of damage and items lies above 0 (see `calibration`)
    silent       where nothing is comparable the metric gives null, coverage 0 and a reason, or a finite number; it
                 never raises

The checks follow SysCON3D's corruption ladders, audits of invariance, and known ways to win by poor output.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..analysis.stats import ENOUGH
from ..catalogue.listing import Component, list_components
from ..catalogue.registry import label, load
from ..catalogue.roles import role_of
from ..files.writing import write_whole
from ..run.events import Tally
from ..types import FAMILIES, Family, SyncbenchError
from .calibrated import estimated
from .calibration import Calibration
from .corruptions import Corruption, corruptions_of, shortened
from .grades import NAME
from .trial import Trial
from .verdicts import Card

WORLDS: dict[Family, str] = {
    "overlap": "panoramas",
    "geometry": "world_meshes",
    "prior": "world_views",
    "frames": "world_videos",
    "channels": "world_channels",
}
"""The data set of each family's true scenes."""


def validate(
    metrics: Sequence[str] = (),
    *,
    families: Sequence[Family] = tuple(FAMILIES),
    items: int = 12,
    levels: int = 5,
    progress: Tally = lambda done, total, text: None,
    keep: Callable[[Sequence[Card]], None] = lambda cards: None,
) -> list[Card]:
    """Report cards of `metrics`, over the first `items` of each family's data set and `levels` strengths of damage.

    `metrics` are ids, presets or files; empty means all of the tree, with their presets, whose weights are on this
    machine. `keep` is called with all cards so far whenever those of a family are made. Raises SyncbenchError for
    unknown names, for fewer than `stats.ENOUGH` items, from which nothing can be judged, and for fewer than two levels.
    """
    if items < ENOUGH or levels < 2:
        raise SyncbenchError(f"validation needs at least {ENOUGH} items and 2 levels: fewer judge nothing")
    if items > 1_000 or levels > 100:
        raise SyncbenchError(f"validation takes at most 1,000 items and 100 levels, not {items:,} and {levels:,}")
    specs = list(metrics) or [spec for c in list_components("metrics") for spec in (c.id, *_presets(c))]
    judges = {label(spec): load("metrics", spec) for spec in specs}
    if not metrics:
        judges = {name: judge for name, judge in judges.items() if _loads(judge)}
    judges = {name: judge for name, judge in judges.items() if role_of(judge, name) != "cost"}
    plan: list[tuple[Family, list[str]]] = [
        (family, [name for name, judge in judges.items() if family in judge.families]) for family in families
    ]
    total = sum(_rungs(family, levels) for family, names in plan if names)
    cards: list[Card] = []
    done = 0
    progress(0, total, "")
    for family, names in plan:
        if not names:
            continue
        worlds = load("datasets", WORLDS[family]).items()
        trial = Trial(family, worlds[:items], {n: judges[n] for n in names})
        for _ in trial.run(_ladders(family, levels)):
            done += 1
            progress(done, total, f"{family} {trial.now}")
        own = trial.cards()
        if silent := {card.metric: judges[card.metric] for card in own if not card.ladders}:
            again = Trial(family, worlds[:items], silent, fused=True)
            total += _rungs(family, levels)
            for _ in again.run(_ladders(family, levels)):
                done += 1
                progress(done, total, f"{family}, fused views: {again.now}")
            answered = {card.metric: card for card in again.cards(trial.laid()) if card.ladders}
            own = [answered.get(card.metric, card) for card in own]
        cards += own
        keep(cards)
    return cards


def estimates_of(metrics: Sequence[str] = ()) -> list[str]:
    """Those of `metrics` (empty: all of the tree, with their presets) that estimate an exact metric, as they are named.

    All of them are returned where `metrics` are named and none of them estimates, so that the caller can name them.
    """
    specs = list(metrics) or [spec for c in list_components("metrics") for spec in (c.id, *_presets(c))]
    found = [spec for spec in specs if estimated(judge := load("metrics", spec)) is not None and _loads(judge)]
    return found or list(metrics)


def with_calibrations(cards: Sequence[Card], found: Mapping[tuple[str, str], tuple[Calibration, ...]]) -> list[Card]:
    """The cards with the calibrations of their metric and family added (see `calibrated.calibrations`)."""
    return [
        replace(card, calibrations=(*card.calibrations, *found.get((card.metric, card.family), ()))) for card in cards
    ]


def _presets(one: Component) -> list[str]:
    return [f"{one.id}@{preset}" for preset in one.presets]


def _loads(judge: Any) -> bool:
    """Whether a metric's weights are on this machine: it has a fingerprint, and its `lacks()`, if any, names none."""
    try:
        judge.fingerprint()
        return not (hasattr(judge, "lacks") and judge.lacks())
    except SyncbenchError:
        return False


def save_cards(cards: Sequence[Card], folder: Path) -> None:
    """Write `cards/METRIC.json` in `folder`: one file per metric with its presets and backbones, one card per line."""
    of: dict[str, list[Card]] = {}
    for card in cards:
        of.setdefault(re.sub(r"[^\w.-]+", "_", re.split(r"[@\[]", card.metric)[0]), []).append(card)
    for name, some in of.items():
        lines = [json.dumps(card.as_json(), allow_nan=False) for card in some]
        write_whole(folder / NAME / f"{name}.json", "[\n" + ",\n".join(lines) + "\n]\n")


def _ladders(family: Family, levels: int) -> tuple[Corruption, ...]:
    return tuple(shortened(one, levels) for one in corruptions_of(family))


def _rungs(family: Family, levels: int) -> int:
    """Number of scenes with damage that a trial scores, plus one for the truth."""
    return 1 + sum(len(one.ladder) for one in _ladders(family, levels))
