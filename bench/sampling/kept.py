"""Inverted clips kept in the user's cache folder, with what they cost, so that a sweep inverts each clip once.

One safetensors file each, named by a hash of everything that determines it; `SYNCBENCH_CACHE` names another folder. A
damaged file counts as absent, and where the folder cannot be written nothing is kept. The oldest files go when all
together are larger than `LARGEST`.
"""

import json
import math
import os
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

import torch
from jaxtyping import Float
from platformdirs import user_cache_path
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ..errors import SyncbenchError
from ..files.writing import write_whole
from ..types import Cost

LARGEST = 4 * 2**30
"""Bytes of all files together."""


@dataclass(frozen=True)
class Kept:
    """An inversion and what it cost."""

    path: Float[Tensor, "levels views c h w"]
    error: float
    cost: Cost


@dataclass
class Timer:
    """Seconds of a block, set when `timed` ends."""

    seconds: float = 0.0


@contextmanager
def timed(device: torch.device) -> Generator[Timer]:
    """Wall seconds of the block, with the device synchronised."""
    timer = Timer()
    start = time.perf_counter()
    try:
        yield timer
    finally:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        timer.seconds = time.perf_counter() - start


def added(a: Cost, b: Cost, times: int = 1) -> Cost:
    """The cost `a` and `times` times the cost `b`; the peak of memory is that of `a`."""
    return Cost(
        evaluations=a.evaluations + times * b.evaluations,
        backward=a.backward + times * b.backward,
        encodes=a.encodes + times * b.encodes,
        decodes=a.decodes + times * b.decodes,
        seconds=a.seconds + times * b.seconds,
        peak_mb=a.peak_mb,
    )


def read(name: str, shape: tuple[int, int]) -> Kept | None:
    """What is kept under `name`, for (levels, views); None if there is nothing or the file is damaged."""
    try:
        with safe_open(_folder() / f"{name}.safetensors", framework="pt") as file:
            path, facts = file.get_tensor("path"), file.metadata() or {}
            if facts["sha256"] != _hash(path, facts["error"], facts["cost"]):
                return None  # before anything is parsed
            error, bill = float(facts["error"]), json.loads(facts["cost"])
            cost = Cost(
                evaluations=int(bill["evaluations"]),
                backward=int(bill["backward"]),
                encodes=int(bill["encodes"]),
                decodes=int(bill["decodes"]),
                seconds=float(bill["seconds"]),
            )
        finite = math.isfinite(error) and all(math.isfinite(value) and value >= 0 for value in asdict(cost).values())
    except (OSError, SafetensorError, KeyError, ValueError, TypeError, OverflowError, RecursionError):
        return None
    sound = path.dtype == torch.float32 and path.ndim == 5 and path.shape[:2] == shape and finite
    if not sound:
        return None
    with suppress(OSError):
        os.utime(_folder() / f"{name}.safetensors")
    return Kept(path, error, cost)


def write(name: str, found: Kept) -> None:
    """Keep an inversion under `name`, all of it or nothing, if it fits `LARGEST`. Disk errors are ignored."""
    if found.path.nbytes > LARGEST:
        return
    error, cost = repr(found.error), json.dumps(asdict(found.cost))
    facts = {"error": error, "cost": cost, "sha256": _hash(found.path, error, cost)}
    with suppress(OSError, SyncbenchError):
        write_whole(_folder() / f"{name}.safetensors", save({"path": found.path.contiguous()}, facts), follow=False)
        _forget()


def _forget() -> None:
    """Delete the files that were used longest ago, until the others fit."""
    files = sorted(_folder().glob("*.safetensors"), key=lambda file: file.stat().st_mtime, reverse=True)
    total = 0
    for file in files:
        total += file.stat().st_size
        if total > LARGEST:
            file.unlink(missing_ok=True)


def _folder() -> Path:
    given = os.environ.get("SYNCBENCH_CACHE")
    return (Path(given) if given else user_cache_path("syncbench")) / "inversions"


def _hash(path: Tensor, *facts: str) -> str:
    return sha256("\n".join(facts).encode() + b"\0" + path.contiguous().numpy().tobytes()).hexdigest()
