"""Where work is done: in this process, or in worker processes that keep what they loaded and may die.

An executor is called with `work` and tasks and yields each task with its result. `work` is a module-level
function and tasks are plain data, so both travel. What one task has loaded is there for the next: each process has a
`Loaded`, which `work` gets beside the task. A worker that dies or takes too long costs its own task only, which is
answered by a `Lost`.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from math import isfinite
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import ForkingPickler
from queue import SimpleQueue
from typing import Any, ClassVar, Protocol, Self, TypeVar

from ..errors import SyncbenchError
from ..isolation.guard import describe, settings, settle
from ..isolation.threads import threads_for
from ..limits import PROCESSES
from .loaded import Loaded

T = TypeVar("T")
R = TypeVar("R")

PATIENCE = 0.2
"""Seconds between checks of workers that send nothing."""
STILLBORN = 3
"""Number of workers in a row that die before they begin, after which no more are started."""


@dataclass(frozen=True)
class Lost:
    """The result of a task whose worker died or took too long."""

    reason: str
    again: bool = False
    """Whether a second try may succeed: a process may die because of others, e.g. of lack of memory."""


class Executor(Protocol):
    """A function that applies `work` to tasks, and a context at whose end its workers end."""

    apart: ClassVar[bool]
    """Whether work is done in other processes, so that this process need not load the model."""
    loaded: Loaded
    """What this process has loaded."""

    def __call__(
        self, work: Callable[[T, Loaded], R], tasks: Iterable[T], small: bool = False
    ) -> Iterator[tuple[T, R | Lost]]:
        """Each task and its result, in any order; tasks are drawn when there is a process for them.

        A SyncbenchError of `work` ends the iteration. `small` work gets one thread (see `threads`).
        """
        ...

    def isolated(self) -> "Executor":
        """An executor of one worker process, for tasks that may bring it down. Ends the workers that are idle."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...


class InProcess:
    """An executor that does tasks one after the other, in this process."""

    apart: ClassVar[bool] = False

    def __init__(self, threads: int | None = None) -> None:
        self.threads = threads
        self.loaded = Loaded()

    def __call__(
        self, work: Callable[[T, Loaded], R], tasks: Iterable[T], small: bool = False
    ) -> Iterator[tuple[T, R | Lost]]:
        """Each task and its result, in order."""
        with settings(threads_for(asked=self.threads, small=small)):
            for task in tasks:
                yield task, work(task, self.loaded)

    def isolated(self) -> Executor:
        """An executor of one worker process, without a time limit."""
        return Workers(1, threads=self.threads)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass


class Workers:
    """`jobs` processes, each with its share of the cores, ended with the context or with their parent.

    A task may take `timeout` seconds (None: for ever), counted anew whenever `work` calls a component
    (`Loaded.guarded`); what it does before the first, such as loading a model, is not counted.
    """

    apart: ClassVar[bool] = True

    def __init__(self, jobs: int, timeout: float | None = None, threads: int | None = None) -> None:
        self.jobs, self.timeout, self.threads = jobs, timeout, threads
        self.loaded = Loaded()
        self._every: list[_Worker] = []
        self._idle: list[_Worker] = []
        self._stillborn = 0

    def __call__(
        self, work: Callable[[T, Loaded], R], tasks: Iterable[T], small: bool = False
    ) -> Iterator[tuple[T, R | Lost]]:
        """Each task and its result, in the order of completion. Raises SyncbenchError when no worker can start."""
        drawn, busy, count = iter(tasks), dict[_Worker, T](), 0
        more = True
        try:
            while more or busy:
                while more and len(busy) < self.jobs:
                    try:
                        task = next(drawn)
                    except StopIteration:
                        more = False
                        break
                    count = count or threads_for(self.jobs, self.threads, small)
                    worker = self._idle.pop() if self._idle else self._start(count)
                    busy[worker] = task
                    worker.give(work, task, count)
                wait([worker.connection for worker in busy], PATIENCE)
                for worker in list(busy):
                    answer = self._answer(worker)
                    if answer is not None:
                        yield busy.pop(worker), answer
        finally:
            for worker in busy:
                self._end(worker)

    def _start(self, threads: int) -> "_Worker":
        worker = _Worker(threads)
        self._every.append(worker)
        return worker

    def _end(self, worker: "_Worker") -> None:
        worker.end()
        if worker in self._every:
            self._every.remove(worker)

    def _answer(self, worker: "_Worker") -> Any:
        """The result of a busy worker; None if it has none yet."""
        said = worker.hear()
        if said is None and worker.late(self.timeout):
            self._end(worker)
            return Lost(f"took longer than {self.timeout:g} s (--timeout)")
        if said is None:
            return None
        kind, content = said
        if kind != "died" or worker.begun:
            self._stillborn = 0
        elif self._stillborn == STILLBORN - 1:
            raise SyncbenchError(f"worker processes cannot start: {content}; finished jobs are safe")
        else:
            self._stillborn += 1
        if kind == "died":
            self._end(worker)
            return Lost(content, again=True)
        self._idle.append(worker)
        if kind == "error":
            raise SyncbenchError(content)
        return Lost(content) if kind == "lost" else content

    def isolated(self) -> Executor:
        """An executor of one worker with the same limit; ends the others, so that it has their memory."""
        self.__exit__()
        return self if self.jobs == 1 else Workers(1, self.timeout, self.threads)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for worker in list(self._every):
            self._end(worker)
        self._idle = []


class _Worker:
    """The parent's end of one worker process."""

    def __init__(self, threads: int) -> None:
        self.begun = False
        self._ticked: float | None = None
        self.connection, there = Pipe()
        code = "import json, sys; sys.path[:] = json.loads(sys.argv[2]); "
        code += f"from {__name__} import serve; serve(int(sys.argv[1]), int(sys.argv[3]))"
        command = [sys.executable, "-c", code, str(there.fileno()), json.dumps(sys.path), str(threads)]
        self._process = subprocess.Popen(
            command,
            pass_fds=(there.fileno(),),
            stdin=subprocess.DEVNULL,
            stdout=2 if _open(2) else subprocess.DEVNULL,
            process_group=0,  # Ctrl-C is its parent's business
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
        )
        there.close()

    def give(self, work: Callable[[Any, Loaded], Any], task: Any, threads: int) -> None:
        """Send a task. If the worker is dead, `hear` finds out."""
        self._ticked = None
        with suppress(OSError):
            self.connection.send((work, task, threads))

    def hear(self) -> tuple[str, Any] | None:
        """(`done`, result), (`lost` or `error`, text) or (`died`, the cause); None while the worker is at work."""
        try:
            while self.connection.poll():
                kind, content = self.connection.recv()
                if kind == "ready":
                    self.begun = True
                elif kind == "tick":
                    self._ticked = time.monotonic()
                else:
                    return kind, content
            if self._process.poll() is None:
                return None
        except (EOFError, OSError):
            pass
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
        return "died", _ending(self._process.returncode)

    def late(self, timeout: float | None) -> bool:
        """Whether the task has taken longer than `timeout` seconds."""
        return timeout is not None and self._ticked is not None and time.monotonic() - self._ticked > timeout

    def end(self) -> None:
        """Kill the worker and the processes that it has started."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self.connection.close()
        self._process.kill()
        self._process.wait()


def executor(jobs: int, timeout: float | None = None, threads: int | None = None) -> Executor:
    """The executor for `--jobs`, `--timeout` and `--threads`: this process only for one job without a limit."""
    if jobs < 1:
        raise SyncbenchError(f"--jobs {jobs} does nothing: use 1 or more")
    if jobs > PROCESSES:
        raise SyncbenchError(f"--jobs {jobs} is more than the {PROCESSES} processes that one sweep may start")
    if timeout is not None and not (isfinite(timeout) and timeout > 0):
        raise SyncbenchError(f"--timeout {timeout:g}: give seconds above 0")
    if threads is not None:
        threads_for(asked=threads)
    return InProcess(threads) if jobs == 1 and timeout is None else Workers(jobs, timeout, threads)


def serve(handle: int, threads: int) -> None:
    """Do tasks from the parent, one after the other, until the parent ends or closes the connection."""
    import torch

    parent = Connection(handle)
    loaded = Loaded(tick=lambda: _say(parent, "tick"))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    tasks: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_listen, args=(parent, tasks), daemon=True).start()
    settle(threads)
    _say(parent, "ready")
    while True:
        given: tuple[Callable[[Any, Loaded], Any], Any, int] = _opened(tasks.get())
        work, task, threads = given
        torch.set_num_threads(threads)
        _say(parent, *_done(work, task, loaded))


def _opened(data: bytes) -> Any:
    pickler: Any = ForkingPickler  # whose `loads` has no types
    return pickler.loads(data)


def _done(work: Callable[[Any, Loaded], Any], task: Any, loaded: Loaded) -> tuple[str, Any]:
    try:
        return "done", work(task, loaded)
    except SyncbenchError as error:
        return "error", str(error)
    except BaseException as error:
        return "lost", describe(error)


def _say(parent: Connection, kind: str, content: Any = None) -> None:
    """Send a message to the parent; end this process if there is no parent."""
    try:
        parent.send((kind, content))
    except OSError:
        os._exit(1)


def _listen(parent: Connection, tasks: "SimpleQueue[bytes]") -> None:
    """Receive tasks, also while one is being done, so that a worker notices at once that its parent has ended."""
    while True:
        try:
            tasks.put(parent.recv_bytes())
        except (EOFError, OSError):
            os._exit(1)


def _ending(code: int | None) -> str:
    if code is None:
        return "its process closed the connection"
    if code >= 0:
        return f"its process ended with exit code {code}"
    try:
        name = f" ({signal.Signals(-code).name})"
    except ValueError:
        name = ""
    return f"its process ended with signal {-code}{name}" + ("; out of memory?" if code == -signal.SIGKILL else "")


def _open(handle: int) -> bool:
    try:
        os.fstat(handle)
    except OSError:
        return False
    return True
