"""Shading error, scale-invariant

si-MSE = min over a of mean (a S - S*)^2 over the pixels with a surface, in linear light, S the grey shading of the
artifact and S* the true one; a = 1 in the preset `plain`. In units of 1e-2; lower is better.

Grosse et al., ICCV 2009, whole image instead of windows (see `lmse` for those): the counterpart of `albedo_error`.

Traps. The error depends on how bright the scenes are. One grey is a strong baseline where the light is even. Squared
error rewards blur, and shading is smooth: read it beside `edge_alignment`. Shading images end at 1.25, so a true
shading that is brighter costs a little even to the truth.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..bench.types import Artifact, Family, Item, Role, Score
from .views.light import best_scale, decoded_channels, scored_mask
from .views.shots import Region


@dataclass(frozen=True, kw_only=True)
class ShadingError:
    """Mean squared error of the predicted shading against the true one, after fitting one scale."""

    version: ClassVar[int] = 1
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
        return f"mse of grey shading, linear light, {how}, pixels of the {self.region}, rgb8"

    def __call__(self, artifact: Artifact, item: Item) -> Score:
        """The error; coverage is the fraction of the picture that was scored."""
        predicted = decoded_channels(artifact, item)
        if predicted is None or predicted.shading is None:
            return Score.none("the artifact has no shading")
        if "shading" not in item.truth:
            return Score.none("the item's truth has no shading")
        truth = item.truth["shading"][0].double().mean(0, keepdim=True)
        if truth.shape != predicted.shading.shape:
            return Score.none("the true shading is of another size")
        region = scored_mask(item, self.region, *truth.shape[1:])
        count = float(region.sum())
        if not count:
            return Score.none(f"the picture shows no {self.region}")
        shading, truth = predicted.shading * region, truth * region
        scale = best_scale(shading, truth) if self.scaled else 1.0
        value = float((scale * shading - truth).square().sum()) / count
        return Score(value=100 * value, coverage=float(region.mean()))

    def reference(self, artifact: Artifact, item: Item) -> float | None:
        """The error by NumPy's least squares, to check the metric; None without shading or without a scale."""
        predicted = decoded_channels(artifact, item)
        if predicted is None or predicted.shading is None or not self.scaled:
            return None
        true = item.truth["shading"][0].double().mean(0).numpy()
        inner = scored_mask(item, self.region, *true.shape)[0].numpy() > 0.5
        shading, true = predicted.shading[0].numpy()[inner].reshape(-1, 1), true[inner]
        scale = np.linalg.lstsq(shading, true, rcond=None)[0]
        return 100 * float(np.mean((shading @ scale - true) ** 2))
