"""Signals: Ctrl-C, SIGTERM and a closed terminal end a command with one sentence and exit code 128 + signal.

The command line imports this file before anything else, so that Ctrl-C never shows a traceback.
"""

import os
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

GOES_ON = "interrupted: finished jobs are safe; the same command goes on"
AGAIN = "interrupted: the same command starts again"
NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_received: list[int] = []


class Interrupted(KeyboardInterrupt):
    """Raised when the signal `number` asks this process to end."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextmanager
def raising_signals() -> Generator[None]:
    """A context in which SIGINT, SIGTERM and SIGHUP raise `Interrupted`; a second signal ends the process at once.

    A signal that is ignored (`nohup`) stays ignored. Outside the main thread the context has no effect.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in NUMBERS}
    _received.clear()
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, _raise)
    try:
        yield
    finally:
        _received.clear()
        for number, handler in before.items():
            signal.signal(number, handler)


def check() -> None:
    """Raises `Interrupted` for a signal that arrived within `raising_signals` and whose exception was swallowed."""
    if _received:
        raise Interrupted(_received[-1])


@contextmanager
def quiet_imports() -> Generator[None]:
    """A context for the imports of a program, in which a signal prints one sentence and ends the process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in NUMBERS}
    untouched = (signal.SIG_DFL, signal.default_int_handler)
    for number, handler in before.items():
        if handler in untouched:
            signal.signal(number, _end)
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler in untouched:
                signal.signal(number, handler)


def _raise(number: int, frame: FrameType | None) -> NoReturn:
    if _received:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    _received.append(number)
    raise Interrupted(number)


def _end(number: int, frame: Any) -> NoReturn:
    os.write(2, f"{AGAIN}\n".encode())
    os._exit(128 + number)
