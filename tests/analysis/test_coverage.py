"""What the statistics promise, simulated: intervals that cover, boards of equals without losers, gates that hold.

Every sentence of the README about them is one of these bounds; `pytest -s tests/analysis/test_coverage.py` prints the
table.
"""

from itertools import combinations
from math import exp, pi

import numpy as np
import pandas as pd
import pytest
from syncbench.bench.analysis import stats
from syncbench.bench.analysis.differences import differences
from syncbench.bench.analysis.summary import report_rows
from syncbench.bench.gate.gate import TAIL, compare
from syncbench.metrics.variety import pseudo_values

from ..gate_records import METRICS
from ..gate_records import run as gate_run
from ..report_records import frame, record

SIZE = 6000
"""Simulated samples a figure: its standard error is 0.3 % near 95 %."""
LAWS = {
    "normal": (lambda r, s: r.normal(size=s), 0.0),
    "uniform": (lambda r, s: r.random(s), 0.5),
    "t of 3 degrees": (lambda r, s: r.standard_t(3, s), 0.0),
    "difference of exponentials": (lambda r, s: r.exponential(size=s) - r.exponential(size=s), 0.0),
    "difference of lognormals": (lambda r, s: r.lognormal(size=s) - r.lognormal(size=s), 0.0),
    "gamma of 4": (lambda r, s: r.gamma(4, size=s), 4.0),
    "skewed difference": (lambda r, s: r.exponential(size=s) - 1 - 0.5 * r.normal(size=s), 0.0),
    "exponential": (lambda r, s: r.exponential(size=s), 1.0),
    "lognormal": (lambda r, s: r.lognormal(size=s), exp(0.5)),
    "one in five is 5 higher": (lambda r, s: 5 * (r.random(s) < 0.2) + r.normal(size=s), 1.0),
}
SYMMETRIC = ("normal", "uniform", "t of 3 degrees", "difference of exponentials", "difference of lognormals")
LEAST = {name: 0.93 if name in SYMMETRIC else 0.90 for name in LAWS}


@pytest.mark.parametrize("n", [6, 12, 24])
@pytest.mark.parametrize("law", LAWS)
def test_intervals_cover(law: str, n: int):
    draw, truth = LAWS[law]
    table = draw(np.random.default_rng(n), (n, SIZE))
    found = stats.intervals(table)
    covered = np.mean([one.low <= truth <= one.high for one in found])
    t = 2 * np.std(table, axis=0, ddof=1) / np.sqrt(n) * stats.interval_reach(n, np.zeros(SIZE), 0.025)
    wider = np.median([one.high - one.low for one in found] / t)
    print(f"\n{law}, {n} items: {covered:.3f} of 95 % intervals hold the mean, {wider:.2f} of Student's width")
    # bounds are the promise less two standard errors of this simulation
    assert covered >= LEAST[law] - 0.008
    assert wider < 2


@pytest.mark.parametrize("n", [6, 12, 24])
def test_the_mean_over_pairs_of_items_is_covered(n: int):
    """Variety compares items with each other: its values by item are made so that its intervals are as true."""
    truth = 2 / pi**0.5  # mean distance of two normal numbers
    covered = plain = 0
    for row in np.random.default_rng(n).normal(size=(1000, n)):
        apart = np.abs(row[:, None] - row[None])
        pairs = {(f"{i:02d}", f"{j:02d}"): float(apart[i, j]) for i, j in combinations(range(n), 2)}
        one = stats.interval(list(pseudo_values(pairs).values()))
        covered += one.low <= truth <= one.high
        one = stats.interval(apart.sum(axis=1) / (n - 1))
        plain += one.low <= truth <= one.high
    print(f"\nmean distance of {n} items: {covered / 1000:.3f} covered, {plain / 1000:.3f} by plain means of items")
    assert covered / 1000 >= 0.91
    assert plain / 1000 < 0.85


@pytest.mark.parametrize("n", [6, 12, 24])
@pytest.mark.parametrize("law", ["normal", "exponential", "lognormal"])
def test_equal_methods_seldom_lose(law: str, n: int):
    """Of boards of six equal methods on items that differ, at most 5 % deny any of them its tie with any other."""
    draw, _ = LAWS[law]
    rng = np.random.default_rng(n)
    values = draw(rng, (6, n, 3000)) + 3 * rng.normal(size=(1, n, 3000))
    lost = np.zeros(3000, dtype=bool)
    for a, b in combinations(values, 2):
        lost |= [one.separable for one in stats.intervals(a - b, tests=15)]
    print(f"\n{law}, {n} items: {lost.mean():.3f} of boards of six equal methods show a difference")
    assert lost.mean() <= 0.05


@pytest.mark.slow
def test_boards_of_equal_methods_have_one_rank():
    """The same through the whole report: marks, ranks and differences agree, and seldom deny a tie."""
    wrong = 0
    for i in range(200):
        rng = np.random.default_rng(i)
        hard = 3 * rng.normal(size=6)
        made = frame(
            [
                record(f"m{m}", "seam_ratio", item, 0, 10 + float(hard[item] + rng.normal()))
                for m in range(6)
                for item in range(6)
            ]
        )
        shown = report_rows(made)
        lost = (shown["mark"] != "best").any()
        assert lost == ((shown["rank_low"] > 1).any() and (shown["mark"] != "best").any())
        assert (
            differences(made, pairs="all")["better"].notna().any()
            == ((shown["rank_low"] > 1) | (shown["rank_high"] < 6)).any()
        )
        wrong += lost
    print(f"\n{wrong} of 200 boards of six equal methods deny one its tie")
    assert wrong <= 14


LOSSES = {**{name: LAWS[name] for name in ("normal", "gamma of 4", "exponential", "lognormal")}}


@pytest.mark.parametrize("n", [6, 8, 12, 24])
@pytest.mark.parametrize("law", LOSSES)
def test_a_loss_as_large_as_the_margin_seldom_passes(law: str, n: int):
    draw, truth = LOSSES[law]
    table = draw(np.random.default_rng(n), (n, 20_000))
    error, skew = stats.error_and_skew(table)
    passed = (table.mean(axis=0) + stats.interval_reach(n, -skew, TAIL) * error <= truth).mean()
    print(f"\n{law} losses, {n} items: {passed:.3f} of losses equal to the margin pass")
    assert passed <= (0.015 if law == "normal" else 0.07)


def few_lose(rng: np.random.Generator, items: int, margin: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A baseline and a candidate whose loss, lognormal over items, is the margin on average."""
    was = gate_run(items=items, seeds=(0,))
    now = was.copy()
    for metric, direction in METRICS.items():
        lost = rng.lognormal(size=items) / exp(0.5) * margin * (-1 if direction == "higher" else 1)
        now.loc[now["metric"] == metric, "value"] += lost[now.loc[now["metric"] == metric, "item"].str[1:].astype(int)]
    return was, now


@pytest.mark.slow
def test_the_gate_passes_few_skewed_losses():
    passed = tried = 0
    for i in range(300):
        was, now = few_lose(np.random.default_rng(i), 12, 0.3)
        table = compare(now, was, margins={"seam_ratio": 0.3, "intra_lpips": 0.3, "clip_text": 0.3}).table
        one = table[table["method"] == "multidiffusion"]
        passed, tried = passed + (one["verdict"] == "holds").sum(), tried + len(one)
    print(f"\n{passed / tried:.3f} of lognormal losses equal to the margin pass the gate, {tried} tried")
    assert passed / tried <= 0.07


@pytest.mark.slow
@pytest.mark.parametrize(("items", "seeds"), [(6, 2), (12, 2), (6, 4), (24, 4)])
def test_unchanged_methods_hold_when_re_seeded(items: int, seeds: int):
    """At least 98 of 100 gates of all metrics together, whatever the number of items and seeds."""
    held = 0
    for i in range(300):
        was = gate_run(items=items, noise=2 * i, sigma=0.3, seeds=tuple(range(seeds)))
        now = gate_run(items=items, noise=2 * i + 1, sigma=0.3, seeds=tuple(range(9, 9 + seeds)))
        held += compare(now, was, reseeded=True).code == 0
    print(f"\n{items} items, {seeds} seeds: {held / 300:.3f} of unchanged runs hold when re-seeded")
    assert held / 300 >= 0.98
