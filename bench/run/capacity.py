"""Measurements of this machine: FLOP a second, and whether a network fits its memory."""

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
from ..models.parts.weights import Held, Weights
from ..suites.suite import Entry
from ..types import SyncbenchError

BYTES = 2.0
"""Approximate bytes of a pixel of three channels in a PNG, between those of flat pictures and of photographs."""


ROOM = 0.9
"""Of the memory, what parameters may take."""


def hollow_of(entry: Entry) -> Any:
    """The model on the device `meta`; None for a model that is not composed of parts."""
    if not issubclass(load_class("models", split(entry.spec)[0], entry.spec), Composed):
        return None
    with suppress(SyncbenchError):
        return entry.with_overrides({"device": "meta"}).load()
    return None


def _networks(value: Any, seen: set[int]) -> Iterator[tuple[torch.nn.Module, bool]]:
    """Every network that parts of a model hold, once, and whether it is a codec or an encoder."""
    if id(value) in seen:
        return
    seen.add(id(value))
    if _holds_network(value):  # what it is made of is in it
        if id(value.module) in seen:
            return
        seen.add(id(value.module))
        yield value.module, (isinstance(value, Weights) and value.exact) or hasattr(value, "decode")
    elif is_dataclass(value) and not isinstance(value, type):
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


def parameters_of(hollow: Any) -> tuple[int, int, int] | Any:
    """Number and bytes of all parameters, and bytes of those that are used at once: of the denoising networks, or of
    the largest other one. None where the model is not made of parts.
    """
    if hollow is None:
        return None
    with suppress(Exception):
        sizes = [
            (sum(one.numel() for one in network.parameters()), _bytes(network), exact)
            for network, exact in _networks(hollow.made, set())
        ]
        denoising = sum(size for _, size, exact in sizes if not exact)
        others = [size for _, size, exact in sizes if exact]
        return sum(n for n, _, _ in sizes), sum(size for _, size, _ in sizes), max([denoising, *others])
    return None


def _bytes(network: torch.nn.Module) -> int:
    return sum(one.numel() * one.element_size() for one in network.parameters())


def memory_notes(size: tuple[int, int, int] | None, entry: Entry) -> list[str]:
    """A sentence where the parameters do not fit into the memory they would lie in, with the options that mend it."""
    device = device_of(str(entry.overrides.get("device", "auto")))
    gpu = device.type == "cuda"
    there = torch.cuda.mem_get_info(device)[1] if gpu else psutil.virtual_memory().total
    offload = str(entry.overrides.get("offload", "none")) if gpu else "none"
    taken = {"none": size[1], "parts": size[2], "layers": 0}.get(offload, size[1]) if size is not None else 0
    if size is None or taken < ROOM * there:
        return []
    cures = ["--set model.dtype=bfloat16"] if entry.overrides.get("dtype", "float32") in ("float32", "float64") else []
    cures += ["--set model.offload=parts"] if gpu and offload == "none" and size[2] < ROOM * there else []
    cures += ["--set model.offload=layers (slow)"] if gpu else []
    cures += ["a smaller checkpoint", "a larger machine"]
    what = {"parts": "its largest part takes", "none": "its parameters take"}.get(offload, "its parameters take")
    tiles = "; where it is decoding that does not fit, --set model.tiled=true" if gpu else ""
    return [
        f"{what} {taken / 1e9:.1f} GB and {'the GPU' if gpu else 'this machine'} has {there / 1e9:.1f} GB: they will "
        f"not fit; take {', '.join(cures[:-1])} or {cures[-1]}{tiles}"
    ]


@cache
def multiplying_rate(device: str, precision: torch.dtype) -> float:
    """FLOP a second of this machine, measured on products of large matrices."""
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
    """Wait until the device has finished its queued work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
