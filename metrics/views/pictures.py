"""The images that text, quality and variety metrics score in the families without one wide picture."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from ...bench.surfaces.light import linear_to_srgb
from ...bench.types import Artifact, Item
from .images import stored_views
from .light import decoded_channels, view_channels


def judged_images(artifact: Artifact, item: Item) -> Float[Tensor, "n 3 h w"]:
    """The artifact's views; for channels their one picture: albedo times shading in linear light, as 8-bit sRGB.

    Channels without an albedo or a shading are returned as they are. Raises SyncbenchError (see `eight_bit`).
    """
    if item.family != "channels":
        return stored_views(artifact)
    predicted = decoded_channels(artifact, item)
    if predicted is None or predicted.albedo is None or predicted.shading is None:
        return stored_views(artifact)
    picture = linear_to_srgb((predicted.albedo * predicted.shading).clamp(0, 1))
    return ((picture * 255).round() / 255).float()[None]


def image_prompts(item: Item, count: int) -> Sequence[str] | None:
    """One prompt for each of `count` images: the item's, or the albedo's for a picture made of channels.

    None where the item has another number of prompts.
    """
    if len(item.prompts) == 1:
        return item.prompts * count
    if item.family == "channels" and count == 1 and "albedo" in view_channels(item):
        return (item.prompts[view_channels(item).index("albedo")],)
    return item.prompts if len(item.prompts) == count else None


def evenly_spaced(images: Float[Tensor, "n 3 h w"], most: int) -> Float[Tensor, "m 3 h w"]:
    """At most `most` of the images, evenly spaced, the first one always among them."""
    count = min(most, len(images))
    return images[torch.arange(count) * len(images) // count]
