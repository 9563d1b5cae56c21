"""Figures of trained models on held-out scenes, and their cards: what those of views, clips and channels share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..analysis.stats import Interval, interval
from .cards import card, curve, machine, megabytes, sheet, spent

Row = tuple[str, str, str]
STEPS = 20
"""Denoising steps of samples that a model is judged by."""


@torch.no_grad()
def sample(
    model: Any,
    prompts: Sequence[str],
    guidance: float = 1.0,
    steps: int = STEPS,
    seed: int = 0,
    together: bool = False,
    **inputs: Tensor,
) -> Tensor:
    """One DDIM sample a prompt, decoded: (n, 3, 128, 128) in [0, 1]."""
    condition = model.condition(prompts, guidance, "", together=together, **inputs)
    side = model.window // model.factor
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(len(prompts), model.channels, side, side, generator=draw).to(model.device, model.dtype)
    for level in model.schedule(steps):
        x = level.move(*model.predict(x, level, condition))
    return model.decode(x).float().cpu()


def picture(images: Any) -> Tensor:
    """(..., 3, H, W) in [0, 1] of uint8 (..., H, W, 3 or 1)."""
    found = torch.from_numpy(images).movedim(-1, -3).float() / 255
    return found.expand(*found.shape[:-3], 3, *found.shape[-2:])


def told(found: Interval) -> str:
    """The interval as text, `mean [low, high]`."""
    return f"{found.mean:.4f} [{found.low:.4f}, {found.high:.4f}]" if found.low is not None else f"{found.mean:.4f}"


def compared(what: str, values: dict[str, list[float]]) -> list[Row]:
    """Means of every kind, and the paired differences of the others to the first."""
    first, *others = values
    rows = [(f"{what}, {kind}", "none", told(interval(found))) for kind, found in values.items()]
    for kind in others:
        if kind not in ("true renders", "from a first frame"):
            off = interval([b - a for a, b in zip(values[first], values[kind], strict=True)])
            rows.append((f"{what}: {kind} minus {first}, paired", "interval above 0", told(off)))
    return rows


def rmse(a: Tensor, b: Tensor) -> float:
    """Root mean squared difference of images of one shape."""
    return float((a - b).square().mean().sqrt())


def write(out: Path, title: str, network: Any, figures: list[Row], shown: Tensor, notes: str, columns: int = 8) -> None:
    """Write the card of the network in ``out / "model"``, its loss and the images `shown`, and print the figures."""
    folder = out / "model"
    steps, minutes = spent([out])
    curve([out], "loss", f"{title}: training loss", folder / "loss.png")
    sheet(shown, columns, folder / "samples.png")
    facts = {
        "diffusers class": f"`{type(network).__name__}`",
        "parameters": f"{sum(p.numel() for p in network.parameters()) / 1e6:.2f} M",
        "data": "ray-traced scenes of `bench/world` only, random captions",
        "training": f"{steps} steps, {minutes:.0f} minutes",
        "machine": machine(),
        "weights": megabytes(folder),
    }
    card(folder, title, facts, figures, notes)
    for name, target, value in figures:
        print(f"{name}: {value}" + ("" if target == "none" else f" (wanted: {target})"), flush=True)
