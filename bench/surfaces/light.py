"""Conversion between sRGB and linear light (IEC 61966-2-1)."""

import torch
from torch import Tensor


def srgb_to_linear(srgb: Tensor) -> Tensor:
    """Linear light in [0, 1] of sRGB values in [0, 1]."""
    return torch.where(srgb <= 0.04045, srgb / 12.92, ((srgb.clamp(min=0.04045) + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(light: Tensor) -> Tensor:
    """sRGB values in [0, 1] of linear light in [0, 1]."""
    return torch.where(light <= 0.0031308, light * 12.92, 1.055 * light.clamp(min=0.0031308) ** (1 / 2.4) - 0.055)
