"""The gate both ways: unchanged runs hold, damaged ones fall, unlike ones are refused with the reason."""

import time

import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats
from syncbench.bench.analysis import stats
from syncbench.bench.gate.gate import TAIL, Gate, compare
from syncbench.bench.types import SyncbenchError

from ..gate_records import run


def verdicts(answer: Gate, method: str = "multidiffusion") -> dict[str, str]:
    rows = answer.table[answer.table["method"] == method]
    return dict(zip(rows["metric"], rows["verdict"], strict=True))


def test_an_exact_repetition_holds():
    answer = compare(run(), run())
    assert answer.code == 0
    assert set(answer.table["verdict"]) == {"holds"}
    assert answer.headline == "holds: 6 holds"
    assert "seconds" not in set(answer.table["metric"])


def test_an_exact_repetition_holds_even_without_margin():
    assert compare(run(), run(), fraction=0.0).code == 0


@pytest.mark.parametrize("metric", ["seam_ratio", "intra_lpips[reference]", "clip_text[reference]"])
def test_damage_to_one_metric_falls_in_its_direction(metric: str):
    answer = compare(run(shift=0.4, noise=1, only=metric), run(noise=2))
    assert answer.code == 1
    assert verdicts(answer)[metric] == "regressed"
    assert set(verdicts(answer, "independent").values()) == {"holds"}
    better = compare(run(shift=-0.4, noise=1, only=metric), run(noise=2))
    assert better.code == 0


def test_target_is_judged_by_distance():
    fallen = run()
    where = fallen["metric"] == "seam_ratio"
    fallen.loc[where, "value"] = 2 - fallen.loc[where, "value"]
    assert compare(fallen, run()).code == 0


def test_declared_margin_decides():
    worse, was = run(shift=0.4, noise=1), run(noise=2)
    margins = {"seam_ratio": 0.6, "intra_lpips": 0.6, "clip_text": 0.6}
    assert compare(worse, was, margins=margins).code == 0
    assert compare(worse, was, margins={**margins, "clip_text": 0.3}).code == 1
    assert verdicts(compare(run(shift=0.4), run(), margins={"seconds": 0.1}))["seconds"] == "regressed"


def test_the_bound_is_the_upper_end_of_an_interval_of_its_level():
    new, old = run(shift=0.02, noise=1), run(noise=2)
    row = compare(new, old).table.query("metric == 'intra_lpips[reference]' and method == 'multidiffusion'").iloc[0]
    part = [r[(r["metric"] == row["metric"]) & (r["method"] == row["method"])] for r in (new, old)]
    d = part[0].groupby("item")["value"].mean() - part[1].groupby("item")["value"].mean()
    assert row["bound"] == pytest.approx(stats.interval(d, tests=stats.LEVEL / 2 / TAIL).high)
    assert row["bound"] >= scipy_stats.ttest_1samp(d, 0, alternative="less").confidence_interval(1 - TAIL).high - 1e-9
    assert row["worse_by"] == pytest.approx(d.mean())
    assert row["n_items"] == 12


def test_too_few_items_are_undecided_not_held():
    answer = compare(run(items=3, shift=0.02, noise=1), run(items=3, noise=2), fraction=0.05)
    assert answer.code == 1
    assert "undecided" in set(answer.table["verdict"])
    assert compare(run(items=3, noise=1), run(items=3, noise=2), fraction=0.05, allow_undecided=True).code == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"fingerprint": "x"}, "fingerprint of"),
        ({"metric_version": 2}, "metric version of"),
        ({"revision": "x"}, "model weights of"),
        ({"dataset_version": 2}, "data set version of"),
        ({"protocol": {"steps": 50}}, "protocol of"),
        ({"dataset": "other"}, "share no data set"),
        ({"method": "other"}, "share no method"),
    ],
)
def test_unlike_runs_are_refused_with_the_reason(change: dict[str, object], said: str):
    new = run()
    for name, value in change.items():
        new[name] = [value] * len(new)
    answer = compare(new, run())
    assert answer.code == 2
    assert said in answer.headline
    assert answer.headline in answer.text()


def test_missing_items_and_metrics_are_refused():
    new = run()
    answer = compare(new[~((new["item"] == "i3") & (new["seed"] == 1))], run())
    assert answer.code == 2
    assert "lacks 2 samples of the baseline, first independent on panoramas/i3 with seed 1" in answer.headline
    assert "lacks the metric seconds" in compare(new[new["metric"] != "seconds"], run()).headline


def test_lost_values_are_a_regression_and_gained_ones_are_not():
    new = run()
    where = (new["item"] == "i3") & (new["metric"] == "seam_ratio")
    new.loc[where, ["value", "reason"]] = [None, "no border"]
    answer = compare(new, run())
    assert answer.code == 1
    assert "2 values lost: no border" in answer.text()
    assert compare(run(), new).code == 0


def test_a_metric_without_a_value_neither_holds_nor_falls():
    def void(r: pd.DataFrame, metric: str) -> pd.DataFrame:
        gone = r.copy()
        gone.loc[gone["metric"] == metric, ["value", "reason"]] = [None, "no borders"]
        return gone

    both = compare(void(run(), "seam_ratio"), void(run(), "seam_ratio"))
    assert both.code == 0
    assert both.headline == "holds: 2 null, 4 holds"
    assert verdicts(both)["seam_ratio"] == "null"
    rows = [line.split()[0] for line in both.text().splitlines()[3:]]
    assert rows == ["null", "null", "holds", "holds", "holds", "holds"]
    assert "no value to compare with" in both.markdown()
    gained = compare(run(), void(run(), "seam_ratio"))
    assert (gained.code, verdicts(gained)["seam_ratio"]) == (0, "null")
    assert compare(void(run(), "seam_ratio"), run()).code == 1, "lost values are a regression"
    nothing = run()
    nothing["value"] = None
    answer = compare(nothing, nothing)
    assert answer.code == 2
    assert answer.headline == "not comparable: no metric has a value in both runs (6 comparisons, each null)"


def test_errored_jobs_are_a_regression():
    new = run()
    where = (new["item"] == "i3") & (new["method"] == "multidiffusion")
    new.loc[where, ["value", "reason", "status", "fingerprint"]] = [None, "out of memory", "error", ""]
    answer = compare(new, run())
    assert answer.code == 1
    assert "out of memory" in answer.markdown()


def test_a_method_of_one_run_only_is_noted():
    new = run()
    answer = compare(new[new["method"] == "multidiffusion"], run())
    assert answer.code == 0
    assert answer.notes == ("independent is in the baseline only: not compared",)


def test_margins_that_make_no_sense_are_one_sentence():
    with pytest.raises(SyncbenchError, match="no metric 'sem_ratio' in the baseline: it holds"):
        compare(run(), run(), margins={"sem_ratio": 1})
    with pytest.raises(SyncbenchError, match="margin of seam_ratio is -1"):
        compare(run(), run(), margins={"seam_ratio": -1})


def test_markdown_puts_trouble_first_and_keeps_its_columns():
    shown = compare(run(shift=0.4, noise=1, only="seam_ratio"), run(noise=2)).markdown()
    table = [line for line in shown.splitlines() if line.startswith("|")]
    assert "regressed" in table[2]
    assert len({line.count("|") for line in table}) == 1


def test_unlike_seeds_need_to_be_declared():
    old, new = run(noise=1), run(noise=2, seeds=(7, 8))
    assert "lacks 48 samples of the baseline" in compare(new, old).headline
    assert compare(new, old, reseeded=True).code == 0
    said = compare(new[new["item"] != "i3"], old, reseeded=True).headline
    assert said.endswith("lacks 2 items of the baseline, first independent on panoramas/i3")


def test_reseeded_margins_come_from_the_seeds_of_the_baseline():
    old, new = run(noise=1, sigma=0.3), run(noise=2, sigma=0.3, seeds=(7, 8, 9))
    row = compare(new, old, reseeded=True).table.query("metric == 'seam_ratio' and method == 'multidiffusion'").iloc[0]
    part = old[(old["metric"] == row["metric"]) & (old["method"] == row["method"])]
    within = part.groupby("item")["value"].var(ddof=1).mean() * 12 / scipy_stats.chi2.ppf(0.05, 12)
    error = np.sqrt(within * (1 / 2 + 1 / 3) / 12)
    assert row["margin"] == pytest.approx(stats.unchanged_bound(12, TAIL, 1 - 0.01 / 6) * error)
    assert compare(new, old, reseeded=True, margins={"seam_ratio": 0.01}).table["margin"].min() == 0.01


def test_one_seed_does_not_say_what_re_seeding_moves():
    old, new = run(noise=1, seeds=(0,)), run(noise=2, seeds=(7, 8))
    answer = compare(new, old, reseeded=True)
    assert answer.code == 2
    assert "has one seed an item of independent (clip_text[reference]), which does not say" in answer.headline
    declared = {"seam_ratio": 1.0, "intra_lpips": 1.0, "clip_text": 1.0}
    assert compare(new, old, reseeded=True, margins=declared).code == 0


def test_a_seed_lost_by_a_reseeded_run_is_a_regression():
    old, new = run(noise=1), run(noise=2, seeds=(7, 8))
    new.loc[(new["item"] == "i3") & (new["seed"] == 7), ["value", "reason", "status"]] = [None, "a bolt", "error"]
    answer = compare(new, old, reseeded=True)
    assert answer.code == 1
    assert "1 values lost: a bolt" in answer.text()


@pytest.mark.slow
@pytest.mark.parametrize("reseeded", [False, True])
def test_rates_of_unchanged_and_damaged_runs(reseeded: bool):
    """At least 95 of 100 unchanged runs hold, at least 90 of 100 damaged ones fall.

    Repetitions differ by a tenth of the spread of the items, runs of other seeds by six tenths of it. The damage to one
    metric of one method is 0.3 spreads, and 0.5 spreads.
    """
    if reseeded:
        known = {"items": 24, "sigma": 0.3, "seeds": (0, 1, 2, 3)}
        other = {**known, "seeds": (4, 5, 6, 7)}
    else:
        known = other = {"items": 12, "sigma": 0.05, "seeds": (0, 1)}
    damage = 0.25 if reseeded else 0.15
    start = time.perf_counter()
    counts = {"held": 0, "fell": 0}
    for i in range(100):
        was, now = run(noise=2 * i + 10, **known), run(noise=2 * i + 11, **other)
        worse = run(noise=2 * i + 11, shift=damage, only="intra_lpips[reference]", **other)
        counts["held"] += compare(now, was, reseeded=reseeded).code == 0
        counts["fell"] += compare(worse, was, reseeded=reseeded).code == 1
    print(f"reseeded={reseeded}: {counts} of 100, {time.perf_counter() - start:.0f} s for 200 gates")
    assert counts["held"] >= 95
    assert counts["fell"] >= 90
