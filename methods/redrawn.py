"""Redrawn: the item's own views, each re-drawn by itself. The floor of consistency on real data, without a model.

No paper. Every view gets a colour cast, a contrast, a smooth texture and a smooth displacement of its own, drawn from
the job's seed, as if each had been made without a look at the others. `mild` and `strong` have half and twice the
strength. With samples of a model at hand, `independent` is the better floor: this one keeps the layout of the views,
which independent samples do not.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from ..bench.limits import Share
from ..bench.models.interface import Model
from ..bench.sampling.loop import Method
from ..bench.types import Anchor, Artifact, Door, Item, SyncbenchError
from ._source import NONE, as_artifact, shows_pictures, source_views

COARSEST, FINEST = 4, 32
"""Cells along the longer side of a view of the smooth fields: of displacements, and of the finest texture."""


@dataclass(frozen=True, kw_only=True)
class Redrawn(Method):
    """The item's own pictures, jittered in colour, texture and place, independently in every view."""

    version: ClassVar[int] = 1
    door: ClassVar[Door] = "as_published"
    anchor: ClassVar[Anchor | None] = "floor"
    runs_model: ClassVar[bool] = False
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "mild": {"colour": 0.06, "texture": 0.05, "shift": 0.005},
        "strong": {"colour": 0.24, "texture": 0.2, "shift": 0.02},
    }

    colour: Share = 0.12
    """Standard deviation of each colour channel's offset, as a fraction of the range, and of its relative contrast."""
    texture: Share = 0.1
    """Standard deviation of the added texture, as a fraction of the range: smooth noise of two sizes."""
    shift: Share = 0.01
    """Standard deviation of the displacement along each axis, as a fraction of a view's longer side."""

    def lacks(self, item: Item) -> str | None:
        """A reason where the item has no pictures that could be re-drawn."""
        return None if shows_pictures(item) else NONE

    def __call__(self, item: Item, model: Model, seed: int) -> Artifact:
        """The jittered pictures as an artifact. Raises SyncbenchError where the item has none."""
        views = source_views(item)
        if views is None:
            raise SyncbenchError(NONE)
        generator = torch.Generator().manual_seed(seed % 2**63)
        return as_artifact(torch.stack([self.redraw(view, generator) for view in views]), item)

    def redraw(self, view: Float[Tensor, "3 h w"], generator: torch.Generator) -> Float[Tensor, "3 h w"]:
        """One view with a cast, a contrast, a texture and displacements of its own, in [0, 1]."""
        high, wide = view.shape[1:]
        longer = max(high, wide)
        moved = _smooth(2, COARSEST, high, wide, generator) * (self.shift * longer)
        row, column = torch.meshgrid(torch.arange(high) + 0.5, torch.arange(wide) + 0.5, indexing="ij")
        at = torch.stack([(column + moved[0]) * (2 / wide) - 1, (row + moved[1]) * (2 / high) - 1], -1)
        image = F.grid_sample(view[None], at[None], padding_mode="reflection", align_corners=False)[0]
        cast, contrast = torch.randn(2, 3, 1, 1, generator=generator) * self.colour
        image = 0.5 + (image - 0.5) * (1 + contrast) + cast
        grain = _smooth(3, FINEST // 2, high, wide, generator) + _smooth(3, FINEST, high, wide, generator)
        return (image + grain * (self.texture / 2**0.5)).clamp(0, 1)


def _smooth(count: int, cells: int, high: int, wide: int, generator: torch.Generator) -> Float[Tensor, "n h w"]:
    """Smooth noise of unit variance at its nodes, `cells` of them along the longer side, between them bicubic."""
    longer = max(high, wide)
    size = max(2, round(cells * high / longer)), max(2, round(cells * wide / longer))
    nodes = torch.randn(1, count, *size, generator=generator)
    return F.interpolate(nodes, (high, wide), mode="bicubic", align_corners=False)[0]
