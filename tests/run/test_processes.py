"""Worker processes, claims, and what killed processes leave behind."""

import importlib
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from syncbench.bench.errors import SyncbenchError
from syncbench.bench.files import writing
from syncbench.bench.files.temporary import STALE, clear_stale, host, temporary_file
from syncbench.bench.files.writing import write_whole
from syncbench.bench.isolation.guard import threaded
from syncbench.bench.run import sweep as run
from syncbench.bench.run.claims import Claims
from syncbench.bench.run.events import Event
from syncbench.bench.run.execute import InProcess, Lost, Workers, executor
from syncbench.bench.run.progress import shown
from syncbench.bench.store.folder import Store

from .. import stored_jobs


def old(path: Path, seconds: float = STALE + 60) -> Path:
    """The same file, as if nobody had touched it for so long."""
    os.utime(path, (time.time() - seconds,) * 2)
    return path


# Workers


def test_work_runs_with_its_threads_and_the_process_keeps_its_own() -> None:
    with threaded(2):
        answers = InProcess(threads=3)(lambda task, loaded: torch.get_num_threads(), [0, 1])
        assert [answer for _, answer in answers] == [3, 3]
        assert torch.get_num_threads() == 2


def test_switches_of_the_process_are_set_around_the_work_and_not_in_it() -> None:
    before = torch.get_deterministic_debug_mode()
    answers = InProcess()(lambda task, loaded: torch.get_deterministic_debug_mode(), [0])
    assert [answer for _, answer in answers] == [1]
    assert torch.get_deterministic_debug_mode() == before


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"jobs": 0}, "--jobs 0"),
        ({"jobs": 1, "timeout": 0}, "--timeout 0"),
        ({"jobs": 1, "timeout": float("nan")}, "nan"),
    ],
)
def test_impossible_executors_are_refused(how: dict[str, Any], words: str) -> None:
    with pytest.raises(SyncbenchError, match=words):
        executor(**how)


def test_one_job_without_a_limit_needs_no_second_process() -> None:
    assert not executor(1).apart
    assert executor(1, timeout=3).apart
    assert executor(2).apart


CHORES = """import os

def base(task, loaded): return os.path.basename(task)
def entries(task, loaded): return os.listdir(task)
def die(task, loaded): os._exit(task)
def warm(task, loaded): loaded.warmed.add(task); return sorted(loaded.warmed)
"""


@pytest.fixture
def chores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Work: functions of a module that worker processes can import, and able to do harm."""
    (tmp_path / "chores.py").write_text(CHORES)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("chores")
    del sys.modules["chores"]


def test_what_a_task_has_loaded_is_there_for_the_next_in_its_process_only(chores: Any) -> None:
    with Workers(1, threads=1) as work:
        assert [answer for _, answer in work(chores.warm, ["a", "b"])] == [["a"], ["a", "b"]]
        [(_, died)] = work(chores.die, [3])
        assert isinstance(died, Lost)
        assert [answer for _, answer in work(chores.warm, ["c"])] == [["c"]], "another worker has its own"
        assert work.loaded.warmed == set()
    here = InProcess()
    assert [answer for _, answer in here(chores.warm, ["a", "b"])] == [["a"], ["a", "b"]]
    assert here.loaded.warmed == {"a", "b"}


def test_workers_answer_fail_and_die_each_for_itself(chores: Any) -> None:
    others = set(psutil.Process().children())
    with Workers(1, threads=1) as work:
        assert [answer for _, answer in work(chores.base, ["a/b", "c"])] == ["b", "c"]
        [(_, failed)] = work(chores.entries, ["/nowhere"])
        assert isinstance(failed, Lost)
        assert failed.reason.startswith("FileNotFoundError")
        assert not failed.again
        [(_, died)] = work(chores.die, [3])
        assert died == Lost("its process ended with exit code 3", again=True)
        assert [answer for _, answer in work(chores.base, ["d/e"])] == ["e"], "another worker takes over"
        children = set(psutil.Process().children()) - others
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]


def test_workers_that_cannot_start_are_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, chores: Any
) -> None:
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\nexit 7\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    with pytest.raises(SyncbenchError, match="worker processes cannot start: its process ended with exit code 7"):
        list(Workers(1, threads=1)(chores.base, ["a", "b", "c", "d"]))


# Folders and claims


@pytest.fixture
def store(results: Path) -> Store:
    return Store.create(results, {})


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Whatever this process writes now, another host seems to have written."""
    monkeypatch.setenv("SYNCBENCH_HOST", "elsewhere-1")
    return monkeypatch


def test_a_start_that_was_cut_off_at_once_is_no_foreign_folder(tmp_path: Path) -> None:
    """A kill between making the folder and `run.json`, by this version and by those that made the folders first."""
    for number, names in enumerate([(), ("jobs",), ("jobs", "groups"), (".tmp-host-1-run.json", "jobs/.claim-x")]):
        root = tmp_path / str(number)
        root.mkdir()
        for name in names:
            (root / name).mkdir(parents=True) if name in ("jobs", "groups") else None
            if "." in name:
                (root / name).parent.mkdir(exist_ok=True)
                (root / name).write_text("{")
        assert Store.create(root, {}).finished() == []
    (tmp_path / "x" / "jobs" / "mine").mkdir(parents=True)
    with pytest.raises(SyncbenchError, match="not a results folder"):
        Store.create(tmp_path / "x", {})


def test_run_json_comes_first(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    original = Path.mkdir
    monkeypatch.setattr(Path, "mkdir", lambda p, *a, **k: made.append(p.name) or original(p, *a, **k))
    monkeypatch.setattr(
        "syncbench.bench.store.folder.write_json",
        lambda path, content: made.append(path.name) or writing.write_json(path, content),
    )
    Store.create(results, {})
    assert made == ["results", "run.json", "jobs", "groups"]


def test_a_claim_is_held_as_long_as_its_owner_lives(store: Store, elsewhere: pytest.MonkeyPatch) -> None:
    with Claims(store.root) as theirs:
        assert theirs.take("k") == "taken"
        assert theirs.take("k") == "taken", "it is theirs already"
        elsewhere.delenv("SYNCBENCH_HOST")
        with Claims(store.root) as ours:
            assert ours.take("k") == "held"
            assert ours.holder("k") == f"process {os.getpid()} on elsewhere_1"
            assert ours.left() == []
            for path in store.root.rglob(".*"):
                old(path)
            assert ours.left() == ["k"], "no sign of life for minutes"
            assert ours.take("k") == "left"
        elsewhere.setenv("SYNCBENCH_HOST", "elsewhere-1")
    assert list(store.root.rglob(".*")) == []


def test_a_heartbeat_keeps_a_claim(store: Store, elsewhere: pytest.MonkeyPatch) -> None:
    with Claims(store.root) as theirs:
        theirs.take("k")
        elsewhere.delenv("SYNCBENCH_HOST")
        old(store.root / "jobs" / ".claim-k", 9999)
        assert Claims(store.root).left() == []
        elsewhere.setenv("SYNCBENCH_HOST", "elsewhere-1")


def test_a_dead_process_of_this_host_holds_nothing(store: Store) -> None:
    path = store.root / "jobs" / ".claim-k"
    path.write_text(f'{{"owner": "{host()}-999999999", "since": 5.0}}')
    assert Claims(store.root).left() == ["k"]
    path.write_text(f'{{"owner": "{host()}-{os.getpid()}", "since": 5.0}}')
    assert Claims(store.root).left() == ["k"], "another process had this one's id"
    path.write_text("")
    assert Claims(store.root).left() == [], "it is being written"
    with Claims(store.root) as ours:
        assert ours.take("k") == "held"


def test_two_containers_of_one_name_do_not_judge_each_other() -> None:
    assert host().startswith(socket.gethostname().replace("-", "_")[:20])
    assert "." in host(), "a tag of boot and process namespace"


@pytest.mark.parametrize("name", ["canvas.png", "jobs/k", "jobs/k/scores.json", "groups/g.json"])
def test_leftovers_of_other_hosts_are_swept_when_stale(store: Store, elsewhere: pytest.MonkeyPatch, name: str) -> None:
    (store.root / name).parent.mkdir(exist_ok=True)
    with temporary_file(store.root / name) as draft:
        pass
    draft.mkdir()
    (draft / "half").write_text("x")
    elsewhere.delenv("SYNCBENCH_HOST")
    store.sweep()
    assert draft.exists(), "it may be at work"
    old(draft)
    store.sweep()
    assert draft.exists(), "a file in it is young"
    old(draft / "half")
    old(draft)
    store.sweep()
    assert not draft.exists()


def test_leftovers_beside_a_target_are_swept(tmp_path: Path, elsewhere: pytest.MonkeyPatch) -> None:
    target = tmp_path / "table[1].md"
    with temporary_file(target) as draft, temporary_file(tmp_path / "other.md") as other:
        pass
    for path in (draft, other):
        path.write_text("half")
        old(path)
    elsewhere.delenv("SYNCBENCH_HOST")
    write_whole(target, "whole")
    assert not draft.exists()
    assert other.exists(), "not this target's"
    assert target.read_text() == "whole"
    clear_stale(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


def test_a_job_that_is_there_meanwhile_stays(
    tiny_suite: dict[str, Any], results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another sweep took over a claim that only seemed dead: the first to finish wins, with its scores."""
    from syncbench.bench.run import sample

    original = sample._make

    def slow(job: Any, loaded: Any) -> Any:
        made = original(job, loaded)
        Store(results).save(job.key, stored_jobs.job(job.key, status="error", error="theirs"), {})
        return made

    monkeypatch.setattr(sample, "_make", slow)
    run.run({**tiny_suite, "limit": 1, "seeds": [0], "metrics": []}, results)
    store = Store(results)
    jobs = [store.job(key) for key in store.finished()]
    assert jobs
    assert all(job is not None and job.error == "theirs" for job in jobs)


def test_waiting_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    with shown() as listener:
        listener(Event("wait", 0, 3, "process 5 on alpha"))
    assert capsys.readouterr().err.startswith("waiting for 3 that process 5 on alpha does in this folder")
