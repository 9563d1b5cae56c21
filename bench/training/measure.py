"""Figures of the shipped models on seeds that no trainer uses."""

# (diffusers and transformers are partly untyped and export lazily.)

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionPipeline

from ..world.stream import shots
from ..world.truth import CHANNELS
from . import codec, judge
from .stream import Which, codec_of, pictures, psnr, signed

HELD_OUT = 910_001
"""First seed of the scenes on which models are measured."""


def codec_figures(reference: Path, n: int = 128) -> dict[str, float]:
    """PSNR in dB and latent statistics of a pipeline folder's codec; see ``codec.quality``."""
    return codec.quality(codec_of(reference / "vae"), n)


@torch.no_grad()
def solid(folder: Path, n: int = 32) -> dict[str, float]:
    """PSNR in dB of a codec folder on pictures of the 3-D world and on their channel images."""
    vae, found = codec_of(folder), {}
    taken = shots(HELD_OUT + 8, n, "single")
    for name in ("rgb", *CHANNELS):
        images = torch.from_numpy(getattr(taken, name)[:, 0]).movedim(-1, 1).expand(-1, 3, -1, -1)
        x = signed(images)
        found["picture" if name == "rgb" else name] = float(psnr(vae(x).sample, x).mean())
    return found


def judge_figures(folder: Path, n: int = 512, kind: Which | None = None) -> dict[str, float]:
    """Fractions of words that the judge recognises in n new renders."""
    images, captions = pictures(HELD_OUT, n, 1, kind=kind)
    return judge.recognised(images.float() / 255, captions, folder)


@torch.no_grad()
def draw(
    pipe: StableDiffusionPipeline, captions: list[str], guidance: float = 5.0, steps: int = 25, seed: int = 0
) -> torch.Tensor:
    """Sample one picture a caption with the pipeline's own sampler: (n, 3, 128, 128) in [0, 1]."""
    pipe.set_progress_bar_config(disable=True)
    parts: list[torch.Tensor] = []
    for at in range(0, len(captions), 16):
        made: Any = pipe(
            captions[at : at + 16],
            height=128,
            width=128,
            num_inference_steps=steps,
            guidance_scale=guidance,
            generator=torch.Generator().manual_seed(seed + at),
            output_type="pt",
        )
        parts.append(made.images)
    return torch.cat(parts).clamp(0, 1)


def base_figures(
    reference: Path, judged: Path, n: int = 200, guidance: float = 5.0, steps: int = 25
) -> dict[str, float]:
    """Fractions of words that the judge recognises in samples of n held-out captions, over all and by kind of scene.

    The captions are a third each of landscapes, of flat objects and of the 3-D world's objects (``solid``).
    """
    pipe = StableDiffusionPipeline.from_pretrained(
        reference, torch_dtype=torch.float32, use_safetensors=True, local_files_only=True
    )
    kinds: tuple[Which, ...] = ("landscape", "object", "solid")
    captions = [pictures(HELD_OUT + 1, -(-n // len(kinds)), 1, kind=kind)[1] for kind in kinds]
    images = draw(pipe, [caption for some in captions for caption in some], guidance, steps)
    ready = judge.load(judged)
    found = judge.recognised(images, [caption for some in captions for caption in some], judge=ready)
    for kind, said, made in zip(kinds, captions, images.split(len(captions[0])), strict=True):
        part = judge.recognised(made, said, judge=ready)
        found |= {f"{kind}_{name}": value for name, value in part.items()}
    return found
