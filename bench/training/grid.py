"""Train `grid`: six views of the object of a picture as tiles of one canvas, as in Zero123++ (arXiv 2310.15110).

The base is fine-tuned on canvases of 3 x 2 tiles; poses are fixed and cameras are no input. Reference attention: the
input view, noised afresh to the same level, passes the same network first, and the input of each of its
self-attentions joins keys and values of the canvas's. Half of the captions and a tenth of the pictures are left out.

Left out of the paper: the global CLIP image embedding (replaced by the caption), the linear noise schedule (the base's
is kept) and the scaling of latents. The loss is the base's, of v, as in the paper.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from ..models.parts.joint import referring
from ..models.parts.wrappers import canvas_of
from .base import SHIPPED
from .loop import Plan, is_first, launch, train, where
from .scenes import prepare, scenes
from .start import Noise, Words, check, network, place, save

RIG = "grid6"


def main(
    out: Path,
    steps: int = 3_000,
    minutes: float | None = None,
    resume: bool = True,
    seed: int = 0,
    base: Path = SHIPPED,
    data: Path | None = None,
    number: int = 2048,
    size: int = 4,
    drop: float = 0.5,
    lean: float = 0.6,
    rate: float = 4e-4,
    save_every: int = 100,
    processes: int = 2,
    device: str = "auto",
    measured: int = 16,
) -> None:
    """Train on `number` rigs of seven views, `size` canvases a step; leaves the network in ``out / "model"``.

    `data` holds the rendered views (default: beside `out`). `measured` held-out pictures are sampled for the card;
    0 leaves it out.
    """
    codec, data = check(base), data or out.parent / "shots"
    device, processes = where(device, processes)
    prepare(data, RIG, seed + 7, number, codec, processes)
    plan = Plan(out, steps, minutes, resume, seed, rate=rate, save_every=save_every, tail=0.5, device=device)
    plan.warmup, plan.average, plan.log_every = 50, 0.99, 20
    launch(_run, processes, plan, base, data, number, max(1, size // processes), drop, lean)
    if measured:
        from .view_figures import grid_card

        grid_card(out, base, data, measured, device)


def _run(plan: Plan, base: Path, data: Path, number: int, size: int, drop: float, lean: float) -> None:
    torch.manual_seed(plan.seed)
    rigs = scenes(data, RIG, plan.seed + 7, number)
    words, noise = Words(base, rigs.captions), Noise()
    unet = place(network(base), plan, trained=True)

    def loss(step: int, random: torch.Generator) -> dict[str, Tensor]:
        pick = torch.randint(len(rigs.captions), (size,), generator=random)
        z = rigs.rgb[pick].float()
        seen = torch.rand(size, 1, 1, 1, generator=random) >= 0.1
        t = noise.times(size, random, lean)
        noisy, target = noise.mix(canvas_of(z[:, 1:].flatten(0, 1), 3, 2), t, random)
        picture, _ = noise.mix(z[:, 0] * seen, t, random)
        picture, noisy = (x.to(plan.device, memory_format=torch.channels_last) for x in (picture, noisy))
        text, t = words(pick, random, drop).to(plan.device), t.to(plan.device)
        with plan.half(), referring(unet) as state:
            state.store = True
            unet(picture, t, text)
            state.store = False
            found = unet(noisy, t, text).sample
        return {"loss": (found.float() - target.to(plan.device)).square().mean()}

    train(unet, loss, plan).swap()
    if is_first():
        save(unet.eval(), plan.out / "model")
