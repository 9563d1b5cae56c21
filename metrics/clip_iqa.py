"""CLIP-IQA, image quality as CLIP sees it

p = exp(100 cos(E(image), E("Good photo."))) / (that + exp(100 cos(E(image), E("Bad photo.")))), averaged over the
non-overlapping window-sized crops of a wide canvas, or over the views; in `channels` of the one picture that the
channels make. Range [0, 1]; higher is better. Presets ask other pairs of words: `sharpness`, `noisiness`, `natural`.

Wang, Chan, Loy, Exploring CLIP for Assessing the Look and Feel of Images, AAAI 2023, arXiv 2207.12396, with the pairs
of words of torchmetrics, but on the ViT of `syncbench fetch clip` instead of a ResNet-50 without positional embedding,
so that values are not those of the paper. torchmetrics' route through the same ViT feeds images whose levels it divides
by 255 twice; this one does not.

Traps. The score follows contrast and subject as much as quality: compare on the same prompts only. The bundled judge
knows captions of its world and no words of quality, so there is no value without the published weights.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from ..bench.backbones.clip import Clip, clip
from ..bench.types import Artifact, Family, Item, Role, Score
from .strips.crops import INPUT, NO_CANVAS, canvas_pixels, covered_fraction, metric_device, window_boxes
from .views.pictures import judged_images

WORDS = {
    "quality": ("Good photo.", "Bad photo."),
    "sharpness": ("Sharp photo.", "Blurry photo."),
    "noisiness": ("Clean photo.", "Noisy photo."),
    "natural": ("Natural photo.", "Synthetic photo."),
}
"""Pairs of prompts, the good one first."""
NO_WORDS = "the bundled judge knows no words of quality: `syncbench fetch clip` brings a CLIP that does"


@dataclass(frozen=True, kw_only=True)
class ClipIqa:
    """Probability, by CLIP, that an image fits the better of two prompts of opposite quality."""

    version: ClassVar[int] = 1
    role: ClassVar[Role] = "quality"
    direction: ClassVar[str] = "higher"
    unit: ClassVar[str] = ""
    families: ClassVar[tuple[Family, ...]] = ("channels", "overlap", "geometry", "prior", "frames")
    presets: ClassVar[dict[str, dict[str, Any]]] = {name: {"words": name} for name in WORDS if name != "quality"}

    words: Literal["quality", "sharpness", "noisiness", "natural"] = "quality"
    """Which pair of prompts is asked."""
    backbone: str | None = None
    """`ViT-B-16`, `ViT-B-32`, `ViT-L-14` or `ViT-L-14-336`; None takes the first that is fetched."""

    def provider(self) -> Clip:
        """The CLIP network that embeds images and words."""
        return clip(self.backbone, None, metric_device())

    def fingerprint(self) -> str:
        """One line that names the words, the backbone, its weights and its preprocessing."""
        provider = self.provider()
        good, bad = WORDS[self.words]
        return f"{provider.name}, '{good}' against '{bad}', {provider.fingerprint}, {INPUT}"

    def lacks(self) -> str | None:
        """Why the metric is null on every item of this machine; None where it is not."""
        return NO_WORDS if self.provider().name.endswith("[reference]") else None

    def __call__(self, artifact: Artifact, item: Item) -> Score:
        """The mean probability; coverage is the fraction of the canvas that was shown."""
        if why := self.lacks():
            return Score.none(why)
        provider = self.provider()
        images, coverage = judged_images(artifact, item), 1.0
        if item.surface.picture:
            canvas = canvas_pixels(artifact)
            if canvas is None:
                return Score.none(NO_CANVAS)
            boxes = window_boxes(canvas, item)
            if not boxes:
                return Score.none("the canvas holds no whole window")
            images, coverage = torch.stack([box.cut(canvas) for box in boxes]), covered_fraction(canvas, boxes)
        seen = torch.cat([provider.image(image[None]) for image in images])
        chances = better_chances(seen, provider.text(WORDS[self.words]))
        return Score(value=float(chances.double().mean()), coverage=coverage)


def better_chances(images: Float[Tensor, "n d"], words: Float[Tensor, "2 d"]) -> Float[Tensor, " n"]:
    """Probability that each image fits the first of two texts, from unit embeddings and CLIP's scale of 100."""
    return (100 * images @ words.T).softmax(-1)[:, 0]
