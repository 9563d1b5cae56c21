"""Seconds and memory of a call, and a description of the machine."""

import platform
import re
import resource
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psutil
import torch

from ..catalogue.packages import versions as versions

MIB = 2**20


@dataclass
class Meter:
    """Seconds and memory of a call, set when `measured` ends."""

    seconds: float = 0.0
    peak_mb: float = 0.0


@contextmanager
def measured(device: torch.device) -> Generator[Meter]:
    """Wall seconds with the device synchronised, and peak MiB: allocated on CUDA, else this process's resident set.

    On Linux the kernel's high-water mark is reset first; where that is not allowed, the peak is that of the whole
    process so far.
    """
    meter = Meter()
    _synchronise(device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        _reset_peak()
    start = time.perf_counter()
    try:
        yield meter
    finally:
        _synchronise(device)
        meter.seconds = time.perf_counter() - start
        meter.peak_mb = (
            torch.cuda.max_memory_allocated(device) / MIB if device.type == "cuda" else peak_resident() / MIB
        )


def peak_resident() -> int:
    """Highest resident set of this process in bytes since the last reset."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


@cache
def machine_name(device: torch.device) -> str:
    """The machine as text, the same for the same machine: `2 CPU cores (AMD EPYC)`, `1 GPU (NVIDIA H100)`.

    The count is that of the resources of one sample: all cores, but one GPU.
    """
    if device.type == "cuda":
        return f"1 GPU ({torch.cuda.get_device_name(device)})"
    if device.type != "cpu":
        return f"1 GPU ({device.type}, {_processor()})"
    cores = psutil.cpu_count() or 1
    return f"{cores} CPU core{'' if cores == 1 else 's'} ({_processor()})"


def _processor() -> str:
    """The processor's name without marks and clock."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    found = next((line.partition(":")[2] for line in lines if line.startswith("model name")), platform.processor())
    short = re.sub(r"\((R|TM)\)|\bCPU\b|\bProcessor\b|@.*", " ", found)
    return " ".join(short.split()) or platform.machine()


def machine() -> dict[str, Any]:
    """Facts about hardware and software, for later comparison of seconds and bytes; no host names or addresses."""
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "cores": psutil.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "gpus": gpus,
    }


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _reset_peak() -> None:
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
