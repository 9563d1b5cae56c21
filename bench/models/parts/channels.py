"""Channels of a picture (albedo, normal, shading, ...): what a network calls them, and how it writes them as pictures.

The suite writes albedo and shading in sRGB encoding and normals as (n + 1) / 2 in the camera's axes x right, y down,
z forward (`bench.world.truth.channels`). Published networks have habits of their own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from ...surfaces.light import linear_to_srgb

Habit = Literal["suite", "linear", "normal", "grey", "first"]


@dataclass(frozen=True)
class Channel:
    """One channel that a network makes."""

    name: str
    """In the suite: `albedo`, `normal`, `shading`, or the network's own word where the suite has none."""
    habit: Habit = "suite"
    """How the network writes it; see HABITS."""


def unit(normals: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
    """Pictures (n + 1) / 2 of normals that are brought to unit length."""
    vectors = 2 * normals - 1
    return vectors / vectors.norm(dim=1, keepdim=True).clamp_min(1e-6) / 2 + 0.5


def turned(normals: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
    """Pictures of normals between axes x right, y up, z to the viewer, and x right, y down, z forward; its own inverse.

    >>> turned(turned(torch.full((1, 3, 1, 1), 0.25))).flatten().tolist()
    [0.25, 0.25, 0.25]
    """
    return torch.cat([normals[:, :1], 1 - normals[:, 1:]], 1)


HABITS: dict[Habit, Callable[[Tensor], Tensor]] = {
    "suite": lambda picture: picture,
    "linear": linear_to_srgb,
    "normal": lambda picture: turned(unit(picture)),
    "grey": lambda picture: picture.mean(1, keepdim=True).expand(-1, 3, -1, -1),
    "first": lambda picture: picture[:, :1].expand(-1, 3, -1, -1),
}
"""From a decoded picture (n, 3, h, w) in [0, 1] to the suite's: as it is; from linear light; normals in axes x right,
y up, z to the viewer, of any length; one number in three channels, their mean; or in the first alone."""


def shown(
    channels: Sequence[Channel], names: Sequence[str], views: Float[Tensor, "n 3 h w"]
) -> Float[Tensor, "n 3 h w"]:
    """Decoded views as the suite writes them; `names` says for every view which channel it is."""
    habits: dict[str, Habit] = {channel.name: channel.habit for channel in channels}
    made = [HABITS[habits[name]](view[None]) for name, view in zip(names, views, strict=True)]
    return torch.cat(made)
