"""Calibration of estimates against exact metrics: planted ones are found, chance is told as chance."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr
from syncbench import run
from syncbench.bench.analysis.correlation import rank_correlation
from syncbench.bench.cli.main import app
from syncbench.bench.report.report import render
from syncbench.bench.run.execute import executor
from syncbench.bench.trust.calibrated import calibrations
from syncbench.bench.trust.calibration import Calibration, calibrate
from syncbench.bench.trust.check import check
from syncbench.bench.trust.grades import Grades, grades
from syncbench.bench.trust.validate import validate
from syncbench.bench.types import SyncbenchError
from typer.testing import CliRunner

from ..report_records import frame, records
from .test_grades import CARD

LINES, ITEMS = 9, 14

METRIC = '''
"""An estimate of the seam ratio, with a law of its own."""
from dataclasses import dataclass
from typing import ClassVar
from syncbench import Score
from syncbench.metrics.EXACT import CLASS

@dataclass(frozen=True, kw_only=True)
class Own:
    """See the module."""
    version: ClassVar[int] = 1
    role: ClassVar[str] = "consistency"
    direction: ClassVar[str] = "lower"
    unit: ClassVar[str] = "UNIT"
    families: ClassVar[tuple[str, ...]] = ("FAMILY",)
    estimates: ClassVar[str] = "ESTIMATES"

    def fingerprint(self):
        return "LAW of it"

    def __call__(self, artifact, item):
        exact = CLASS()(artifact, item)
        if exact.value is None:
            return exact
        x = exact.value
        return Score(value=LAW, coverage=exact.coverage)
'''


def own(folder: Path, law: str, exact: str, cls: str, family: str, unit: str = "", estimates: str | None = None) -> str:
    text = METRIC.replace("LAW", law).replace("EXACT", exact).replace("CLASS", cls).replace("FAMILY", family)
    file = folder / "own.py"
    file.write_text(text.replace("UNIT", unit).replace("ESTIMATES", estimates or exact))
    return str(file)


def planted(seed: int = 0) -> np.ndarray:
    """Exact losses of methods that differ, on items that differ more."""
    rng = np.random.default_rng(seed)
    return np.arange(LINES)[:, None] + 5 * rng.random(ITEMS)[None] + 0.1 * rng.random((LINES, ITEMS))


def against(estimate: np.ndarray, exact: np.ndarray, alike: bool = False) -> Calibration:
    return calibrate(estimate, exact, name="exact", over="9 methods", unit="px", alike=alike)


def test_rank_correlation_is_scipys() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 5, (2, 4, 12))
    expected = [spearmanr(x, y).statistic for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(rank_correlation(a, b), expected, atol=1e-12)
    assert np.isnan(rank_correlation(np.ones(5), np.arange(5)))


def test_a_monotone_estimate_ranks_perfectly_and_a_reversed_one_the_other_way_round() -> None:
    exact = planted()
    one = against(np.exp(exact / 3), exact)
    assert (one.spearman, one.low, one.high) == (1.0, 1.0, 1.0)
    assert (one.told, one.wrong, one.pairs) == (36, 0, 36)
    assert one.tells == pytest.approx(1.0, abs=0.1), "neighbours differ by 1, and every pair is told"
    other = against(-exact, exact)
    assert (other.spearman, other.wrong, other.tells) == (-1.0, 36, None)


def test_a_random_estimate_is_told_as_chance() -> None:
    found = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        one = against(rng.random((LINES, ITEMS)), planted(seed))
        assert one.spearman is not None
        assert one.low is not None
        assert one.high is not None
        assert one.low <= one.spearman <= one.high
        found.append((one.spearman, one.low <= 0 <= one.high, one.tells))
    assert abs(np.mean([rho for rho, _, _ in found])) < 0.2
    assert sum(holds for _, holds, _ in found) >= 18, "95 % intervals of chance hold 0"
    assert all(tells is None for _, _, tells in found)


def test_a_noisy_estimate_tells_large_differences_only() -> None:
    exact = planted()
    one = against(exact + np.random.default_rng(3).normal(0, 1.2, exact.shape), exact)
    assert one.tells is not None
    assert 1.5 < one.tells <= 8.5
    quiet = against(exact + np.random.default_rng(3).normal(0, 0.3, exact.shape), exact)
    assert quiet.tells is not None
    assert quiet.tells < one.tells


def test_the_bias_is_the_mean_difference_where_units_are_alike() -> None:
    exact = planted()
    shift = 0.3 + 0.01 * np.random.default_rng(1).standard_normal(exact.shape)
    one = against(exact + shift, exact, alike=True)
    assert one.bias == pytest.approx(float(shift.mean()))
    assert one.bias_low is not None
    assert one.bias_high is not None
    assert one.bias_low < 0.3 < one.bias_high
    assert against(exact + 0.3, exact).bias is None


def test_lines_without_values_are_left_out_and_items_are_those_of_all_others() -> None:
    exact = planted()
    estimate = exact.copy()
    estimate[0, 5:] = np.nan  # on 5 of 14 items
    estimate[1, 0] = np.nan
    one = against(estimate, exact)
    assert (one.lines, one.items, one.left_out) == (LINES - 1, ITEMS - 1, 1)
    assert one.spearman == 1.0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda x: x[:2], "only 2 have"),
        (lambda x: x[:, :2], "only 2 items"),
        (lambda x: x * np.nan, "only 0 have"),
        (lambda x: x * 0, "no two lines apart"),
    ],
)
def test_where_there_is_no_correlation_there_is_a_reason(change: Any, said: str) -> None:
    one = against(change(planted()), planted()[: change(planted()).shape[0], : change(planted()).shape[1]])
    assert one.spearman is None
    assert one.reason is not None
    assert said in one.reason
    assert one.reason in one.text()


def test_a_card_calibrates_an_estimate_over_damage(tmp_path: Path) -> None:
    spec = own(tmp_path, "0.5 * x + 1", "albedo_error", "AlbedoError", "channels", unit="x1e-2")
    [card] = validate([spec], families=["channels"], items=6, levels=3)
    [one] = card.calibrations
    assert one.exact == "albedo_error"
    assert one.spearman == pytest.approx(1.0)
    assert one.bias is not None
    assert next(check for check in card.checks if check.name == "ranks").passed
    wrong = own(tmp_path, "1 - x", "albedo_error", "AlbedoError", "channels")
    [card] = validate([wrong], families=["channels"], items=6, levels=3)
    assert card.calibrations[0].spearman == pytest.approx(-1.0)
    assert next(check for check in card.checks if check.name == "ranks").passed is False


def test_an_estimate_of_an_estimate_or_of_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    inner = own(tmp_path / "inner", "x", "albedo_error", "AlbedoError", "channels")
    outer = own(tmp_path, "x", "albedo_error", "AlbedoError", "channels", estimates=inner)
    with pytest.raises(SyncbenchError, match="an estimate itself"):
        validate([outer], families=["channels"], items=6, levels=2)
    unknown = own(tmp_path, "x", "albedo_error", "AlbedoError", "channels", estimates="albedo_eror")
    with pytest.raises(SyncbenchError, match="did you mean 'albedo_error'"):
        validate([unknown], families=["channels"], items=6, levels=2)


def test_check_tells_whether_an_estimate_names_an_exact_metric_of_its_family(tmp_path: Path) -> None:
    for exact, kept in (("albedo_error", True), ("reprojection", False), ("whdr", False)):
        spec = own(tmp_path, "x", "albedo_error", "AlbedoError", "channels", estimates=exact)
        [verdict] = [one for one in check(spec) if "`estimates`" in one.promise]
        assert verdict.kept == kept, exact


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Strips of the closed-form model by four methods, without a score."""
    folder = tmp_path_factory.mktemp("swept") / "out"
    file = folder.parent / "strips.toml"
    methods = '"independent", "feather", "multidiffusion", "trap@constant"'
    file.write_text(
        f'model = "gauss"\ndatasets = ["gaussian_fields"]\nmethods = [{methods}]\n'
        'metrics = ["network_evaluations"]\nseeds = [0]\nlimit = 6\n'
    )
    run(str(file), folder)
    return folder


def test_stored_results_calibrate_over_methods(swept: Path, tmp_path: Path) -> None:
    spec = own(tmp_path, "3 * abs(x - 1)", "seam_ratio", "SeamRatio", "overlap")
    with executor(1) as execute:
        found = calibrations([swept], [spec], execute)
    [((name, family), (one,))] = found.items()
    assert (name, family, one.exact, one.lines) == ("own", "overlap", "seam_ratio", 3), "a constant has no seam ratio"
    assert (one.spearman, one.items) == (1.0, 6)
    assert "gaussian_fields" in one.over
    with executor(1) as execute, pytest.raises(SyncbenchError, match="nothing to calibrate"):
        calibrations([swept], ["sharpness"], execute)


def test_the_command_puts_both_calibrations_on_the_card(swept: Path, tmp_path: Path) -> None:
    spec = own(tmp_path, "3 * abs(x - 1)", "seam_ratio", "SeamRatio", "overlap")
    ask = ["validate", spec, "--items", "6", "--levels", "2", "--calibrate", str(swept), "--out", str(tmp_path / "o")]
    done = CliRunner().invoke(app, ask)
    assert done.exit_code in (0, 1), done.output
    [card] = json.loads((tmp_path / "o" / "cards" / "own.json").read_text())
    assert [one["lines"] > 4 for one in card["calibrations"]] == [True, False]
    [read] = [one for one in grades([tmp_path / "o"]).cards if one.metric == "own"]
    assert read.calibrations[1].spearman == 1.0
    assert "as seam_ratio does with Spearman 1.00" in " ".join(done.output.split())


@pytest.mark.parametrize("format", ["text", "md", "html", "tex"])
def test_reports_say_how_well_an_estimate_ranks(format: str) -> None:
    one = against(planted(), planted())
    card = replace(CARD, checks=(), calibrations=(one,))
    shown = render(frame(records()), format, grades=Grades((card,)), width=300)
    assert (r"\ensuremath{\approx}" if format == "tex" else "≈") in shown
    assert "Spearman 1.00" in " ".join(shown.split())
    plain = render(frame(records()), format, grades=Grades((replace(card, calibrations=()),)), width=300)
    assert "Spearman" not in plain
