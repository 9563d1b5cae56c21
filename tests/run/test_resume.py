"""kill -9 at random moments, then resume: the records of an undisturbed run, nothing twice, nothing torn.

Also from several hosts, which tests call by name (`SYNCBENCH_HOST`), and by several sweeps at once.
"""

import json
import multiprocessing
import os
import random
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from syncbench.bench.run.execute import executor
from syncbench.bench.run.sweep import run, sweep
from syncbench.bench.store.folder import Store, load_records
from syncbench.bench.suites.suite import read_suite

HERE = str(Path(__file__).parents[1] / "tiny_components.py")
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    ["syncbench.bench.run.sweep", "syncbench.methods.independent", "syncbench.bench.models.gauss", "pandas"]
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


def on_host(host: str, suite: dict[str, Any], folder: Path, jobs: int, told: Path | None = None) -> None:
    """A sweep on a host of that name; `told` is the file that gets how much it sampled."""
    os.environ["SYNCBENCH_HOST"] = host
    with executor(jobs) as execute:
        done = sweep(read_suite(suite), folder, execute)
    if told is not None:
        told.write_text(str(done.sampled))


def age(folder: Path, seconds: float = 3600) -> None:
    """Let time pass for whatever has been left behind."""
    for path in [one for hidden in folder.rglob(".*") for one in (hidden, *hidden.rglob("*"))]:
        os.utime(path, (time.time() - seconds,) * 2)


def everything(folder: Path) -> dict[str, Any]:
    """All that a folder holds, less dates, seconds and memory."""
    store, found = Store(folder), dict[str, Any]()
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".json"):
        found[str(path.relative_to(folder))] = path.read_bytes()
    for key in store.finished():
        job = store.job(key)
        assert job is not None
        cost = replace(job.cost, seconds=0.0, peak_mb=0.0)
        found[key] = job.model_copy(update={"cost": cost, "traceback": ""}), store.scores(key)
    return found | store.groups()


@pytest.mark.parametrize("kills", [4, pytest.param(100, marks=pytest.mark.slow)])
def test_kills_at_any_moment_on_two_hosts_leave_nothing(suite: dict[str, Any], tmp_path: Path, kills: int) -> None:
    """From the first moment on, with one and two processes."""
    chance, folder = random.Random(kills), tmp_path / "killed"
    killed, progress = 0, list[int]()
    for number in range(kills):
        host, jobs = ("alpha", "beta-2")[number % 2], 1 + number // 2 % 2  # all four within four kills
        if sizes(folder) >= 36:
            folder.rename(tmp_path / f"before{number}")  # everything is made and scored: begin again
        process = CONTEXT.Process(target=on_host, args=(host, suite, folder, jobs))
        process.start()
        if number % 3 == 0:  # its first moments
            process.join(chance.uniform(0, 2))
        else:  # some way on, wherever that falls
            goal = sizes(folder) + chance.randint(0, 3)
            while process.is_alive() and sizes(folder) < goal:
                time.sleep(0.001)
            process.join(chance.uniform(0, 0.2))
        killed += process.is_alive()
        progress.append(sizes(folder))
        process.kill()
        process.join()
        age(folder)
    assert killed >= kills // 2
    if not folder.exists():
        folder.mkdir()
    for path in [folder, *tmp_path.glob("before*")]:
        run(suite, path)
        run(suite, tmp_path / "whole")
        assert everything(path) == everything(tmp_path / "whole")
        assert list(path.rglob(".*")) == []
    print(f"{killed} of {kills} starts were killed, with so many parts finished: {progress}")


def test_two_sweeps_in_one_folder_share_the_work(suite: dict[str, Any], tmp_path: Path) -> None:
    """Both end with everything done, and nothing was made twice; one of them is on another host."""
    folder, told = tmp_path / "shared", [tmp_path / "a", tmp_path / "b"]
    sweeps = [
        CONTEXT.Process(target=on_host, args=(host, suite, folder, 1, file))
        for host, file in zip(("alpha", "beta"), told, strict=True)
    ]
    for one in sweeps:
        one.start()
    for one in sweeps:
        one.join()
    assert [one.exitcode for one in sweeps] == [0, 0]
    run(suite, tmp_path / "whole")
    assert everything(folder) == everything(tmp_path / "whole")
    assert sum(int(file.read_text()) for file in told) == len(Store(folder).finished())
    assert list(folder.rglob(".*")) == []


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
