"""Panoramas of the reference world without end: as many random captions of the grammar as asked for.

The dataset `panoramas` has twenty fixed captions. This one serves where a test needs more items for its power, captions
that no model was tuned on, or another seed.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Interval

from ..bench.limits import SEED, Count
from ..bench.types import SyncbenchError
from ..bench.world.scene import sample_slots
from .panoramas import Panoramas


@dataclass(frozen=True, kw_only=True)
class WorldPanoramas(Panoramas):
    """`count` captions drawn from `seed`; a larger count adds captions and keeps the first ones."""

    version: ClassVar[int] = 1

    count: Count = 24
    """Number of items."""
    seed: Annotated[int, Interval(ge=0, le=SEED)] = 0
    """Seed of the captions; the noise a method starts from has its own."""

    def __post_init__(self) -> None:
        if self.count < 1:
            raise SyncbenchError(f"world_panoramas.count = {self.count} leaves no items: use 1 or more")

    def captions(self) -> tuple[str, ...]:
        """Distinct captions of landscapes, drawn uniformly from the grammar."""
        random, captions = np.random.default_rng([self.seed, 11]), dict[str, None]()
        while len(captions) < self.count:
            captions[sample_slots(random, "landscape").caption] = None
        return tuple(captions)
