"""What a metric's answers to controlled damage say: ladders, checks and report cards. See `validate`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any, Literal

from scipy.stats import spearmanr  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]

from ..analysis.stats import interval

if TYPE_CHECKING:
    from .corruptions import Corruption  # brings torch along, which reading cards must not

MONOTONE = 0.9
"""Least Spearman correlation of strength and mean loss."""
STEADY = 0.1
"""Most that what breaks nothing may cost, of the largest change."""
Told = Literal["notices", "rewards", "uneven", "blind"]


@dataclass(frozen=True, kw_only=True)
class Rung:
    """One strength: how much worse than the truth, paired over items."""

    strength: float
    change: float
    """Mean increase of the loss; negative where the damage is rewarded."""
    low: float | None
    high: float | None
    items: int


@dataclass(frozen=True, kw_only=True)
class Ladder:
    """One kind of damage."""

    corruption: str
    breaks: str
    unit: str
    rungs: tuple[Rung, ...]
    rho: float
    """Spearman correlation of strength and mean loss, the truth included."""
    told: Told
    smallest: float | None
    """The mildest strength from which on every rung is told from the truth."""

    @property
    def harmless(self) -> bool:
        """Whether the damage is to the file or its finest detail, which no metric should make much of."""
        return self.breaks in ("nothing", "detail")


@dataclass(frozen=True, kw_only=True)
class Check:
    """One promise: kept, broken, or (None) not asked of this metric."""

    name: str
    passed: bool | None
    seen: str


@dataclass(frozen=True, kw_only=True)
class Card:
    """What one metric showed in one family."""

    metric: str
    family: str
    role: str
    """What the metric is for, as `Metric.role`."""
    version: int
    fingerprint: str
    checks: tuple[Check, ...]
    ladders: tuple[Ladder, ...]

    @property
    def passed(self) -> bool:
        """Whether no promise was broken."""
        return all(check.passed is not False for check in self.checks)

    def as_json(self) -> dict[str, Any]:
        """For `--json` and the stored cards."""
        return {"passed": self.passed, **asdict(self)}


def climbed(one: "Corruption", truth: Sequence[float], damaged: Mapping[float, Sequence[float]]) -> Ladder:
    """The ladder of one corruption from losses by item (nan: no value) of the truth and of every strength."""
    rungs: list[Rung] = []
    for strength in one.ladder:
        pairs = zip(damaged[strength], truth, strict=True)
        changes = [a - b for a, b in pairs if isfinite(a) and isfinite(b)]
        found = interval(changes)
        mean = found.mean if changes else 0.0
        rungs.append(Rung(strength=strength, change=mean, low=found.low, high=found.high, items=len(changes)))
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


def judged(role: str, ladders: Sequence[Ladder], others: Mapping[str, Sequence[Ladder]]) -> tuple[Check, ...]:
    """The checks that ladders decide; `others` are the same scenes' ladders of the family's other metrics."""
    return (_notices(role, ladders), _floor(role, ladders), _guarded(ladders, others), _steady(role, ladders))


def _order(changes: Sequence[float]) -> float:
    if max(changes) == min(changes):
        return 0.0
    found: Any = spearmanr(range(len(changes)), changes)
    return float(found.statistic)


def _told(rungs: Sequence[Rung], rho: float) -> Told:
    last, largest = rungs[-1], max(abs(r.change) for r in rungs)
    if last.low is not None and last.low > 0:
        return "notices" if rho >= MONOTONE or len(rungs) == 1 else "uneven"
    if any(r.high is not None and r.high < 0 and -r.change > 0.5 * largest for r in rungs):
        return "rewards"
    return "blind"


def _smallest(rungs: Sequence[Rung]) -> float | None:
    found: float | None = None
    for rung in reversed(rungs):
        if rung.low is None or rung.low <= 0:
            break
        found = rung.strength
    return found


def _notices(role: str, ladders: Sequence[Ladder]) -> Check:
    wanted = [x for x in ladders if x.breaks == "consistency" or role != "consistency"]
    noticed = [x for x in wanted if x.told == "notices" and not x.harmless]
    said = ", ".join(f"{x.corruption} from {x.smallest:g} {x.unit}" for x in noticed if x.smallest is not None)
    return Check(name="notices", passed=bool(noticed), seen=said or "nothing it should")


def _floor(role: str, ladders: Sequence[Ladder]) -> Check:
    if role != "consistency":
        return Check(name="floor", passed=None, seen="no consistency metric")
    better = [x.corruption for x in ladders if x.breaks == "consistency" and x.told == "rewards"]
    return Check(name="floor", passed=not better, seen=", ".join(better) or "the truth is best")


def _guarded(ladders: Sequence[Ladder], others: Mapping[str, Sequence[Ladder]]) -> Check:
    said: list[str] = []
    open_ = False
    for x in ladders:
        if x.told != "rewards" or x.harmless:
            continue
        guards = [n for n, found in others.items() if any(_guards(y, x) for y in found)]
        open_ |= not guards
        said.append(f"{x.corruption}: {', '.join(guards[:3]) or 'no guard'}")
    return Check(name="guarded", passed=not open_, seen="; ".join(said) or "rewards nothing")


def _guards(guard: Ladder, rewarding: Ladder) -> bool:
    """Whether `guard` tells every rung from the truth that the other rewards."""
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
    said = ", ".join(f"{x.corruption} {cost:.1%}" for x, cost in costs)
    return Check(name="steady", passed=max(asked, default=0.0) <= STEADY, seen=f"{said} of the largest change")
