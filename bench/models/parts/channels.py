"""Channels of a picture (albedo, normal, shading, ...): their names, and how networks write them as pictures.

The suite writes albedo and shading in sRGB encoding and normals as (n + 1) / 2 in the camera's axes x right, y down,
z forward (`bench.world.truth.channels`). Published networks have other conventions; see HABITS.
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
    """A channel that a network predicts."""

    name: str
    """The suite's name (`albedo`, `normal`, `shading`), or the network's own where the suite has none."""
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
"""Functions from a decoded picture (n, 3, h, w) in [0, 1] to the suite's convention, by the network's convention.

`suite`: the same; `linear`: linear light; `normal`: normals of any length in axes x right, y up, z to the viewer;
`grey`: one number, the mean of the three channels; `first`: one number, the first channel."""


def shown(
    channels: Sequence[Channel], names: Sequence[str], views: Float[Tensor, "n 3 h w"]
) -> Float[Tensor, "n 3 h w"]:
    """Decoded views (n, 3, h, w) in the suite's convention; `names` has the channel of every view."""
    habits: dict[str, Habit] = {channel.name: channel.habit for channel in channels}
    pictures = [HABITS[habits[name]](view[None]) for name, view in zip(names, views, strict=True)]
    return torch.cat(pictures)
