"""Train the latent codec: a small ``AutoencoderTiny`` of factor 8 with unit-variance latents."""

# (diffusers and transformers are partly untyped and export lazily.)

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderTiny

from .loop import Plan, is_first, launch, train, where
from .saved import read
from .scenes import channel_pictures
from .stream import pictures, psnr, signed

CHANNELS = 8


def build(width: int = 48, channels: int = CHANNELS) -> AutoencoderTiny:
    """The codec's architecture: latents (n, channels, h / 8, w / 8) of zero mean and unit variance per channel."""
    return AutoencoderTiny(
        latent_channels=channels,
        encoder_block_out_channels=(width,) * 4,
        decoder_block_out_channels=(width,) * 4,
        num_encoder_blocks=(1, 2, 3, 4),
        num_decoder_blocks=(4, 3, 2, 1),
        scaling_factor=1.0,
    )


@torch.no_grad()
def _begin(model: AutoencoderTiny, folder: Path) -> None:
    """Start from the weights of ``folder``, which may have fewer latent channels; the decoder ignores new ones."""
    old = AutoencoderTiny.from_pretrained(folder, use_safetensors=True, local_files_only=True).state_dict()
    for name, value in model.state_dict().items():
        known = old[name]
        if name == "decoder.layers.0.weight":
            value.zero_()
        value[tuple(slice(n) for n in known.shape)] = known


def _gradient(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    d = a - b
    return d.diff(dim=-1).abs().mean() + d.diff(dim=-2).abs().mean()


def main(
    out: Path,
    steps: int = 12_000,
    minutes: float | None = None,
    resume: bool = True,
    seed: int = 0,
    scenes: int = 8192,
    size: int = 16,
    crop: int = 64,
    width: int = 48,
    channels: int = CHANNELS,
    rate: float = 2e-3,
    save_every: int = 500,
    processes: int = 2,
    start: Path | None = None,
    decoder_only: bool = False,
    solid: int = 0,
    device: str = "auto",
) -> None:
    """Train on ``scenes`` renders in batches of ``size`` crops; leaves the averaged model in ``out``.

    ``solid`` adds that many scenes of the 3-D world, of each the picture and its three channel images; a quarter of
    every batch is then of these.

    A small fixed noise on the latents makes the decoder robust to a sampler's errors; two penalties keep every channel
    at zero mean and unit variance, as diffusion requires. ``start`` is the folder of an earlier codec to continue from;
    with ``decoder_only`` its latents do not change, so that models trained on them remain valid.
    """
    device, processes = where(device, processes)
    pictures(seed + 1, scenes, processes, out / "pictures.pt")
    if solid:
        channel_pictures(out / "solid.pt", seed + 9, solid, processes)
    plan = Plan(out, steps, minutes, resume, seed, rate=rate, save_every=save_every, decay=1e-4, device=device)
    launch(_run, processes, plan, scenes, size // processes, crop, width, channels, start, decoder_only, solid > 0)


def _run(
    plan: Plan,
    scenes: int,
    size: int,
    crop: int,
    width: int,
    channels: int,
    start: Path | None,
    decoder_only: bool,
    solid: bool,
) -> None:
    torch.manual_seed(plan.seed)
    model: Any = build(width, channels)
    model.to(plan.device, memory_format=torch.channels_last)
    if start is not None:
        _begin(model, start)
    model.encoder.requires_grad_(not decoder_only)
    images, _ = pictures(plan.seed + 1, scenes, 1, plan.out / "pictures.pt")
    more = read(plan.out / "solid.pt", torch.Tensor, mmap=True) if solid else images

    def loss(step: int, random: torch.Generator) -> dict[str, torch.Tensor]:
        pick = torch.rand(size, generator=random).tolist()
        at = torch.randint(0, 128 - crop + 1, (size, 2), generator=random).tolist()
        pools = [more if n % 4 == 3 else images for n in range(size)]
        parts = [pool[int(u * len(pool))] for u, pool in zip(pick, pools, strict=True)]
        x = torch.stack([part[:, r : r + crop, c : c + crop] for part, (r, c) in zip(parts, at, strict=True)])
        x = signed(x).to(plan.device, memory_format=torch.channels_last)
        with plan.half():
            z = model.encoder(x)
            y = model.decoder(z + 0.03 * torch.randn(z.shape, generator=random).to(plan.device))
        y, z = y.float(), z.float()
        mean, var = z.mean((0, 2, 3)), z.var((0, 2, 3))
        norm = mean.square().mean() + var.clamp_min(1e-6).log().square().mean()
        error = (y - x).square().mean()
        total = 0.4 * (y - x).abs().mean() + 8 * error + 0.15 * _gradient(y, x) + 0.04 * norm
        return {"loss": total, "psnr": 6.02 - 10 * error.detach().log10(), "norm": norm}

    average = train(model, loss, plan)
    average.swap()
    if is_first():
        model.eval().cpu().save_pretrained(plan.out)


@torch.no_grad()
def settle(model: Any, n: int = 512, seed: int = 800_001) -> None:
    """Normalise the latents of n renders to zero mean and unit variance, by changing the adjacent convolutions."""
    x = signed(pictures(seed, n, 1)[0])
    z = torch.cat([model.encode(part).latents for part in x.split(32)])
    mean, deviation = z.mean((0, 2, 3)), z.std((0, 2, 3))
    last: Any = model.encoder.layers[-1]
    first: Any = model.decoder.layers[0]
    last.weight /= deviation[:, None, None, None]
    last.bias.sub_(mean).div_(deviation)
    first.bias += torch.einsum("oihw,i->o", first.weight, mean)
    first.weight *= deviation[None, :, None, None]


@torch.no_grad()
def quality(model: Any, n: int = 128, seed: int = 900_001) -> dict[str, float]:
    """Mean PSNR in dB over held-out scenes (n a kind), and how far latents are from zero mean, unit variance."""
    found: dict[str, float] = {}
    latents: list[torch.Tensor] = []
    for kind in ("object", "landscape"):
        x = signed(pictures(seed, n, 1, kind=kind)[0])
        z = torch.cat([model.encode(part).latents for part in x.split(32)])
        y = torch.cat([model.decode(part).sample for part in z.split(32)])
        found[kind] = float(psnr(y, x).mean())
        latents.append(z)
    z = torch.cat(latents)
    found["all"] = (found["object"] + found["landscape"]) / 2
    found["mean"] = float(z.mean((0, 2, 3)).abs().max())
    found["variance"] = float(z.var((0, 2, 3)).sub(1).abs().max())
    return found


if __name__ == "__main__":
    import typer

    typer.run(main)
