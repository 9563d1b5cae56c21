"""kill -9 at random moments, then resume: the records of an undisturbed run, nothing twice, nothing torn."""

import json
import multiprocessing
import random
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from syncbench.bench.run import run
from syncbench.bench.store import Store, load_records

HERE = str(Path(__file__).with_name("components.py"))
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    ["syncbench.bench.run", "syncbench.methods.independent", "syncbench.bench.models.gauss", "pandas"]
)


@pytest.fixture
def suite(tiny_suite: dict[str, Any]) -> dict[str, Any]:
    metrics = ["network_evaluations", f"{HERE}:Mean", f"{HERE}:Crowd"]
    return {**tiny_suite, "metrics": metrics, "limit": 3, "methods": [*tiny_suite["methods"], f"{HERE}:Failing"]}


def sizes(folder: Path) -> int:
    """How much has been finished: jobs and their scores."""
    return len(list(folder.glob("jobs/[!.]*"))) + len(list(folder.glob("jobs/[!.]*/scores.json")))


def kill_at(suite: dict[str, Any], folder: Path, finished: int, wait: float) -> bool:
    """Start a sweep, kill it `wait` seconds after it has `finished` parts; whether it was killed."""
    process = CONTEXT.Process(target=run, args=(suite, folder))
    process.start()
    while process.is_alive() and sizes(folder) < finished:
        time.sleep(0.001)
    time.sleep(wait)
    alive = process.is_alive()
    process.kill()
    process.join()
    return alive


def table(folder: Path) -> pd.DataFrame:
    return load_records([folder]).sort_values(["key", "metric"]).reset_index(drop=True)


@pytest.mark.parametrize("kills", [3, pytest.param(10, marks=pytest.mark.slow)])
def test_kills_and_a_resume_equal_an_undisturbed_run(suite: dict[str, Any], tmp_path: Path, kills: int) -> None:
    chance = random.Random(kills)
    folder = tmp_path / "killed"
    killed = 0
    for _ in range(kills):
        killed += kill_at(suite, folder, sizes(folder) + chance.randint(0, 2), chance.uniform(0, 0.05))
        for path in folder.glob("jobs/[!.]*"):
            assert json.loads((path / "job.json").read_text())["key"] == path.name, "whole or absent"
    assert killed >= 0.8 * kills - 1
    run(suite, folder)
    run(suite, tmp_path / "whole")
    pd.testing.assert_frame_equal(table(folder), table(tmp_path / "whole"))
    assert not table(folder).duplicated(["key", "metric"]).any()
    assert len(table(folder)) == 3 * 3 * 2 * 3
    assert not [path for path in folder.rglob("*") if path.name.startswith(".tmp-")]
    store, whole = Store(folder), Store(tmp_path / "whole")
    assert store.groups().keys() == whole.groups().keys()
    for key in store.finished():
        job, other = store.job(key), whole.job(key)
        assert job is not None
        assert other is not None
        assert job.files == other.files, "the same bytes"
        if job.status == "ok":
            store.artifact(key)


@pytest.mark.slow
def test_workers_end_when_their_parent_is_killed(suite: dict[str, Any], tmp_path: Path) -> None:
    import psutil

    folder = tmp_path / "killed"
    process = CONTEXT.Process(target=run, args=(suite, folder), kwargs={"jobs": 2})
    process.start()
    while process.is_alive() and sizes(folder) < 1:
        time.sleep(0.01)
    workers = psutil.Process(process.pid).children(recursive=True)
    assert workers
    process.kill()
    process.join()
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert not alive
    run(suite, folder)
    assert len(table(folder)) == 3 * 3 * 2 * 3
