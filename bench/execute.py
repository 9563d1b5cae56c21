"""Where work is done: in this process, or in a pool of processes that keep what they loaded.

An executor is a callable `(work, tasks) -> results in any order`; a cluster engine needs to be nothing more. `work`
is a module-level function and tasks are plain data, so both travel. Models stay loaded between tasks of one
process because `work` caches them (see `sample`).
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.process import BaseProcess
from typing import ClassVar, Protocol, Self, TypeVar

import torch

from .limits import PROCESSES
from .types import SyncbenchError

T = TypeVar("T")
R = TypeVar("R")


class Executor(Protocol):
    """Applies `work` to every task, yielding results as they finish. Used as a context, which ends its workers."""

    apart: ClassVar[bool]
    """Whether work happens in other processes, so that this one need not hold the model."""

    def __call__(self, work: Callable[[T], R], tasks: Sequence[T]) -> Iterator[R]:
        """Results in any order. An exception of `work` ends the iteration."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...


class InProcess:
    """One after the other, here."""

    apart: ClassVar[bool] = False

    def __call__(self, work: Callable[[T], R], tasks: Sequence[T]) -> Iterator[R]:
        """Results in order."""
        return map(work, tasks)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass


class ProcessPool:
    """`jobs` fresh processes, each with its share of the cores, ended with the context or with their parent."""

    apart: ClassVar[bool] = True

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        self._pool: ProcessPoolExecutor | None = None
        self._others: set[BaseProcess] = set()

    def __call__(self, work: Callable[[T], R], tasks: Sequence[T]) -> Iterator[R]:
        """Results as they finish. Raises SyncbenchError when a process dies, e.g. killed for memory."""
        if not tasks:
            return
        if self._pool is None:
            threads = max(1, (os.cpu_count() or 1) // self.jobs)
            self._others = set(multiprocessing.active_children())
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self.jobs, context, initializer=_begin, initargs=(threads,))
        try:
            futures = [self._pool.submit(work, task) for task in tasks]
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool as error:
            raise SyncbenchError(
                "a worker process died (out of memory?): finished jobs are safe; start again with fewer --jobs"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            for child in set(multiprocessing.active_children()) - self._others:
                child.terminate()  # idle, or on a job nobody waits for any more
            self._pool = None


def executor(jobs: int) -> Executor:
    """The executor for `--jobs`."""
    if jobs < 1:
        raise SyncbenchError(f"--jobs {jobs} does nothing: use 1 or more")
    if jobs > PROCESSES:
        raise SyncbenchError(f"--jobs {jobs} is more than the {PROCESSES} processes that one sweep may start")
    return InProcess() if jobs == 1 else ProcessPool(jobs)


def _begin(threads: int) -> None:
    """First thing in a worker: its share of cores, no reaction to Ctrl-C, and an end when the parent ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(threads)
    threading.Thread(target=_outlive_not, daemon=True).start()


def _outlive_not() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)  # a killed parent reads no results; workers waiting for tasks would never notice
