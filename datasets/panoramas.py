"""Panoramas of the reference world: captions of layered landscapes, several windows (views) wide.

The captions come from the closed grammar of `world`, which also renders the truth: one landscape per caption, drawn at
the full width, alike in distribution everywhere along x. A strip that wraps around has no truth, because the ends of a
render do not meet.
"""

from dataclasses import asdict, dataclass
from functools import partial
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from ..bench.catalogue.content import digest
from ..bench.limits import Length
from ..bench.surfaces.lazy import Lazy
from ..bench.surfaces.strip import Strip
from ..bench.types import Family, Item, Sampling
from ..bench.world import PANORAMA_CAPTIONS, Scene, landscape, render

SCENES = 10**9
"""Seed of the first true scene. Trainers draw theirs at random from [0, 2^31): that they meet one is unlikely."""


@dataclass(frozen=True, kw_only=True)
class Panoramas:
    """One item per caption: a landscape `width` pixels wide, to be made with a model that sees `window` of them."""

    version: ClassVar[int] = 1
    family: ClassVar[Family] = "overlap"

    width: Length = 512
    """Width of the strip in pixels: four windows unless changed."""
    window: Length = 128
    """Width of one view in pixels; the reference model's native size."""
    height: Length = 128
    """Height of the strip and of every view in pixels."""
    wrap: bool = False
    """Whether the right end continues at the left."""

    def captions(self) -> tuple[str, ...]:
        """The captions, one for each item."""
        return PANORAMA_CAPTIONS

    def items(self) -> list[Item]:
        """One item for each caption, in order; `truth["canvas"]` (3, height, width) is rendered on first access."""
        surface = Strip(self.height, self.width, self.window, self.wrap)
        return [
            Item(
                id=f"{number:02d}-{'-'.join(caption.split()[3:5])}",
                family=self.family,
                world=True,
                prompts=(caption,),
                surface=surface,
                protocol=Sampling(steps=16, guidance=4.0),
                truth={} if self.wrap else Lazy(canvas=partial(self._truth, scene)),
                content="" if self.wrap else digest(asdict(scene)),
            )
            for number, caption in enumerate(self.captions())
            for scene in [landscape(caption, SCENES + number)]
        ]

    def _truth(self, scene: Scene) -> Float[Tensor, "3 h w"]:
        image = render(scene, self.width, self.height)
        return torch.from_numpy(image).permute(2, 0, 1).contiguous().float().clamp(0, 1)
