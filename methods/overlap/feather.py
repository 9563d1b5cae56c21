"""Feather blending: overlapping windows sampled alone, cross-faded after decoding.

Standard image stitching, no paper: the closed form of min_I sum_i |W_i^(1/2) (F_i I - I_i)|^2, with W_i falling
towards the edges of window i. Blending hides seams and cannot repair structure that disagrees, which shows as
double exposure; methods that synchronise while sampling have to beat it.
"""

from dataclasses import dataclass
from math import pi
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from ...bench.canvas import Canvas
from ...bench.limits import Fraction
from ...bench.models.interface import Model
from ...bench.sampling.loop import Noise, canvas_artifact
from ...bench.types import Anchor, Artifact, Item
from ..independent import Independent

Shape = Literal["cosine", "linear"]


@dataclass(frozen=True, kw_only=True)
class Feather(Independent):
    """I = sum_i w_i I_i / sum_i w_i over decoded windows; noise is shared where windows overlap."""

    version: ClassVar[int] = 1
    anchor: ClassVar[Anchor | None] = None
    presets: ClassVar[dict[str, dict[str, Any]]] = {"linear": {"shape": "linear"}}

    stride: Fraction | None = 0.5
    """Step between neighbouring windows as a fraction of a window: half of each is blended."""
    shape: Shape = "cosine"
    """How weight falls from the middle of a window to its edges: raised cosine, or linear."""

    def noise(self, noise: Noise, canvas: Canvas) -> Tensor:
        """The canvas's noise as windows (views, c, h, w): equal where windows look at one cell."""
        return canvas.look(noise())

    def finish(self, state: Tensor, item: Item, canvas: Canvas, model: Model) -> Artifact:
        """The windows, decoded one by one and blended into one picture, as an artifact."""
        pixels = canvas.magnify(model.factor)
        image = self.blend(model.decode(state), pixels.with_weight(feather(pixels, self.shape)))
        return canvas_artifact(image.clamp(0, 1), item)

    def blend(self, images: Float[Tensor, "views channels h w"], pixels: Canvas) -> Float[Tensor, "channels H W"]:
        """One image from decoded windows; `pixels` carries the feather weights."""
        return pixels.paint(images)


def feather(pixels: Canvas, shape: Shape = "cosine") -> Float[Tensor, "views h w"]:
    """Weight in (0, 1] by horizontal distance to the window's edge; positive on the outermost columns too."""
    width = pixels.index.shape[-1]
    place = (torch.arange(width, device=pixels.index.device) + 0.5) / width
    row = torch.sin(pi * place).square() if shape == "cosine" else 1 - (2 * place - 1).abs()
    return row.expand(pixels.index.shape)
