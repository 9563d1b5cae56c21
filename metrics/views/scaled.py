"""The squared error of a channel of a picture after fitting one scale: the base of the errors of albedo and shading."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Float
from torch import Tensor

from ...bench.types import Artifact, Family, Item, Role, Score
from .light import best_scale, decoded_channels, scored_mask
from .shots import Region


@dataclass(frozen=True, kw_only=True)
class ScaledError:
    """100 times the mean squared error of one channel in linear light, over the pixels of a region."""

    channel: ClassVar[Literal["albedo", "shading"]]
    """The channel that is scored; of shading the mean of its colours."""
    described: ClassVar[str]
    """The channel in the fingerprint."""
    role: ClassVar[Role] = "consistency"
    direction: ClassVar[str] = "lower"
    unit: ClassVar[str] = "x1e-2"
    families: ClassVar[tuple[Family, ...]] = ("channels",)
    presets: ClassVar[dict[str, dict[str, Any]]] = {"plain": {"scaled": False}, "object": {"region": "object"}}

    scaled: bool = True
    """Whether the prediction is multiplied by the factor that fits the truth best."""
    region: Region = "surface"
    """Which pixels are scored: every `surface`, or the `object` alone."""

    def fingerprint(self) -> str:
        """One line that names the scale, the light and the region."""
        how = "one optimal scale" if self.scaled else "no scale"
        return f"mse of {self.described}, linear light, {how}, pixels of the {self.region}, rgb8"

    def __call__(self, artifact: Artifact, item: Item) -> Score:
        """The error; coverage is the fraction of the picture that was scored."""
        predicted = self._predicted(artifact, item)
        if predicted is None:
            return Score.none(f"the artifact has no {self.channel}")
        if self.channel not in item.truth:
            return Score.none(f"the item's truth has no {self.channel}")
        truth = self._true(item)
        if truth.shape != predicted.shape:
            return Score.none(f"the true {self.channel} is of another size")
        region = scored_mask(item, self.region, *truth.shape[1:])
        count = float(region.sum()) * len(truth)
        if not count:
            return Score.none(f"the picture shows no {self.region}")
        predicted, truth = predicted * region, truth * region
        scale = best_scale(predicted, truth) if self.scaled else 1.0
        value = float((scale * predicted - truth).square().sum()) / count
        return Score(value=100 * value, coverage=float(region.mean()))

    def reference(self, artifact: Artifact, item: Item) -> float | None:
        """The error by NumPy's least squares, to check the metric; None without the channel or without a scale."""
        predicted = self._predicted(artifact, item)
        if predicted is None or not self.scaled:
            return None
        true = self._true(item).numpy()
        inner = scored_mask(item, self.region, *true.shape[1:])[0].numpy() > 0.5
        found, true = predicted.numpy()[:, inner].reshape(-1, 1), true[:, inner].ravel()
        scale = np.linalg.lstsq(found, true, rcond=None)[0]
        return 100 * float(np.mean((found @ scale - true) ** 2))

    def _predicted(self, artifact: Artifact, item: Item) -> Float[Tensor, "c h w"] | None:
        channels = decoded_channels(artifact, item)
        return None if channels is None else getattr(channels, self.channel)

    def _true(self, item: Item) -> Float[Tensor, "c h w"]:
        true = item.truth[self.channel][0].double()
        return true.mean(0, keepdim=True) if self.channel == "shading" else true
