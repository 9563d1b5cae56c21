"""The command line: exit codes, one clear line for every mistake, JSON for machines, nothing heavy imported."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from syncbench.bench.cli.main import app
from syncbench.bench.store import parquet as baseline
from typer.testing import CliRunner, Result

from ..report_records import frame, records

HERE = str(Path(__file__).parents[1] / "tiny_components.py")
SUITE = """
model = "gauss"
datasets = [{ id = "panoramas", width = 64, height = 16, window = 16 }]
methods = ["independent", { id = "multidiffusion", stride = 0.5 }]
metrics = ["network_evaluations"]
limit = 2
protocol = { steps = 2, guidance = 1.0 }
"""


def call(*args: object) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args])


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(SUITE)
    return path


@pytest.mark.parametrize(
    "arguments", [["--help"], ["ls"], ["ls", "methods", "--json"], ["ls", "suites"], ["run", "nope"]]
)
def test_light_commands_import_no_torch(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom syncbench.bench.cli.main import app\n"
        f"sys.argv = ['syncbench', *{arguments!r}]\n"
        "try:\n    app()\nexcept SystemExit:\n    pass\n"
        "print([m for m in ('torch', 'pandas', 'numpy', 'PIL') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_reading_records_imports_no_torch(tmp_path: Path) -> None:
    """A second of every report, gate and board."""
    file = tmp_path / "records.parquet"
    baseline.write_parquet(frame(records()), file)
    for arguments in (["report", file], ["board", file], ["gate", file, "--baseline", file], ["cite", file]):
        code = (
            "import sys\nfrom syncbench.bench.cli.main import app\n"
            f"sys.argv = ['syncbench', *{[str(a) for a in arguments]!r}]\n"
            "try:\n    app()\nexcept SystemExit as end:\n    assert not end.code\n"
            "print('torch' in sys.modules)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == "False", arguments


@pytest.mark.parametrize("kind", ["methods", "metrics", "datasets", "models", "suites"])
def test_ls_answers_in_json(kind: str) -> None:
    rows = json.loads(call("ls", kind, "--json").stdout)
    assert rows
    assert all(row["id"] and row["title"] for row in rows)
    if kind == "methods":
        assert {"id", "family", "version", "title", "paper", "door", "requires"} <= rows[0].keys()


def test_run_report_score_show_and_cite(suite: Path, results: Path) -> None:
    first = call("run", suite, "--out", results, "--json")
    assert first.exit_code == 0, first.output
    facts = json.loads(first.stdout)
    assert (facts["jobs"], facts["sampled"], facts["errors"]) == (4, 4, {})
    again = call("run", suite, "--out", results)
    assert "4 jobs, 0 sampled and 0 scored now, 0 failed" in again.stdout
    assert "multidiffusion[stride=0.5]" in call("report", results).stdout
    rows = json.loads(call("report", results, "--format", "json").stdout)
    assert {row["metric"] for row in rows} == {"network_evaluations"}
    assert json.loads(call("score", results, "--metrics", "seconds", "--json").stdout)["scored"] == 4
    shown = call("show", results)
    assert Path(shown.stdout.strip()).is_file()
    assert "2302.08113" in call("cite", results).stdout


def test_tables_come_with_their_families(tmp_path: Path, results: Path) -> None:
    path = tmp_path / "two.toml"
    part = """
[[parts]]
datasets = [{ id = "world_channels", count = 2 }]
methods = ["truth"]
metrics = ["albedo_error"]
"""
    path.write_text(
        'model = "gauss"\nlimit = 2\nprotocol = { steps = 2, guidance = 1.0 }\n'
        + part
        + part.replace('"world_channels", count = 2', '"panoramas", width = 64, height = 16, window = 16')
        .replace("truth", "independent")
        .replace("albedo_error", "seam_ratio")
    )
    printed = call("run", path, "--out", results, "--tables")
    assert printed.exit_code == 0, printed.output
    first, second = printed.stdout.index("albedo_error"), printed.stdout.index("seam_ratio")
    assert first < second < printed.stdout.index("4 jobs, 4 sampled")
    refused = call("run", path, "--out", results, "--tables", "--json")
    assert (refused.exit_code, "take one of them" in refused.stderr) == (2, True)


def test_options_narrow_a_suite(suite: Path, results: Path) -> None:
    done = call(
        *("run", suite, "--out", results, "--methods", "multidiffusion", "--limit", 1, "--seeds", "3,4", "--json"),
        *("--set", "multidiffusion.stride=0.25", "--metrics", "seconds,network_evaluations", "--device", "cpu"),
    )
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["jobs"] == 2
    rows = json.loads(call("report", results, "--format", "json").stdout)
    assert {row["method"] for row in rows} == {"multidiffusion[stride=0.25]"}
    assert {row["metric"] for row in rows} == {"seconds", "network_evaluations"}


def test_failed_jobs_exit_with_1_and_are_told(suite: Path, results: Path) -> None:
    done = call("run", suite, "--out", results, "--methods", f"{HERE}:Failing,independent")
    assert done.exit_code == 1
    assert "1 failed" in done.stdout
    assert "RuntimeError: a bolt broke" in done.stderr
    assert "Traceback" not in done.output


def test_gate_holds_against_itself(suite: Path, results: Path) -> None:
    call("run", suite, "--out", results, "--limit", 4)
    done = call("gate", results, "--baseline", results, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["code"] == 0


def test_power_before_a_run(suite: Path, results: Path) -> None:
    assert int(call("power", "--spread", 1, "--difference", 0.5).stdout) == 36
    assert json.loads(call("power", "--spread", 1, "--difference", 0.5, "--power", 0.9, "--json").stdout) == {
        "needed": 46
    }
    assert int(call("power", "--spread", 1, "--difference", 0.5, "--comparisons", 15).stdout) == 64
    call("run", suite, "--out", results, "--limit", 4)
    rows = json.loads(call("power", results, "--primary", "network_evaluations", "--json").stdout)
    assert [(row["spread"], row["needed"], row["n_items"]) for row in rows] == [(0.0, 6, 4)]
    assert "needs items" in call("power", results, "--primary", "network_evaluations").stdout
    call("run", suite, "--out", results.with_name("one"), "--limit", 1)
    few = call("power", results.with_name("one"), "--primary", "network_evaluations").stdout
    assert "No spread is known: that takes at least 3 items" in few


def test_a_report_is_not_written_to_a_file_of_another_kind(suite: Path, results: Path) -> None:
    call("run", suite, "--out", results, "--limit", 1)
    done = call("report", results, "--out", results / "table.docx")
    assert done.exit_code == 2
    assert "no format is written to .docx files; end the name in one of .txt, .md" in done.output
    assert not (results / "table.docx").exists()
    assert call("report", results, "--format", "md", "--out", results / "table.docx").exit_code == 0
    assert "| method" in (results / "table.docx").read_text()
    assert call("report", results, "--out", results / "table").exit_code == 0


def test_cite_names_what_the_table_shows(suite: Path, results: Path) -> None:
    call("run", suite, "--out", results, "--methods", "independent")
    alone = call("cite", results).stdout
    assert "2302.08113" not in alone
    assert "% without a paper of its own" in alone
    assert "method independent" in alone
    # Another run into the same folder, of another method: the table shows both.
    call("run", suite, "--out", results, "--methods", "multidiffusion")
    call("run", suite, "--out", results, "--methods", "independent")
    both = call("cite", results).stdout
    assert both.count("2302.08113") == 1
    assert "@software{syncbench" in both
    assert "metric network_evaluations" in both
    brief = call("cite", results, "--brief").stdout
    assert "metric network_evaluations" in brief, "the first cost that was measured"
    assert call("report", results, "--out", results / "tables.tex").exit_code == 0
    assert r"\toprule" in (results / "tables.tex").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["power"], "name results folders, or --spread S"),
        (["power", "--spread", "1"], "--spread needs --difference"),
        (["power", "--spread", "-1", "--difference", "1"], "a spread from 0"),
        (["power", "--spread", "1", "--difference", "0"], "must be above 0"),
        (["power", "--spread", "1", "--difference", "1", "--power", "2"], "both between 0 and 1"),
        (["report", "nowhere", "--pairs", "some"], "choose best or all"),
        (["gate", "a.parquet", "--baseline", "b.parquet"], "no baseline"),
        (["run", "quik"], "did you mean 'quick'"),
        (["run", "none.toml"], "no suite file 'none.toml'"),
        (["run", "{suite}", "--methods", "multidifusion"], "did you mean 'multidiffusion'"),
        (["run", "{suite}", "--metrics", "seam_rato"], "did you mean 'seam_ratio'"),
        (["run", "{suite}", "--datasets", "panorama"], "did you mean 'panoramas'"),
        (["run", "{suite}", "--model", "gaus"], "did you mean 'gauss'"),
        (["run", "{suite}", "--items", "nowhere"], "no item 'nowhere'"),
        (["run", "{suite}", "--seeds", "a"], "--seeds a"),
        (["run", "{suite}", "--limit", "0"], "--limit 0"),
        (["run", "{suite}", "--jobs", "0"], "--jobs 0"),
        (["run", "{suite}", "--shard", "3/2"], "--shard 3/2"),
        (["run", "{suite}", "--set", "stride=1"], "component.field=value"),
        (["run", "{suite}", "--set", "multidiffusion.strid=1"], "did you mean 'stride'"),
        (["run", "{suite}", "--set", "multidiffusion.stride=far"], "multidiffusion.stride = far"),
        (["run", "{suite}", "--set", "panoramas.width=8"], "narrower than its window"),
        (["run", "{suite}", "--datasets", "prompts"], "--set prompts.path=FILE"),
        (["run", "{suite}", "--datasets", "spheres"], "--set spheres.path=FILE"),
        (["run", "{suite}", "--datasets", "prompts", "--set", "prompts.path={broken}"], "broken.jsonl:2: not JSON"),
        (["run", "{suite}", "--model", "{tmp}/checkpoint"], "checkpoint"),
        (["run", "{suite}", "--out", "{tmp}"], "not a results folder"),
        (["run", "{suite}", "--out", "{old}"], "schema 0"),
        (["run", "{typo}"], "unknown key 'metods': did you mean 'methods'"),
        (["run", "{torn}"], "not TOML"),
        (["score", "{tmp}/none"], "no results folder"),
        (["score", "{tmp}"], "not a results folder"),
        (["report", "{old}"], "schema 0"),
        (["show", "{old}"], "schema 0"),
        (["cite", "{tmp}"], "not a results folder"),
        (["gate", "{tmp}", "--baseline", "{tmp}"], "not a results folder"),
        (["check", "multidifusion"], "did you mean 'multidiffusion'"),
        (["check", "{tmp}/none.py"], "no file"),
        (["ls", "method"], "did you mean 'methods'"),
        (["train", "juge", "--out", "{tmp}/x"], "did you mean 'judge'"),
    ],
)
def test_every_mistake_is_one_line_and_exit_2(suite: Path, tmp_path: Path, arguments: list[str], words: str) -> None:
    (tmp_path / "broken.jsonl").write_text('{"prompt": "a"}\n{"prompt": }\n')
    (tmp_path / "typo.toml").write_text(SUITE.replace("methods =", "metods ="))
    (tmp_path / "torn.toml").write_text("methods = [")
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "run.json").write_text('{"schema": 0}')
    places: dict[str, Any] = {"suite": suite, "tmp": tmp_path, "broken": tmp_path / "broken.jsonl"}
    places |= {"typo": tmp_path / "typo.toml", "torn": tmp_path / "torn.toml", "old": tmp_path / "old"}
    before = sorted(tmp_path.rglob("*"))
    done = call(*(argument.format(**places) for argument in arguments))
    assert done.exit_code == 2, done.output
    assert words in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    if "--out" not in arguments and arguments[0] != "run":
        assert sorted(tmp_path.rglob("*")) == before


def test_a_full_disk_stops_the_sweep_and_loses_nothing(
    suite: Path, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    from syncbench.bench.store import folder as module

    written: list[Path] = []
    original = module.write_bytes

    def full(path: Path, data: bytes) -> None:
        written.append(path)
        if len(written) > 8:
            raise OSError(errno.ENOSPC, "No space left on device")
        original(path, data)

    monkeypatch.setattr(module, "write_bytes", full)
    done = call("run", suite, "--out", results)
    assert done.exit_code == 2
    assert "no space left" in done.stderr.splitlines()[-1]
    kept = len(list((results / "jobs").iterdir()))
    assert kept >= 1
    monkeypatch.undo()
    facts = json.loads(call("run", suite, "--out", results, "--json").stdout)
    assert facts["sampled"] == 4 - kept
    assert facts["errors"] == {}


@pytest.mark.parametrize(
    "spec", ["multidiffusion", "independent@shared", "trap", "truth", "seam_ratio", "panoramas", "gauss", "tiny"]
)
def test_shipped_components_keep_their_contracts(spec: str) -> None:
    done = call("check", spec)
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("Restless", "same seed, same bytes"),
        ("Leaking", "processors"),
        ("Wrong", "finite RGB"),
        ("Mean", ""),
        ("Crowd", ""),
    ],
)
def test_check_finds_broken_promises(name: str, broken: str) -> None:
    done = call("check", f"{HERE}:{name}", "--json")
    failed = [verdict["promise"] for verdict in json.loads(done.stdout) if not verdict["kept"]]
    assert done.exit_code == (1 if broken else 0), done.output
    assert bool(failed) == bool(broken)
    assert any(broken in promise for promise in failed) or not broken


def test_check_catches_nan_metrics() -> None:
    done = call("check", f"{HERE}:Mean", "--set", "mean.mood=nan")
    assert done.exit_code == 1
    assert "FAIL" in done.stdout


def test_doctor_looks_at_everything() -> None:
    findings = {finding["name"]: finding for finding in json.loads(call("doctor", "--json").stdout)}
    assert findings["python"]["status"] == "ok"
    assert {"machine", "accelerator", "packages", "lpips weights", "results folder"} <= findings.keys()
    assert all(finding["cure"] for finding in findings.values() if finding["status"] == "warn")
    assert "->" in call("doctor").stdout or all(f["status"] == "ok" for f in findings.values())


READERS: dict[str, list[str]] = {
    **{name: [name] for name in ("report", "board", "cite", "score", "show", "power")},
    "gate": ["gate", "--baseline", "{records}"],
    "gate's baseline": ["gate", "{records}", "--baseline"],
}


@pytest.mark.parametrize("command", READERS)
def test_a_file_that_is_no_results_says_what_it_is(command: str, tmp_path: Path) -> None:
    records_, renamed, other = tmp_path / "records.parquet", tmp_path / "records.pq", tmp_path / "run.json"
    baseline.write_parquet(frame(records()), records_)
    renamed.write_bytes(records_.read_bytes())
    other.write_text("{}")
    text = tmp_path / "elsewhere" / "table.csv"
    text.parent.mkdir()
    text.write_text("a,b")
    arguments = [word.format(records=records_) for word in READERS[command]]
    cases = {
        renamed: "is a Parquet file under another name: give it a name that ends with .parquet",
        other: f"is a file in the results folder '{tmp_path}': name the folder",
        text: "is a file, not a results folder: name a folder that `run` wrote, or a .parquet file of records",
        tmp_path / "nothing": "no results folder",
    }
    if command in ("score", "show"):
        cases[records_] = "is a file of records, which has no samples: name the results folder that they are of"
    for path, words in cases.items():
        done = call(*arguments, path)
        assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1), done.output
        assert words in done.stderr.replace("\n", " ")


def test_scoring_names_a_data_set_that_the_folder_has_not(suite: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert call("run", suite, "--out", out).exit_code == 0
    done = call("score", out, "--datasets", "nope")
    assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1)
    assert "has no results of a data set 'nope': there are those of panoramas" in done.stderr
    assert call("score", out, "--datasets", "panoramas").exit_code == 0


def test_a_choice_says_what_there_is_to_choose(tmp_path: Path) -> None:
    done = call("run", "quick", "--set", "reference.dtype=int8", "--limit", "1", "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert "dtype = int8: it must be 'float32', 'float64', 'bfloat16' or 'float16'" in done.stderr
