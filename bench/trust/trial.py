"""The test of one family's metrics on its true scenes, damaged in controlled steps: all values, then the report cards.

The checks are those of `validate`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import isfinite, nan
from typing import Any

import numpy as np
import torch

from ..analysis.frame import loss
from ..catalogue.registry import component_id, label, load
from ..catalogue.roles import role_of
from ..isolation.guard import Failure, attempt, blamed, threaded
from ..types import Artifact, Family, Item, Score, SyncbenchError
from .calibrated import alike, estimated
from .calibration import Calibration, calibrate
from .corruptions import Corruption, corruption, from_views, true_views
from .verdicts import Card, Check, Ladder, ladder_checks, ladder_of, ranks_check

AGREE = corruption("mixture")
"""The damage to the scenes on which metrics are compared with their references."""


def _copy(artifact: Artifact) -> Artifact:
    canvas = None if artifact.canvas is None else artifact.canvas.clone()
    return replace(artifact, views=artifact.views.clone(), canvas=canvas)


class Trial:
    """The test of one family's metrics on its scenes: all values, then the report cards.

    With `fused`, scenes are like the artifacts of methods that fuse views, for metrics that read what only those have.
    Their guards are then the ladders that other metrics have on the scenes without fusion.
    """

    def __init__(self, family: Family, items: Sequence[Item], judges: Mapping[str, Any], fused: bool = False) -> None:
        self.family: Family = family
        self.judges = judges
        self.exact = _partners(family, judges)
        """The exact metrics that estimates among `judges` name, by label, where they are not among them."""
        self.asked = {**judges, **self.exact}
        self.fused = fused
        self.items = {item.id: item for item in items}
        self.now = ""
        self.values: dict[tuple[str, str, float], list[float]] = {}
        """Losses by item, by (metric, corruption, strength); nan where there is no value."""
        self.ladders: Sequence[Corruption] = ()
        self.reasons: dict[str, str] = {}
        self.checks: dict[str, list[Check]] = {name: [] for name in judges}

    def run(self, ladders: Sequence[Corruption]) -> Iterator[None]:
        """Score the truth, then every strength of every corruption, and yield after each."""
        self.ladders = ladders
        self.now = "truth"
        truth = {name: self._truth(item) for name, item in self.items.items()}
        for name in self.asked:
            self.values[name, "truth", 0.0] = self._ask(name, truth, remember=True)
        self._repeats(truth)
        self._agrees({name: AGREE(item, self._others(name), 0.2, 7, self.fused) for name, item in self.items.items()})
        self._silent(next(iter(self.items.values())))
        yield
        for one in ladders:
            for strength in one.ladder:
                self.now = f"{one.id} {strength:g}"
                made = {n: one(item, self._others(n), strength, 7, self.fused) for n, item in self.items.items()}
                for name in self.asked:
                    self.values[name, one.id, strength] = self._ask(name, made)
                yield

    def laid(self) -> dict[str, list[Ladder]]:
        """The ladders of every metric, by its name."""
        return {name: [self._ladder(name, one) for one in self.ladders] for name in self.judges}

    def cards(self, guards: Mapping[str, Sequence[Ladder]] | None = None) -> list[Card]:
        """The report cards of all metrics; `guards` are ladders of further metrics of the family."""
        laid = {**(guards or {}), **self.laid()}
        return [self._card(name, laid) for name in self.judges]

    def _truth(self, item: Item) -> Artifact:
        return from_views(true_views(item, whole=True), item, whole=True, fused=self.fused)

    def _others(self, name: str) -> tuple[Item, ...]:
        names = list(self.items)
        at = names.index(name)
        return tuple(self.items[other] for other in names[at + 1 :] + names[:at])

    def _scores(self, name: str, made: Mapping[str, Artifact]) -> dict[str, Score]:
        judge = self.asked[name]
        with blamed(f"metric {name}"):
            if getattr(judge, "across", "items") == "seeds":  # a scene has one truth, so no other seed
                return {item: judge.group({"0": one}, {"0": self.items[item]})["0"] for item, one in made.items()}
            if hasattr(judge, "group"):
                return judge.group(made, {item: self.items[item] for item in made})
            return {item: judge(artifact, self.items[item]) for item, artifact in made.items()}

    def _ask(self, name: str, made: Mapping[str, Artifact], remember: bool = False) -> list[float]:
        scores = self._scores(name, made)
        if remember:
            self.reasons[name] = next((s.reason for s in scores.values() if s.reason), "")
        direction = self.asked[name].direction
        values = [scores[item].value for item in self.items]
        return [nan if v is None else float(loss(v, direction)) for v in values]

    def _repeats(self, truth: Mapping[str, Artifact]) -> None:
        # Copies, because metrics keep features of pictures that they have scored and would return them.
        copies = {item: _copy(truth[item]) for item in reversed(list(truth))}
        with threaded(1 if torch.get_num_threads() > 1 else 2):
            for name in self.judges:
                self._same("repeats", name, self.values[name, "truth", 0.0], self._ask(name, copies))

    def _agrees(self, made: Mapping[str, Artifact]) -> None:
        """Compare metrics with their `reference`, on damaged scenes because many metrics are 0 at the truth."""
        for name, judge in self.judges.items():
            if not hasattr(judge, "reference"):
                self.checks[name].append(Check(name="agrees", passed=None, seen="no reference implementation"))
                continue
            scores = self._scores(name, made)
            references = attempt(
                lambda judge=judge: {
                    item: judge.reference(artifact, self.items[item]) for item, artifact in made.items()
                }
            )
            if isinstance(references, Failure):
                self.checks[name].append(Check(name="agrees", passed=False, seen=references.text))
                continue
            # A reference may serve fewer items than the metric, but never one without a value of the metric.
            known = [(scores[item].value, value) for item, value in references.items() if value is not None]
            self._same("agrees", name, [nan if a is None else a for a, _ in known], [b for _, b in known])

    def _same(self, check: str, name: str, first: Sequence[float], again: Sequence[float]) -> None:
        pairs = [(a, b) for a, b in zip(first, again, strict=True) if isfinite(a) or isfinite(b)]
        if not pairs:
            self.checks[name].append(Check(name=check, passed=None, seen="nothing to compare"))
        elif not all(isfinite(a) and isfinite(b) for a, b in pairs):
            self.checks[name].append(Check(name=check, passed=False, seen="a value once and none the other time"))
        else:
            off = max(abs(a - b) / max(abs(a), 1e-6) for a, b in pairs)
            self.checks[name].append(Check(name=check, passed=off <= 1e-4, seen=f"largest difference {off:.1e}"))

    def _silent(self, item: Item) -> None:
        """Score one black view of an item without truth and conditions."""
        bare = replace(item, truth={}, conditions={})
        height, width = item.surface.window
        nothing = Artifact(views=torch.zeros(1, 3, height, width))
        for name, judge in self.judges.items():
            score = attempt(
                lambda judge=judge: (
                    judge.group({"x": nothing}, {"x": bare})["x"] if hasattr(judge, "group") else judge(nothing, bare)
                )
            )
            if isinstance(score, Failure):
                self.checks[name].append(Check(name="silent", passed=False, seen=score.text))
                continue
            kept = isfinite(score.value) if score.value is not None else bool(score.reason) and score.coverage == 0
            self.checks[name].append(Check(name="silent", passed=kept, seen=score.reason or f"{score.value:g}"))

    def _ladder(self, name: str, one: Corruption) -> Ladder:
        damaged = {strength: self.values[name, one.id, strength] for strength in one.ladder}
        return ladder_of(one, self.values[name, "truth", 0.0], damaged)

    def _card(self, name: str, laid: Mapping[str, Sequence[Ladder]]) -> Card:
        ladders, judge = laid[name], self.judges[name]
        role = role_of(judge, name)
        known = [v for v in self.values[name, "truth", 0.0] if isfinite(v)]
        share = len(known) / len(self.items)
        checks = [Check(name="answers", passed=share >= 0.5 or None, seen=self.reasons[name] or f"{share:.0%}")]
        if share >= 0.5:
            # Neither the metric nor its presets count as its guards.
            others = {other: ladders for other, ladders in laid.items() if component_id(other) != component_id(name)}
            checks += ladder_checks(role, ladders, others)
        calibration = self._calibration(name) if share >= 0.5 else None
        if calibration is not None:
            checks.append(ranks_check(calibration))
        return Card(
            metric=name,
            family=self.family,
            role=role,
            version=judge.version,
            fingerprint=judge.fingerprint(),
            checks=(*checks, *self.checks[name]),
            ladders=tuple(ladders) if share >= 0.5 else (),
            calibrations=() if calibration is None else (calibration,),
        )

    def _calibration(self, name: str) -> Calibration | None:
        """The calibration over truth and damage of a metric that estimates; None for others.

        Harmless damage is left out: it moves neither metric.
        """
        judge, spec = self.judges[name], estimated(self.judges[name])
        exact = None if spec is None else self.asked.get(label(spec))
        if spec is None or exact is None:
            return None
        harmful = [one for one in self.ladders if one.breaks not in ("nothing", "detail")]
        rungs = [("truth", 0.0), *((one.id, strength) for one in harmful for strength in one.ladder)]
        losses = [np.array([self.values[which, *rung] for rung in rungs]) for which in (name, label(spec))]
        over = f"the truth and {len(rungs) - 1} strengths of damage"
        return calibrate(*losses, name=label(spec), over=over, unit=exact.unit, alike=alike(judge, exact))


def _partners(family: Family, judges: Mapping[str, Any]) -> dict[str, Any]:
    """The exact metrics of the family that `judges` estimate and that are not among them, by label.

    Raises SyncbenchError for an unknown metric, and for one that is an estimate itself.
    """
    found: dict[str, Any] = {}
    for name, judge in judges.items():
        spec = estimated(judge)
        if spec is None:
            continue
        exact = load("metrics", spec)
        if estimated(exact) is not None:
            raise SyncbenchError(f"metric {name} estimates {spec}, which is an estimate itself: name an exact metric")
        if family in exact.families and label(spec) not in judges:
            found[label(spec)] = exact
    return found
