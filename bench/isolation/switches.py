"""Settings of the whole process that a component may change, and how each is read and set."""

# pyright: reportAttributeAccessIssue=false
# (torch's switches are partly untyped.)

import gc
import os
import random
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch

from .signals import NUMBERS

DTYPE, DEVICE = "default dtype", "default device"
"""Switches that decide how tensors are made, so that tensors made and kept while they were changed may be wrong."""


Switch = tuple[str, Callable[[], Any], Callable[[Any], Any]]
"""The name of a setting, a function that reads it, and one that sets it."""


def switches(generators: bool) -> Iterable[Switch]:
    """All settings, with random `generators` or without; each takes microseconds to read."""
    yield DTYPE, torch.get_default_dtype, torch.set_default_dtype
    yield DEVICE, torch.get_default_device, _set_device
    yield "gradients", torch.is_grad_enabled, torch.set_grad_enabled
    yield "anomaly mode", torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly
    yield "threads", torch.get_num_threads, torch.set_num_threads
    yield "deterministic mode", torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode
    yield _attribute(torch.utils.deterministic, "fill_uninitialized_memory")
    yield _attribute(torch.backends.cudnn, "benchmark")
    yield _attribute(torch.backends.cudnn, "deterministic")
    yield _attribute(torch.backends.cudnn, "enabled")
    yield "matmul precision", torch.get_float32_matmul_precision, torch.set_float32_matmul_precision
    for kind in ("cpu", "cuda"):
        yield _autocast(kind)
    yield "denormal numbers", _flushes, torch.set_flush_denormal
    yield "NumPy's errors", np.geterr, lambda value: np.seterr(**value)
    yield "environment", lambda: dict(os.environ), _set_environment
    yield "working folder", os.getcwd, os.chdir
    yield "file mode", _file_mode, os.umask
    yield "recursion limit", sys.getrecursionlimit, sys.setrecursionlimit
    yield "garbage collection", gc.isenabled, lambda on: gc.enable() if on else gc.disable()
    yield "warnings filters", _filters, _set_filters
    if threading.current_thread() is threading.main_thread():
        for number in (*NUMBERS, signal.SIGALRM):
            yield _handler(number)
        yield "timer", lambda: signal.getitimer(signal.ITIMER_REAL)[0] > 0, _stop_timer
    if generators:
        yield "random", random.getstate, random.setstate
        yield "numpy.random", _numpy_state, _set_numpy_state
        yield "torch's random numbers", _torch_state, _set_torch_state
        if torch.cuda.is_available() and torch.cuda.is_initialized():
            yield "CUDA's random numbers", _cuda_states, _set_cuda_states


def _attribute(owner: Any, name: str) -> Switch:
    return name, lambda: getattr(owner, name), lambda value: setattr(owner, name, value)


def _autocast(kind: str) -> Switch:
    return (
        f"autocast on {kind}",
        lambda: torch.is_autocast_enabled(kind),
        lambda on: torch.set_autocast_enabled(kind, on),
    )


def _handler(number: int) -> Switch:
    return f"signal {number}", lambda: signal.getsignal(number), lambda handler: signal.signal(number, handler)


def _set_device(device: torch.device) -> None:
    torch.set_default_device(None if device.type == "cpu" else device)


def _flushes() -> bool:
    """Whether numbers below float32's normal range become 0 on this thread."""
    return float(torch.tensor(1e-40) * 1.0) == 0.0


def _set_environment(values: dict[str, str]) -> None:
    for name in set(os.environ) - set(values):
        del os.environ[name]
    os.environ.update(values)


def _file_mode() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _filters() -> list[Any]:
    return list(warnings.filters)


def _set_filters(filters: list[Any]) -> None:
    warnings.filters[:] = filters  # pyright: ignore[reportIndexIssue]


def _stop_timer(running: bool) -> None:
    if not running:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _numpy_state() -> Any:
    name, keys, *rest = np.random.get_state()
    return name, keys.tolist(), *rest


def _set_numpy_state(state: Any) -> None:
    name, keys, *rest = state
    np.random.set_state((name, np.array(keys, np.uint32), *rest))


def _torch_state() -> list[int]:
    return torch.get_rng_state().tolist()


def _set_torch_state(state: list[int]) -> None:
    torch.set_rng_state(torch.tensor(state, dtype=torch.uint8, device="cpu"))


def _cuda_states() -> list[list[int]]:
    return [state.tolist() for state in torch.cuda.get_rng_state_all()]


def _set_cuda_states(states: list[list[int]]) -> None:
    torch.cuda.set_rng_state_all([torch.tensor(state, dtype=torch.uint8, device="cpu") for state in states])
