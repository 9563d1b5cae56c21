"""Views as tiles of larger pictures, which go through the network at once."""

from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..bench.models.interface import Condition, Model
from ..bench.models.parts.schedule import Level
from ..bench.models.parts.wrappers import canvas_of, tiles_of


def filled(order: Int[Tensor, " views"], tiles: int) -> Int[Tensor, " places"]:
    """The order of views, repeated from its beginning until it fills whole pictures of `tiles` tiles."""
    return order[torch.arange(-(-len(order) // tiles) * tiles) % len(order)]


def tiled(
    model: Model,
    x: Float[Tensor, "views c h w"],
    level: Level,
    condition: Condition,
    order: Int[Tensor, " places"],
    grid: tuple[int, int],
) -> tuple[Float[Tensor, "views c h w"], Float[Tensor, "views c h w"]]:
    """x0 and eps of views that are predicted as the tiles of pictures; a view in two tiles has those of the first.

    `order` has the view of every tile, picture by picture and row by row, and `grid` rows and columns of a picture.
    Conditions that are pictures are laid out alike; of others a picture has those of its first tile. A picture
    counts as the evaluations of its tiles.
    """
    rows, columns = grid

    def laid(values: Tensor) -> Tensor:
        values = values[order.to(values.device)]
        return canvas_of(values, rows, columns) if values.ndim == 4 else values[:: rows * columns]

    passes = tuple({name: laid(values) for name, values in one.items()} for one in condition.passes)
    whole = replace(condition, passes=passes, views=len(order) // (rows * columns), tiles=rows * columns)
    found = [tiles_of(part, rows, columns) for part in model.predict(laid(x), level, whole)]
    first = torch.stack([(order == view).nonzero()[0, 0] for view in range(len(x))]).to(x.device)
    return found[0][first], found[1][first]
