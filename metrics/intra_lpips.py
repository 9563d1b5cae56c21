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
from itertools import combinations
from typing import Any, ClassVar

from ..bench.backbones.perceptual import PackageLpips, Perceptual, perceptual
from ..bench.types import Artifact, Item
from .strips.crops import device, pixels, windows
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
        """The distance."""
        return perceptual(self.backbone, self.folder, device())

    def reference(self, artifact: Artifact, item: Item) -> float | None:
        """The same by the package's own forward pass; None for other backbones, which no package has."""
        provider, image = self.provider(), pixels(artifact)
        if not isinstance(provider, PackageLpips) or image is None:
            return None
        crops = [2 * box.cut(image)[None].to(device()) - 1 for box in windows(image, item)]
        found = [float(provider.package(a, b)) for a, b in combinations(crops, 2)]
        return sum(found) / len(found) if found else None
