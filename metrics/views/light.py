"""sRGB and linear light, and albedo, normals and shading decoded from the views of a `channels` item."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ...bench.surfaces.light import srgb_to_linear
from ...bench.surfaces.shared import SHADING_MAX
from ...bench.types import Artifact, Item
from .images import stored_views
from .shots import Region


@dataclass(frozen=True, kw_only=True)
class Channels:
    """The channels decoded from the views of a `channels` artifact; None where the item has no such channel."""

    albedo: Float[Tensor, "3 h w"] | None
    """Albedo in linear light, in [0, 1]."""
    normal: Float[Tensor, "3 h w"] | None
    """Normals, 2 v - 1 of the stored values v, so not of unit length."""
    shading: Float[Tensor, "1 h w"] | None
    """Grey shading in linear light, in [0, SHADING_MAX]."""
    residual: Float[Tensor, "3 h w"] | None = None
    """What the picture has beside albedo times shading, in linear light, up to a factor."""


def view_channels(item: Item) -> tuple[str, ...]:
    """Names of the channels in the order of the views; empty for a surface that names none."""
    return tuple(getattr(item.surface, "names", ()))


def decoded_channels(artifact: Artifact, item: Item) -> Channels | None:
    """The views decoded to channels; None where the surface names no channels, or not one per view."""
    names, images = view_channels(item), stored_views(artifact).double()
    if not names or len(names) != len(images):
        return None
    view = dict(zip(names, images, strict=True))
    grey = view["shading"].mean(0, keepdim=True) if "shading" in view else None
    return Channels(
        albedo=srgb_to_linear(view["albedo"]) if "albedo" in view else None,
        normal=2 * view["normal"] - 1 if "normal" in view else None,
        shading=None if grey is None else SHADING_MAX * srgb_to_linear(grey),
        residual=srgb_to_linear(view["residual"]) if "residual" in view else None,
    )


def scored_mask(item: Item, region: Region, height: int, width: int) -> Float[Tensor, "1 h w"]:
    """1 on the pixels of the region, on which channels are scored, else 0; 1 everywhere if the truth has no mask."""
    mask = item.truth.get("mask" if region == "object" else "surface")
    return torch.ones(1, height, width).double() if mask is None else mask[0].double()


def best_scale(x: Tensor, y: Tensor) -> float:
    """The factor a that minimises |a x - y|^2; 0 for x = 0."""
    power = float(x.square().sum())
    return float((x * y).sum()) / power if power > 0 else 0.0
