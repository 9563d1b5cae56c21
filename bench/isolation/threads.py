"""The number of threads that torch gets, from the size of the work and the cores that are free. Imports no torch.

On a machine with other load, small arrays took 10 to 25 times longer on two threads than on one, because threads that
wait for each other also wait for the other load. So there are never more threads than free cores, and small work gets
one.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import psutil

from ..errors import SyncbenchError

LISTEN = 0.2
"""Seconds over which the load of the moment is measured."""


def threads_for(jobs: int = 1, asked: int | None = None, small: bool = False) -> int:
    """Threads for each of `jobs` processes: as many as `asked`, else a share of the free cores, at least 1.

    `small` work gets 1: networks and pictures of the size of the bundled models', which a second thread slows down.
    `OMP_NUM_THREADS` in the environment counts as asked. Raises SyncbenchError for fewer than 1.
    """
    if asked is not None and asked < 1:
        raise SyncbenchError(f"--threads {asked} does nothing: use 1 or more")
    named = os.environ.get("OMP_NUM_THREADS", "")
    if asked is not None:
        return asked
    if named.isascii() and named.isdigit() and int(named) > 0:
        return int(named)
    return 1 if small else max(1, free_cores() // jobs)


def free_cores() -> int:
    """Number of cores that this process may use and that nothing else uses, at least 1.

    The load is the lower of the last minute's average, which still holds work that has just ended, and of the present
    one, which holds short peaks.
    """
    every = os.cpu_count() or 1
    now = psutil.cpu_percent(LISTEN) / 100 * every
    try:
        busy = min(os.getloadavg()[0], now)
    except OSError:
        busy = now
    return max(1, int(min(allowed_cores(), every - busy) + 0.5))


def allowed_cores() -> float:
    """Number of cores that this process may use: its affinity, or its control group's quota where that is less."""
    mine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min([float(mine), *_quotas()])


def _quotas(root: Path = Path("/sys/fs/cgroup"), mine: Path = Path("/proc/self/cgroup")) -> Iterator[float]:
    """Quotas in cores of this process's control groups and of those above them (cgroup v2 and v1)."""
    try:
        lines = mine.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, place = line.split(":", 2)
        names = controllers.split(",")
        if controllers and "cpu" not in names:
            continue
        top = root if not controllers else root / "cpu"
        inner = top / place.lstrip("/")
        for folder in (inner, *inner.parents):
            quota = _quota(folder)
            if quota is not None:
                yield quota
            if folder == top:
                break


def _quota(folder: Path) -> float | None:
    try:
        if (folder / "cpu.max").is_file():
            most, period = (folder / "cpu.max").read_text().split()
        else:
            most, period = ((folder / f"cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period"))
        return int(most) / int(period) if most != "max" and int(most) > 0 else None
    except (OSError, ValueError):
        return None
