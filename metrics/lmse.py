"""LMSE, local mean squared error of albedo and shading

LMSE(x, y) = sum over windows of min over a of |a x - y|^2, divided by the sum over windows of |y|^2: square windows of
20 px, 10 px apart, each with a scale of its own; x the prediction and y the truth, in linear light, grey, over the
pixels with a surface. The value is the mean of that of albedo and that of shading, or one of them (`albedo`,
`shading`). Range [0, 1]: a black prediction is at 1; lower is better.

Grosse, Johnson, Adelson, Freeman, Ground truth dataset and baseline evaluations for intrinsic image algorithms, ICCV
2009, whose windows and normalisation these are, for pictures of about 400 px.

Traps. A scale by window forgives slow drift from one end of the picture to the other: read it beside `albedo_error`,
which has one scale. It is blind to colour. One flat colour is close to what a window of smooth surface needs. Published
numbers use other windows and other divisors; some sum over channels, so that values exceed 1.
"""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch.nn.functional as F
from annotated_types import Interval
from jaxtyping import Float
from torch import Tensor

from ..bench.types import Artifact, Family, Item, Role, Score
from .views.light import decoded_channels, scored_mask
from .views.shots import Region


@dataclass(frozen=True, kw_only=True)
class Lmse:
    """Squared error of grey albedo and shading with the best scale in every window, relative to the truth."""

    version: ClassVar[int] = 1
    role: ClassVar[Role] = "consistency"
    direction: ClassVar[str] = "lower"
    unit: ClassVar[str] = ""
    families: ClassVar[tuple[Family, ...]] = ("channels",)
    presets: ClassVar[dict[str, dict[str, Any]]] = {"albedo": {"channel": "albedo"}, "shading": {"channel": "shading"}}

    channel: Literal["both", "albedo", "shading"] = "both"
    """What is scored: the mean of `both`, or one of the two."""
    window: Annotated[int, Interval(ge=2, le=4096)] = 20
    """Side of a window in pixels; windows are half as far apart."""
    region: Region = "surface"
    """Which pixels are scored: every `surface`, or the `object` alone."""

    def fingerprint(self) -> str:
        """One line that names the channels, the windows, the light and the region."""
        what = "mean of albedo and shading" if self.channel == "both" else self.channel
        where = f"pixels of the {self.region}"
        return f"LMSE of {what}, windows {self.window}/{self.window // 2} px, grey, linear light, {where}, rgb8"

    def __call__(self, artifact: Artifact, item: Item) -> Score:
        """The error; coverage is the fraction of the picture that was scored."""
        predicted = decoded_channels(artifact, item)
        names = ("albedo", "shading") if self.channel == "both" else (self.channel,)
        errors: list[float] = []
        for name in names:
            x = None if predicted is None else getattr(predicted, name)
            if x is None:
                return Score.none(f"the artifact has no {name}")
            if name not in item.truth:
                return Score.none(f"the item's truth has no {name}")
            y = item.truth[name][0].double().mean(0, keepdim=True)
            if y.shape[1:] != x.shape[1:]:
                return Score.none(f"the true {name} is of another size")
            if min(y.shape[1:]) < self.window:
                return Score.none(f"the picture is smaller than a window of {self.window} px")
            region = scored_mask(item, self.region, *y.shape[1:])
            error = local_error(x.mean(0, keepdim=True) * region, y * region, self.window)
            if error is None:
                return Score.none(f"the true {name} is black, or the picture shows no {self.region}")
            errors.append(error)
        region = scored_mask(item, self.region, *artifact.views.shape[2:])
        return Score(value=sum(errors) / len(errors), coverage=float(region.mean()))

    def reference(self, artifact: Artifact, item: Item) -> float | None:
        """The error by NumPy's least squares, window by window, to check the metric; None unless both are scored."""
        predicted = decoded_channels(artifact, item)
        if self.channel != "both" or predicted is None or predicted.albedo is None or predicted.shading is None:
            return None
        ratios: list[float] = []
        for name, x in (("albedo", predicted.albedo), ("shading", predicted.shading)):
            inner = scored_mask(item, self.region, *x.shape[1:])[0].numpy()
            guess, true = x.mean(0).numpy() * inner, item.truth[name][0].double().mean(0).numpy() * inner
            error = power = 0.0
            for top in range(0, inner.shape[0] - self.window + 1, self.window // 2):
                for left in range(0, inner.shape[1] - self.window + 1, self.window // 2):
                    cut = np.s_[top : top + self.window, left : left + self.window]
                    scale = np.linalg.lstsq(guess[cut].reshape(-1, 1), true[cut].ravel(), rcond=None)[0]
                    error += float(((scale * guess[cut] - true[cut]) ** 2).sum())
                    power += float((true[cut] ** 2).sum())
            ratios.append(error / power)
        return sum(ratios) / 2


def local_error(x: Float[Tensor, "1 h w"], y: Float[Tensor, "1 h w"], window: int) -> float | None:
    """LMSE of `x` against `y`, both 0 outside the scored region; None where `y` is 0 in all windows."""
    a, b = (F.unfold(image[None], window, stride=max(1, window // 2))[0] for image in (x, y))
    power, cross, true = (a * a).sum(0), (a * b).sum(0), (b * b).sum(0)
    if float(true.sum()) <= 0:
        return None
    # |a x - y|^2 at its best a is |y|^2 - <x, y>^2 / |x|^2
    scale = cross / power.clamp(min=1e-30)
    return float((scale * a - b).square().sum() / true.sum())
