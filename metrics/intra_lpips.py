"""Intra-LPIPS

(2 / (N (N - 1))) * sum over i < j of LPIPS(c_i, c_j), c the N non-overlapping window-sized crops of the canvas.

Lee, Kim, Kim, Sung, SyncDiffusion, NeurIPS 2023, arXiv 2306.05178: VGG16, version 0.1 heads, no resize. Lower is
better: distant windows look alike. Range about 0.4 to 0.8 for `lpips[vgg]`; `lpips[reference]` has its own scale.

Traps. The score is about global coherence, not seams. A constant image, and one crop repeated, score a perfect 0: read
it beside `variety`, `sharpness` and `clip_text`. The number of crops follows the width, so widths are not comparable.
In few-shot generation the same name means the opposite (higher is diverse). The default network of the package `lpips`
is AlexNet, not VGG16.
"""

from dataclasses import dataclass
from itertools import combinations
from typing import Any, ClassVar

from ..bench.backbones.perceptual import PackageLpips, Perceptual, perceptual
from ..bench.types import Artifact, Item
from .strips.crops import canvas_pixels, metric_device, window_boxes
from .strips.intra import Intra


@dataclass(frozen=True, kw_only=True)
class IntraLpips(Intra):
    """Mean perceptual distance of an image's own windows; `backbone` may also be `statistics`."""

    version: ClassVar[int] = 1
    primary: ClassVar[dict[str, int]] = {"overlap": 2}
    unit: ClassVar[str] = ""
    weights: ClassVar[str] = "lpips"
    presets: ClassVar[dict[str, dict[str, Any]]] = {"statistics": {"backbone": "statistics"}}

    def provider(self) -> Perceptual:
        """The perceptual distance d."""
        return perceptual(self.backbone, self.folder, metric_device())

    def reference(self, artifact: Artifact, item: Item) -> float | None:
        """The mean by the `lpips` package's own forward pass, to check the metric; None for other backbones."""
        provider, image = self.provider(), canvas_pixels(artifact)
        if not isinstance(provider, PackageLpips) or image is None:
            return None
        crops = [2 * box.cut(image)[None].to(metric_device()) - 1 for box in window_boxes(image, item)]
        distances = [float(provider.package(a, b)) for a, b in combinations(crops, 2)]
        return sum(distances) / len(distances) if distances else None
