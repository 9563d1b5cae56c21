"""Contexts in which components run: settings of the process that they change are restored, exceptions are caught.

Methods, metrics and data sets may be anybody's code. `unchanged` restores the process as it was; `attempt` returns an
exception as a value; `blamed` does both while a sweep is planned, with a sentence that names the component.
"""

import ctypes
import io
import os
import random
import sys
import traceback
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch

from ..errors import SyncbenchError
from .signals import check
from .switches import switches

T = TypeVar("T")


@dataclass(frozen=True)
class Failure:
    """The exception that a component raised, as text that can be stored."""

    text: str
    """The text of a SyncbenchError, or `Type: text` of any other exception."""
    trace: str
    """The traceback."""


class Changes(set[str]):
    """Names of the settings that a component has changed; filled in when `unchanged` ends."""


def attempt(work: Callable[[], T], *through: type[Exception]) -> T | Failure:
    """The result of `work`, or a Failure if it raises, except for KeyboardInterrupt and the types `through`."""
    try:
        return work()
    except (KeyboardInterrupt, *through):
        raise
    except BaseException as error:
        return Failure(describe(error), _trace(error))


@contextmanager
def blamed(what: str, *through: type[Exception]) -> Generator[None]:
    """A context in which a component runs while a sweep is planned; settings that it changes are restored.

    Exceptions become a SyncbenchError that begins with `what`, except SyncbenchErrors of the component's own,
    KeyboardInterrupt and exceptions of the types `through`.
    """
    with named(what, *through), unchanged():
        yield


@contextmanager
def named(what: str, *through: type[Exception]) -> Generator[None]:
    """A context for code that only reads attributes: exceptions become a SyncbenchError that begins with `what`.

    SyncbenchErrors, KeyboardInterrupt and exceptions of the types `through` are raised as they are. Unlike in `blamed`,
    settings are not restored.
    """
    try:
        yield
    except (KeyboardInterrupt, SyncbenchError, *through):
        raise
    except BaseException as error:
        raise SyncbenchError(f"{what} failed with {describe(error)}") from error


def describe(error: BaseException) -> str:
    """An exception as text that can be stored, even where its own `__str__` fails."""
    name = type(error).__name__
    try:
        text = str(error)
    except BaseException:
        return f"{name} (whose text cannot be shown)"
    return storable(text if isinstance(error, SyncbenchError) else f"{name}: {text}" if text else name)


def storable(text: str) -> str:
    r"""The text with lone surrogates, which UTF-8 cannot hold, replaced by their escapes.

    >>> storable("a\ud800")
    'a\\ud800'
    """
    return text.encode("utf-8", "backslashreplace").decode()


@contextmanager
def unchanged(seed: int | None = None) -> Generator[Changes]:
    """A context in which a component runs; afterwards the process's settings are restored, and the value names changes.

    Output to stdout goes to stderr. With a `seed` the global random generators of Python, NumPy and torch start from
    it. Restored are these generators, the environment, the working folder, signal handlers and timers, warnings
    filters, and settings of torch and NumPy: default dtype and device, gradients, threads, determinism. Raises
    Interrupted at the end if the component has swallowed a signal.
    """
    changes = Changes()
    with _stdout_to_stderr(), _kept(changes):
        if seed is not None:
            _seed(seed)
        yield changes
    check()


@contextmanager
def settings(threads: int | None = None) -> Generator[None]:
    """A context in which torch is deterministic where it can be, with `threads` threads (None: as many as before)."""
    with _kept(Changes(), generators=False):
        settle(threads)
        yield


@contextmanager
def threaded(threads: int) -> Generator[None]:
    """A context in which torch uses `threads` threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def settle(threads: int | None = None) -> None:
    """Make torch deterministic where it can be, for the rest of this process, with `threads` threads."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # The same switch as use_deterministic_algorithms(True, warn_only=True), which imports a compiler for seconds.
    torch.set_deterministic_debug_mode("warn")
    # Filling new memory would take time and change no result.
    torch.utils.deterministic.fill_uninitialized_memory = False  # pyright: ignore[reportAttributeAccessIssue]
    torch.backends.cudnn.benchmark = False
    warnings.filterwarnings("ignore", message=".*does not have a deterministic implementation.*")
    if threads is not None:
        torch.set_num_threads(threads)


@contextmanager
def standard_defaults() -> Generator[None]:
    """A context in which new tensors are float32 on the CPU, whatever defaults a running component has set."""
    dtype, device = torch.get_default_dtype(), torch.get_default_device()
    torch.set_default_dtype(torch.float32)
    if device.type != "cpu":
        torch.set_default_device("cpu")
    try:
        yield
    finally:
        torch.set_default_dtype(dtype)
        if device.type != "cpu":
            torch.set_default_device(device)


class _Stream(io.TextIOBase):
    """A stream that writes to `target` and ignores its errors; closing it has no effect."""

    def __init__(self, target: Any) -> None:
        self._target = target

    @property
    def encoding(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        return getattr(self._target, "encoding", "utf-8")

    def write(self, text: str, /) -> int:
        with suppress(OSError, ValueError):
            self._target.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._target.flush()

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return bool(self._target.isatty())

    def fileno(self) -> int:
        return self._target.fileno()

    def close(self) -> None:
        pass


@contextmanager
def _stdout_to_stderr() -> Generator[None]:
    """A context in which output to stdout, also by C code, goes to stderr; both are restored, even if closed."""
    out, err = sys.stdout, sys.stderr
    with suppress(OSError, ValueError, AttributeError):
        out.flush()
    saved = [_duplicate(number) for number in (1, 2)]
    if None not in saved:
        os.dup2(2, 1)
    sys.stdout = sys.stderr = stream = _Stream(err)
    try:
        yield
    finally:
        stream.flush()
        with suppress(OSError, TypeError, AttributeError):
            ctypes.CDLL(None).fflush(None)  # what C code printed must not come out later
        sys.stdout, sys.stderr = out, err
        for number, handle in zip((1, 2), saved, strict=True):
            if handle is not None:
                os.dup2(handle, number)
                os.close(handle)


def _duplicate(number: int) -> int | None:
    try:
        return os.dup(number)
    except OSError:
        return None


@contextmanager
def _kept(changes: Changes, generators: bool = True) -> Generator[None]:
    """A context that restores all `switches` at its end, and adds those that had changed to `changes`."""
    before = [(name, read, write, _read(read)) for name, read, write in switches(generators)]
    try:
        yield
    finally:
        for name, read, write, value in before:
            if not _same(_read(read), value):
                changes.add(name)
                with suppress(Exception):
                    write(value)


def _read(read: Callable[[], Any]) -> Any:
    """The state of a switch; the exception's text where it cannot be read, such as a working folder that is deleted."""
    try:
        return read()
    except Exception as error:
        return describe(error)


def _same(a: Any, b: Any) -> bool:
    try:
        return bool(a == b)
    except Exception:
        return False


def _seed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed % 2**63)


def _trace(error: BaseException) -> str:
    try:
        return storable("".join(traceback.format_exception(error)))
    except BaseException:
        return describe(error)
