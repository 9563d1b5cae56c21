"""Mean distance over all pairs of an image's own windows, which Intra-LPIPS and Intra-Style-L share."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar, Protocol

from torch import Tensor

from ...bench.backbones.judge import judge_refusal
from ...bench.types import Artifact, Family, Item, Role, Score
from .crops import INPUT, NO_CANVAS, Embedder, canvas_pixels, covered_fraction, crop_features, window_boxes


class Provider(Embedder, Protocol):
    """A distance split in two: embed each image once, then compare embeddings."""

    name: str
    minimum: int
    """Smallest side in pixels of an image that can be embedded."""

    def compare(self, a: tuple[Tensor, ...], b: tuple[Tensor, ...]) -> Tensor:
        """Distances (n,) between n embedded images and n others."""
        ...


@dataclass(frozen=True, kw_only=True)
class Intra(ABC):
    """scale * mean over i < j of d(c_i, c_j), c the non-overlapping window-sized crops of the canvas."""

    role: ClassVar[Role] = "consistency"
    direction: ClassVar[str] = "lower"
    families: ClassVar[tuple[Family, ...]] = ("overlap",)
    weights: ClassVar[str]
    """Name by which `syncbench fetch` brings the published weights."""
    scale: ClassVar[float] = 1.0
    """Factor of the mean, for the unit of the papers' tables."""

    backbone: str | None = None
    """`vgg` or `reference` (and whatever else the provider knows); None takes published weights if they are here."""
    folder: str | None = None
    """Folder of a judge that the backbone `reference` loads; None takes the bundled judge."""

    @abstractmethod
    def provider(self) -> Provider:
        """The distance d."""

    def fingerprint(self) -> str:
        """One line that names the backbone, its weights and the crops."""
        provider = self.provider()
        return f"{provider.name}, mean over pairs of window crops, {provider.fingerprint}, {INPUT}"

    def __call__(self, artifact: Artifact, item: Item) -> Score:
        """The mean over pairs; coverage is the fraction of the canvas inside the crops."""
        image = canvas_pixels(artifact)
        if image is None:
            return Score.none(NO_CANVAS)
        boxes, provider = window_boxes(image, item), self.provider()
        refusal = judge_refusal(provider.name, self.folder, item, self.weights)
        if refusal:
            return Score.none(refusal)
        if len(boxes) < 2:
            return Score.none("the canvas holds fewer than two whole windows")
        if min(item.surface.window) < provider.minimum:
            return Score.none(f"windows are smaller than the {provider.minimum} px {provider.name} needs")
        embedded = crop_features(artifact, boxes, provider)
        distances = [float(provider.compare(a, b)) for a, b in combinations(embedded, 2)]
        return Score(value=self.scale * sum(distances) / len(distances), coverage=covered_fraction(image, boxes))
