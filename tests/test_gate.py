"""The gate both ways: unchanged runs hold, damaged ones fall, unlike ones are refused with the reason."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats
from syncbench.bench.gate import Gate, compare
from syncbench.bench.types import Record, SyncbenchError

METRICS = {
    "seam_ratio": "target:1",
    "intra_lpips[reference]": "lower",
    "clip_text[reference]": "higher",
    "seconds": "lower",
}
WORSE = {"seam_ratio": 1.0, "intra_lpips[reference]": 1.0, "clip_text[reference]": -1.0, "seconds": 1.0}


def run(items: int = 8, shift: float = 0.0, noise: int | None = None, only: str | None = None) -> pd.DataFrame:
    """A run; `shift` worsens every metric (or `only` one), `noise` is the seed of what a re-seeded run changes."""
    base = np.random.default_rng(0).normal(0, 0.5, items)
    fresh = np.random.default_rng(noise).normal(0, 0.05, (2, len(METRICS), items, 2)) if noise is not None else None
    made: list[dict[str, object]] = []
    for m, method in enumerate(("multidiffusion", "independent")):
        for k, (metric, direction) in enumerate(METRICS.items()):
            for i in range(items):
                for seed in range(2):
                    value = 3 + base[i] + (fresh[m, k, i, seed] if fresh is not None else 0.0)
                    if only in (None, metric) and method == "multidiffusion":
                        value += shift * WORSE[metric]
                    made.append(
                        {
                            "key": f"{method}{i}{seed}",
                            "family": "overlap",
                            "dataset": "panoramas",
                            "dataset_version": 1,
                            "item": f"i{i}",
                            "model": "reference",
                            "revision": "abc",
                            "method": method,
                            "method_version": 1,
                            "door": "controlled",
                            "anchor": None,
                            "params": {},
                            "protocol": {"steps": 10},
                            "seed": seed,
                            "metric": metric,
                            "metric_version": 1,
                            "fingerprint": f"{metric}/1",
                            "direction": direction,
                            "unit": "",
                            "value": float(value),
                            "coverage": 1.0,
                            "reason": None,
                            "status": "ok",
                        }
                    )
    return pd.DataFrame(made, columns=Record.columns())


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


def test_the_bound_is_the_one_sided_t_bound():
    new, old = run(shift=0.02, noise=1), run(noise=2)
    row = compare(new, old).table.query("metric == 'intra_lpips[reference]' and method == 'multidiffusion'").iloc[0]
    part = [r[(r["metric"] == row["metric"]) & (r["method"] == row["method"])] for r in (new, old)]
    d = part[0].groupby("item")["value"].mean() - part[1].groupby("item")["value"].mean()
    one_sided = scipy_stats.ttest_1samp(d, 0, alternative="less").confidence_interval(0.95).high
    assert row["bound"] == pytest.approx(one_sided)
    assert row["worse_by"] == pytest.approx(d.mean())
    assert row["n_items"] == 8


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


@pytest.mark.slow
def test_rates_of_reseeded_and_damaged_runs():
    held = [compare(run(items=12, noise=2 * i + 10), run(items=12, noise=2 * i + 11)).code == 0 for i in range(40)]
    fell = [
        compare(run(items=12, noise=2 * i + 10, shift=0.15), run(items=12, noise=2 * i + 11)).code == 1
        for i in range(40)
    ]
    print(f"unchanged held {sum(held)} of 40, damaged fell {sum(fell)} of 40")
    assert sum(held) >= 38
    assert sum(fell) >= 36
