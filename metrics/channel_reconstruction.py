"""Channel reconstruction

mean |I - a A S| / mean I over the pixels with a surface, in linear light; I the picture that was decomposed, A and S
the albedo and shading that the artifact's views say, a the scale that minimises the squared error (a = 1 in
`plain`). Lower is better; 0 reconstructs.

Source: the image formation model I = A S (Barrow and Tenenbaum 1978); the residual is the usual self-consistency
check of intrinsic decompositions. One scale, since most methods know albedo and shading only up to a factor.

Traps. It compares the channels with each other and says nothing about either: A = I with S = 1 scores 0, which is
why it stands beside `albedo_error` and `normal_error`. Linear light only: in sRGB the product means nothing. Shading
images saturate at 1.25, so the truth has a small floor, larger where the scene has a residual (gloss).
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from ..bench.surfaces.shared import SHADING_MAX
from ..bench.types import Artifact, Family, Item, Role, Score
from .views.images import eight_bit
from .views.light import best_scale, channels, linear, scored
from .views.shots import Region


@dataclass(frozen=True, kw_only=True)
class ChannelReconstruction:
    """How far albedo times shading is from the picture."""

    version: ClassVar[int] = 1
    role: ClassVar[Role] = "consistency"
    primary: ClassVar[dict[str, int]] = {"channels": 2}
    direction: ClassVar[str] = "lower"
    unit: ClassVar[str] = "ratio"
    families: ClassVar[tuple[Family, ...]] = ("channels",)
    presets: ClassVar[dict[str, dict[str, Any]]] = {"plain": {"scaled": False}, "object": {"region": "object"}}

    scaled: bool = True
    """Fit one factor first."""
    region: Region = "surface"
    """Score every surface, or the object alone."""

    def fingerprint(self) -> str:
        """Norm, scale, encodings, region."""
        how = "one optimal scale" if self.scaled else "no scale"
        where = f"pixels of the {self.region}"
        return f"mean |I - A S| / mean I, linear light, {how}, shading white {SHADING_MAX}, {where}, rgb8"

    def __call__(self, artifact: Artifact, item: Item) -> Score:
        """The relative error; coverage is the fraction of the picture that was scored."""
        found, image = channels(artifact, item), item.conditions.get("image")
        if found is None or found.albedo is None or found.shading is None:
            return Score.none("the artifact has no albedo and shading to multiply")
        if image is None:
            return Score.none("the item has no picture that was decomposed")
        if image.shape[2:] != found.albedo.shape[1:]:
            return Score.none("picture and channels are of unlike sizes")
        region = scored(item, self.region, *image.shape[2:])
        picture = linear(eight_bit(image).double())[0] * region
        made = found.albedo * found.shading * region
        if float(picture.sum()) <= 0:
            return Score.none(f"the picture is black, or shows no {self.region}")
        scale = best_scale(made, picture) if self.scaled else 1.0
        value = float((picture - scale * made).abs().sum() / picture.sum())
        return Score(value=value, coverage=float(region.mean()))
