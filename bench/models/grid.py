"""The reference model's image-conditioned grid: six views of the object of a picture, on one canvas of 3 x 2 tiles.

Zero123++ (Shi et al. 2023, arXiv 2310.15110) at the reference world's size: poses are baked into the tiles (azimuth 30,
90, ... 330 degrees from the picture's, elevation 20 and -10 in turn), and every self-attention also sees the picture,
noised to the same level, through the same network. Trained by `syncbench train grid`.

Unlike the published pipeline, so that samples can be repeated: the noise on the picture depends on the step alone, and
is the same for all items and seeds and in both halves of guidance, where upstream draws it afresh. Seeds do not cover
it. The unconditional half sees a latent of zeros, where upstream encodes a grey picture; the field of view is 49
degrees, not 30.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import torch
from torch import Tensor

from ..schedule import Level
from ._extended import Replaced
from ._joint import referring
from .interface import Condition

ROWS, COLUMNS = 3, 2


def canvas_of(tiles: Tensor) -> Tensor:
    """(n * 6, c, h, w) -> (n, c, 3 h, 2 w), row by row."""
    _, c, h, w = tiles.shape
    rows = tiles.reshape(-1, ROWS, COLUMNS, c, h, w).permute(0, 3, 1, 4, 2, 5)
    return rows.reshape(-1, c, ROWS * h, COLUMNS * w)


def tiles_of(canvas: Tensor) -> Tensor:
    """The inverse of `canvas_of`."""
    n, c, height, width = canvas.shape
    h, w = height // ROWS, width // COLUMNS
    return canvas.reshape(n, c, ROWS, h, COLUMNS, w).permute(0, 2, 4, 1, 3, 5).reshape(-1, c, h, w)


class Grid(Replaced):
    """Condition `image`: (1, 3, H, W), the input view. Views are the six poses in order.

    Inside `together()` they are tiles of one canvas; else each is denoised by itself, with the picture in its attention
    but its pose unknown.
    """

    id = "grid"
    capabilities = frozenset({"text", "attention", "image", "joint", "poses"})
    couples = True
    places = (ROWS * COLUMNS, ROWS * COLUMNS)

    def _rows(self, inputs: dict[str, Tensor], views: int) -> dict[str, Tensor]:
        return {"image": self.encode(self._needs(inputs, "image")[:1]).expand(views, -1, -1, -1)}

    def _absent(self, rows: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"image": torch.zeros_like(rows["image"])}

    def _predict(self, x: Tensor, level: Level, condition: Condition) -> tuple[Tensor, Tensor]:
        draw = torch.Generator().manual_seed(level.index)
        one = torch.randn(1, *x.shape[1:], generator=draw).to(self.device, self.dtype)
        self._level, self._noise = level, one
        return super()._predict(x, level, condition)

    def _network(self, x: Tensor, t: float, text: dict[str, Tensor]) -> Tensor:
        unet, words, image = self.pipeline.unet, text["text"].to(self.precision), text["image"]
        six = ROWS * COLUMNS
        if self.joint:
            x, words, image = canvas_of(x), words[::six], image[::six]
        noisy = self._level.a * image + self._level.b * self._noise
        with referring(unet) as state:
            state.store = True
            unet(noisy.to(self.precision), t, words)
            state.store = False
            found = unet(x.to(self.precision), t, words).sample.to(self.dtype)
        return tiles_of(found) if self.joint else found
