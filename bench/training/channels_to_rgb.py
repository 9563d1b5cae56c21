"""Train `channels_to_rgb`: a picture from its channels, with channel dropout, as in X-to-RGB (arXiv 2405.00666).

Each channel is left out with probability 0.3 (a latent of zeros), independently, and so is the caption: whatever is
given at sampling time was seen in training.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from ._channels import fit
from .base import SHIPPED
from .loop import Plan
from .scenes import CHANNELS, Scenes

LOST = 0.3


def draw(singles: Scenes, pick: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """The picture from some of its channels and its caption."""
    kept = torch.rand(len(pick), len(CHANNELS), 1, 1, 1, generator=random) >= LOST
    return singles.rgb[pick, 0].float(), (singles.channels(pick) * kept).flatten(1, 2), pick


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
    measured: int = 48,
) -> None:
    """Train on `number` pictures, `size` a step; leaves the network in ``out / "model"``.

    `data` holds the rendered pictures (default: beside `out`, shared by the channel trainers). `measured` held-out
    pictures are recomposed for the card; 0 leaves it out.
    """
    plan = Plan(out, steps, minutes, resume, seed, rate=rate, save_every=save_every, device=device)
    fit(plan, base, data, number, size, processes, (3, 1, False), None, LOST, draw)
    if measured:
        from .figures import recomposed_card

        recomposed_card(out, base, measured, plan.device)
