"""Processes of a training: results in order, one thread each, and none that outlives its parent."""

import signal
import subprocess
import sys

import psutil
import pytest
import torch
from syncbench.bench.isolation.guard import threaded
from syncbench.bench.training.processes import each

SLEEPS = """
import multiprocessing, threading, time
from syncbench.bench.isolation.signals import raising_signals
from syncbench.bench.training.{module} import {name}

def tell():
    while len(started := multiprocessing.active_children()) < 2:
        time.sleep(0.05)
    print(*(process.pid for process in started), flush=True)

threading.Thread(target=tell, daemon=True).start()
with raising_signals():
    {call}
"""


@pytest.mark.parametrize(
    ("module", "name", "call", "number"),
    [
        pytest.param("loop", "launch", "launch(time.sleep, 2, 300)", signal.SIGKILL, id="launch"),
        pytest.param("processes", "each", "list(each(time.sleep, [300] * 4, 2))", signal.SIGTERM, id="each"),
    ],
)
def test_no_process_outlives_the_one_that_started_it(module: str, name: str, call: str, number: signal.Signals) -> None:
    program = SLEEPS.format(module=module, name=name, call=call)
    parent = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, preexec_fn=_ignore_interrupts
    )
    assert parent.stdout is not None
    children = [psutil.Process(int(word)) for word in parent.stdout.readline().split()]
    assert len(children) == 2
    parent.send_signal(number)
    parent.wait(60)
    assert psutil.wait_procs(children, timeout=60)[1] == []


def test_jobs_in_order_in_one_thread_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    asked = [f"({number}, __import__('torch').get_num_threads())" for number in range(3)]
    wanted = [(number, 1) for number in range(3)]
    with threaded(2):
        assert list(each(eval, asked, 1)) == wanted
        assert torch.get_num_threads() == 2
    assert list(each(eval, asked, 2)) == wanted
    assert list(each(eval, [], 2)) == []


def _ignore_interrupts() -> None:
    """As a shell does for what it starts in the background."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
