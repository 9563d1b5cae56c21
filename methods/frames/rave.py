"""RAVE: frames are tiles of a few large pictures, laid out anew at random in every step.

Kara, Kurtkaya, Yesiltepe, Rehg, Yanardag, CVPR 2024, arXiv 2312.04524; upstream code read (MIT). A picture of n x n
frames goes through the network at once, so that its self-attention and convolutions make the frames of a picture alike,
as in a character sheet; the random layouts carry that to all frames. The source clip is inverted in such pictures, too,
and hints are laid out alike. Where the frames do not fill the last picture, frames of the first fill it and their
second prediction is not used. A picture counts as the evaluations of its tiles, those that only fill it included.
"""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Interval
from torch import Tensor

from ...bench.sampling.inversion import Predict
from ...bench.sampling.loop import Setting, Step
from .._tiling import filled, tiled
from ._edit import Edit, Editing


@dataclass(frozen=True, kw_only=True)
class Rave(Edit):
    """The frames of each step are predicted as `grid` x `grid` tiles of pictures."""

    version: ClassVar[int] = 2
    paper: ClassVar[str] = "2312.04524"
    licence: ClassVar[str] = "MIT"
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "fixed": {"shuffle": False},
        "small": {"grid": 2},
    }

    grid: Annotated[int, Interval(ge=1, le=8)] = 3
    """Tiles along a side of a picture."""
    shuffle: bool = True
    """Whether the layout is drawn anew in every step."""

    def way(self, setting: Setting) -> tuple[str, Predict] | None:
        """Predictions of pictures whose layout is the order of the frames."""
        order, model = self.order(setting.canvas.views), setting.model
        shape = self.grid, self.grid
        return f"tiles {self.grid}", lambda x, level, condition: tiled(model, x, level, condition, order, shape)

    def order(self, frames: int, noise: Tensor | None = None) -> Tensor:
        """Numbers of the frames in the tiles of all pictures, row by row; `noise` (frames,) decides on the order."""
        return filled(torch.arange(frames) if noise is None else noise.cpu().argsort(), self.grid**2)

    def predict(self, state: Editing, x: Tensor, s: Step) -> tuple[Tensor, Tensor]:
        """Clean frames and noise, predicted as tiles of pictures in a new layout."""
        noise = s.noise((len(x),)) if self.shuffle else None
        return tiled(s.model, x, s.level, s.condition, self.order(len(x), noise), (self.grid, self.grid))
