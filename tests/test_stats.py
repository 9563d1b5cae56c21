"""Statistics against brute force, closed forms and simulated truth."""

from itertools import product
from math import sqrt

import numpy as np
import pytest
from scipy import stats as scipy_stats
from syncbench.bench import stats
from syncbench.bench.errors import SyncbenchError


@pytest.mark.parametrize("n", [2, 3, 6, 8])
def test_signflip_is_every_sign_pattern(n: int):
    d = np.random.default_rng(n).normal(0.4, 1.0, n)
    flips = np.array(list(product([-1, 1], repeat=n))) * d
    extreme = np.abs(flips.mean(1)) >= abs(d.mean()) - 1e-12
    assert stats.signflip(d) == pytest.approx(extreme.mean())


@pytest.mark.parametrize("n", [14, 40])
def test_signflip_by_sampling_agrees_with_the_t_test_of_normal_data(n: int):
    d = np.random.default_rng(n).normal(0.3, 1.0, n)
    assert stats.signflip(d) == pytest.approx(scipy_stats.ttest_1samp(d, 0).pvalue, rel=0.15)


def test_signflip_by_sampling_agrees_with_every_pattern():
    d = np.random.default_rng(1).normal(0.3, 1.0, 12)
    assert stats.signflip(d, resamples=4000) == pytest.approx(stats.signflip(d), abs=0.02)


def test_signflip_of_no_difference_is_one_and_of_one_item_unknown():
    assert stats.signflip(np.zeros(5)) == 1.0
    assert np.isnan(stats.signflip([0.3]))


def test_signflip_smallest_p():
    assert stats.signflip(np.ones(7)) == pytest.approx(2 / 2**7)


def test_holm_worked_example():
    # 0.01*4, max(0.02*3, .04), max(0.03*2, .06), max(0.005*...) in sorted order 0.005, 0.01, 0.03, 0.04.
    assert stats.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_is_monotone_capped_and_keeps_nan():
    p = np.random.default_rng(0).uniform(size=20)
    adjusted = stats.holm(p)
    assert (np.diff(adjusted[np.argsort(p)]) >= 0).all()
    assert (adjusted >= p).all()
    assert adjusted.max() <= 1
    with_nan = stats.holm([0.01, np.nan, 0.02])
    assert np.isnan(with_nan[1])
    assert with_nan[[0, 2]] == pytest.approx([0.02, 0.02])


@pytest.mark.parametrize("n", [4, 15, 80])
@pytest.mark.parametrize("confidence", [0.95, 0.9])
def test_interval_equals_scipy_called_plainly(n: int, confidence: float):
    x = np.random.default_rng(n).gamma(2.0, size=n)
    # Eighths: SciPy's sums are exact then, and resamples that tie with the mean are ties for it, too.
    x = np.round(x * 8) / 8 * 3 * n
    plain = scipy_stats.bootstrap(
        (x,),
        lambda v, axis: v.mean(axis),
        n_resamples=stats.RESAMPLES,
        confidence_level=confidence,
        method="BCa",
        rng=np.random.default_rng(0),
    ).confidence_interval
    got = stats.interval(x, confidence=confidence)
    assert (got.low, got.high) == pytest.approx((plain.low, plain.high), rel=1e-9)
    assert got.mean == pytest.approx(x.mean())
    assert got.half == pytest.approx((plain.high - plain.low) / 2)


def test_an_interval_without_correction_is_the_percentile_interval_and_says_so():
    # All but one resample in many lie on one side: no finite bias correction.
    x = np.array([0.0, 0.0, 0.0, 1e6])
    low, high = stats._bootstrap(x[:, None], "percentile", 0.95, 0)
    plain = scipy_stats.bootstrap(
        (x,), np.mean, n_resamples=stats.RESAMPLES, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    assert (low[0], high[0]) == pytest.approx((plain.low, plain.high))


def test_interval_of_many_columns_equals_one_at_a_time():
    table = np.random.default_rng(4).normal(size=(9, 5))
    table[:, 2] = 7.0
    together = stats.intervals(table)
    for column, got in zip(table.T, together, strict=True):
        alone = stats.interval(column)
        assert got.reason == alone.reason
        assert (got.low, got.high, got.mean) == pytest.approx((alone.low, alone.high, alone.mean))


def test_interval_says_why_there_is_none():
    few = stats.interval([1.0, 2.0])
    assert (few.low, few.high, few.half, few.mean) == (None, None, None, 1.5)
    assert few.reason == "2 items: an interval needs 3"
    same = stats.interval([0.1 + 0.2, 0.3, 0.3])
    assert same.low is None
    assert "alike" in (same.reason or "")
    assert not same.excludes_zero
    assert stats.interval([]).n == 0


def test_interval_refuses_nulls():
    with pytest.raises(ValueError, match="nulls"):
        stats.interval([1.0, float("nan"), 2.0])


def test_interval_is_equivariant_and_repeatable():
    x = np.random.default_rng(5).exponential(size=10)
    once, again, moved = stats.interval(x), stats.interval(x), stats.interval(10 - 2 * x)
    assert once == again
    assert (moved.high, moved.low) == pytest.approx((10 - 2 * once.low, 10 - 2 * once.high), rel=0.02)


def test_paired_uses_the_pairing():
    rng = np.random.default_rng(6)
    level = rng.normal(0, 10, 12)
    a, b = level + 0.5 + rng.normal(0, 0.1, 12), level
    assert stats.paired(a, b).interval.excludes_zero
    assert stats.paired(a, b).p == pytest.approx(2 / 2**12)
    assert not stats.paired(a, rng.permutation(b)).interval.excludes_zero


def test_detectable_approaches_the_normal_formula():
    d = np.random.default_rng(7).normal(size=4000)
    d = (d - d.mean()) / d.std(ddof=1)
    z = scipy_stats.norm.ppf(0.975) + scipy_stats.norm.ppf(0.8)
    assert stats.detectable(d) == pytest.approx(z / sqrt(4000), rel=1e-3)


def test_detectable_has_the_power_it_claims():
    rng = np.random.default_rng(8)
    n = 8
    pattern = rng.normal(size=n)
    pattern = (pattern - pattern.mean()) / pattern.std(ddof=1)
    shift = stats.detectable(pattern)
    assert shift is not None
    p = scipy_stats.ttest_1samp(rng.normal(shift, 1, (20000, n)), 0, axis=1).pvalue
    assert (p < 0.05).mean() == pytest.approx(0.8, abs=0.01)


def test_detectable_of_constant_and_single():
    assert stats.detectable(np.full(5, 2.0)) == pytest.approx(0.0, abs=1e-12)
    assert stats.detectable([1.0, 2.0]) is None


def test_benjamini_hochberg_worked_example():
    # Sorted 0.005, 0.01, 0.03, 0.04: times 4/1, 4/2, 4/3, 4/4, then the running minimum from the end.
    assert stats.benjamini_hochberg([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.02, 0.04, 0.04, 0.02])
    with_nan = stats.benjamini_hochberg([0.01, np.nan, 0.02])
    assert np.isnan(with_nan[1])
    assert with_nan[[0, 2]] == pytest.approx([0.02, 0.02])
    assert np.isnan(stats.benjamini_hochberg([np.nan])).all()
    assert stats.benjamini_hochberg([]).shape == (0,)


@pytest.mark.parametrize("ratio", [0.02, 0.3, 1.0, 2.5])
def test_items_needed_is_where_the_power_is_reached(ratio: float):
    n = stats.items_needed(1.0, ratio)
    assert n is not None
    if n > 100:
        assert n == pytest.approx(7.849 / ratio**2, rel=0.02)
    else:
        rng = np.random.default_rng(0)
        p = scipy_stats.ttest_1samp(rng.normal(ratio, 1, (40000, n)), 0, axis=1).pvalue
        assert (p < 0.05).mean() >= 0.79
        if n > 3:
            p = scipy_stats.ttest_1samp(rng.normal(ratio, 1, (40000, n - 1)), 0, axis=1).pvalue
            assert (p < 0.05).mean() < 0.81


def test_items_needed_agrees_with_the_detectable_difference():
    d = np.random.default_rng(3).normal(size=14)
    shift = stats.detectable(d)
    assert shift is not None
    assert stats.items_needed(d.std(ddof=1), shift * 1.0001) == 14
    assert stats.items_needed(0.0, 0.1) == 3
    assert stats.items_needed(1.0, 1e-4) is None
    for wrong in ((1.0, 0.0), (-1.0, 1.0), (float("nan"), 1.0)):
        with pytest.raises(SyncbenchError, match="a difference above 0"):
            stats.items_needed(*wrong)


@pytest.mark.slow
@pytest.mark.parametrize(("draw", "least"), [("normal", 0.90), ("exponential", 0.86)])
def test_coverage_of_the_interval_with_twelve_items(draw: str, least: float):
    rng = np.random.default_rng(9)
    table = getattr(rng, draw)(size=(12, 2000))
    truth = 0.0 if draw == "normal" else 1.0
    held = [one.low <= truth <= one.high for one in stats.intervals(table)]
    print(f"{draw}: {np.mean(held):.3f} of 95 % intervals hold the truth")
    assert least <= np.mean(held) <= 0.96
