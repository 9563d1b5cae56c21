"""Intra-LPIPS

(2 / (N (N - 1))) * sum over i < j of LPIPS(c_i, c_j), c the N non-overlapping window-sized crops of the canvas.

Lee, Kim, Kim, Sung, SyncDiffusion, NeurIPS 2023, arXiv 2306.05178: VGG16, version 0.1 heads, no resize. Lower:
distant windows look alike. Range about 0.4 to 0.8 for `lpips[vgg]`; `lpips[reference]` has its own scale.

Traps. It is about global coherence, not seams. A constant image, and one crop repeated, score a perfect 0: read it
beside `variety`, `sharpness` and `clip_text`. The number of crops follows the width, so widths are not comparable.
The same name means the opposite (higher is diverse) in few-shot generation. The package's own default network is
AlexNet.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from .backbones.perceptual import Perceptual, perceptual
from .strips.crops import device
from .strips.intra import Intra


@dataclass(frozen=True, kw_only=True)
class IntraLpips(Intra):
    """Mean perceptual distance of an image's own windows; `backbone` may also be `statistics`."""

    version: ClassVar[int] = 1
    unit: ClassVar[str] = ""
    presets: ClassVar[dict[str, dict[str, Any]]] = {"statistics": {"backbone": "statistics"}}

    def provider(self) -> Perceptual:
        """The distance."""
        return perceptual(self.backbone, self.folder, device())
