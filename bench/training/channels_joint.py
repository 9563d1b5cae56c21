"""Train `channels_joint`: albedo, normal and shading of a picture, denoised together (Marigold-IID's layout).

The network reads the three noisy latents and the picture's, stacked, and answers for the three at once; the text input
is the empty caption's. As Marigold-IID (arXiv 2505.09358) but smaller, and with all targets in one model.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from ._channels import fit
from .base import SHIPPED
from .loop import Plan
from .scenes import Scenes


def draw(singles: Scenes, pick: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """All channels from the picture, whatever the words."""
    return singles.channels(pick).flatten(1, 2), singles.rgb[pick, 0].float(), torch.zeros_like(pick)


def main(
    out: Path,
    steps: int = 4_000,
    minutes: float | None = None,
    resume: bool = True,
    seed: int = 0,
    base: Path = SHIPPED,
    data: Path | None = None,
    number: int = 3072,
    size: int = 64,
    rate: float = 2e-3,
    save_every: int = 200,
    processes: int = 2,
    device: str = "auto",
    measured: int = 24,
) -> None:
    """Train on `number` pictures, `size` a step; leaves the network in ``out / "model"``.

    `data` holds the rendered pictures (default: beside `out`, shared by the channel trainers). `measured` held-out
    pictures are decomposed for the card; 0 leaves it out.
    """
    plan = Plan(out, steps, minutes, resume, seed, rate=rate, save_every=save_every, device=device)
    fit(plan, base, data, number, size, processes, (1, 3, True), [""], 0.0, draw)
    if measured:
        from .figures import channels_card

        channels_card("channels_joint", out, base, measured, plan.device)
