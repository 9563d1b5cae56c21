"""Sizes: what an output must measure, and the declared ways to make it so."""

from typing import Literal, get_args

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from ..errors import SyncbenchError

Fit = Literal["none", "resize", "crop"]
"""`none` refuses another size; `resize` scales to it, whatever the proportions; `crop` scales until it is covered, and
keeps the middle."""
FITS: tuple[Fit, ...] = get_args(Fit)


def fitted(images: Float[Tensor, "n 3 h w"], height: int, width: int, how: Fit, name: str) -> Float[Tensor, "n 3 a b"]:
    """The images at the asked size, scaled bilinearly with antialiasing where they have another.

    `name` is the output's, for messages. Raises SyncbenchError for another size where `how` is `none`.
    """
    high, wide = images.shape[2:]
    if (high, wide) == (height, width):
        return images
    if how == "none":
        raise SyncbenchError(
            f"{name}: {wide} x {high} px, and the item asks for {width} x {height} px: add --fit resize or --fit crop, "
            "or set the data set's size to that of the outputs (--set)"
        )
    scale = max(height / high, width / wide)
    new = (height, width) if how == "resize" else (max(height, round(high * scale)), max(width, round(wide * scale)))
    scaled = F.interpolate(images, new, mode="bilinear", antialias=True, align_corners=False).clamp(0, 1)
    top, left = (new[0] - height) // 2, (new[1] - width) // 2
    return scaled[..., top : top + height, left : left + width].contiguous()


def cells_of(image: Float[Tensor, "3 H W"], count: int, grid: tuple[int, int]) -> Float[Tensor, "n 3 h w"]:
    """The first `count` cells of a picture of `grid` (rows, columns), row by row from the top left."""
    rows, columns = grid
    high, wide = image.shape[1] // rows, image.shape[2] // columns
    cells = image.reshape(3, rows, high, columns, wide).permute(1, 3, 0, 2, 4).reshape(rows * columns, 3, high, wide)
    return cells[:count]


def grid_of(
    size: tuple[int, int], count: int, window: tuple[int, int], grid: tuple[int, int] | None
) -> tuple[int, int]:
    """Rows and columns of a picture of `size` (height, width) that shows `count` views of `window`.

    Without a `grid` told, it is the one whose cells are as large as the views. Raises SyncbenchError where there is
    none, or where the told one does not divide the picture; the message lacks the picture's name.
    """
    high, wide = size
    if grid is None:
        rows, columns = high // window[0], wide // window[1]
        if rows * columns < count or (rows * window[0], columns * window[1]) != size or rows * columns >= 2 * count:
            raise SyncbenchError(
                f"one picture of {wide} x {high} px, which no grid of {count} views of {window[1]} x {window[0]} px "
                "fills: add --grid ROWSxCOLUMNS, or leave a folder with one picture a view"
            )
        return rows, columns
    rows, columns = grid
    if rows * columns < count or high % rows or wide % columns:
        raise SyncbenchError(
            f"a picture of {wide} x {high} px cannot be cut into {rows} x {columns} equal cells for {count} views"
        )
    return grid
