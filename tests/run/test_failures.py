"""Jobs that failed or are not possible: none is lost, and what the command line says of them."""

import json
from pathlib import Path

import pytest
from syncbench import SyncbenchError
from syncbench.bench.cli import sweeps
from syncbench.bench.cli.main import app
from syncbench.bench.run.failures import JobName, by_name
from syncbench.bench.suites.narrow import narrowed
from syncbench.bench.suites.suite import read_suite
from typer.testing import CliRunner

PART = """
[[parts]]
datasets = [{ id = "world_channels", count = COUNT }]
methods = ["truth"]
metrics = ["network_evaluations"]
"""
STRIPS = """
[[parts]]
datasets = [{ id = "panoramas", width = 64, height = 16, window = 16 }]
methods = ["independent"]
metrics = ["network_evaluations"]
"""
HEAD = 'model = "gauss"\nlimit = 2\nprotocol = { steps = 2, guidance = 1.0 }\n'


def suite(folder: Path, *parts: str) -> str:
    path = folder / "mine.toml"
    path.write_text(HEAD + "".join(parts))
    return str(path)


def test_jobs_of_one_name_keep_their_errors() -> None:
    same, other = JobName("a 0 seed 0", "of x with model m"), JobName("a 0 seed 0", "of y with model m")
    found = by_name({"1": (same, "p"), "2": (other, "q"), "3": (same, "r"), "4": (JobName("b 0 seed 0", "of x"), "s")})
    assert sorted(found.values()) == ["p", "q", "r", "s"]
    assert found["b 0 seed 0"] == "s"
    assert found["a 0 seed 0 of y with model m"] == "q"


def test_jobs_that_are_not_possible_are_told(tmp_path: Path) -> None:
    path = suite(tmp_path, STRIPS.replace("independent", "mvdream"))
    done = CliRunner().invoke(app, ["run", path, "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert "2 not possible" in done.stdout
    assert "not possible (2 of 2 jobs): " in done.stderr
    told = CliRunner().invoke(app, ["run", path, "--out", str(tmp_path / "out"), "--json"])
    assert len(json.loads(told.stdout)["left_out"]) == 2


@pytest.mark.parametrize("shard", ["1/97", "2/97"])
def test_a_shard_without_jobs_of_a_family_prints_no_table_of_it(tmp_path: Path, shard: str) -> None:
    path = suite(tmp_path, STRIPS, PART.replace("COUNT", "2"))
    done = CliRunner().invoke(app, ["run", path, "--out", str(tmp_path / "out"), "--tables", "--shard", shard])
    assert done.exit_code == 0, done.output
    assert " jobs, " in done.stdout


@pytest.mark.parametrize("error", [SyncbenchError("no table today"), BrokenPipeError()])
def test_a_sweep_goes_on_without_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: object, **__: object) -> str:
        raise error

    monkeypatch.setattr("syncbench.bench.report.report.report", fail)
    monkeypatch.setattr(sweeps, "discard_stdout", lambda: None)
    path = suite(tmp_path, STRIPS, PART.replace("COUNT", "2"))
    done = CliRunner().invoke(app, ["run", path, "--out", str(tmp_path / "out"), "--tables"])
    assert done.exit_code == 0, done.output
    assert "4 jobs, 4 sampled and 4 scored now, 0 failed" in done.stdout
    assert "table" in done.stderr


def test_one_name_where_a_list_is_wanted_is_refused() -> None:
    with pytest.raises(SyncbenchError, match="is one text: give a list"):
        narrowed(read_suite("quick"), methods="independent")
