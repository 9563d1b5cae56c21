"""Figures of trained models of channels on held-out scenes, and their cards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..analysis.stats import interval
from ..catalogue.registry import load
from ..models.channels_joint import ChannelsJoint
from ..models.channels_prompted import ChannelsPrompted
from ..models.channels_to_rgb import ChannelsToRgb
from ..types import Artifact
from ..world.stream import shots
from ..world.truth import CHANNELS
from .figures import Row, picture, rmse, sample, told, write
from .measure import HELD_OUT

DIRECT = 2
"""Denoising steps for models whose output is nearly determined by the input, as in `world_channels`."""
UNLIKE = {
    "channels_joint": "The published Marigold-IID has no normals: its appearance model makes albedo, roughness and "
    "metallicity, its lighting model albedo, shading and a residual.",
    "channels_prompted": "The picture enters in sRGB; the published RGB-to-X reads linear light.",
    "channels_to_rgb": "Channels and picture are in sRGB; the published X-to-RGB works in linear light.",
}
"""The difference of a model to the published one of its kind, by name; the last sentence of its card."""


def channels_card(name: str, out: Path, base: Path, n: int, device: str) -> None:
    """Write the card of a decomposition: errors by the suite's metrics, and those of trivial predictions."""
    kind = ChannelsJoint if name == "channels_joint" else ChannelsPrompted
    model: Any = kind(path=str(out / "model"), base=str(base), device=device)
    items = load("datasets", "world_channels", {"count": n}).items()
    rgb = torch.cat([item.conditions["image"] for item in items])
    real = torch.stack([item.truth["views"] for item in items])
    made = torch.cat([decomposed(model, part) for part in rgb.split(8)])
    with torch.no_grad():
        coded = torch.cat([model.decode(model.encode(part.flatten(0, 1))) for part in real.split(8)])
    flat = real[:, 1:].mean((0, 3, 4))  # the sky's grey says nothing, so the mean points where surfaces do
    constant = flat[None, :, :, None, None].expand(n, 2, 3, *rgb.shape[2:])
    answers = {
        "made": made,
        "trivial": torch.cat([rgb[:, None], constant], 1),
        "floor": coded.float().cpu().unflatten(0, (n, 3)),
    }
    figures: list[Row] = []
    for metric, trivial in {
        "albedo_error": "the picture itself",
        "albedo_error@plain": "the picture itself",
        "normal_error": "the best constant",
    }.items():
        judge = load("metrics", metric)
        values = {
            kind: interval(
                [judge(Artifact(views=views), item).value for views, item in zip(answer, items, strict=True)]
            )
            for kind, answer in answers.items()
        }
        unit = f"{metric} ({judge.unit})"
        figures += [
            (unit, f"<= {values['trivial'].mean / 2:.4f} (half of trivial)", told(values["made"])),
            (f"{unit}: {trivial} (trivial)", "none", told(values["trivial"])),
            (f"{unit}: truth through the codec (floor)", "none", told(values["floor"])),
        ]
    off = {kind: interval([rmse(a[2], b[2]) for a, b in zip(x, real, strict=True)]) for kind, x in answers.items()}
    figures.append(("shading, RMSE, sRGB", f"<= {off['trivial'].mean / 2:.4f} (half of trivial)", told(off["made"])))
    figures.append(("shading, RMSE, sRGB: the mean (trivial)", "none", told(off["trivial"])))
    shown = torch.cat([torch.cat([rgb[i, None], made[i], rgb[i, None], real[i]]) for i in range(min(n, 6))])
    write(
        out,
        "Channels, jointly" if name == "channels_joint" else "Channels, by prompt",
        model.network.module(),
        figures,
        shown,
        f"Decomposes a picture of the world. The first {n} pictures of `world_channels`, which no trainer sees, DDIM, "
        f"{DIRECT} steps, no guidance, scored by the suite's metrics. Sheet: picture, albedo, normal, shading as made, "
        f"then as true. {UNLIKE[name]}",
    )


def truth(taken: Any) -> Tensor:
    """True channel images (n, 3, 3, H, W) of the first views of `Shots`."""
    return torch.stack([picture(getattr(taken, name)[:, 0]) for name in CHANNELS], 1)


def decomposed(model: Any, rgb: Tensor, steps: int = DIRECT) -> Tensor:
    """Channel images (n, 3, 3, H, W) of pictures (n, 3, H, W) by a channel model."""
    prompts = list(CHANNELS) * len(rgb)
    return sample(model, prompts, steps=steps, image=rgb.repeat_interleave(3, 0)).unflatten(0, (-1, 3))


def recomposed_card(out: Path, base: Path, n: int, device: str) -> None:
    """Write the card of `channels_to_rgb`: errors of pictures from all channels and from some of them."""
    model = ChannelsToRgb(path=str(out / "model"), base=str(base), device=device)
    taken = shots(HELD_OUT + 8, n, "single")
    real, rgb = truth(taken), picture(taken.rgb[:, 0])
    made: dict[str, Tensor] = {}
    for kept in (CHANNELS, CHANNELS[:1], CHANNELS[1:]):
        given: dict[str, Any] = {name: real[:, CHANNELS.index(name)] for name in kept}
        made[" and ".join(kept)] = sample(model, taken.captions, steps=DIRECT, **given)
    errors = {name: interval([rmse(a, b) for a, b in zip(x, rgb, strict=True)]) for name, x in made.items()}
    bar = interval([rmse(a, b) for a, b in zip(real[:, 0], rgb, strict=True)])
    figures = [
        (f"RMSE from {name}", f"<= {bar.mean / 2:.4f} (half of trivial)" if i == 0 else "none", told(value))
        for i, (name, value) in enumerate(errors.items())
    ]
    figures.append(("RMSE of the albedo taken for the picture (trivial)", "none", told(bar)))
    shown = torch.cat([torch.cat([rgb[i, None], *(x[i, None] for x in made.values())]) for i in range(min(n, 8))])
    write(
        out,
        "Channels to picture",
        model.network.module(),
        figures,
        shown,
        f"Recomposes a picture from its channels, any of which may be missing. {n} held-out scenes, DDIM, {DIRECT} "
        f"steps, no guidance, the caption given. Sheet: the picture; from {'; from '.join(made)}. "
        f"{UNLIKE['channels_to_rgb']}",
        columns=8,
    )
