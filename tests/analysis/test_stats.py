"""Statistics against other routes to the same number, closed forms and simulated truth."""

from math import comb, sqrt

import numpy as np
import pytest
from scipy import optimize
from scipy import stats as scipy_stats
from syncbench.bench.analysis import stats
from syncbench.bench.errors import SyncbenchError


def transformed(t: float, values: np.ndarray) -> float:
    """Hall's transformation of a t statistic, written from the paper: g, with a = 1/3 and b = 1/6 of the mean."""
    n = len(values)
    g = scipy_stats.skew(values, bias=False) / sqrt(n)
    return t + g * t**2 / 3 + g**2 * t**3 / 27 + g / 6


@pytest.mark.parametrize("n", [3, 6, 15, 80])
@pytest.mark.parametrize("tests", [1, 15])
def test_an_interval_holds_what_neither_test_of_its_mean_rejects(n: int, tests: int):
    x = np.random.default_rng(n).gamma(1.0, size=n)
    got = stats.interval(x, tests=tests)
    tail = scipy_stats.t.isf(0.025 / tests, n - 1)

    def statistic(mean: float) -> float:
        return (x.mean() - mean) / (x.std(ddof=1) / sqrt(n))

    bounds = []
    for side in (1, -1):
        plain = x.mean() - side * tail * x.std(ddof=1) / sqrt(n)
        far = x.mean() - side * 1e4 * x.std(ddof=1)
        root = optimize.brentq(lambda mean: transformed(statistic(mean), x) - side * tail, far, x.mean() + side * 10)  # noqa: B023
        bounds.append(min(plain, root) if side == 1 else max(plain, root))
    assert (got.low, got.high) == pytest.approx(bounds, rel=1e-6)
    assert got.half == pytest.approx((bounds[1] - bounds[0]) / 2)
    assert got.mean == pytest.approx(x.mean())


def test_symmetric_items_have_students_interval():
    x = np.array([-3.0, -1.0, -0.5, 0.5, 1.0, 3.0]) + 7
    plain = scipy_stats.t.interval(0.95, 5, x.mean(), scipy_stats.sem(x))
    got = stats.interval(x)
    assert (got.low, got.high) == pytest.approx(plain)
    assert stats.interval(x - 7 + 0.3).p == pytest.approx(scipy_stats.ttest_1samp(x - 7 + 0.3, 0).pvalue)


def test_a_long_tail_widens_the_interval_on_its_side_only():
    x = np.array([0.0, 0.1, 0.2, 0.1, 0.3, 4.0])
    low, high = scipy_stats.t.interval(0.95, 5, x.mean(), scipy_stats.sem(x))
    got = stats.interval(x)
    assert got.low == pytest.approx(low)
    assert got.high > high + 1
    turned = stats.interval(-x)
    assert (turned.high, turned.low) == pytest.approx((-got.low, -got.high))


@pytest.mark.parametrize("tests", [1, 6, 55])
def test_an_interval_excludes_zero_exactly_where_p_is_below_the_level(tests: int):
    rng = np.random.default_rng(tests)
    table = rng.gamma(0.7, size=(7, 3000)) - rng.uniform(0, 3, 3000)
    found = stats.intervals(table, tests=tests)
    shown = [one.excludes_zero for one in found]
    assert shown == [one.p < stats.LEVEL for one in found]
    assert 20 < sum(shown) < 2900
    assert max(one.p for one in found) == 1.0


def test_intervals_hold_together_as_bonferroni_has_it():
    x = np.random.default_rng(3).normal(0.5, 1, 9)
    one, many = stats.interval(x), stats.interval(x, tests=10)
    assert many.p == pytest.approx(min(1, 10 * one.p))
    assert many.low < one.low < one.high < many.high


def test_interval_of_many_columns_equals_one_at_a_time():
    table = np.random.default_rng(4).normal(size=(9, 5))
    table[:, 2] = 7.0
    tests = np.array([1, 2, 3, 4, 5])
    for column, number, got in zip(table.T, tests, stats.intervals(table, tests=tests), strict=True):
        alone = stats.interval(column, tests=int(number))
        assert got.reason == alone.reason
        assert (got.low, got.high, got.mean) == pytest.approx((alone.low, alone.high, alone.mean))


def test_pooled_groups_keep_their_places_and_lose_their_nulls():
    values = np.array([1.0, np.nan, 5.0, 2.0, 6.0, 3.0, 7.0, 9.0])
    group = np.array([0, 0, 2, 0, 2, 0, 2, 2])
    found = stats.group_intervals(values, group, 4, np.array([1, 1, 3, 1]))
    assert [one.n for one in found] == [3, 0, 4, 0]
    assert found[0] == stats.interval([1.0, 2.0, 3.0])
    assert found[2] == stats.interval([5.0, 6.0, 7.0, 9.0], tests=3)


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
    assert (moved.high, moved.low) == pytest.approx((10 - 2 * once.low, 10 - 2 * once.high))


def test_fewer_than_six_items_are_measured_and_not_judged():
    x = np.array([1.0, 1.1, 0.9, 1.05, 0.95, 1.02])
    assert stats.interval(x[:5]).excludes_zero
    assert not stats.interval(x[:5]).separable
    assert stats.interval(x).separable
    assert not stats.interval(np.ones(5)).separable
    assert stats.interval(np.ones(6)).separable
    assert not stats.interval(np.zeros(6)).separable


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


def test_benjamini_hochberg_worked_example():
    # Sorted 0.005, 0.01, 0.03, 0.04: times 4/1, 4/2, 4/3, 4/4, then the running minimum from the end.
    assert stats.benjamini_hochberg([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.02, 0.04, 0.04, 0.02])
    with_nan = stats.benjamini_hochberg([0.01, np.nan, 0.02])
    assert np.isnan(with_nan[1])
    assert with_nan[[0, 2]] == pytest.approx([0.02, 0.02])
    assert np.isnan(stats.benjamini_hochberg([np.nan])).all()
    assert stats.benjamini_hochberg([]).shape == (0,)


@pytest.mark.parametrize(("n", "tests"), [(6, 1), (8, 3), (12, 15), (40, 55), (250, 1)])
def test_an_effect_is_found_as_often_as_it_claims(n: int, tests: int):
    shift = stats.detectable_effect(n, tests)
    items = np.random.default_rng(8).normal(shift, 1, (n, 8000))
    shown = np.mean([one.low > 0 for one in stats.intervals(items, tests=tests)])
    assert shown == pytest.approx(0.8, abs=0.02)


def test_effects_of_many_items_are_those_of_the_t_test():
    z = scipy_stats.norm.ppf(0.975) + scipy_stats.norm.ppf(0.8)
    assert stats.detectable_effect(4000) == pytest.approx(z / sqrt(4000), rel=1e-3)
    assert stats.detectable_effect(200) == pytest.approx(stats.detectable_effect(201), rel=0.02)


@pytest.mark.parametrize("ratio", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("tests", [1, 15])
def test_items_needed_are_the_fewest_that_show_it(ratio: float, tests: int):
    n = stats.items_needed(2.0, 2.0 * ratio, tests=tests)
    assert n is not None
    assert stats.detectable_effect(n, tests) <= ratio
    assert n == stats.ENOUGH or stats.detectable_effect(n - 1, tests) > ratio


def test_items_needed_has_bounds_and_refuses_nonsense():
    assert stats.items_needed(1.0, 0.02) == pytest.approx(7.849 / 0.02**2, rel=0.02)
    assert stats.items_needed(0.0, 0.1) == stats.ENOUGH
    assert stats.items_needed(1.0, 1e-4) is None
    for wrong in ((1.0, 0.0), (-1.0, 1.0), (float("nan"), 1.0)):
        with pytest.raises(SyncbenchError, match="a difference above 0"):
            stats.items_needed(*wrong)


def test_few_items_say_what_they_show_and_how_many_would():
    assert stats.shortage_note(24, comb(6, 2)) is None
    said = stats.shortage_note(6, comb(6, 2))
    assert said is not None
    assert "only differences of 4.7 times their spread" in said
    assert "take at least 14" in said
    assert stats.detectable_effect(14, 15) <= stats.LARGE < stats.detectable_effect(13, 15)
    assert "cannot be judged: take at least 6, and 8 for one comparison" in (stats.shortage_note(3, 1) or "")


@pytest.mark.parametrize(("n", "chance"), [(6, 0.99), (24, 0.998)])
def test_the_bound_of_no_change_is_exceeded_as_rarely_as_it_claims(n: int, chance: float):
    items = np.random.default_rng(1).normal(size=(n, 40_000))
    error, skew = stats.error_and_skew(items)
    bounds = (items.mean(axis=0) + stats.interval_reach(n, -skew, 0.01) * error) * sqrt(n)
    assert (bounds < stats.unchanged_bound(n, 0.01, chance)).mean() == pytest.approx(chance, abs=0.0015)


def test_signs_of_many_columns_are_those_of_their_intervals() -> None:
    generator = np.random.default_rng(3)
    table = generator.standard_gamma(1.0, (12, 300)) - generator.uniform(0, 2, 300)
    table[:, :20] = generator.uniform(-1, 1, 20)  # all items alike
    table[generator.uniform(size=table.shape) < 0.4] = np.nan
    found, counts = stats.separable_signs(table, tests=3)
    for column, sign, count in zip(table.T, found, counts, strict=True):
        one = stats.interval(column[np.isfinite(column)], tests=3)
        assert (one.n, int(one.separable) * np.sign(one.mean)) == (count, sign)
    assert set(found) == {-1, 0, 1}
    assert counts.min() < stats.ENOUGH
