"""Mean distance over all pairs of an image's own windows: the shape Intra-LPIPS and Intra-Style-L share."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar, Protocol

from torch import Tensor

from ...bench.backbones.judge import beyond
from ...bench.types import Artifact, Family, Item, Role, Score
from .crops import INPUT, NO_CANVAS, Embedder, features, pixels, share, windows


class Provider(Embedder, Protocol):
    """A distance split in two: embed each image once, then compare embeddings."""

    name: str
    minimum: int
    """Smallest side in pixels."""

    def compare(self, a: tuple[Tensor, ...], b: tuple[Tensor, ...]) -> Tensor:
        """Distance of embedded images (n,)."""
        ...


@dataclass(frozen=True, kw_only=True)
class Intra(ABC):
    """scale * mean over i < j of d(c_i, c_j), c the non-overlapping window-sized crops of the canvas."""

    role: ClassVar[Role] = "consistency"
    direction: ClassVar[str] = "lower"
    families: ClassVar[tuple[Family, ...]] = ("overlap",)
    weights: ClassVar[str]
    """What `syncbench fetch` calls the published weights."""
    scale: ClassVar[float] = 1.0
    """Multiplies the mean."""

    backbone: str | None = None
    """`vgg` or `reference` (and whatever else the provider knows); None takes published weights if they are here."""
    folder: str | None = None
    """Another judge than the bundled one, for `reference`."""

    @abstractmethod
    def provider(self) -> Provider:
        """The distance d."""

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
        beyond_it = beyond(provider.name, self.folder, item, self.weights)
        if beyond_it:
            return Score.none(beyond_it)
        if len(boxes) < 2:
            return Score.none("the canvas holds fewer than two whole windows")
        if min(item.surface.window) < provider.minimum:
            return Score.none(f"windows are smaller than the {provider.minimum} px {provider.name} needs")
        found = features(artifact, boxes, provider)
        distances = [float(provider.compare(a, b)) for a, b in combinations(found, 2)]
        return Score(value=self.scale * sum(distances) / len(distances), coverage=share(image, boxes))
