"""What text, quality and variety scores look at in the families without a canvas image of their own."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from ...bench.types import Artifact, Item
from .images import stored
from .light import channels, encoded, names


def pictures(artifact: Artifact, item: Item) -> Float[Tensor, "n 3 h w"]:
    """The views; for channels the one picture they make: albedo times shading in linear light, as 8-bit sRGB.

    Channels without an albedo or a shading are looked at as they are.
    """
    if item.family != "channels":
        return stored(artifact)
    found = channels(artifact, item)
    if found is None or found.albedo is None or found.shading is None:
        return stored(artifact)
    made = encoded((found.albedo * found.shading).clamp(0, 1))
    return ((made * 255).round() / 255).float()[None]


def prompts(item: Item, count: int) -> Sequence[str] | None:
    """One prompt per picture: the item's, or the albedo's for a picture made of channels. None if they do not fit."""
    if len(item.prompts) == 1:
        return item.prompts * count
    if item.family == "channels" and count == 1 and "albedo" in names(item):
        return (item.prompts[names(item).index("albedo")],)
    return item.prompts if len(item.prompts) == count else None


def spread_out(images: Float[Tensor, "n 3 h w"], most: int) -> Float[Tensor, "m 3 h w"]:
    """At most `most` of the images, evenly spaced, the first one always among them."""
    count = min(most, len(images))
    return images[torch.arange(count) * len(images) // count]
