"""Channel reconstruction

mean |I - a A S| / mean I over the pixels with a surface, in linear light; I the picture that was decomposed, A and S
the albedo and shading in the artifact's views, a the scale that minimises the squared error (a = 1 in the preset
`plain`). Lower is better; at 0 the channels multiply to the picture. The preset `residual` is for models that predict
what the product leaves, too: mean |I - a A S - b R| / mean I, with the two scales that fit best.

Source: the image formation model I = A S (Barrow and Tenenbaum 1978); the residual is the usual self-consistency
check of intrinsic decompositions. One scale, since most methods know albedo and shading only up to a factor.

Traps. The metric compares the channels with each other and does not say whether either is right: A = I with S = 1
scores 0. Read it beside `albedo_error` and `normal_error`. It uses linear light, because in sRGB the product means
nothing. Shading images saturate at 1.25, so the truth scores a little above 0, and more where the scene has gloss.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from ..bench.surfaces.light import srgb_to_linear
from ..bench.surfaces.shared import SHADING_MAX
from ..bench.types import Artifact, Family, Item, Role, Score
from .views.images import eight_bit
from .views.light import best_scale, decoded_channels, scored_mask
from .views.shots import Region


@dataclass(frozen=True, kw_only=True)
class ChannelReconstruction:
    """Mean absolute difference between albedo times shading and the picture, relative to the picture."""

    version: ClassVar[int] = 1
    role: ClassVar[Role] = "consistency"
    primary: ClassVar[dict[str, int]] = {"channels": 2}
    direction: ClassVar[str] = "lower"
    unit: ClassVar[str] = "ratio"
    families: ClassVar[tuple[Family, ...]] = ("channels",)
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "plain": {"scaled": False},
        "object": {"region": "object"},
        "residual": {"residual": True},
    }

    scaled: bool = True
    """Whether the product (and the residual) is multiplied by the factor that fits the picture best."""
    residual: bool = False
    """Whether the artifact's residual is added to the product; without one there is no value."""
    region: Region = "surface"
    """Which pixels are scored: every `surface`, or the `object` alone."""

    def fingerprint(self) -> str:
        """One line that names the norm, the scale, the encodings and the region."""
        how = "one optimal scale" if self.scaled else "no scale"
        where = f"pixels of the {self.region}"
        how = how.replace("one optimal scale", "two optimal scales") if self.residual else how
        terms = "I - A S - R" if self.residual else "I - A S"
        return f"mean |{terms}| / mean I, linear light, {how}, shading white {SHADING_MAX}, {where}, rgb8"

    def __call__(self, artifact: Artifact, item: Item) -> Score:
        """The relative error; coverage is the fraction of the picture that was scored."""
        predicted, image = decoded_channels(artifact, item), item.conditions.get("image")
        if predicted is None or predicted.albedo is None or predicted.shading is None:
            return Score.none("the artifact has no albedo and shading to multiply")
        if self.residual and predicted.residual is None:
            return Score.none("the artifact has no residual to add")
        if image is None:
            return Score.none("the item has no picture that was decomposed")
        if image.shape[2:] != predicted.albedo.shape[1:]:
            return Score.none("picture and channels are of unlike sizes")
        region = scored_mask(item, self.region, *image.shape[2:])
        picture = srgb_to_linear(eight_bit(image).double())[0] * region
        terms = [predicted.albedo * predicted.shading * region]
        if self.residual and predicted.residual is not None:
            terms.append(predicted.residual * region)
        if float(picture.sum()) <= 0:
            return Score.none(f"the picture is black, or shows no {self.region}")
        value = float((picture - self._sum(terms, picture)).abs().sum() / picture.sum())
        return Score(value=value, coverage=float(region.mean()))

    def _sum(self, terms: Sequence[Float[Tensor, "3 h w"]], picture: Float[Tensor, "3 h w"]) -> Float[Tensor, "3 h w"]:
        """The terms, each with the factor that fits the picture best, or factor 1, added up."""
        if not self.scaled:
            return torch.stack([*terms]).sum(0)
        if len(terms) == 1:
            return best_scale(terms[0], picture) * terms[0]
        flat = torch.stack([term.flatten() for term in terms], 1)
        scales = torch.linalg.lstsq(flat, picture.flatten()[:, None], driver="gelsd").solution
        return (flat @ scales).reshape(picture.shape)
