"""Train `depth`: a ControlNet (arXiv 2302.05543) that makes the frozen base follow a depth map.

The copy of the base's encoder reads normalised inverse depth (1 near, 0 sky, grey repeated to 3 channels) through
eight-fold strided convolutions; its outputs pass convolutions that start at zero. Captions are dropped often, so
that the layout is learned from the depth and not guessed from the words. diffusers' `ControlNetModel` reads the folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import ControlNetModel
from torch import Tensor, nn

from .base import SHIPPED
from .loop import Plan, is_first, launch, train, where
from .scenes import prepare, scenes
from .start import Noise, Words, check, network, place, save

RIG = "orbit4"


def build(unet: Any) -> Any:
    """A ControlNet of the UNet's encoder for depth pictures (n, 3, 128, 128), whose output is still zero.

    diffusers also starts the last convolution of the picture's embedding at zero, and the others at small values. Here
    the embedding has about the scale of the latent that it is added to, so that learning starts at once.
    """
    control: Any = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(16, 24, 32, 48))
    ear = control.controlnet_cond_embedding
    for layer in ear.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
    ramp = torch.linspace(0, 1, 128).expand(1, 3, 128, 128)
    with torch.no_grad():
        ear.conv_out.weight *= 0.7 / ear(ramp).std()
    return control


def picture(depth: Tensor) -> Tensor:
    """The ControlNet's input, (n, 3, H, W) in [0, 1], for uint8 depths (n, H, W)."""
    return (depth.float() / 255)[:, None].expand(-1, 3, -1, -1)


def main(
    out: Path,
    steps: int = 2_000,
    minutes: float | None = None,
    resume: bool = True,
    seed: int = 0,
    base: Path = SHIPPED,
    data: Path | None = None,
    number: int = 2048,
    size: int = 32,
    drop: float = 0.3,
    lean: float = 0.6,
    rate: float = 8e-4,
    save_every: int = 100,
    processes: int = 2,
    device: str = "auto",
    measured: int = 48,
) -> None:
    """Train on views of `number` orbits, `size` a step; leaves the ControlNet in ``out / "model"``.

    `data` holds the rendered orbits (default: beside `out`, shared with the views trainer); a share `drop` of the
    captions is left out. `measured` held-out views are sampled for the card; 0 leaves it out.
    """
    codec, data = check(base), data or out.parent / "shots"
    device, processes = where(device, processes)
    prepare(data, RIG, seed + 5, number, codec, processes)
    plan = Plan(out, steps, minutes, resume, seed, rate=rate, save_every=save_every, tail=0.5, device=device)
    plan.warmup, plan.average, plan.log_every = 50, 0.99, 20
    launch(_run, processes, plan, base, data, number, size // processes, drop, lean)
    if measured:
        from .view_figures import depth_card

        depth_card(out, base, data, measured, device)


def _run(plan: Plan, base: Path, data: Path, number: int, size: int, drop: float, lean: float) -> None:
    torch.manual_seed(plan.seed)
    solid = scenes(data, RIG, plan.seed + 5, number)
    words, noise = Words(base, solid.captions), Noise()
    unet = network(base)
    control = place(build(unet), plan, trained=True)
    place(unet, plan, trained=False)

    def loss(step: int, random: torch.Generator) -> dict[str, Tensor]:
        pick = torch.randint(len(solid.captions), (size,), generator=random)
        view = torch.randint(solid.views, (size,), generator=random)
        t = noise.times(size, random, lean)
        noisy, target = noise.mix(solid.rgb[pick, view].float(), t, random)
        x, t = noisy.to(plan.device, memory_format=torch.channels_last), t.to(plan.device)
        text = words(pick, random, drop).to(plan.device)
        hint = picture(solid.depth[pick, view]).to(plan.device, memory_format=torch.channels_last)
        with plan.half():
            down, middle = control(x, t, text, controlnet_cond=hint, return_dict=False)
            found = unet(x, t, text, down_block_additional_residuals=down, mid_block_additional_residual=middle).sample
        error = (found.float() - target.to(plan.device)).square().mean((1, 2, 3))
        return {"loss": error.mean(), "noisy_half": error[size // 2 :].mean()}

    train(control, loss, plan).swap()
    if is_first():
        save(control.eval(), plan.out / "model")
