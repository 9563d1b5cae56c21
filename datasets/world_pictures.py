"""Pictures of the reference world to be made from their channels: albedo, normals and shading are given, and a caption.

The pictures are those of `world_channels`, the other way round. With all channels the picture is determined but for the
sky, of which channels know the colour alone.
"""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Interval

from ..bench.limits import Length
from ..bench.surfaces.lazy import Lazy
from ..bench.surfaces.shared import PICTURE, Shared
from ..bench.types import Family, Item, Sampling
from ..bench.world.stream import random_take
from ..bench.world.truth import CHANNELS, truth
from .world_channels import SCENES, true_channels

STEPS = 4
"""Denoising steps of the protocol. Over 6 pictures the root mean square error of `channels_to_rgb` in levels is 9.9,
10.8 with 2, 4 steps from all channels, and 12.9 from albedo alone; the codec's own is 7.6."""


@dataclass(frozen=True, kw_only=True)
class WorldPictures:
    """One item per picture, which is to be made from its channels."""

    version: ClassVar[int] = 2
    family: ClassVar[Family] = "channels"

    count: Annotated[int, Interval(ge=1, le=1_000)] = 24
    """Number of pictures, each of another random scene."""
    size: Length = 128
    """Height and width in pixels; the reference models' native size."""

    def items(self) -> list[Item]:
        """One item for each picture, in order; all tensors are made on first access.

        The one view is the picture. `conditions` are `albedo`, `normal` and `shading` (1, 3, h, w) as images in [0, 1];
        `truth["views"]` (1, 3, h, w) is the picture in sRGB.
        """
        return [self._item(number) for number in range(self.count)]

    def _item(self, number: int) -> Item:
        shot = random_take(np.random.default_rng([SCENES, number]), "single", self.size)
        caption = shot.stage.caption
        return Item(
            id=f"{number:02d}-{'-'.join(caption.split()[1:3])}",
            family=self.family,
            world=True,
            prompts=(caption,),
            surface=Shared((PICTURE,), self.size, self.size),
            protocol=Sampling(steps=STEPS, guidance=2.0),
            conditions=Lazy(**{name: partial(true_channels, shot, (name,)) for name in CHANNELS}),
            truth=truth(shot),
            content=shot.digest,
        )
