"""Gaussian fields: panoramas around a circle whose probability law is known exactly, for the closed-form model.

The model `gauss` with `period` = `width` and an equal `height_length` denoises their windows exactly, and the truth of
an item is one draw of the joint law. Prompts have no effect. The suite `oracle` runs on these items.
"""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from ..bench.limits import Count, Positive, Side
from ..bench.models.gauss import Gauss
from ..bench.surfaces.lazy import Lazy
from ..bench.surfaces.strip import Strip
from ..bench.types import Family, Item, Sampling, SyncbenchError

TRUE_DRAWS = 10**9
"""Seed of the first item's true draw; the others count up from it."""


@dataclass(frozen=True, kw_only=True)
class GaussianFields:
    """`count` items of one law, each with a true draw of its own, on a strip that wraps around."""

    version: ClassVar[int] = 1
    family: ClassVar[Family] = "overlap"

    count: Count = 12
    """Number of items."""
    width: Side = 256
    """Pixels around the circle; four windows unless changed."""
    window: Side = 64
    """Width of one view in pixels."""
    height: Side = 64
    """Height of the strip and of every view in pixels."""
    height_length: Positive = 2.0
    """Correlation length along y in pixels. The longer, the more of the field's variance 50 steps cannot restore."""

    def __post_init__(self) -> None:
        if self.count < 1:
            raise SyncbenchError(f"gaussian_fields.count = {self.count} leaves no items: use 1 or more")

    def items(self) -> list[Item]:
        """The items in order; `truth["canvas"]` (3, height, width) is drawn on first access."""
        surface = Strip(self.height, self.width, self.window, wrap=True)
        return [
            Item(
                id=f"{number:02d}",
                family=self.family,
                world=True,
                prompts=("",),
                surface=surface,
                protocol=Sampling(steps=50, guidance=1.0),
                truth=Lazy(canvas=partial(self._truth, TRUE_DRAWS + number)),
                content=f"draw {TRUE_DRAWS + number}, correlated along y over {self.height_length:g} px",
            )
            for number in range(self.count)
        ]

    def _truth(self, seed: int) -> Float[Tensor, "3 h w"]:
        model = Gauss(period=self.width, height_length=self.height_length, device="cpu")
        noise = torch.randn(3, self.height, self.width, generator=torch.Generator().manual_seed(seed))
        rows, columns = _root(model.correlation(self.height)), _root(model.covariance(self.width))
        return model.decode((rows @ noise.double() @ columns)[None])[0].float()


def _root(covariance: Float[Tensor, "n n"]) -> Float[Tensor, "n n"]:
    """The symmetric square root of a covariance matrix; eigenvalues below 0 count as 0."""
    values, vectors = torch.linalg.eigh(covariance)
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.T
