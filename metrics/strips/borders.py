"""Where windows begin and end on a wide image, and how strongly its columns differ."""

from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ...bench.types import Artifact, Item

Borders = Literal["window", "declared"]


def window_grid(item: Item) -> tuple[list[int], bool]:
    """Pixel columns where the item's windows, laid side by side, begin or end, and whether the image wraps around."""
    canvas = item.surface.canvas()
    return list(canvas.borders), canvas.wraps


def border_columns(artifact: Artifact, item: Item, which: Borders) -> tuple[list[int], bool]:
    """Pixel columns of window borders, and whether the image wraps around.

    They are those of the item's grid (`window`), or those that the method declared (`declared`; the grid's if none).
    """
    own, wraps = window_grid(item)
    if which == "declared" and artifact.notes.get("borders"):
        return sorted({int(b) for b in artifact.notes["borders"]}), wraps
    return own, wraps


def column_gradient(image: Float[Tensor, "3 H W"], wraps: bool) -> Float[Tensor, " columns"]:
    """g(x) = mean over rows and channels of |I(x) - I(x - 1)| for columns 0 to W - 1, so g(b) lies on the border b.

    Where the image does not wrap around, g(0) does not exist and is NaN.
    """
    g = (image - image.roll(1, -1)).abs().double().mean((0, 1))
    if not wraps:
        g[0] = torch.nan
    return g


def distance_to_border(width: int, columns: list[int], wraps: bool) -> Int[Tensor, " columns"]:
    """Distance in pixels of each of `width` column edges to the nearest of the borders `columns`."""
    gap = (torch.arange(width)[:, None] - torch.tensor(columns)[None, :]).abs()
    if wraps:
        gap = torch.minimum(gap, width - gap)
    return gap.min(1).values


def windows_per_column(width: int, columns: list[int], window: int) -> Int[Tensor, " columns"]:
    """How many windows see each pixel column, from the columns where windows begin and end (no wrapping).

    Windows a fixed stride apart, the last one flush with the right edge, are recognised by their first border. In any
    other layout a border counts as a beginning when the matching end is a border too.
    """
    edges = {0, *columns, width}
    starts = sorted({*range(0, width - window + 1, min(columns)), width - window})
    if {0, width} | {e for s in starts for e in (s, s + window)} != edges:
        starts = [s for s in edges if s + window in edges]
    count = torch.zeros(width, dtype=torch.long)
    for start in starts:
        count[start : start + window] += 1
    return count


def eroded(mask: Bool[Tensor, " columns"], margin: int) -> Bool[Tensor, " columns"]:
    """The mask without the columns closer than `margin` to one outside it; the image's ends do not count as outside."""
    for _ in range(margin):
        left, right = mask.roll(1), mask.roll(-1)
        left[0], right[-1] = True, True
        mask = mask & left & right
    return mask
