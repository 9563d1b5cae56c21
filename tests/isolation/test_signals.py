"""Signals: a command ends with a sentence whenever one comes, and what is ignored stays ignored."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from syncbench.bench.cli.main import app
from syncbench.bench.isolation.guard import attempt, unchanged
from syncbench.bench.isolation.signals import Interrupted, raising_signals
from syncbench.bench.report import report
from syncbench.bench.run import sweep as run
from typer.testing import CliRunner

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_a_command_with_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: int) -> None:
    def stopped(*args: Any, **how: Any) -> None:
        os.kill(os.getpid(), number)
        time.sleep(5)

    before = signal.signal(number, signal.default_int_handler)  # tests in the background ignore Ctrl-C
    monkeypatch.setattr(run, "sweep", stopped)
    monkeypatch.setattr(report, "report", stopped)
    done = CliRunner().invoke(app, ["run", "quick", "--out", str(tmp_path / "x")])
    assert (done.exit_code, done.stdout) == (128 + number, "")
    assert done.stderr == "interrupted: finished jobs are safe; the same command goes on\n"
    done = CliRunner().invoke(app, ["report", str(tmp_path)])
    assert (done.exit_code, done.stdout) == (128 + number, "")
    assert done.stderr == "interrupted: the same command starts again\n"
    assert signal.signal(number, before) is signal.default_int_handler


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_while_importing_shows_no_traceback(number: int) -> None:
    code = "import os, signal\nfrom syncbench.bench.isolation.signals import quiet_imports\n"
    code += f"signal.signal({number}, signal.default_int_handler)\nwith quiet_imports():\n    "
    code += f"os.kill(os.getpid(), {number})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 128 + number
    assert done.stderr == "interrupted: the same command starts again\n"


def test_the_command_line_is_imported_under_that_protection() -> None:
    """Typer takes a while: Ctrl-C meets it there first."""
    code = (
        "import sys, os, signal\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'typer':\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Finder())\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "import syncbench.bench.cli.main\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 130
    assert done.stderr == "interrupted: the same command starts again\n"


def test_what_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with raising_signals():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_component_that_swallows_a_signal_only_delays_it() -> None:
    def deaf() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        except BaseException:
            pass

    with raising_signals(), pytest.raises(Interrupted) as caught, unchanged():
        attempt(deaf)
    assert caught.value.number == signal.SIGTERM
