"""Variety

For each item, the mean perceptual distance from its window-sized crops to the crops of the other items of the same
method, dataset and seed. Higher is better: the method makes different images for different prompts. In families without
a wide canvas it is the distance from each view to the same view of the other items, over at most 4 evenly spaced views;
in `channels`, from the one picture that the channels make, albedo times shading.

The mean over items is the mean over pairs. Each item's value is its jackknife pseudo-value, n U - (n - 1) U_i of the
means U over all pairs and U_i over those without the item: items share pairs, so that plain means by item would make
intervals half as wide as they should be (Efron and Stein, Ann. Statist. 1981). One item's value may lie outside the
range of the distance.

Source: our definition; it plays the part of GIQA-DS (GVCFDiffusion) and of diversity in few-shot generation, on the
backbone of Intra-LPIPS, so that the two can be read together. The range is that of the backbone's distance.

Traps. Read it beside `intra_lpips`, which rewards an image that repeats itself and a method that always makes one
image: no method may win there and lose here. Noise has variety, and so have blank images of unlike colours: read it
beside `clip_text` and `sharpness`. Each item is compared with at most `others` items (the next ones in order,
cyclically).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Annotated, ClassVar

import torch
from annotated_types import Interval
from torch import Tensor

from ..bench.backbones.judge import judge_refusal
from ..bench.backbones.perceptual import Perceptual, perceptual
from ..bench.types import Artifact, Family, Item, Role, Score
from .strips.crops import INPUT, NO_CANVAS, canvas_pixels, crop_features, metric_device, window_boxes
from .views.pictures import evenly_spaced, judged_images

MOST = 4
"""Largest number of views of an item that are compared."""


@dataclass(frozen=True, kw_only=True)
class Variety:
    """Mean perceptual distance between an item's images and those of other items of one method, dataset and seed."""

    version: ClassVar[int] = 2
    role: ClassVar[Role] = "variety"
    direction: ClassVar[str] = "higher"
    unit: ClassVar[str] = ""
    families: ClassVar[tuple[Family, ...]] = ("channels", "overlap", "geometry", "prior", "frames")

    backbone: str | None = None
    """`vgg`, `reference` or `statistics`; None takes the published weights if they are on the machine."""
    folder: str | None = None
    """Folder of a judge that the backbone `reference` loads; None takes the bundled judge."""
    others: Annotated[int, Interval(ge=1, le=100_000)] = 12
    """Largest number of items with which each item is compared."""

    def provider(self) -> Perceptual:
        """The perceptual distance between two images."""
        return perceptual(self.backbone, self.folder, metric_device())

    def fingerprint(self) -> str:
        """One line that names the backbone, its weights and the pairs."""
        provider = self.provider()
        images = f"window crops or {MOST} views"
        return f"{provider.name}, {images} against {self.others} other items, {provider.fingerprint}, {INPUT}"

    def group(self, artifacts: Mapping[str, Artifact], items: Mapping[str, Item]) -> dict[str, Score]:
        """The pseudo-value by item id; coverage is the fraction of partners whose images have the same size."""
        provider = self.provider()
        images_or_reason = {
            name: judge_refusal(provider.name, self.folder, items[name], "lpips")
            or _images_of(artifacts[name], items[name], provider)
            for name in sorted(artifacts)
        }
        images = {name: own for name, own in images_or_reason.items() if not isinstance(own, str)}
        names = list(images)

        def between(pair: tuple[str, str]) -> float:
            here, there = (images[name].features() for name in pair)
            pairs = zip(here, there, strict=True) if images[pair[0]].paired else product(here, there)
            distances = [float(provider.compare(x, y)) for x, y in pairs]
            return sum(distances) / len(distances)

        pairs: set[tuple[str, str]] = set()
        scores: dict[str, Score] = {}
        for name in artifacts:
            own = images_or_reason[name]
            if isinstance(own, str):
                scores[name] = Score.none(own)
                continue
            start = names.index(name)
            partners = [*names[start + 1 :], *names[:start]][: self.others]
            alike = [p for p in partners if images[p].size == own.size]
            pairs |= {(min(name, p), max(name, p)) for p in alike}
            scores[name] = (
                Score(value=0.0, coverage=len(alike) / len(partners))
                if alike
                else Score.none("there is no other item to compare with")
            )
        values = pseudo_values({pair: between(pair) for pair in sorted(pairs)})
        return {
            name: score if score.value is None else replace(score, value=values[name]) for name, score in scores.items()
        }


def pseudo_values(distances: Mapping[tuple[str, str], float]) -> dict[str, float]:
    """Jackknife pseudo-values, by item, of the mean of the distances between two items each.

    Where no pair is left without the item (a single pair, say), the value is the mean of all pairs.
    """
    names = sorted({name for pair in distances for name in pair})
    total, n = sum(distances.values()), len(names)
    values: dict[str, float] = {}
    for name in names:
        own = [distance for pair, distance in distances.items() if name in pair]
        rest = len(distances) - len(own)
        whole = total / len(distances)
        values[name] = n * whole - (n - 1) * (total - sum(own)) / rest if rest else whole
    return values


@dataclass(frozen=True)
class _ItemImages:
    """The images of one item, as features."""

    size: tuple[int, ...]
    """Size of the images: two items are compared only where theirs are equal."""
    features: Callable[[], list[tuple[Tensor, ...]]]
    """The features of each image, computed when called."""
    paired: bool
    """Whether the n-th image goes with the n-th (views), or every one with every other (crops)."""


def _images_of(artifact: Artifact, item: Item, provider: Perceptual) -> _ItemImages | str:
    """The images by which an item is compared, or the reason why it has none."""
    if not item.surface.picture:
        every = judged_images(artifact, item)
        images = evenly_spaced(every, MOST)
        if min(images.shape[2:]) < provider.minimum:
            return f"views are smaller than the {provider.minimum} px {provider.name} needs"
        with torch.no_grad(), torch.backends.cudnn.flags(deterministic=True, allow_tf32=False):
            embedded = [provider.embed(image[None].to(metric_device())) for image in images]
        return _ItemImages(tuple(every.shape), lambda: embedded, True)
    image = canvas_pixels(artifact)
    if image is None:
        return NO_CANVAS
    boxes = window_boxes(image, item)
    if not boxes:
        return "the canvas holds no whole window"
    if min(item.surface.window) < provider.minimum:
        return f"windows are smaller than the {provider.minimum} px {provider.name} needs"
    return _ItemImages(item.surface.window, lambda: crop_features(artifact, boxes, provider), False)
