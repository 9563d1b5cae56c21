"""What the three channel trainers share: a small UNet whose input is noisy latents beside given ones.

These networks translate a picture and its channels into each other at the same pixel, which needs far less than
drawing from words: they are half as wide as the base, without attention at full resolution, and start from nothing.
Only codec and text encoder are the base's.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from .loop import Plan, is_first, launch, train, where
from .scenes import Scenes, prepare, scenes
from .start import Noise, Words, check, place, save

RIG = "single"
LEAN = 0.5
"""See `Noise.times`. The picture determines its channels, so a network has to find them when the noise is strongest;
after that there is little to do."""
Draw = Callable[[Scenes, Tensor, torch.Generator], tuple[Tensor, Tensor, Tensor]]
"""(scenes, picks (n,), random) -> clean latents (n, c, h, w), given ones (n, d, h, w), words picked (n,)."""


def build(given: int, made: int, attended: bool, words: int, widths: tuple[int, ...] = (48, 64, 64)) -> Any:
    """A UNet of `given` and `made` latent channels; `attended`: at half resolution, too.

    `words` is the size of the text encoder's embeddings.
    """
    plain = [not (attended and i == 1) for i in range(len(widths))]
    unet: Any = UNet2DConditionModel(
        sample_size=16,
        in_channels=given + made,
        out_channels=made,
        block_out_channels=widths,
        down_block_types=tuple("DownBlock2D" if p else "CrossAttnDownBlock2D" for p in plain),
        up_block_types=tuple("UpBlock2D" if p else "CrossAttnUpBlock2D" for p in reversed(plain)),
        layers_per_block=1,
        cross_attention_dim=words,
        attention_head_dim=4,
        norm_num_groups=16,
    )
    nn.init.zeros_(unet.conv_out.weight)
    nn.init.zeros_(unet.conv_out.bias)
    return unet


def run(
    plan: Plan,
    base: Path,
    data: Path,
    number: int,
    size: int,
    sizes: tuple[int, int, bool],
    texts: list[str] | None,
    drop: float,
    draw: Draw,
) -> None:
    """Train in this process; see `fit`."""
    torch.manual_seed(plan.seed)
    singles = scenes(data, RIG, plan.seed + 8, number)
    words, noise = Words(base, singles.captions if texts is None else texts), Noise()
    latent = singles.rgb.shape[2]
    unet = place(build(sizes[0] * latent, sizes[1] * latent, sizes[2], words.size), plan, trained=True)

    def loss(step: int, random: torch.Generator) -> dict[str, Tensor]:
        pick = torch.randint(len(singles.captions), (size,), generator=random)
        clean, given, said = draw(singles, pick, random)
        t = noise.times(size, random, LEAN)
        noisy, target = noise.mix(clean, t, random)
        rows = torch.cat([noisy, given], 1).to(plan.device, memory_format=torch.channels_last)
        text = words(said, random, drop).to(plan.device)
        with plan.half():
            found = unet(rows, t.to(plan.device), text).sample
        error = (found.float() - target.to(plan.device)).square().mean((1, 2, 3))
        return {"loss": error.mean(), "noisy_half": error[size // 2 :].mean()}

    train(unet, loss, plan).swap()
    if is_first():
        save(unet.eval(), plan.out / "model")


def fit(
    plan: Plan,
    base: Path,
    data: Path | None,
    number: int,
    size: int,
    processes: int,
    sizes: tuple[int, int, bool],
    texts: list[str] | None,
    drop: float,
    draw: Draw,
) -> None:
    """Render what is missing, then train a network of `sizes` (given and made pictures, attended).

    `texts` are the prompts that `draw` picks from (None: the scenes' captions), a share `drop` of them left out.
    """
    codec, data = check(base), data or plan.out.parent / "shots"
    plan.device, processes = where(plan.device, processes)
    plan.warmup, plan.average, plan.log_every, plan.tail = 100, 0.995, 20, 0.5
    prepare(data, RIG, plan.seed + 8, number, codec, processes)
    launch(run, processes, plan, base, data, number, size // processes, sizes, texts, drop, draw)
