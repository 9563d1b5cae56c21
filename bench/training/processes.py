"""Processes that share the work of a training, none of which outlives the one that started them."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import active_children, get_context, parent_process
from threading import Thread
from typing import TypeVar

from ..isolation.guard import threaded

Job = TypeVar("Job")
Made = TypeVar("Made")


def end_with_parent() -> None:
    """Have this process end as soon as the one that started it has, however that came about."""
    parent = parent_process()
    if parent is None:
        return

    def wait() -> None:
        parent.join()
        os._exit(2)  # nobody is left who would ask for more

    Thread(target=wait, daemon=True).start()


def each(make: Callable[[Job], Made], jobs: Iterable[Job], workers: int) -> Iterator[Made]:
    """What `make` returns for each of the jobs, in order, each in one thread, in up to `workers` processes."""
    jobs = list(jobs)
    one = partial(_in_one_thread, make)
    if workers == 1 or len(jobs) < 2:
        yield from map(one, jobs)
        return
    before = set(active_children())
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=end_with_parent) as pool:
        try:
            yield from pool.map(one, jobs)
        except BaseException:  # the pool would wait for jobs that nobody wants
            for process in set(active_children()) - before:
                process.kill()
            raise


def _in_one_thread(make: Callable[[Job], Made], job: Job) -> Made:
    with threaded(1):
        return make(job)
