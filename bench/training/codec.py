"""Train the latent codec: a small ``AutoencoderTiny`` of factor 8 with unit-variance latents."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderTiny
from torch.nn import functional as F

from .loop import Plan, train
from .stream import pictures, psnr, signed

CHANNELS = 4


def build(width: int = 48, channels: int = CHANNELS) -> AutoencoderTiny:
    """The codec's architecture: latents (n, channels, h / 8, w / 8), zero mean and unit variance a channel."""
    return AutoencoderTiny(
        latent_channels=channels,
        encoder_block_out_channels=(width,) * 4,
        decoder_block_out_channels=(width,) * 4,
        num_encoder_blocks=(1, 2, 3, 4),
        num_decoder_blocks=(4, 3, 2, 1),
        scaling_factor=1.0,
    )


def _gradient(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    d = a - b
    return d.diff(dim=-1).abs().mean() + d.diff(dim=-2).abs().mean()


def main(
    out: Path,
    steps: int = 12_000,
    minutes: float | None = None,
    resume: bool = False,
    seed: int = 0,
    scenes: int = 8192,
    size: int = 16,
    crop: int = 64,
    width: int = 48,
    channels: int = CHANNELS,
    rate: float = 2e-3,
    save_every: int = 1000,
    workers: int = 2,
) -> AutoencoderTiny:
    """Train on ``scenes`` renders in batches of ``size`` crops; leaves the EMA model in ``out``.

    A fixed small noise on the latents keeps the decoder calm about a sampler's errors; two penalties hold
    every channel at zero mean and unit variance so that diffusion starts from the right noise.
    """
    torch.manual_seed(seed)
    model = build(width, channels).to(memory_format=torch.channels_last)
    images, _ = pictures(seed + 1, scenes, workers)

    def loss(step: int, random: torch.Generator) -> dict[str, torch.Tensor]:
        pick = torch.randint(len(images), (size,), generator=random)
        at = torch.randint(0, 128 - crop + 1, (size, 2), generator=random).tolist()
        x = torch.stack([images[i, :, r : r + crop, c : c + crop] for i, (r, c) in zip(pick.tolist(), at)])
        x = signed(x).to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            z = model.encoder(x)
            noise = torch.randn(z.shape, generator=random)
            y = model.decoder(z + 0.03 * noise)
        y, z = y.float(), z.float()
        mean, var = z.mean((0, 2, 3)), z.var((0, 2, 3))
        norm = mean.square().mean() + var.clamp_min(1e-6).log().square().mean()
        error = (y - x).square().mean()
        total = 0.5 * (y - x).abs().mean() + 4 * error + 0.25 * _gradient(y, x) + 0.01 * norm
        return {"loss": total, "psnr": 6.02 - 10 * error.detach().log10(), "norm": norm}

    plan = Plan(out, steps, minutes, resume, seed, rate=rate, save_every=save_every, decay=1e-4)
    train(model, loss, plan).swap()
    model.eval().save_pretrained(out)
    return model


@torch.no_grad()
def quality(model: AutoencoderTiny, n: int = 128, seed: int = 900_001) -> dict[str, float]:
    """Mean PSNR in dB over held-out scenes (n a kind), and how far latents are from zero mean, unit variance."""
    found: dict[str, float] = {}
    latents = []
    for kind in ("object", "landscape"):
        x = signed(pictures(seed, n, 1, kind)[0])
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
