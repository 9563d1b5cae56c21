"""Channels of a picture (albedo, normal, shading, ...): their names, and how networks write and read them as pictures.

The suite writes albedo and shading in sRGB encoding and normals as (n + 1) / 2 in the camera's axes x right, y down,
z forward (`bench.world.truth.channels`). Published networks have other conventions, which a recipe declares for each
channel; see HABITS. They are converted here and nowhere else.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from ...surfaces.light import linear_to_srgb, srgb_to_linear
from ...surfaces.shared import SHADING_MAX

Habit = Literal["suite", "linear", "gamma", "compressed", "normal", "opposite", "grey", "first"]
GAMMA = 2.2
"""The exponent of `gamma`: linear light in the released code of RGB-to-X and of IntrinsicDiffusion."""
BRIGHT = 0.95, 0.85
"""A quantile of shading, and the level in linear light that it becomes, in the pictures of IntrinsicDiffusion."""


@dataclass(frozen=True)
class Channel:
    """A channel that a network predicts."""

    name: str
    """The suite's name (`albedo`, `normal`, `shading`), or the network's own where the suite has none."""
    habit: Habit = "suite"
    """How the network writes or reads it; see HABITS."""

    def given(self, picture: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        """The suite's picture of the channel, in [0, 1], as a network of this habit reads it."""
        return HABITS[self.habit].read(picture)


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


def expanded(code: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
    """Pictures of shadings S from codes S / (1 + S) in [0, 1].

    S has no upper end and is known up to a factor, which is chosen for each picture so that BRIGHT holds of the mean of
    its three channels. What is then above 1 is white.
    """
    shading = 1 / (1 - code).clamp_min(1e-5) - 1
    share, level = BRIGHT
    grey = shading.mean(1).flatten(1)
    bright = grey.kthvalue(1 + round(share * (grey.shape[1] - 1)), dim=1).values.clamp_min(1e-5)
    return linear_to_srgb((shading * (level / bright).view(-1, 1, 1, 1)).clamp(0, 1))


def compressed(picture: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
    """Codes S / (1 + S) of the shadings S of the suite's pictures; `expanded` undoes it, but for the factor of S."""
    shading = SHADING_MAX * srgb_to_linear(picture)
    return shading / (1 + shading)


@dataclass(frozen=True)
class Convention:
    """A convention of networks: functions of pictures (n, 3, h, w) in [0, 1]."""

    shown: Callable[[Tensor], Tensor]
    """From what a network of the convention makes to the suite's."""
    read: Callable[[Tensor], Tensor]
    """From the suite's to what a network of the convention reads; the inverse of `shown`, where that loses nothing."""


def _same(picture: Tensor) -> Tensor:
    return picture


HABITS: dict[Habit, Convention] = {
    "suite": Convention(_same, _same),
    "linear": Convention(linear_to_srgb, srgb_to_linear),
    "gamma": Convention(lambda light: light ** (1 / GAMMA), lambda picture: picture**GAMMA),
    "compressed": Convention(expanded, compressed),
    "normal": Convention(lambda picture: turned(unit(picture)), lambda picture: turned(unit(picture))),
    "opposite": Convention(lambda picture: turned(unit(1 - picture)), lambda picture: 1 - turned(unit(picture))),
    "grey": Convention(lambda picture: picture.mean(1, keepdim=True).expand(-1, 3, -1, -1), _same),
    "first": Convention(lambda picture: picture[:, :1].expand(-1, 3, -1, -1), _same),
}
"""Conventions by name.

`suite`: as in the suite; `linear`: linear light; `gamma`: levels to the power 2.2; `compressed`: shading S in linear
light and of any scale, as S / (1 + S); `normal`: normals of any length in axes x right, y up, z to the viewer;
`opposite`: the same with the opposite sign; `grey`: one number, the mean of the three channels; `first`: one number,
the first channel."""


def shown(
    channels: Sequence[Channel], names: Sequence[str], views: Float[Tensor, "n 3 h w"]
) -> Float[Tensor, "n 3 h w"]:
    """Decoded views (n, 3, h, w) in the suite's convention; `names` has the channel of every view."""
    habits: dict[str, Habit] = {channel.name: channel.habit for channel in channels}
    pictures = [HABITS[habits[name]].shown(view[None]) for name, view in zip(names, views, strict=True)]
    return torch.cat(pictures)
