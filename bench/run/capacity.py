"""What this machine can do: multiplications a second, and whether a network fits its memory."""

import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from functools import cache, cached_property
from typing import Any

import psutil
import torch

from ..catalogue.registry import load_class, split
from ..models.parts.composed import Composed
from ..models.parts.denoiser import device_of
from ..models.parts.weights import Held
from ..suites.suite import Entry
from ..types import SyncbenchError

BYTES = 2.0
"""Of a pixel of three channels in a PNG, about: between those of flat pictures and of photographs."""


def hollow_of(entry: Entry) -> Any:
    """The model on the device `meta`, where it is made of parts; else None."""
    if not issubclass(load_class("models", split(entry.spec)[0], entry.spec), Composed):
        return None
    with suppress(SyncbenchError):
        return entry.with_overrides({"device": "meta"}).load()
    return None


def _networks(value: Any, seen: set[int]) -> Iterator[torch.nn.Module]:
    """Every network that parts of a model hold, once."""
    if id(value) in seen:
        return
    seen.add(id(value))
    if _holds_network(value) and id(value.module) not in seen:
        seen.add(id(value.module))
        yield value.module
    if is_dataclass(value) and not isinstance(value, type):
        for one in fields(value):
            yield from _networks(getattr(value, one.name), seen)
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _networks(one, seen)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _networks(one, seen)


def _holds_network(value: Any) -> bool:
    """Whether it is weights of one network, or a codec: its `module` is the network, not a method that chooses one."""
    return isinstance(value, Held) or isinstance(getattr(type(value), "module", None), property | cached_property)


def parameters_of(hollow: Any) -> tuple[int, int] | Any:
    """Number and bytes of all parameters; None where the model is not made of parts."""
    if hollow is None:
        return None
    with suppress(Exception):
        tensors = [one for network in _networks(hollow.made, set()) for one in network.parameters()]
        return sum(one.numel() for one in tensors), sum(one.numel() * one.element_size() for one in tensors)
    return None


def memory_notes(size: tuple[int, int] | None, entry: Entry) -> list[str]:
    """A sentence where the parameters do not fit into the memory they would lie in."""
    device = device_of(str(entry.overrides.get("device", "auto")))
    if device.type == "cuda":
        there, what = torch.cuda.mem_get_info(device)[1], "the GPU"
    else:
        there, what = psutil.virtual_memory().total, "this machine"
    if size is None or size[1] < 0.9 * there:
        return []
    return [
        f"its parameters take {size[1] / 1e9:.1f} GB and {what} has {there / 1e9:.1f} GB: they will not fit; take "
        "--set model.dtype=bfloat16, a smaller checkpoint, or a larger machine"
    ]


@cache
def multiplying_rate(device: str, precision: torch.dtype) -> float:
    """FLOP a second at which this machine multiplies large matrices."""
    place = torch.device(device)
    n = 8192 if place.type == "cuda" else 1536
    a = torch.ones(n, n, device=place, dtype=precision)
    times: list[float] = []
    for _ in range(4):
        synchronised(place)
        begun = time.perf_counter()
        _ = a @ a
        synchronised(place)
        times.append(time.perf_counter() - begun)
    return 2 * n**3 / min(times[1:])


def synchronised(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
