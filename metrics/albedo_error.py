"""Albedo error, scale-invariant

si-MSE = min over a of mean (a A - A*)^2 over the pixels with a surface and the colour channels, in linear light, A the
albedo of the artifact and A* the true one; a = 1 in the preset `plain`. In units of 1e-2; lower is better.

Grosse et al., Ground truth dataset and baseline evaluations for intrinsic image algorithms, ICCV 2009, whole image
instead of windows: one scale for the picture and all three colours, so that a wrong colour balance counts. A method
that knows albedo only up to a factor is not punished for it, except by `plain`.

Traps. The error depends on how bright the scenes are. The picture itself, taken for its albedo, scores well (that is
the baseline to beat), and so does one flat colour, whose error is the variance of the true albedo. Squared error
rewards blur: read it beside `sharpness`. Published numbers differ in windows, masks and in summing over channels.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..bench.types import Artifact, Family, Item, Role, Score
from .views.light import best_scale, decoded_channels, scored_mask
from .views.shots import Region


@dataclass(frozen=True, kw_only=True)
class AlbedoError:
    """Mean squared error of the predicted albedo against the true one, after fitting one scale."""

    version: ClassVar[int] = 1
    role: ClassVar[Role] = "consistency"
    primary: ClassVar[dict[str, int]] = {"channels": 1}
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
        return f"mse of albedo, linear light, {how}, pixels of the {self.region}, rgb8"

    def __call__(self, artifact: Artifact, item: Item) -> Score:
        """The error; coverage is the fraction of the picture that was scored."""
        predicted = decoded_channels(artifact, item)
        if predicted is None or predicted.albedo is None:
            return Score.none("the artifact has no albedo")
        if "albedo" not in item.truth:
            return Score.none("the item's truth has no albedo")
        truth = item.truth["albedo"][0].double()
        if truth.shape != predicted.albedo.shape:
            return Score.none("the true albedo is of another size")
        region = scored_mask(item, self.region, *truth.shape[1:])
        count = float(region.sum()) * 3
        if not count:
            return Score.none(f"the picture shows no {self.region}")
        albedo, truth = predicted.albedo * region, truth * region
        scale = best_scale(albedo, truth) if self.scaled else 1.0
        value = float((scale * albedo - truth).square().sum()) / count
        return Score(value=100 * value, coverage=float(region.mean()))

    def reference(self, artifact: Artifact, item: Item) -> float | None:
        """The error by NumPy's least squares, to check the metric; None without albedo or without a scale."""
        predicted = decoded_channels(artifact, item)
        if predicted is None or predicted.albedo is None or not self.scaled:
            return None
        true = item.truth["albedo"][0].double().numpy()
        inner = scored_mask(item, self.region, *true.shape[1:])[0].numpy() > 0.5
        albedo, true = predicted.albedo.numpy()[:, inner].reshape(-1, 1), true[:, inner].ravel()
        scale = np.linalg.lstsq(albedo, true, rcond=None)[0]
        return 100 * float(np.mean((albedo @ scale - true) ** 2))
