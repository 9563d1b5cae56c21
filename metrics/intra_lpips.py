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
from typing import ClassVar

from ..bench.types import Artifact, Family, Item, Score
from .backbones.perceptual import Perceptual, perceptual
from .strips.crops import INPUT, NO_CANVAS, device, features, pixels, share, windows


@dataclass(frozen=True, kw_only=True)
class IntraLpips:
    """Mean perceptual distance of an image's own windows."""

    version: ClassVar[int] = 1
    direction: ClassVar[str] = "lower"
    unit: ClassVar[str] = ""
    families: ClassVar[tuple[Family, ...]] = ("overlap",)

    backbone: str | None = None
    """`vgg`, `reference` or `statistics`; None takes the published weights if they are on the machine."""
    folder: str | None = None
    """Another judge than the bundled one, for `reference`."""

    def provider(self) -> Perceptual:
        """The distance."""
        return perceptual(self.backbone, self.folder, device())

    def fingerprint(self) -> str:
        """Backbone, its weights, the crops."""
        found = self.provider()
        return f"{found.name}, mean over pairs of window crops, {found.fingerprint}, {INPUT}"

    def __call__(self, artifact: Artifact, item: Item) -> Score:
        """The mean over pairs; coverage is the fraction of the canvas inside the crops."""
        image = pixels(artifact)
        if image is None:
            return Score.none(NO_CANVAS)
        boxes, provider = windows(image, item), self.provider()
        if len(boxes) < 2:
            return Score.none("the canvas holds fewer than two whole windows")
        if min(item.surface.window) < provider.minimum:
            return Score.none(f"windows are smaller than the {provider.minimum} px {provider.name} needs")
        found = features(artifact, boxes, provider)
        distances = [float(provider.compare(a, b)) for a, b in combinations(found, 2)]
        return Score(value=sum(distances) / len(distances), coverage=share(image, boxes))
