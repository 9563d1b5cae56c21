"""Panoramas of the reference world without end: as many random captions of the grammar as asked for.

`panoramas` are the same twenty for everybody; these are for power (more items), for captions no model was tuned on,
and for a seed of one's own.
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
    """`count` captions drawn from `seed`; the first n are the same whatever the count."""

    version: ClassVar[int] = 1

    count: Count = 24
    """Items."""
    seed: Annotated[int, Interval(ge=0, le=SEED)] = 0
    """Of the captions; the noise a method starts from has its own."""

    def __post_init__(self) -> None:
        if self.count < 1:
            raise SyncbenchError(f"world_panoramas.count = {self.count} leaves no items: use 1 or more")

    def captions(self) -> tuple[str, ...]:
        """Distinct landscapes, uniform over the grammar."""
        random, found = np.random.default_rng([self.seed, 11]), dict[str, None]()
        while len(found) < self.count:
            found[sample_slots(random, "landscape").caption] = None
        return tuple(found)
