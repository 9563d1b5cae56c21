"""Measures of disagreement between pictures of one scene, computed from pixels alone, for the trainers' cards.

The suite's metrics are stricter and need the truth; these need none, so that samples of objects without a truth can be
compared while a model is being trained.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def palette(views: Tensor, object_: Tensor) -> float:
    """RMS deviation from their mean over views of the chromaticities (r, g, b) / (r + g + b) of object, ground and sky.

    views: (V, 3, H, W) in [0, 1]; object_: its silhouettes, bool (V, H, W). Ground and sky are the bottom and top
    eighth of the rows outside the silhouette. Chromaticity of the mean linear light, because shading, which differs
    between true views, is grey.
    """
    height = views.shape[-2]
    row = torch.arange(height)[None, :, None].expand_as(object_)
    regions = (object_, ~object_ & (row >= height - height // 8), ~object_ & (row < height // 8))
    light = torch.stack([_mean(views.pow(2.2), region) for region in regions], 1)
    colours = light / light.sum(-1, keepdim=True).clamp_min(1e-3)
    return float((colours - colours.mean(0)).square().mean().sqrt())


def _mean(views: Tensor, region: Tensor) -> Tensor:
    """Mean colour (V, 3) inside regions (V, H, W); of everything where a region is empty."""
    region = torch.where(region.any(-1, keepdim=True).any(-2, keepdim=True), region, torch.ones_like(region))
    weight = region[:, None].float()
    return (views * weight).sum((2, 3)) / weight.sum((2, 3))


def extent(object_: Tensor) -> float:
    """RMS deviation over views of the silhouettes' top and bottom row, in parts of the height.

    All views of an orbit at one elevation see an object at its centre between nearly the same rows.
    """
    height = object_.shape[-2]
    filled = object_.any(-1).float()
    found = filled.any(-1)
    top = torch.where(found, filled.argmax(-1), height // 2)
    bottom = torch.where(found, height - filled.flip(-1).argmax(-1), height // 2)
    rows = torch.stack([top, bottom], 1).float() / height
    return float((rows - rows.mean(0)).square().mean().sqrt())


def jump(frames: Tensor, block: int = 8, reach: int = 6) -> float:
    """Mean absolute difference of neighbouring frames after the best shift of every block, in [0, 1].

    frames: (T, 3, H, W) in [0, 1]. Blocks of `block` pixels are matched within `reach` pixels.
    """
    now, after = frames[:-1], F.pad(frames[1:], (reach,) * 4, mode="replicate")
    height, width = frames.shape[-2:]
    best = torch.full((len(now), 1, height // block, width // block), torch.inf)
    for dy in range(2 * reach + 1):
        for dx in range(2 * reach + 1):
            off = (after[..., dy : dy + height, dx : dx + width] - now).abs().mean(1, keepdim=True)
            best = torch.minimum(best, F.avg_pool2d(off, block))
    return float(best.mean())


def change(frames: Tensor) -> float:
    """Mean absolute difference of neighbouring frames, in [0, 1]: the amount of motion; 0 for a still clip."""
    return float((frames[1:] - frames[:-1]).abs().mean())
