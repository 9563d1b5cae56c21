"""A component cannot end a sweep: whatever it answers, raises or changes, the rest goes on and stays the same."""

import gc
import json
import os
import random
import signal
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from syncbench.bench.cli.main import app
from syncbench.bench.errors import SyncbenchError
from syncbench.bench.run.sweep import run
from syncbench.bench.store.folder import Store
from syncbench.bench.types import Artifact
from typer.testing import CliRunner

from .. import moods

HERE = str(Path(__file__).parents[1] / "moods.py")
GOOD = Artifact(views=torch.rand(4, 3, 16, 16), canvas=torch.rand(3, 16, 64))
BAD = (*moods.RAISES, *moods.answers(GOOD))
FINE = (*moods.BEHIND, *moods.harmless(GOOD))
HEALTHY = [f"{HERE}:Sensitive", "independent"]


def mood(name: str, what: str, **more: Any) -> dict[str, Any]:
    return {"id": f"{HERE}:{name}", "mood": what, **more}


def suite(methods: list[Any], metrics: list[Any] = [], lazy: bool = False) -> dict[str, Any]:  # noqa: B006
    return {
        "model": "gauss",
        "datasets": [{"id": f"{HERE}:Hints", "lazy": lazy}],
        "methods": methods,
        "metrics": metrics or ["network_evaluations"],
    }


def bytes_of(folder: Path, methods: list[str]) -> dict[tuple[str, str], Any]:
    """What is stored of each job, less what differs from run to run."""
    store, found = Store(folder), dict[tuple[str, str], Any]()
    for key in store.finished():
        job = store.job(key)
        assert job is not None
        if job.header.method in methods:
            place = job.header.method, job.header.item
            cost = replace(job.cost, seconds=0.0, peak_mb=0.0)
            found[place] = job.files, job.notes, cost, store.scores(key)
    assert found
    return found


def state() -> dict[str, Any]:
    """Of this process, as a component may have left it."""
    mask = os.umask(0)
    os.umask(mask)
    return {
        "dtype": torch.get_default_dtype(),
        "device": torch.tensor(0.0).device.type,
        "grad": torch.is_grad_enabled(),
        "threads": torch.get_num_threads(),
        "deterministic": torch.get_deterministic_debug_mode(),
        "precision": torch.get_float32_matmul_precision(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "anomaly": torch.is_anomaly_enabled(),
        "denormal": float(torch.tensor(1e-40) * 1.0) > 0,
        "torch": torch.get_rng_state().tolist(),
        "numpy": np.random.get_state()[1].tolist(),
        "python": random.getstate(),
        "numpy errors": np.geterr(),
        "folder": os.getcwd(),
        "environment": dict(os.environ),
        "mask": mask,
        "limit": sys.getrecursionlimit(),
        "garbage": gc.isenabled(),
        "filters": list(warnings.filters),
        "term": signal.getsignal(signal.SIGTERM),
        "timer": signal.getitimer(signal.ITIMER_REAL)[0],
        "stdout": sys.stdout,
        "descriptor": os.fstat(1).st_ino,
    }


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of healthy methods only."""
    folder = tmp_path_factory.mktemp("alone") / "out"
    run(suite(HEALTHY), folder)
    return folder


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame, dict[str, Any], dict[str, Any]]:
    """Every mood of a method in one sweep, between healthy ones; its records, the process before and after."""
    folder = tmp_path_factory.mktemp("crowd") / "out"
    before = state()
    frame = run(suite([*(mood("Moody", one) for one in (*BAD, *FINE)), *HEALTHY]), folder)
    return folder, frame, before, state()


@pytest.mark.parametrize("what", BAD)
def test_what_a_method_answers_or_raises_is_a_record(crowd: tuple[Path, pd.DataFrame, Any, Any], what: str) -> None:
    frame = crowd[1]
    rows = frame[frame["method"] == f"moods:Moody[mood={what}]"]
    assert len(rows) == 2
    assert set(rows["status"]) == {"error"}
    assert rows["value"].isna().all()
    assert rows["reason"].str.len().min() > 3


@pytest.mark.parametrize("what", FINE)
def test_what_is_merely_odd_is_stored(crowd: tuple[Path, pd.DataFrame, Any, Any], what: str) -> None:
    frame = crowd[1]
    rows = frame[frame["method"] == f"moods:Moody[mood={what}]"]
    assert len(rows) == 2
    fails = what == "default device"  # on which the method itself cannot compute
    assert set(rows["status"]) == {"error" if fails else "ok"}, rows["reason"].tolist()


def test_the_others_are_the_same_byte_for_byte(crowd: tuple[Path, Any, Any, Any], alone: Path) -> None:
    names = ["moods:Sensitive", "independent"]
    assert bytes_of(crowd[0], names) == bytes_of(alone, names)


def test_every_job_has_random_numbers_of_its_own(alone: Path) -> None:
    store = Store(alone)
    jobs = {key: job for key in store.finished() if (job := store.job(key)) is not None}
    shades = [store.artifact(k).extras["shades"] for k, j in jobs.items() if "Sensitive" in j.header.method]
    assert len(shades) == 2
    assert all(bool((shades[0][n] != shades[1][n]).all()) for n in range(3)), "of torch, NumPy and Python"


def test_the_process_is_as_it_was(crowd: tuple[Any, Any, dict[str, Any], dict[str, Any]]) -> None:
    _, _, before, after = crowd
    assert {name for name in before if before[name] != after[name]} == set()


def test_a_second_start_finds_nothing_to_do(crowd: tuple[Path, pd.DataFrame, Any, Any]) -> None:
    folder, frame, _, _ = crowd
    events: list[Any] = []
    again = run(suite([*(mood("Moody", one) for one in (*BAD, *FINE)), *HEALTHY]), folder, progress=events.append)
    assert events == []
    pd.testing.assert_frame_equal(frame, again)


def test_numbers_of_numpy_and_torch_are_numbers(crowd: tuple[Path, Any, Any, Any]) -> None:
    store = Store(crowd[0])
    notes = {
        job.header.method: job.notes
        for key in store.finished()
        if (job := store.job(key)) is not None and job.status == "ok"
    }
    assert notes["moods:Moody[mood=notes numpy number]"] == {"x": 0.5, "y": 3, "z": True}
    assert notes["moods:Moody[mood=notes tensor number]"] == {"x": 3, "y": 0.5}
    assert notes["moods:Moody[mood=notes tuple]"] == {"x": [1, 2]}


@pytest.mark.parametrize("lazy", [False, True])
def test_a_method_that_changes_its_input_changes_it_for_itself(results: Path, tmp_path: Path, lazy: bool) -> None:
    """Also one that makes what is made on first access under another default dtype."""
    names = ["moods:Sensitive"]
    run(suite([f"{HERE}:Sensitive"], lazy=lazy), tmp_path / "alone")
    bad: list[Any] = [{"id": f"{HERE}:Tampering", "what": what} for what in ("item", "numpy")]
    frame = run(suite([mood("Moody", "default dtype"), *bad, f"{HERE}:Sensitive"], lazy=lazy), results)
    assert set(frame["status"]) == {"ok"}
    assert bytes_of(results, names) == bytes_of(tmp_path / "alone", names)


def test_a_method_that_changes_the_model_changes_it_for_itself(results: Path, tmp_path: Path) -> None:
    def asked(methods: list[Any]) -> dict[str, Any]:
        return {**suite(methods), "model": "tiny", "datasets": [{"id": f"{HERE}:Hints"}], "limit": 1}

    run(asked(["independent"]), tmp_path / "alone")
    run(asked([*({"id": f"{HERE}:Tampering", "what": w} for w in ("weights", "precision")), "independent"]), results)
    assert bytes_of(results, ["independent"]) == bytes_of(tmp_path / "alone", ["independent"])


def test_a_well_behaved_method_costs_no_second_model(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from syncbench.bench.suites.suite import Entry

    loaded: list[str] = []
    original = Entry.load
    monkeypatch.setattr(Entry, "load", lambda self: loaded.append(self.kind) or original(self))
    half = {"id": "multidiffusion", "stride": 0.5}
    run({**suite(["independent", half, "batch_attention"]), "model": "tiny"}, results)
    assert loaded.count("models") == 1


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """Every mood of a metric in one sweep, each followed by a witness of what it left."""
    folder = tmp_path_factory.mktemp("judged") / "out"
    every = (*moods.RAISES, *moods.SCORES, *moods.NUMBERS, *moods.NULLS, *moods.TAMPERS, *moods.BEHIND)
    metrics = [one for what in every for one in (mood("Judge", what), mood("Witness", what))]
    groups = [mood("Party", what) for what in (*moods.RAISES, *PARTIES, *moods.BEHIND)]
    return run(suite(["independent"], [f"{HERE}:Witness", *metrics, *groups]), folder)


PARTIES = {
    **dict.fromkeys(("none", "list", "wrong key", "int key", "numbers"), (0, 2)),
    **dict.fromkeys(("one bad", "one nan coverage"), (1, 1)),
    **dict.fromkeys(("numpy", "tensor"), (2, 0)),
    "one missing": (1, 0),
}
"""Group metrics by mood: how many of two items have a number, and how many an error."""


@pytest.mark.parametrize("what", [*moods.RAISES, *moods.SCORES])
def test_what_a_metric_answers_or_raises_is_a_row(judged: pd.DataFrame, what: str) -> None:
    rows = judged[judged["metric"] == f"moods:Judge[mood={what}]"]
    assert len(rows) == 2
    assert set(rows["status"]) == {"error"}
    assert rows["value"].isna().all()
    assert rows["reason"].str.len().min() > 3


@pytest.mark.parametrize("what", [*moods.NUMBERS, *moods.TAMPERS, *moods.BEHIND])
def test_numbers_are_numbers(judged: pd.DataFrame, what: str) -> None:
    rows = judged[judged["metric"] == f"moods:Judge[mood={what}]"]
    assert rows["value"].tolist() == [0.5, 0.5]
    assert rows["coverage"].tolist() == [1.0, 1.0]
    assert set(rows["status"]) == {"ok"}


@pytest.mark.parametrize("what", [*moods.NULLS])
def test_no_number_is_a_null_with_a_reason(judged: pd.DataFrame, what: str) -> None:
    rows = judged[judged["metric"] == f"moods:Judge[mood={what}]"]
    assert rows["value"].isna().all()
    assert set(rows["status"]) == {"ok"}
    assert rows["reason"].str.len().min() > 3


def test_the_next_metric_sees_what_is_stored(judged: pd.DataFrame) -> None:
    seen = judged[judged["metric"].str.contains("Witness")]
    assert set(seen["status"]) == {"ok"}
    assert (seen.groupby("item")["value"].nunique() == 1).all(), seen.groupby("value")["metric"].first().to_dict()


@pytest.mark.parametrize("what", [*moods.RAISES, *PARTIES, *moods.BEHIND])
def test_what_a_group_metric_answers_or_raises_are_rows(judged: pd.DataFrame, what: str) -> None:
    rows = judged[judged["metric"] == f"moods:Party[mood={what}]"]
    numbers, errors = PARTIES.get(what, (0, 2) if what in moods.RAISES else (2, 0))
    assert len(rows) == 2
    assert (rows["status"] == "error").sum() == errors
    assert rows["value"].notna().sum() == numbers
    assert (rows["reason"].notna() == rows["value"].isna()).all()


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        *((mood("Bent", what), "Bent") for what in moods.RAISES),
        (mood("Bent", "bytes"), "fingerprint is b'x', not text"),
        (mood("Bent", "none"), "fingerprint is None, not text"),
        (mood("Bent", "surrogate"), "fingerprint"),
        (mood("Bent", "init exits"), "Bent"),
        (mood("Bent", "init raises"), "KeyError"),
        (f"{HERE}:NoFamilies", "families are None"),
        (f"{HERE}:Whole", "version is '1', not a whole number"),
        (f"{HERE}:Sideways", "direction is 'sideways'"),
    ],
    ids=str,
)
def test_a_broken_metric_is_one_sentence_before_the_sweep(results: Path, metric: Any, words: str) -> None:
    with pytest.raises(SyncbenchError) as caught:
        run(suite(["independent"], [metric]), results)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not results.exists()


@pytest.mark.parametrize("what", [*moods.LISTS])
def test_a_broken_data_set_is_one_sentence_before_the_sweep(results: Path, what: str) -> None:
    with pytest.raises(SyncbenchError, match="Heap") as caught:
        run({**suite(["independent"]), "datasets": [mood("Heap", what)]}, results)
    assert "\n" not in str(caught.value)
    assert not results.exists()


def test_what_a_data_set_changes_is_set_back(results: Path, alone: Path) -> None:
    before = state()
    asked = suite(["independent"])
    heaps = [mood("Heap", what) for what in moods.BEHIND]
    run({**asked, "datasets": [*heaps, *asked["datasets"]], "metrics": [], "limit": 1}, results)
    assert {name for name, value in state().items() if before[name] != value} == set()


@pytest.mark.parametrize("line", ["sys.exit()", "sys.exit(3)", "raise GeneratorExit", "raise ValueError('x')", "1 / 0"])
def test_a_file_that_ends_the_process_when_imported_is_one_sentence(results: Path, tmp_path: Path, line: str) -> None:
    file = tmp_path / "leaver.py"
    file.write_text(f"import sys\n{line}\nclass Leaver:\n    pass\n")
    suite = written(tmp_path)
    done = CliRunner().invoke(app, ["run", str(suite), "--methods", str(file), "--out", str(results)])
    assert done.exit_code == 2
    assert done.stderr.startswith("error: ")
    assert "leaver.py" in done.stderr
    assert done.stderr.count("\n") == 1
    assert CliRunner().invoke(app, ["check", str(file)]).exit_code == 2


TOML = """
model = "gauss"
datasets = [{{ id = "{here}:Hints", lazy = false }}]
methods = [{methods}]
metrics = ["network_evaluations"]
"""


def written(folder: Path, *names: str) -> Path:
    lines = ", ".join(f'{{ id = "{HERE}:Moody", mood = "{name}" }}' for name in names)
    path = folder / "moods.toml"
    path.write_text(TOML.format(here=HERE, methods=f'"independent", {lines}'))
    return path


def test_the_command_line_stays_json_and_says_that_jobs_failed(tmp_path: Path) -> None:
    file = written(tmp_path, "prints", "closes stdout", "closes descriptor 1", "replaces stdout", "exits with 0")
    command = [
        sys.executable,
        "-m",
        "syncbench.bench.cli.main",
        "run",
        str(file),
        "--json",
        "--out",
        str(tmp_path / "out"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    facts = json.loads(done.stdout)
    assert (facts["jobs"], facts["sampled"], len(facts["errors"])) == (12, 12, 2)
    assert done.stderr.count("mood\n") >= 3
    assert "Traceback" not in done.stderr


def dying(tmp_path: Path, names: list[str], jobs: int, group: bool = True) -> pd.DataFrame:
    """A sweep of methods and metrics that end their process or never end, in worker processes."""
    methods = [*(mood("Moody", one) for one in names), "independent"]
    metrics: list[Any] = [mood("Judge", names[0]), "network_evaluations"]
    metrics += [mood("Party", names[0])] * group
    return run({**suite(methods, metrics), "limit": 1}, tmp_path / "out", jobs=jobs, timeout=5)


def check_dying(frame: pd.DataFrame, names: list[str]) -> None:
    good = frame[frame["method"] == "independent"].set_index("metric")
    assert good.loc["network_evaluations", "status"] == "ok"
    for name in {f"moods:Judge[mood={names[0]}]", f"moods:Party[mood={names[0]}]"} & set(good.index):
        assert good.loc[name, "status"] == "error"
        assert "its process ended with" in good.loc[name, "reason"]
    for name in names:
        rows = frame[frame["method"] == f"moods:Moody[mood={name}]"]
        assert set(rows["status"]) == {"error"}
        words = "took longer than 5 s (--timeout)" if name in moods.ENDLESS else "its process ended with"
        assert all(words in reason for reason in rows["reason"]), rows["reason"].tolist()


def test_a_process_that_dies_or_never_ends_is_its_jobs_error(tmp_path: Path) -> None:
    names = ["killed", "sleeps"]
    frame = dying(tmp_path, names, jobs=2, group=False)
    check_dying(frame, names)
    killed = frame[frame["method"] == "moods:Moody[mood=killed]"]["reason"]
    assert killed.str.startswith("its process ended with signal 9 (SIGKILL)").all()
    assert leftovers(tmp_path / "out") == []


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_every_death(tmp_path: Path, jobs: int) -> None:
    names = [*moods.DEADLY, *moods.ENDLESS]
    check_dying(dying(tmp_path, names, jobs), names)
    assert leftovers(tmp_path / "out") == []


def test_a_death_in_this_process_is_told_at_the_next_start(tmp_path: Path, alone: Path) -> None:
    """With one job there is no worker: the sweep dies, and the next start makes that job in a process of its own."""
    file, out = written(tmp_path, "killed"), tmp_path / "out"
    command = [sys.executable, "-m", "syncbench.bench.cli.main", "run", str(file), "--out", str(out)]
    first = subprocess.run(command, capture_output=True, text=True, check=False)
    assert first.returncode == -signal.SIGKILL
    frame = run(file, out)  # in this process it would end the tests
    bad = frame[frame["method"].str.contains("killed")]
    assert len(bad) == 2
    assert bad["reason"].str.contains("signal 9").all()
    assert bytes_of(out, ["independent"]) == bytes_of(alone, ["independent"])
    assert leftovers(out) == []


def leftovers(folder: Path) -> list[Path]:
    return list(folder.rglob(".*"))
