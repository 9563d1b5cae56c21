"""Train `motion`: temporal attention for the frozen base, as in AnimateDiff (arXiv 2307.04725).

A temporal module (two self-attentions over the frames at each place, sinusoidal frame numbers, zero-initialised
output) follows every spatial transformer of the base, the middle one included: diffusers' `MotionAdapter`, which
reads the folder and joins any UNet of the base's shape in `UNetMotionModel.from_unet2d`. Its residual form is the
learned blend: at zero output each frame is the base's own.

Clips have up to `frames` frames. Half of the batches are of clips half as long, every frame or every other one of a
longer clip's, so that the adapter makes short clips and long ones.

The image-to-video variant is the same adapter. With probability `first` a clip's frame 0 stays clean and only the
others are noised and scored, so the temporal attention learns to carry a given frame into the rest. (diffusers'
adapters can widen the input convolution instead, as PIA does, but only for latents of four channels.)
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import MotionAdapter, UNetMotionModel
from torch import Tensor, nn

from ..models.parts.library import quiet
from .base import SHIPPED
from .loop import Plan, generator, is_first, launch, train, where
from .scenes import prepare, scenes
from .start import Noise, Words, check, network, place, save

RIG = "clip"


def build(unet: Any, heads: int = 4) -> Any:
    """A motion adapter for the UNet, whose output is still zero."""
    adapter: Any = MotionAdapter(
        block_out_channels=tuple(unet.config["block_out_channels"]),
        motion_layers_per_block=unet.config["layers_per_block"],
        motion_num_attention_heads=heads,
        motion_norm_num_groups=unet.config["norm_num_groups"],
    )
    for name, module in adapter.named_modules():
        if name.endswith("proj_out"):  # diffusers leaves these random
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)
    return adapter


def joined(unet: Any, adapter: Any) -> Any:
    """A network of clips (n, c, frames, h, w) that shares the modules of UNet and adapter."""
    with quiet():
        whole: Any = UNetMotionModel.from_unet2d(unet, adapter)
    for mine, theirs in zip(whole.down_blocks, adapter.down_blocks, strict=True):
        mine.motion_modules = theirs.motion_modules
    for mine, theirs in zip(whole.up_blocks, adapter.up_blocks, strict=True):
        mine.motion_modules = theirs.motion_modules
    whole.mid_block.motion_modules = adapter.mid_block.motion_modules
    return whole


def halves(clips: Tensor, random: torch.Generator) -> Tensor:
    """Half of the frames (n, f // 2, ...) of clips (n, f, ...): one of their halves, or every other frame."""
    n, frames = clips.shape[:2]
    kind = torch.randint(4, (n, 1), generator=random)
    step = 1 + (kind >= 2).long()
    begin = torch.where(kind < 2, kind * (frames // 2), kind - 2)
    return clips[torch.arange(n)[:, None], begin + step * torch.arange(frames // 2)]


def main(
    out: Path,
    steps: int = 4_000,
    minutes: float | None = None,
    resume: bool = True,
    seed: int = 0,
    base: Path = SHIPPED,
    data: Path | None = None,
    number: int = 1024,
    frames: int = 16,
    size: int = 64,
    first: float = 1 / 3,
    lean: float = 0.7,
    rate: float = 1e-3,
    save_every: int = 100,
    processes: int = 2,
    device: str = "auto",
    measured: int = 16,
) -> None:
    """Train on `number` clips of `frames`, `size` frames a step; leaves the adapter in ``out / "model"``.

    `data` holds the rendered clips (default: beside `out`); `first` is the probability of a given first frame.
    `measured` held-out captions are sampled for the card; 0 leaves it out.
    """
    codec, data = check(base), data or out.parent / "shots"
    device, processes = where(device, processes)
    prepare(data, RIG, seed + 6, number, codec, processes, frames)
    plan = Plan(out, steps, minutes, resume, seed, rate=rate, save_every=save_every, tail=0.5, device=device)
    plan.warmup, plan.average, plan.log_every = 50, 0.99, 20
    launch(_run, processes, plan, base, data, number, frames, max(1, size // processes // frames), first, lean)
    if measured:
        from .view_figures import motion_card

        motion_card(out, base, measured, frames // 2, device)


def _run(plan: Plan, base: Path, data: Path, number: int, frames: int, size: int, first: float, lean: float) -> None:
    torch.manual_seed(plan.seed)
    clips = scenes(data, RIG, plan.seed + 6, number, frames)
    words, noise = Words(base, clips.captions), Noise()
    unet = network(base)
    adapter = build(unet)
    # channels last, the group norm over frames crashes in its backward pass when a process has a single clip
    whole = place(joined(unet, adapter), plan, trained=False, layout=torch.contiguous_format)
    adapter.requires_grad_(True)

    def loss(step: int, random: torch.Generator) -> dict[str, Tensor]:
        # coins for all processes of the run, so that each has as much to do
        coin = torch.rand(2, generator=generator(plan.seed, step, shared=True))
        given, half = bool(coin[0] < first), bool(coin[1] < 0.5)
        pick = torch.randint(len(clips.captions), (size * (1 + half),), generator=random)
        x = clips.rgb[pick].float()
        if half:
            x = halves(x, random)
        t = noise.times(len(x), random, lean)
        noisy, target = noise.mix(x, t, random)
        if given:
            noisy[:, 0] = x[:, 0]
        text = words(pick, random).repeat_interleave(x.shape[1], 0).to(plan.device)
        with plan.half():
            found = whole(noisy.transpose(1, 2).to(plan.device), t.to(plan.device), text).sample
        error = (found.float().transpose(1, 2) - target.to(plan.device)).square()
        return {"loss": error[:, int(given) :].mean()}

    train(adapter, loss, plan).swap()
    if is_first():
        save(adapter.eval(), plan.out / "model")
