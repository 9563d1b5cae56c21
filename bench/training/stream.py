"""Training pictures and cached latents, all from the seeded world."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import numpy as np
import torch

from ...datasets.world import batch

_CHUNK = 256


def pictures(seed: int, n: int, workers: int = 2, kind=None) -> tuple[torch.Tensor, list[str]]:
    """n scenes: uint8 (n, 3, 128, 128) and captions. ``workers`` changes the time, never the result."""
    seeds = [seed * 100_003 + i for i in range((n + _CHUNK - 1) // _CHUNK)]
    render = partial(_chunk, kind=kind)
    if workers > 1 and len(seeds) > 1:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            chunks = list(pool.map(render, seeds))
    else:
        chunks = [render(s) for s in seeds]
    images = np.concatenate([images for images, _ in chunks])[:n]
    captions = [caption for _, part in chunks for caption in part][:n]
    return torch.from_numpy(images).permute(0, 3, 1, 2), captions


def _chunk(seed: int, kind=None) -> tuple[np.ndarray, list[str]]:
    return batch(seed, _CHUNK, kind)


def signed(images: torch.Tensor) -> torch.Tensor:
    """uint8 pictures to floats in [-1, 1]."""
    return images.float() / 127.5 - 1


def psnr(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Peak signal-to-noise ratio in dB a picture, (n,), for pictures (n, c, h, w) in [-1, 1]."""
    return -10 * torch.log10(((a.clamp(-1, 1) - b) / 2).square().mean((1, 2, 3)))
