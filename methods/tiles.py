"""Tiles: views are tiles of one larger picture, which a network that knows nothing of views makes at once.

No paper of its own: the layout of Zero123++ (Shi et al. 2023, arXiv 2310.15110) and of TextMesh (Tsalicoglou et al.
2024, arXiv 2304.12439) without their training and conditions. Self-attention and convolutions then span all views for
nothing. It is the control for methods whose network was trained to make several views. Left out: prompts that ask for a
sheet of views. A network that has only seen pictures of one object may draw across the borders of tiles.
"""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Interval
from torch import Tensor

from ..bench.sampling.loop import Step
from ..bench.types import Anchor
from ._tiling import filled, tiled
from .independent import Independent


@dataclass(frozen=True, kw_only=True)
class Tiles(Independent):
    """Every step predicts pictures of `rows` x `columns` views; the rest is independent sampling.

    Where the views do not fill the last picture, the first ones fill it, and their second prediction is not used.
    """

    version: ClassVar[int] = 1
    anchor: ClassVar[Anchor | None] = None
    paper: ClassVar[str] = "2310.15110"
    presets: ClassVar[dict[str, dict[str, Any]]] = {"shared": {"shared_noise": True}, "six": {"rows": 3}}

    rows: Annotated[int, Interval(ge=1, le=8)] = 2
    """Tiles along the height of a picture."""
    columns: Annotated[int, Interval(ge=1, le=8)] = 2
    """Tiles along its width."""

    def predict(self, state: Any, x: Tensor, s: Step) -> tuple[Tensor, Tensor]:
        """Clean views and noise, predicted as tiles of pictures, in the order of the views."""
        order = filled(torch.arange(len(x)), self.rows * self.columns)
        return tiled(s.model, x, s.level, s.condition, order, (self.rows, self.columns))
