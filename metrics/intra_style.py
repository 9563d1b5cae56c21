"""Intra-Style-L

Mean over pairs of the N non-overlapping window-sized crops of
100 * sum over layers of mean((G_l(c_i) - G_l(c_j))^2),   G = F F^T / (c h w).

Lee et al., SyncDiffusion, NeurIPS 2023, arXiv 2306.05178, after Gatys et al. 2016: VGG19 conv1_1 to conv3_1 before
ReLU. Lower: windows share texture and palette. The unit is 1e-2, as in the papers' tables.

Traps. The released code sums over the 15 pairs and never divides, so its values grow with the width; this is the
mean. It also resizes the shorter side to 512, which changes nothing at 512 px; here nothing is resized. A constant
image scores 0.
"""

from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar

from ..bench.types import Artifact, Family, Item, Score
from .backbones.style import Style, style
from .strips.crops import INPUT, NO_CANVAS, device, features, pixels, share, windows


@dataclass(frozen=True, kw_only=True)
class IntraStyle:
    """Mean style loss of an image's own windows."""

    version: ClassVar[int] = 1
    direction: ClassVar[str] = "lower"
    unit: ClassVar[str] = "x1e-2"
    families: ClassVar[tuple[Family, ...]] = ("overlap",)

    backbone: str | None = None
    """`vgg` or `reference`; None takes the published weights if they are on the machine."""
    folder: str | None = None
    """Another judge than the bundled one, for `reference`."""

    def provider(self) -> Style:
        """The Gram features."""
        return style(self.backbone, self.folder, device())

    def fingerprint(self) -> str:
        """Backbone, its weights, the crops."""
        found = self.provider()
        return f"{found.name}, mean over pairs of window crops, {found.fingerprint}, {INPUT}"

    def __call__(self, artifact: Artifact, item: Item) -> Score:
        """The mean over pairs, times 100; coverage is the fraction of the canvas inside the crops."""
        image = pixels(artifact)
        if image is None:
            return Score.none(NO_CANVAS)
        boxes, provider = windows(image, item), self.provider()
        if len(boxes) < 2:
            return Score.none("the canvas holds fewer than two whole windows")
        if min(item.surface.window) < provider.minimum:
            return Score.none(f"windows are smaller than the {provider.minimum} px {provider.name} needs")
        found = features(artifact, boxes, provider)
        losses = [float(provider.compare(a, b)) for a, b in combinations(found, 2)]
        return Score(value=100 * sum(losses) / len(losses), coverage=share(image, boxes))
