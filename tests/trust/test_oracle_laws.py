"""`syncbench oracle`: exact laws, what is measured from samples instead, distances, figures, and the command."""

import json
from dataclasses import dataclass, replace
from math import sqrt
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from scipy import linalg, stats
from syncbench import run
from syncbench.bench.analysis.summary import summary
from syncbench.bench.cli.main import app
from syncbench.bench.errors import SyncbenchError
from syncbench.bench.models.gauss import Gauss
from syncbench.bench.sampling.loop import Method, Step
from syncbench.bench.store.records import read_records as load_records
from syncbench.bench.trust.oracle import COLUMNS, FIGURES, default_entries, oracle
from syncbench.bench.trust.oracle.agreement import agreement
from syncbench.bench.trust.oracle.agreement import oracle_records as results_of
from syncbench.bench.trust.oracle.law import Law, Truth
from syncbench.bench.trust.oracle.linear import affine_map
from syncbench.bench.trust.oracle.measured import measured_law
from syncbench.bench.trust.oracle.problem import Problem
from syncbench.bench.trust.oracle.samples import estimated_law, jackknife_intervals, run_moments
from syncbench.datasets.gaussian_fields import GaussianFields
from syncbench.methods.geometry.synctweedies import SyncTweedies
from syncbench.methods.independent import Independent
from syncbench.methods.overlap.feather import Feather
from syncbench.methods.overlap.least_squares import LeastSquares
from syncbench.methods.overlap.multidiffusion import MultiDiffusion
from syncbench.methods.trap import Trap
from torch import Tensor
from typer.testing import CliRunner

SMALL = Problem(width=128, window=32, steps=8)


def matrix(method: Method, problem: Problem = SMALL) -> Tensor:
    found = affine_map(method, problem, [problem.run(method, seed) for seed in (0, 1)])
    assert found is not None
    return found.matrix


def joint_law(problem: Problem) -> Tensor:
    """Covariance that deterministic DDIM gives the whole circle: a recursion per eigenvalue, no method involved."""
    values, vectors = torch.linalg.eigh(problem.truth())
    scale = torch.ones_like(values)
    for level in problem.model().schedule(problem.steps):
        gain = level.a * values / (level.a**2 * values + level.b**2)
        scale = scale * (level.a_next * gain + level.b_next * (1 - level.a * gain) / level.b)
    return (vectors * scale.square()) @ vectors.T


@pytest.fixture(scope="module")
def spread() -> dict[str, dict[str, Any]]:
    """Full-sized rows by method."""
    names = ["independent", "multidiffusion", "feather", "least_squares@poisson", "trap@constant", "mvdream", "truth"]
    rows = oracle([*names, "independent@shared"]).rows
    assert list(rows.columns) == COLUMNS
    return {row["method"]: row for row in rows.to_dict("records")}


def test_the_figures_of_the_throw_away_calculation(spread: dict[str, dict[str, Any]]) -> None:
    """Issue 4 gives W2, variance, covariance at lag 64 and the largest squared jump, computed by other code."""
    expected = {
        "joint": (0.082, 0.863, 0.042, None),
        "multidiffusion[stride=1.0]": (0.275, 0.874, 0.000, 1.80),
        "multidiffusion[stride=0.5]": (0.180, 0.799, 0.005, 0.14),
        "multidiffusion": (0.153, 0.772, 0.006, 0.019),
    }
    jump = 2 - 2 * (0.7 * np.exp(-1 / 288) + 0.3 * np.exp(-1 / 40))
    for name, (w2, variance, covariance, largest) in expected.items():
        row = spread[name]
        assert row["kind"] == "exact"
        assert row["w2"] == pytest.approx(w2, abs=6e-4)
        assert row["variance"] == pytest.approx(variance, abs=6e-4)
        assert row["covariance"] == pytest.approx(covariance, abs=6e-4)
        if largest is not None:
            assert row["jump_largest"] * jump == pytest.approx(largest, rel=0.05)
    assert spread["truth"]["covariance"] == pytest.approx(0.3 * np.exp(-64 / 40), abs=1e-6)


def test_order_and_what_each_method_loses(spread: dict[str, dict[str, Any]]) -> None:
    w2 = {name: row["w2"] for name, row in spread.items()}
    assert w2["truth"] < w2["joint"] < w2["multidiffusion"] < w2["independent"] < w2["trap@constant"]
    assert w2["independent"] < w2["independent@shared"]
    assert spread["independent"]["jump_border"] > 50
    assert spread["multidiffusion"]["jump_border"] < 1.2
    for name in ("multidiffusion", "feather", "independent", "least_squares@poisson"):
        assert spread[name]["correlation"] < 0.2 * spread["truth"]["correlation"], "long range is never restored"
    assert spread["multidiffusion"]["variance"] < spread["joint"]["variance"] - 0.05
    assert spread["multidiffusion[stride=1.0]"]["same_as"] == "independent"
    assert spread["mvdream"]["reason"] == "needs a model with camera, joint; gauss has none"
    assert np.isnan(spread["mvdream"]["w2"])


@pytest.mark.parametrize("stride", [0.25, 0.5])
def test_averaging_eps_x0_or_next_is_one_map(stride: float) -> None:
    reference = matrix(MultiDiffusion(stride=stride))
    assert reference.dtype == torch.float64
    for averaged in ("x0", "eps", "next"):
        got = matrix(SyncTweedies(averaged=averaged, stride=stride, end=1.0))
        torch.testing.assert_close(got, reference, rtol=0, atol=1e-6)
    assert float((matrix(SyncTweedies(stride=stride, end=0.5)) - reference).abs().max()) > 1e-3


@pytest.mark.parametrize("method", [Independent(), MultiDiffusion(), SyncTweedies(), Feather(stride=None)])
def test_a_window_as_wide_as_the_panorama_gives_the_joint_law(method: Method) -> None:
    m = matrix(replace(method, stride=None), SMALL.joint)
    torch.testing.assert_close(m @ m.T, joint_law(SMALL), rtol=0, atol=1e-9)


def test_sampled_covariance_is_the_closed_form_within_monte_carlo_error() -> None:
    method, n = MultiDiffusion(stride=0.5), 4000
    rows = SMALL.run(method, seed=5, channels=n).made[:, 0]

    def z(m: Tensor) -> Tensor:
        """Sampled covariance minus identity, in standard errors, in the basis where m m^T is the identity."""
        white = torch.linalg.solve(m, rows.T)
        eye = torch.eye(len(m), dtype=m.dtype)
        return (white @ white.T / n - eye) / ((1 + eye) / n).sqrt()

    right, wrong = z(matrix(method)), z(matrix(MultiDiffusion(stride=0.25)))
    assert float(right.abs().max()) < 5.5
    assert 0.9 < float(right.square().mean()) < 1.1
    assert float(wrong.square().mean()) > 2, "and it is not another method's"


@dataclass(frozen=True, kw_only=True)
class Squared(Independent):
    """Pixels (x^2 - 1) / sqrt(2) of the noise x itself: not linear at all, white, mean 0 and variance 1."""

    version: ClassVar[int] = 1

    def step(self, state: Any, x: Tensor, s: Step) -> Tensor:
        return (state**2 - 1) / sqrt(2) if s.level.index + 1 == s.level.total else state


@dataclass(frozen=True, kw_only=True)
class Mixed(MultiDiffusion):
    """Linear, but one channel hears another."""

    def step(self, state: Any, x: Tensor, s: Step) -> Tensor:
        after = super().step(state, x, s)
        return after + 0.1 * after.roll(1, 0)


@dataclass(frozen=True, kw_only=True)
class Noisy(MultiDiffusion):
    """Linear, with noise of its own at every step and a constant in the end."""

    def step(self, state: Any, x: Tensor, s: Step) -> Tensor:
        return super().step(state, x, s) + 0.1 * s.noise() + 0.25 * (s.level.index + 1 == s.level.total)


@dataclass(frozen=True, kw_only=True)
class Broken(MultiDiffusion):
    """Raises."""

    def step(self, state: Any, x: Tensor, s: Step) -> Tensor:
        raise ZeroDivisionError("no light")


@pytest.mark.parametrize(
    ("method", "kind"),
    [
        (Feather(), "exact"),
        (LeastSquares(fit="poisson"), "exact"),
        (SyncTweedies(space="pixels", stride=0.5), "exact"),
        (Trap(), "exact"),
        (Noisy(stride=0.5), "exact"),
        (LeastSquares(fit="gain"), "sampled"),
        (Squared(), "sampled"),
        (Mixed(stride=0.5), "sampled"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_linearity_is_found_out(method: Method, kind: str) -> None:
    assert measured_law(method, SMALL, samples=30).kind == kind


def test_noise_drawn_while_sampling_is_part_of_the_exact_law() -> None:
    """Each step's extra noise adds 0.01 of what the rest of the steps make of it; the last adds 0.01 I."""
    noisy, once = measured_law(Noisy(stride=0.5), SMALL), matrix(MultiDiffusion(stride=0.5))
    assert noisy.law is not None
    torch.testing.assert_close(noisy.law.mean, torch.full((128,), 0.25, dtype=torch.float64))
    extra = torch.linalg.eigvalsh(noisy.law.covariance - once @ once.T)
    assert float(extra.min()) > 0.01 - 1e-9


def test_what_cannot_run_says_why() -> None:
    found = measured_law(Broken(stride=0.5), SMALL)
    assert (found.law, found.kind) == (None, None)
    assert found.reason == "ZeroDivisionError: no light"


def test_a_method_that_refuses_one_row_is_measured_on_independent_rows() -> None:
    tall = Problem(**{**vars(SMALL), "rows": 16})
    method = MultiDiffusion(stride=0.5)
    rows = tall.run(method, channels=1)
    m = matrix(method)
    noise = rows.noise[0][0].double()
    torch.testing.assert_close(rows.made[0], noise @ m.T, rtol=0, atol=1e-9)


def test_the_estimate_from_samples_is_exact_for_a_linear_method() -> None:
    method = MultiDiffusion(stride=0.25)
    parts = [run_moments(SMALL.run(method, seed), SMALL) for seed in range(8)]
    m = matrix(method)
    torch.testing.assert_close(estimated_law(parts).covariance, m @ m.T, rtol=0, atol=1e-8)


@pytest.mark.slow
def test_the_estimate_and_its_intervals_of_a_law_that_is_known_but_not_linear() -> None:
    method, truth = Squared(), Truth(SMALL.truth())
    parts = [run_moments(SMALL.run(method, seed), SMALL) for seed in range(60)]
    law = estimated_law(parts)
    torch.testing.assert_close(law.covariance, torch.eye(128, dtype=torch.float64), rtol=0, atol=0.75)
    assert float(law.variance.mean()) == pytest.approx(1, abs=0.08)
    right = truth.w2(Law(mean=torch.zeros(128), covariance=torch.eye(128, dtype=torch.float64)))
    found = jackknife_intervals(parts, truth, range(0, 128, 32), 32)
    low, high = found["w2"]
    assert low < high
    assert low - 0.05 < right < high + 0.05
    assert found["variance"][0] - 0.03 < 1 < found["variance"][1] + 0.03
    assert jackknife_intervals(parts[:2], truth, range(0, 128, 32), 32) == {}


def test_w2_against_independent_formulas() -> None:
    rng = np.random.default_rng(0)
    a, b = (x @ x.T + 0.1 * np.eye(6) for x in rng.normal(size=(2, 6, 6)))
    mean = rng.normal(size=6)
    root = np.real(linalg.sqrtm(b))
    squared = mean @ mean + np.trace(a + b) - 2 * np.trace(np.real(linalg.sqrtm(root @ a @ root)))
    law = Law(mean=torch.from_numpy(mean), covariance=torch.from_numpy(a))
    assert Truth(torch.from_numpy(b)).w2(law) == pytest.approx(np.sqrt(squared / 6), rel=1e-6)
    # one dimension: (m - n)^2 + (s - t)^2
    line = Law(mean=torch.tensor([0.5]).double(), covariance=torch.tensor([[4.0]]).double())
    assert Truth(torch.tensor([[1.0]]).double()).w2(line) == pytest.approx(sqrt(0.25 + 1))


def test_figures_against_samples() -> None:
    """Every figure but W2, computed from many rows drawn of the law."""
    m = matrix(Feather())
    law, truth = Law(mean=torch.linspace(0, 1, 128).double(), covariance=m @ m.T), Truth(SMALL.truth())
    figures = truth.figures(law, range(0, 128, 16), 32)
    rows = torch.randn(100_000, 128, generator=torch.Generator().manual_seed(0)).double() @ m.T + law.mean
    jumps = (rows - rows.roll(1, 1)).square().mean(0) / truth.law.jumps
    variance = rows.var(0)
    centred = (rows - law.mean) / variance.sqrt()
    assert figures["variance"] == pytest.approx(float(variance.mean()), rel=0.02)
    assert figures["variance_min"] == pytest.approx(float(variance.min()), rel=0.02)
    assert figures["jump_border"] == pytest.approx(float(jumps[::16].mean()), rel=0.02)
    assert figures["jump_largest"] == pytest.approx(float(jumps.max()), rel=0.02)
    assert figures["correlation"] == pytest.approx(float((centred * centred.roll(-32, 1)).mean()), abs=0.01)
    assert set(figures) == set(FIGURES)
    assert truth.figures(truth.law, range(128), 32)["jump_inside"] is None


def test_every_method_of_the_tree_and_every_preset_is_there_once() -> None:
    labels = [entry.label for entry in default_entries()]
    assert len(labels) == len(set(labels))
    for name in ("syncdiffusion", "syncdiffusion@fast", "synctweedies@pixels", "batch_attention", "rgbx", "truth"):
        assert name in labels
    assert "trap@constant" not in labels or "trap" not in labels, "one is the other"


def test_a_circle_is_a_field_whose_windows_are_the_old_ones() -> None:
    line, circle = Gauss(device="cpu"), Gauss(period=256, device="cpu")
    torch.testing.assert_close(circle.covariance(64), line.covariance(64))
    whole = circle.covariance(256)
    torch.testing.assert_close(whole, whole.roll((1, 1), (0, 1)))
    assert float(torch.linalg.eigvalsh(whole).min()) > 0
    with pytest.raises(SyncbenchError, match="wider than the circle"):
        circle.covariance(257)
    with pytest.raises(SyncbenchError, match="closes so soon"):
        Gauss(period=64, device="cpu")
    with pytest.raises(SyncbenchError, match="at least 1 px"):
        Gauss(period=0, device="cpu")
    assert line.revision == "94d6d04a5419", "results from before there were circles keep their revision"
    assert len({line.revision, circle.revision, Gauss(levels="scaled_linear", device="cpu").revision}) == 3


@pytest.mark.parametrize("steps", [1, 20, 50])
def test_scaled_linear_levels_are_those_of_diffusers(steps: int) -> None:
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    kind = {"beta_schedule": "scaled_linear", "timestep_spacing": "trailing", "set_alpha_to_one": True}
    theirs = DDIMScheduler(beta_start=0.00085, beta_end=0.012, **kind)
    theirs.set_timesteps(steps)
    ours = Gauss(levels="scaled_linear", device="cpu").schedule(steps)
    assert list(ours.t) == theirs.timesteps.tolist()
    bars = theirs.alphas_cumprod[theirs.timesteps]
    torch.testing.assert_close(torch.tensor(ours.a[:-1]).square(), bars, rtol=1e-4, atol=1e-6)
    assert (ours.a[-1], ours.b[-1]) == (1, 0)


def test_true_fields_have_the_law_of_the_model() -> None:
    items = GaussianFields(count=12, height=16).items()
    rows = torch.cat([(item.truth["canvas"].double() - 0.5) / 0.18 for item in items]).flatten(0, 1)
    got = torch.stack([(rows * rows.roll(-d, 1)).mean() for d in (0, 1, 12, 64, 128)])
    exact = Gauss(period=256, device="cpu").covariance(256)[0, [0, 1, 12, 64, 128]]
    # clamping at 2.8 standard deviations takes about one hundredth of the variance
    torch.testing.assert_close(got, exact, rtol=0, atol=0.05)
    fields = torch.stack([item.truth["canvas"] for item in items]).double()
    across = ((fields[:, :, 0] - 0.5) * (fields[:, :, 2] - 0.5)).mean() / 0.18**2
    assert float(across) == pytest.approx(np.exp(-0.5), abs=0.05)
    with pytest.raises(SyncbenchError, match="leaves no items"):
        GaussianFields(count=0)


SUITE = {
    "model": {"id": "gauss", "period": 128, "levels": "scaled_linear", "height_length": 2.0},
    "datasets": [{"id": "gaussian_fields", "width": 128, "window": 32, "height": 32, "count": 4}],
    "methods": ["independent", {"id": "multidiffusion", "stride": 0.5}, "feather", "trap@constant", "truth"],
    "metrics": ["sharpness", "network_evaluations"],
    "protocol": {"steps": 4},
}


def test_agreement_is_spearmans_over_the_methods_both_know(results: Path) -> None:
    run(SUITE, results)
    names = ["independent", "multidiffusion[stride=0.5]", "feather", "trap@constant"]
    rows = oracle(names, problem=replace(SMALL, steps=4)).rows
    table = agreement(rows, results_of([results], 4)).set_index("metric")
    exact = rows.set_index("method")["w2"]
    shown = summary(load_records([results]))
    for metric in ("sharpness", "network_evaluations"):
        mine = shown[shown["metric"] == metric].set_index("method")["loss"]
        for column, chosen in (("spearman", names[:3]), ("with_anchors", [*names, "truth"])):
            expected = stats.spearmanr(mine[chosen], exact[chosen]).statistic
            assert table.loc[metric, column] == pytest.approx(expected, nan_ok=True)  # nan: all alike
    assert table.loc["sharpness", "ci_low"] <= table.loc["sharpness", "spearman"] <= table.loc["sharpness", "ci_high"]
    assert table.loc["sharpness", "methods"] == 3
    with pytest.raises(SyncbenchError, match="runs of 4 steps"):
        results_of([results], 50)


def call(*args: object) -> Any:
    return CliRunner().invoke(app, ["oracle", *map(str, args)])


def test_json_rows_carry_method_and_w2(tmp_path: Path) -> None:
    pytest.importorskip("altair")
    done = call("--methods", "independent,mvdream", "--steps", 4, "--out", tmp_path / "o", "--json")
    assert done.exit_code == 0, done.output
    rows = json.loads(done.stdout)
    assert [row["method"] for row in rows] == ["truth", "joint", "independent", "mvdream"]
    assert rows[0]["w2"] == pytest.approx(0, abs=1e-6)
    assert rows[1]["w2"] < rows[2]["w2"]
    assert rows[3]["w2"] is None
    assert "camera" in rows[3]["reason"]
    assert {path.name for path in (tmp_path / "o").iterdir()} == {"oracle.csv", "curves.csv", "oracle.png"}
    curves = (tmp_path / "o" / "curves.csv").read_text().splitlines()
    assert len(curves) == 1 + 3 * (256 + 129)
    assert (tmp_path / "o" / "oracle.png").read_bytes()[:4] == b"\x89PNG"


def test_the_table_names_what_was_not_run() -> None:
    done = call("--methods", "independent,mvdream", "--steps", 4)
    assert done.exit_code == 0, done.output
    assert "joint" in done.stdout
    assert "not run: mvdream: needs a model with camera, joint" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--methods", "indepedent"], "did you mean 'independent'"),
        (["--steps", 0], "0 denoising steps"),
        (["--methods", "independent", "--samples", 0], "--samples 0"),
        (["--methods", "independent", "--steps", 2, "--against", "nowhere"], "nowhere"),
    ],
)
def test_mistakes_are_one_sentence(arguments: list[Any], words: str) -> None:
    done = call(*arguments)
    assert done.exit_code == 2, done.output
    assert words in done.output


@pytest.mark.slow
def test_syncdiffusion_is_sampled_on_rows_and_close_to_the_average_it_ends_in() -> None:
    rows = oracle(["syncdiffusion@fast", "multidiffusion[stride=0.25]"]).rows.set_index("method")
    fast, plain = rows.loc["syncdiffusion@fast"], rows.loc["multidiffusion[stride=0.25]"]
    assert (fast["kind"], plain["kind"]) == ("sampled", "exact")
    assert fast["w2_ci_low"] <= fast["w2"] <= fast["w2_ci_high"]
    assert fast["w2"] == pytest.approx(plain["w2"], abs=0.01)
