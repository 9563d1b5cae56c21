"""Baselines as files, the gate's JUnit XML, and its pytest fixture."""

import importlib.metadata
from pathlib import Path
from xml.etree import ElementTree as ET

import pandas as pd
import pytest
import yaml
from syncbench.bench.analysis.summary import report_rows
from syncbench.bench.cli.main import app
from syncbench.bench.errors import SyncbenchError
from syncbench.bench.files import writing
from syncbench.bench.gate.baseline import update
from syncbench.bench.gate.gate import compare, gate
from syncbench.bench.gate.junit import junit
from syncbench.bench.store import parquet as baseline
from syncbench.bench.store.records import read_records
from typer.testing import CliRunner

from ..gate_records import run

pytest_plugins = ["pytester"]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    path = tmp_path / "base" / "line.parquet"
    baseline.write_parquet(run(), path)
    return path


def test_a_file_gives_back_the_records(stored: Path):
    again = read_records(stored)
    assert len(again) == len(run())
    pd.testing.assert_frame_equal(report_rows(again), report_rows(run()), check_dtype=False)
    assert again["params"].iloc[0] == {}
    assert again["protocol"].iloc[0] == {"steps": 10}
    assert gate(stored, stored).headline == compare(run(), run()).headline


def test_the_file_does_not_depend_on_the_order_of_the_records(stored: Path, tmp_path: Path):
    baseline.write_parquet(run().sample(frac=1, random_state=0), tmp_path / "other.parquet")
    assert (tmp_path / "other.parquet").read_bytes() == stored.read_bytes()


def test_a_value_or_reason_missing_stays_missing(tmp_path: Path):
    made = run()
    made.loc[3, ["value", "reason"]] = [None, "nothing overlaps"]
    baseline.write_parquet(made, tmp_path / "a.parquet")
    again = baseline.read_parquet(tmp_path / "a.parquet")
    assert again["value"].isna().sum() == 1
    assert again.loc[again["value"].isna(), "reason"].tolist() == ["nothing overlaps"]
    assert again["anchor"].isna().all()


def test_update_writes_what_the_gate_then_holds_to(stored: Path, tmp_path: Path):
    worse = tmp_path / "worse.parquet"
    baseline.write_parquet(run(shift=0.4), worse)
    assert gate(worse, stored).code == 1
    done = update(worse, stored)
    assert done.gate is not None
    assert done.gate.code == 1
    assert gate(worse, stored).code == 0
    assert [path.name for path in stored.parent.iterdir()] == ["line.parquet"]


def test_update_says_which_methods_it_drops(stored: Path, tmp_path: Path):
    part = tmp_path / "part.parquet"
    baseline.write_parquet(run().query("method == 'independent'"), part)
    assert "no longer in the baseline: multidiffusion" in update(part, stored).text()


def test_update_refuses_failed_jobs_and_keeps_the_old_file(stored: Path, tmp_path: Path):
    made = run()
    made.loc[made["item"] == "i3", ["value", "reason", "status"]] = [None, "out of memory", "error"]
    baseline.write_parquet(made, tmp_path / "new.parquet")
    before = stored.read_bytes()
    with pytest.raises(SyncbenchError, match=r"4 jobs of the new baseline failed, first .* \(out of memory\)"):
        update(tmp_path / "new.parquet", stored)
    assert stored.read_bytes() == before


def test_a_write_cut_short_leaves_the_old_file(stored: Path, monkeypatch: pytest.MonkeyPatch):
    before = stored.read_bytes()

    def broken(path: Path, data: bytes) -> None:
        path.write_bytes(data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing, "write_bytes", broken)
    with pytest.raises(SyncbenchError, match="no space left"):
        baseline.write_parquet(run(shift=1.0), stored)
    assert stored.read_bytes() == before
    assert [path.name for path in stored.parent.iterdir()] == ["line.parquet"]


def test_files_that_are_no_baseline_are_one_sentence(tmp_path: Path):
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(SyncbenchError, match=r"cannot read .*bad\.parquet"):
        baseline.read_parquet(tmp_path / "bad.parquet")
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(SyncbenchError, match="records of schema none"):
        baseline.read_parquet(tmp_path / "other.parquet")
    with pytest.raises(SyncbenchError, match=r"no baseline .*: write it with"):
        baseline.read_parquet(tmp_path / "none.parquet")
    with pytest.raises(SyncbenchError, match=r"a baseline is one \.parquet file"):
        baseline.write_parquet(run(), tmp_path / "folder")


def test_the_command_line_updates_and_compares(stored: Path, tmp_path: Path):
    def call(*arguments: object) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["gate", *map(str, arguments)])
        return done.exit_code, done.output

    worse, fresh = tmp_path / "worse.parquet", tmp_path / "fresh.parquet"
    baseline.write_parquet(run(shift=0.4), worse)
    xml = tmp_path / "gate.xml"
    assert call(worse, "--baseline", stored, "--junit", xml)[0] == 1
    assert ET.parse(xml).getroot().attrib["failures"] == "3"
    code, said = call(stored, "--baseline", fresh, "--update")
    assert (code, fresh.is_file()) == (0, True)
    assert f"baseline {fresh}: {len(run())} records written" in said.replace("\n", " ")
    code, said = call(worse, "--baseline", fresh, "--update")
    assert code == 0
    assert "gate falls: 3 regressed, 3 holds" in said
    assert call(worse, "--baseline", fresh)[0] == 0
    code, said = call(worse, "--baseline", fresh, "--update", "--junit", xml)
    assert (code, "no --junit" in said) == (2, True)


def test_junit_counts_and_reasons():
    answer = compare(run(shift=0.4, noise=1, only="seam_ratio"), run(noise=2))
    root = ET.fromstring(junit(answer))
    assert [root.attrib[name] for name in ("tests", "failures", "errors", "skipped")] == ["6", "1", "0", "0"]
    case = next(case for case in root.iter("testcase") if case.find("failure") is not None)
    assert (case.attrib["classname"], case.attrib["name"]) == ("multidiffusion", "seam_ratio")
    row = answer.table.query("verdict == 'regressed'").iloc[0]
    failure = case.find("failure")
    assert failure is not None
    assert f"worse_by {row['worse_by']:.6g}" in (failure.text or "")
    refused = ET.fromstring(junit(compare(run().assign(revision="x"), run())))
    assert [refused.attrib[name] for name in ("tests", "failures", "errors")] == ["1", "0", "1"]


def test_junit_undecided_falls_only_if_the_gate_does():
    few = {"candidate": run(items=3, shift=0.02, noise=1), "baseline": run(items=3, noise=2), "fraction": 0.05}
    strict = ET.fromstring(junit(compare(**few)))
    assert int(strict.attrib["failures"]) == (compare(**few).table["verdict"] != "holds").sum() > 0
    assert ET.fromstring(junit(compare(**few, allow_undecided=True))).attrib["failures"] == "0"


def test_junit_holds_hostile_text():
    hostile = "<b>&\"'\x00\x1b]]>\ufffe"
    new = run().assign(method=hostile)
    new.loc[new["item"] == "i1", ["value", "reason"]] = [None, hostile]
    root = ET.fromstring(junit(compare(new, run().assign(method=hostile))))
    assert {case.attrib["classname"] for case in root.iter("testcase")} == {"<b>&\"'��]]>�"}


PLUGIN = """
def test_gate(syncbench_gate):
    assert syncbench_gate({run!r}, "line.parquet", margins={{"seam_ratio": 0.2}}).code == 0
"""


@pytest.mark.parametrize(("shift", "outcome"), [(0.0, "passed"), (0.1, "failed")])
def test_the_pytest_fixture(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, shift: float, outcome: str):
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    baseline.write_parquet(run(), pytester.path / "line.parquet")
    baseline.write_parquet(run(shift=shift), pytester.path / "new.parquet")
    pytester.makepyfile(PLUGIN.format(run=str(pytester.path / "new.parquet")))
    plugin = ("-p", "syncbench.bench.gate.pytest_plugin", "-p", "no:cacheprovider")
    done = pytester.runpytest(*plugin)
    done.assert_outcomes(**{outcome: 1})
    if shift:
        done.stdout.fnmatch_lines(["*gate falls: 2 regressed, 4 holds*"])
        done.stdout.no_fnmatch_line("*Traceback*")
        updated = pytester.runpytest(*plugin, "--syncbench-update", "-rs")
        updated.assert_outcomes(skipped=1)
        updated.stdout.fnmatch_lines(["*records written*"])
        pytester.runpytest(*plugin).assert_outcomes(passed=1)


def test_the_pytest_fixture_without_a_baseline(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    baseline.write_parquet(run(), pytester.path / "new.parquet")
    pytester.makepyfile(PLUGIN.format(run=str(pytester.path / "new.parquet")))
    done = pytester.runpytest("-p", "syncbench.bench.gate.pytest_plugin")
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["*syncbench gate: no baseline*"])


def test_the_plugin_is_declared_and_light():
    declared = (ROOT / "pyproject.toml").read_text()
    assert 'syncbench = "syncbench.bench.gate.pytest_plugin"' in declared
    for entry in importlib.metadata.entry_points(group="pytest11", name="syncbench"):
        assert entry.value == "syncbench.bench.gate.pytest_plugin"


def test_the_workflow_shown_is_yaml():
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    shown = guide[guide.index("```yaml") + 7 :].partition("```")[0]
    steps = yaml.safe_load(shown)["jobs"]["gate"]["steps"]
    assert any("syncbench gate" in step.get("run", "") for step in steps)
