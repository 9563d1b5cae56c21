"""sRGB and linear light, and the channels a `channels` item's views are read as."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ...bench.surfaces.light import encoded as encoded
from ...bench.surfaces.light import linear as linear
from ...bench.surfaces.shared import SHADING_MAX
from ...bench.types import Artifact, Item
from .images import stored
from .shots import Region


@dataclass(frozen=True, kw_only=True)
class Channels:
    """What the views of a `channels` artifact say; None where the item asks for no such channel."""

    albedo: Float[Tensor, "3 h w"] | None
    """Linear."""
    normal: Float[Tensor, "3 h w"] | None
    """2 v - 1 of the stored values: not normalised."""
    shading: Float[Tensor, "1 h w"] | None
    """Linear, grey, from 0 to SHADING_MAX."""


def names(item: Item) -> tuple[str, ...]:
    """The channels in the order of the views; empty for a surface that names none."""
    return tuple(getattr(item.surface, "names", ()))


def channels(artifact: Artifact, item: Item) -> Channels | None:
    """The views decoded to channels; None where the surface names no channels, or not one per view."""
    known, images = names(item), stored(artifact).double()
    if not known or len(known) != len(images):
        return None
    of = dict(zip(known, images, strict=True))
    grey = of["shading"].mean(0, keepdim=True) if "shading" in of else None
    return Channels(
        albedo=linear(of["albedo"]) if "albedo" in of else None,
        normal=2 * of["normal"] - 1 if "normal" in of else None,
        shading=None if grey is None else SHADING_MAX * linear(grey),
    )


def scored(item: Item, region: Region, height: int, width: int) -> Float[Tensor, "1 h w"]:
    """1 on the pixels channels are scored on: a surface, or the object; everywhere if the truth does not say."""
    known = item.truth.get("mask" if region == "object" else "surface")
    return torch.ones(1, height, width).double() if known is None else known[0].double()


def best_scale(x: Tensor, y: Tensor) -> float:
    """The a that minimises |a x - y|^2; 0 for x = 0."""
    power = float(x.square().sum())
    return float((x * y).sum()) / power if power > 0 else 0.0
