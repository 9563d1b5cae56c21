"""How many threads a process takes: what is asked for, or the cores that are free."""

import os
from pathlib import Path

import psutil
import pytest
from syncbench.bench.errors import SyncbenchError
from syncbench.bench.isolation import threads
from syncbench.bench.isolation.threads import allowed_cores, free_cores, threads_for
from syncbench.bench.run.execute import executor


def test_threads_are_what_is_asked_for_or_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(threads, "free_cores", lambda: 12)
    assert (threads_for(), threads_for(jobs=5), threads_for(jobs=50)) == (12, 2, 1)
    assert threads_for(small=True) == 1, "a second thread would wait more than it helps"
    assert threads_for(asked=3, jobs=5, small=True) == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert threads_for(small=True) == 4
    assert threads_for(asked=3) == 3
    with pytest.raises(SyncbenchError, match="--threads 0"):
        executor(1, threads=0)


@pytest.mark.parametrize(
    ("load", "now", "allowed", "free"), [(0, 0, 8, 8), (5, 90, 8, 3), (8, 0, 8, 8), (30, 100, 8, 1), (2, 25, 4, 4)]
)
def test_free_cores_are_those_that_nothing_uses(
    monkeypatch: pytest.MonkeyPatch, load: float, now: float, allowed: float, free: int
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0, 0))
    monkeypatch.setattr(psutil, "cpu_percent", lambda interval: now)
    monkeypatch.setattr(threads, "allowed_cores", lambda: allowed)
    assert free_cores() == free


@pytest.mark.parametrize(
    ("group", "quotas", "cores"),
    [
        ("0::/a/b\n", {"a/b/cpu.max": "150000 100000", "a/cpu.max": "max 100000"}, [1.5]),
        ("0::/a/b\n", {"a/cpu.max": "50000 100000"}, [0.5]),
        (
            "4:memory:/x\n1:cpu,cpuacct:/x\n",
            {"cpu/x/cpu.cfs_quota_us": "200000", "cpu/x/cpu.cfs_period_us": "100000"},
            [2],
        ),
        ("1:cpu:/x\n", {"cpu/x/cpu.cfs_quota_us": "-1", "cpu/x/cpu.cfs_period_us": "100000"}, []),
        ("0::/\n", {}, []),
    ],
)
def test_quotas_of_control_groups_are_read(
    tmp_path: Path, group: str, quotas: dict[str, str], cores: list[float]
) -> None:
    for name, text in quotas.items():
        (tmp_path / "sys" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "sys" / name).write_text(text)
    (tmp_path / "cgroup").write_text(group)
    assert list(threads._quotas(tmp_path / "sys", tmp_path / "cgroup")) == cores
    assert 0 < allowed_cores() <= (os.cpu_count() or 1)
