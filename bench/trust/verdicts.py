"""From a metric's values on damaged scenes to ladders, checks and report cards; see `validate` for the checks."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isclose, isfinite
from typing import TYPE_CHECKING, Any, Literal

from scipy.stats import spearmanr  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]

from ..analysis.stats import interval
from .calibration import Calibration

if TYPE_CHECKING:
    from .corruptions import Corruption  # brings torch along, which reading cards must not

MONOTONE = 0.9
"""Smallest Spearman correlation between strength and mean loss of a ladder that a metric notices."""
STEADY = 0.1
"""Largest change of the loss by harmless damage, as a share of the largest change by any damage."""
Told = Literal["notices", "rewards", "uneven", "blind"]
"""How a metric responds to a kind of damage."""


@dataclass(frozen=True, kw_only=True)
class Rung:
    """One strength of damage, and how much worse than the truth the metric scores it, paired over items."""

    strength: float
    change: float
    """Mean increase of the loss; negative where the damage is rewarded."""
    low: float | None
    high: float | None
    items: int


@dataclass(frozen=True, kw_only=True)
class Ladder:
    """A metric's response to one kind of damage, by strength."""

    corruption: str
    breaks: str
    unit: str
    rungs: tuple[Rung, ...]
    rho: float
    """Spearman correlation of strength and mean loss, the truth included."""
    told: Told
    smallest: float | None
    """The smallest strength from which on every strength is separable from the truth; None if there is none."""

    @property
    def harmless(self) -> bool:
        """Whether the damage changes the file or its finest detail alone, to which no metric should respond much."""
        return self.breaks in ("nothing", "detail")


@dataclass(frozen=True, kw_only=True)
class Check:
    """The result of one check of a metric."""

    name: str
    passed: bool | None
    """Whether the metric passed; None where the check does not apply to it."""
    seen: str
    """What was observed, in words."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """The report card of one metric in one family."""

    metric: str
    family: str
    role: str
    """What the metric is for; see `types.Metric`."""
    version: int
    fingerprint: str
    checks: tuple[Check, ...]
    ladders: tuple[Ladder, ...]
    calibrations: tuple[Calibration, ...] = ()
    """How a metric that estimates agrees with the exact one, over damage and over methods; empty for exact metrics."""

    @property
    def passed(self) -> bool:
        """Whether the metric failed no check."""
        return all(check.passed is not False for check in self.checks)

    def as_json(self) -> dict[str, Any]:
        """The card as JSON, for `--json` and for files of cards."""
        return {"passed": self.passed, **asdict(self)}


def ladder_of(one: "Corruption", truth: Sequence[float], damaged: Mapping[float, Sequence[float]]) -> Ladder:
    """The ladder of one corruption, from losses by item (nan: no value) of the truth and of every strength."""
    rungs: list[Rung] = []
    for strength in one.ladder:
        pairs = zip(damaged[strength], truth, strict=True)
        changes = [_change(a, b) for a, b in pairs if isfinite(a) and isfinite(b)]
        change = interval(changes)
        mean = change.mean if changes else 0.0
        rungs.append(Rung(strength=strength, change=mean, low=change.low, high=change.high, items=len(changes)))
    rho = _order([0.0, *(r.change for r in rungs)])
    return Ladder(
        corruption=one.id,
        breaks=one.breaks,
        unit=one.unit,
        rungs=tuple(rungs),
        rho=rho,
        told=_told(rungs, rho),
        smallest=_smallest(rungs),
    )


def ladder_checks(role: str, ladders: Sequence[Ladder], others: Mapping[str, Sequence[Ladder]]) -> tuple[Check, ...]:
    """The checks that follow from ladders; `others` are the ladders of the family's other metrics on these scenes."""
    return (_notices(role, ladders), _floor(role, ladders), _guarded(ladders, others), _steady(role, ladders))


def ranks_check(one: Calibration) -> Check:
    """Whether an estimate ranks damaged scenes by the exact metric at all: its correlation's interval is above 0."""
    related = None if one.spearman is None else one.low is not None and one.low > 0
    return Check(name="ranks", passed=related, seen=one.text())


def _change(damaged: float, true: float) -> float:
    """The change of the loss; sums of the same numbers in another order are no change."""
    return 0.0 if isclose(damaged, true, rel_tol=1e-9, abs_tol=1e-12) else damaged - true


def _order(changes: Sequence[float]) -> float:
    if max(changes) == min(changes):
        return 0.0
    correlation: Any = spearmanr(range(len(changes)), changes)
    return float(correlation.statistic)


def _told(rungs: Sequence[Rung], rho: float) -> Told:
    last, largest = rungs[-1], max(abs(r.change) for r in rungs)
    if last.low is not None and last.low > 0:
        return "notices" if rho >= MONOTONE or len(rungs) == 1 else "uneven"
    if any(r.high is not None and r.high < 0 and -r.change > 0.5 * largest for r in rungs):
        return "rewards"
    return "blind"


def _smallest(rungs: Sequence[Rung]) -> float | None:
    smallest: float | None = None
    for rung in reversed(rungs):
        if rung.low is None or rung.low <= 0:
            break
        smallest = rung.strength
    return smallest


def _notices(role: str, ladders: Sequence[Ladder]) -> Check:
    wanted = [x for x in ladders if x.breaks == "consistency" or role != "consistency"]
    noticed = [x for x in wanted if x.told == "notices" and not x.harmless]
    listed = ", ".join(f"{x.corruption} from {x.smallest:g} {x.unit}" for x in noticed if x.smallest is not None)
    return Check(name="notices", passed=bool(noticed), seen=listed or "nothing it should")


def _floor(role: str, ladders: Sequence[Ladder]) -> Check:
    if role != "consistency":
        return Check(name="floor", passed=None, seen="no consistency metric")
    better = [x.corruption for x in ladders if x.breaks == "consistency" and x.told == "rewards"]
    return Check(name="floor", passed=not better, seen=", ".join(better) or "the truth is best")


def _guarded(ladders: Sequence[Ladder], others: Mapping[str, Sequence[Ladder]]) -> Check:
    guarded: list[str] = []
    open_ = False
    for x in ladders:
        if x.told != "rewards" or x.harmless:
            continue
        guards = [name for name, other in others.items() if any(_guards(y, x) for y in other)]
        open_ |= not guards
        guarded.append(f"{x.corruption}: {', '.join(guards[:3]) or 'no guard'}")
    return Check(name="guarded", passed=not open_, seen="; ".join(guarded) or "rewards nothing")


def _guards(guard: Ladder, rewarding: Ladder) -> bool:
    """Whether `guard` notices every strength of this damage that the other ladder's metric rewards."""
    if guard.corruption != rewarding.corruption:
        return False
    pairs = zip(guard.rungs, rewarding.rungs, strict=True)
    return all(g.low is not None and g.low > 0 for g, r in pairs if r.high is not None and r.high < 0)


def _steady(role: str, ladders: Sequence[Ladder]) -> Check:
    span = max((r.change for x in ladders if not x.harmless for r in x.rungs), default=0.0)
    if span <= 0:
        return Check(name="steady", passed=None, seen="nothing to compare with")
    costs = [(x, abs(x.rungs[-1].change) / span) for x in ladders if x.harmless]
    asked = [cost for x, cost in costs if role == "consistency" or x.breaks == "nothing"]
    listed = ", ".join(f"{x.corruption} {cost:.1%}" for x, cost in costs)
    return Check(name="steady", passed=max(asked, default=0.0) <= STEADY, seen=f"{listed} of the largest change")
