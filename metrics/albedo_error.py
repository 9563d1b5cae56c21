"""Albedo error, scale-invariant

si-MSE = min over a of mean (a A - A*)^2 over the pixels with a surface and the channels, in linear light; a = 1 in
`plain`. In 1e-2; lower is better.

Grosse et al., Ground truth dataset and baseline evaluations for intrinsic image algorithms, ICCV 2009, whole image
instead of windows: one scale for the picture and all three channels, so that a wrong colour balance counts. A
method that knows albedo only up to a factor is not punished for it; `plain` punishes.

Traps. Depends on how bright the scenes are. The picture itself, taken for its albedo, is no bad answer (that is the
baseline to beat), and neither is one flat colour: it scores the variance of the true albedo. Squared error rewards
blur: read it beside `sharpness`. Published numbers differ in windows, masks and in summing over channels.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..bench.types import Artifact, Family, Item, Role, Score
from .views.light import best_scale, channels, scored
from .views.shots import Region


@dataclass(frozen=True, kw_only=True)
class AlbedoError:
    """Mean squared error of the albedo."""

    version: ClassVar[int] = 1
    role: ClassVar[Role] = "consistency"
    primary: ClassVar[dict[str, int]] = {"channels": 1}
    direction: ClassVar[str] = "lower"
    unit: ClassVar[str] = "x1e-2"
    families: ClassVar[tuple[Family, ...]] = ("channels",)
    presets: ClassVar[dict[str, dict[str, Any]]] = {"plain": {"scaled": False}, "object": {"region": "object"}}

    scaled: bool = True
    """Fit one factor first."""
    region: Region = "surface"
    """Score every surface, or the object alone."""

    def fingerprint(self) -> str:
        """Scale, light, region."""
        how = "one optimal scale" if self.scaled else "no scale"
        return f"mse of albedo, linear light, {how}, pixels of the {self.region}, rgb8"

    def __call__(self, artifact: Artifact, item: Item) -> Score:
        """The error; coverage is the fraction of the picture that was scored."""
        found = channels(artifact, item)
        if found is None or found.albedo is None:
            return Score.none("the artifact has no albedo")
        if "albedo" not in item.truth:
            return Score.none("the item's truth has no albedo")
        truth = item.truth["albedo"][0].double()
        if truth.shape != found.albedo.shape:
            return Score.none("the true albedo is of another size")
        region = scored(item, self.region, *truth.shape[1:])
        count = float(region.sum()) * 3
        if not count:
            return Score.none(f"the picture shows no {self.region}")
        albedo, truth = found.albedo * region, truth * region
        scale = best_scale(albedo, truth) if self.scaled else 1.0
        value = float((scale * albedo - truth).square().sum()) / count
        return Score(value=100 * value, coverage=float(region.mean()))

    def reference(self, artifact: Artifact, item: Item) -> float | None:
        """The same by NumPy's least squares."""
        found = channels(artifact, item)
        if found is None or found.albedo is None or not self.scaled:
            return None
        true = item.truth["albedo"][0].double().numpy()
        inner = scored(item, self.region, *true.shape[1:])[0].numpy() > 0.5
        made, true = found.albedo.numpy()[:, inner].reshape(-1, 1), true[:, inner].ravel()
        scale = np.linalg.lstsq(made, true, rcond=None)[0]
        return 100 * float(np.mean((made @ scale - true) ** 2))
