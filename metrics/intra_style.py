"""Intra-Style-L

Mean over pairs of the N non-overlapping window-sized crops of
100 * sum over layers of mean((G_l(c_i) - G_l(c_j))^2),   G = F F^T / (c h w).

Lee et al., SyncDiffusion, NeurIPS 2023, arXiv 2306.05178, after Gatys et al. 2016: VGG19 conv1_1 to conv3_1 before
ReLU. Lower is better: windows share texture and palette. The unit is 1e-2, as in the papers' tables.

Traps. The released code sums over the 15 pairs and never divides, so its values grow with the width; this metric is the
mean. The released code also resizes the shorter side to 512, which changes nothing at 512 px; here nothing is resized.
A constant image scores 0.
"""

from dataclasses import dataclass
from typing import ClassVar

from ..bench.backbones.style import Style, style
from .strips.crops import metric_device
from .strips.intra import Intra


@dataclass(frozen=True, kw_only=True)
class IntraStyle(Intra):
    """Mean style loss (squared difference of Gram matrices) between an image's own windows."""

    version: ClassVar[int] = 1
    unit: ClassVar[str] = "x1e-2"
    weights: ClassVar[str] = "vgg19"
    scale: ClassVar[float] = 100.0

    def provider(self) -> Style:
        """The distance d between Gram matrices."""
        return style(self.backbone, self.folder, metric_device())
