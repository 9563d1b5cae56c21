"""Train `channels_prompted`: one channel of a picture, chosen by the prompt, as in RGB-to-X (arXiv 2405.00666).

The network reads the noisy latent and the picture's; the prompt is the channel's name. Each channel is a run of its
own, so nothing but the picture makes channels agree.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from ._channels import fit
from .base import SHIPPED
from .loop import Plan
from .scenes import CHANNELS, Scenes


def draw(singles: Scenes, pick: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """A random channel of each picture."""
    chosen = torch.randint(len(CHANNELS), pick.shape, generator=random)
    return singles.channels(pick)[torch.arange(len(pick)), chosen], singles.rgb[pick, 0].float(), chosen


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
    fit(plan, base, data, number, size, processes, (1, 1, True), list(CHANNELS), 0.0, draw)
    if measured:
        from .figures import channels_card

        channels_card("channels_prompted", out, base, measured, plan.device)
