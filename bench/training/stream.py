"""Training pictures and cached latents, all from the seeded world."""

# (diffusers and transformers are partly untyped and export lazily.)

from __future__ import annotations

from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from diffusers import AutoencoderTiny

from ..models.parts.library import quiet
from ..world import batch
from ..world.grammar import Kind
from ..world.stream import RIGS, VIEWS, shots
from .processes import each
from .saved import read, write

_CHUNK = 256


Which = Kind | Literal["solid", "views"]
"""Flat landscapes, flat object scenes, or object scenes of the 3-D world: ``solid`` from where the shape is easy to
recognise, ``views`` from every camera of every rig in equal parts."""


def pictures(
    seed: int, n: int, workers: int = 2, cache: Path | None = None, kind: Which | None = None
) -> tuple[torch.Tensor, list[str]]:
    """n scenes: uint8 (n, 3, 128, 128) and captions. ``workers`` changes the time, never the result.

    Flat scenes of either kind in equal shares unless ``kind`` names one.

    ``cache`` is a file that keeps them; a run's processes all map it instead of holding a copy each.
    """
    if cache is not None and cache.exists():
        saved = read(cache, {"images": torch.Tensor, "captions": list}, mmap=True)
        if len(saved["captions"]) == n:
            return saved["images"], saved["captions"]
    seeds = [seed * 100_003 + i for i in range((n + _CHUNK - 1) // _CHUNK)]
    render = partial(_chunk, kind=kind)
    chunks = list(each(render, seeds, workers))
    found = torch.from_numpy(np.concatenate([images for images, _ in chunks])[:n]).permute(0, 3, 1, 2)
    captions = [caption for _, part in chunks for caption in part][:n]
    if cache is not None:
        write(cache, {"images": found, "captions": captions})
    return found, captions


def _chunk(seed: int, kind: Which | None = None) -> tuple[np.ndarray, list[str]]:
    if kind == "solid":
        taken = shots(seed, _CHUNK, "single")
        return taken.rgb[:, 0], taken.captions
    if kind == "views":
        return _views(seed)
    return batch(seed, _CHUNK, kind)


def _views(seed: int) -> tuple[np.ndarray, list[str]]:
    """A chunk of which every rig makes a quarter: all views of as many scenes as that takes."""
    images: list[np.ndarray] = []
    captions: list[str] = []
    for rig in RIGS:
        wanted = _CHUNK // len(RIGS)
        scenes = -(-wanted // VIEWS[rig])
        taken = shots(seed, scenes, rig)
        images.append(taken.rgb.reshape(-1, *taken.rgb.shape[2:])[:wanted])
        captions += [caption for caption in taken.captions for _ in range(VIEWS[rig])][:wanted]
    return np.concatenate(images), captions


def signed(images: torch.Tensor) -> torch.Tensor:
    """uint8 pictures to floats in [-1, 1]."""
    return images.float() / 127.5 - 1


def psnr(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Peak signal-to-noise ratio in dB a picture, (n,), for pictures (n, c, h, w) in [-1, 1]."""
    return -10 * torch.log10(((a.clamp(-1, 1) - b) / 2).square().mean((1, 2, 3)))


def latents(
    codec: Path, kept: Path, seed: int, n: int, workers: int = 2, kind: Which | None = None
) -> tuple[torch.Tensor, list[str]]:
    """Latents (n, c, 16, 16) in half precision and captions of n pictures, in the file ``kept``; see `pictures`."""
    if kept.exists():
        saved = read(kept, {"latents": torch.Tensor, "captions": list})
        if len(saved["captions"]) == n:
            return saved["latents"], saved["captions"]
    seeds = [seed * 100_003 + i for i in range((n + _CHUNK - 1) // _CHUNK)]
    chunks = list(each(partial(_encode, codec, kind=kind), seeds, workers))
    z = torch.cat([part for part, _ in chunks])[:n]
    captions = [caption for _, part in chunks for caption in part][:n]
    write(kept, {"latents": z, "captions": captions})
    return z, captions


@torch.no_grad()
def _encode(codec: Path, seed: int, kind: Which | None = None) -> tuple[torch.Tensor, list[str]]:
    model = codec_of(codec)
    images, captions = _chunk(seed, kind)
    x = signed(torch.from_numpy(images).permute(0, 3, 1, 2))
    with torch.autocast("cpu", torch.bfloat16):
        parts = [model.encode(part).latents.half() for part in x.split(32)]
    return torch.cat(parts), captions


def codec_of(folder: Path) -> Any:
    """The codec in a folder, in single precision, ready to use on the CPU."""
    return _codec(folder, max((file.stat().st_mtime_ns for file in folder.glob("*.*")), default=0))


@cache
def _codec(folder: Path, _: int) -> Any:
    with quiet():
        model: Any = AutoencoderTiny.from_pretrained(
            folder, torch_dtype=torch.float32, use_safetensors=True, local_files_only=True
        )
    return model.eval().to(memory_format=torch.channels_last)
