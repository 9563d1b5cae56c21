"""Methods against an exact joint law: on a Gaussian field the true law is known, and so is that of every linear method.

`problem` defines the field and runs a method on it. `linear` finds the affine map of a linear method, and so its exact
law; `samples` estimates the law of others. `law` compares laws with the truth, and `agreement` compares the ranks that
metrics give with those of the exact distance.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ...analysis.frame import Table
from ...catalogue.fields import field_values
from ...catalogue.listing import list_components
from ...catalogue.registry import load
from ...errors import SyncbenchError
from ...run.events import Tally
from ...sampling.loop import Method
from ...suites.narrow import entries_named
from ...suites.suite import Entry, read_suite, unique
from .law import FIGURES, Law, Truth
from .measured import SAMPLES, Measured, measured_law
from .problem import Problem
from .samples import jackknife_intervals

SUITE = "oracle"
"""Name of the suite whose methods are compared first."""
ALIKE = 1e-9
"""Largest difference between equal covariances (rounding), in units of the true variance."""
COLUMNS = [
    *("method", "kind", *FIGURES, "lag"),
    *(f"{name}_ci_{end}" for name in FIGURES for end in ("low", "high")),
    *("samples", "same_as", "steps", "reason"),
]
"""Columns of `Oracle.rows`. `kind`: `law` (the truth), `exact`, `sampled`, or None with the `reason`. `samples`: number
of rows drawn, 0 if exact. `same_as`: the first listed method with an equal law. Only sampled methods have intervals.
FIGURES are explained in `law.Truth.figures`; `lag` is the distance of `correlation` and `covariance` in px."""


@dataclass(frozen=True, kw_only=True)
class Oracle:
    """The laws of methods and their distances from the truth."""

    rows: pd.DataFrame
    """One row per method, columns COLUMNS: nearest to the truth first, those without a law last."""
    laws: dict[str, Law]
    """The law of every method that has one, in the order of `rows`."""
    truth: Law


def oracle(
    methods: Sequence[str] | None = None,
    *,
    problem: Problem | None = None,
    samples: int = SAMPLES,
    progress: Tally = lambda done, total, name: None,
) -> Oracle:
    """The laws of methods on a Gaussian field: of those named, or of every method with its presets.

    `truth`, and `joint`, the sampler with one window that sees everything, are always among them. Raises SyncbenchError
    for unknown methods, and for a number of `samples` below 1 or above a million.
    """
    problem = problem or Problem()
    if samples < 1:
        raise SyncbenchError(f"--samples {samples}: use 1 or more")
    if samples > 1_000_000:
        raise SyncbenchError(f"--samples {samples:,}: use at most 1,000,000, which tell a distance to a thousandth")
    problem.model().schedule(problem.steps)  # raises early for an impossible number of steps
    entries = default_entries()
    if methods is not None:
        named = [entry for name in methods for entry in entries_named("methods", entries, name)]
        entries = list(unique(named))
    loaded: list[tuple[str, Method]] = [(entry.label, entry.load()) for entry in entries]
    truth = Truth(problem.truth())
    measurements = {
        "truth": Measured(law=truth.law, kind="law", borders=tuple(range(0, problem.width, problem.window)))
    }
    progress(0, len(loaded) + 1, "joint")
    measurements["joint"] = measured_law(load("methods", "independent"), problem.joint, samples)
    for done, (label, method) in enumerate(loaded, 1):
        progress(done, len(loaded) + 1, label)
        if method.anchor == "ceiling":
            continue  # it shows the truth, whatever its name
        measurements[label] = measured_law(method, problem, samples)
    progress(len(loaded) + 1, len(loaded) + 1, "")
    same = _same(measurements)
    rows = [_row(name, one, truth, problem, same.get(name)) for name, one in measurements.items()]
    table: Table = pd.DataFrame(rows, columns=COLUMNS).sort_values("w2", kind="stable", na_position="last")
    table = table.astype({name: float for name in COLUMNS if name.split("_ci_")[0] in FIGURES})
    laws = {str(name): law for name in table["method"] if (law := measurements[name].law) is not None}
    return Oracle(rows=table.reset_index(drop=True), laws=laws, truth=truth.law)


def default_entries() -> list[Entry]:
    """The methods of the suite `oracle`, then every other method of the tree and every preset, each once."""
    entries = list(read_suite(SUITE).listed("methods"))
    for component in list_components("methods"):
        entries += [Entry("methods", id) for id in (component.id, *(f"{component.id}@{p}" for p in component.presets))]
    once: dict[str, Entry] = {}
    for entry in entries:
        method = entry.load()
        once.setdefault(f"{type(method)}{field_values(method)}", entry)
    return list(once.values())


def _row(name: str, one: Measured, truth: Truth, problem: Problem, same: str | None) -> dict[str, Any]:
    row: dict[str, Any] = {"method": name, "kind": one.kind, "lag": problem.window, "steps": problem.steps}
    row |= {"samples": one.samples, "same_as": same, "reason": one.reason}
    if one.law is not None:
        row |= truth.figures(one.law, one.borders, problem.window)
        for figure, (low, high) in jackknife_intervals(one.parts, truth, one.borders, problem.window).items():
            row |= {f"{figure}_ci_low": low, f"{figure}_ci_high": high}
    return row


def _same(measurements: dict[str, Measured]) -> dict[str, str]:
    """The first earlier method with an equal exact law, by the name of each method that has one."""
    same: dict[str, str] = {}
    exact = {
        name: one.law.covariance for name, one in measurements.items() if one.law is not None and one.kind == "exact"
    }
    for name, covariance in exact.items():
        for other, before in exact.items():
            if other == name:
                break
            if other not in same and float((covariance - before).abs().max()) < ALIKE:
                same[name] = other
                break
    return same
