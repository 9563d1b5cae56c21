"""Pictures of the reference world to be taken apart: albedo, normals and shading of one image, pixel by pixel.

In linear light the picture is albedo times shading, exactly, at every pixel that is not overexposed: where their
product is above 1 the picture holds 1. Of the 24 pictures one has such pixels, 6 % of its own, where it is off by up to
0.012.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Interval, MinLen
from jaxtyping import Float
from torch import Tensor

from ..bench.limits import Length
from ..bench.surfaces.lazy import Lazy
from ..bench.surfaces.shared import Shared
from ..bench.types import Family, Item, Sampling, SyncbenchError
from ..bench.world.stream import random_take
from ..bench.world.trace import Take
from ..bench.world.truth import CHANNELS, channels, truth
from ..bench.world.truth import views as picture

SCENES = 3 * 10**9 + 3000
"""Seed of the first scene, above all seeds that training draws."""
STEPS = 2
"""Denoising steps of the protocol. The picture all but determines its channels, and more steps only add the sampler's
errors: the albedo error (x1e-2) of `channels_prompted` over 12 items is 0.224, 0.211, 0.227, 0.252, 0.271 with 1, 2, 4,
10, 20 steps."""


@dataclass(frozen=True, kw_only=True)
class WorldChannels:
    """One item per picture, whose channels are to be made from it."""

    version: ClassVar[int] = 2
    family: ClassVar[Family] = "channels"

    count: Annotated[int, Interval(ge=1, le=1_000)] = 24
    """Number of pictures, each of another random scene."""
    size: Length = 128
    """Height and width in pixels; the reference models' native size."""
    channels: Annotated[tuple[str, ...], MinLen(1)] = CHANNELS
    """The channels that the model makes, in the order of the views. Truth is known of albedo, normal and shading."""

    def items(self) -> list[Item]:
        """One item for each picture, in order; all tensors are made on first access.

        `truth["views"]` (n, 3, h, w) are the channels as images, where all of them are known; the other names (see
        `world.truth.truth`) have one view. `conditions["image"]` (1, 3, h, w) is the picture in sRGB.
        """
        if self.count < 1:
            raise SyncbenchError(f"world_channels needs at least one picture, not {self.count}")
        return [self._item(number) for number in range(self.count)]

    def _item(self, number: int) -> Item:
        shot = random_take(np.random.default_rng([SCENES, number]), "single", self.size)
        caption = shot.stage.caption
        views: Callable[[], Tensor] | None = None
        if set(self.channels) <= set(CHANNELS):
            views = partial(true_channels, shot, self.channels)
        return Item(
            id=f"{number:02d}-{'-'.join(caption.split()[1:3])}",
            family=self.family,
            world=True,
            prompts=(caption,),
            surface=Shared(tuple(self.channels), self.size, self.size),
            protocol=Sampling(steps=STEPS, guidance=1.0),
            conditions=Lazy(image=lambda: picture(shot)),
            truth=truth(shot, views=views),
            content=shot.digest,
        )


def true_channels(shot: Take, names: Sequence[str]) -> Float[Tensor, "n 3 h w"]:
    """The true channels of a picture that `names` lists, in its order, as images in [0, 1]."""
    return channels(shot)[[CHANNELS.index(name) for name in names]]
