"""Variety

For each item, the mean perceptual distance from its window-sized crops to the crops of the other items of the same
method, dataset and seed. Higher: the method makes different images for different prompts.

Source: our definition; it plays the part of GIQA-DS (GVCFDiffusion) and of diversity in few-shot generation, on the
backbone of Intra-LPIPS, so that the two can be read together. Range as the backbone's.

Traps. The antidote to `intra_lpips`, which rewards an image that repeats itself and a method that always makes the
same: no method may win there and lose here. Noise is various, and so are blank images of unlike colours: read it
beside `clip_text` and `sharpness`. Each item is compared with at most `others` items (the next ones in order,
cyclically).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ..bench.types import Artifact, Family, Item, Score
from .backbones.perceptual import Perceptual, perceptual
from .strips.crops import INPUT, NO_CANVAS, Box, device, features, pixels, windows


@dataclass(frozen=True, kw_only=True)
class Variety:
    """Mean perceptual distance to other items of the same method."""

    version: ClassVar[int] = 1
    direction: ClassVar[str] = "higher"
    unit: ClassVar[str] = ""
    families: ClassVar[tuple[Family, ...]] = ("overlap",)

    backbone: str | None = None
    """`vgg`, `reference` or `statistics`; None takes the published weights if they are on the machine."""
    folder: str | None = None
    """Another judge than the bundled one, for `reference`."""
    others: int = 12
    """Most items each item is compared with."""

    def provider(self) -> Perceptual:
        """The distance."""
        return perceptual(self.backbone, self.folder, device())

    def fingerprint(self) -> str:
        """Backbone, its weights, the pairs."""
        found = self.provider()
        return f"{found.name}, window crops against {self.others} other items, {found.fingerprint}, {INPUT}"

    def group(self, artifacts: Mapping[str, Artifact], items: Mapping[str, Item]) -> dict[str, Score]:
        """The mean distance by item id; coverage is the fraction of partners whose crops have the same size."""
        provider = self.provider()
        boxes = {name: _boxes(artifacts[name], items[name]) for name in sorted(artifacts)}
        names = [name for name, found in boxes.items() if found]
        known: dict[tuple[str, str], float] = {}

        def between(a: str, b: str) -> float:
            pair = (min(a, b), max(a, b))
            if pair not in known:
                here, there = (features(artifacts[n], boxes[n], provider) for n in pair)
                distances = [float(provider.compare(x, y)) for x in here for y in there]
                known[pair] = sum(distances) / len(distances)
            return known[pair]

        scores: dict[str, Score] = {}
        for name in artifacts:
            if artifacts[name].canvas is None:
                scores[name] = Score.none(NO_CANVAS)
            elif not boxes[name]:
                scores[name] = Score.none("the canvas holds no whole window")
            elif min(items[name].surface.window) < provider.minimum:
                scores[name] = Score.none(f"windows are smaller than the {provider.minimum} px {provider.name} needs")
            else:
                start = names.index(name)
                partners = [*names[start + 1 :], *names[:start]][: self.others]
                alike = [p for p in partners if items[p].surface.window == items[name].surface.window]
                if alike:
                    value = sum(between(name, p) for p in alike) / len(alike)
                    scores[name] = Score(value=value, coverage=len(alike) / len(partners))
                else:
                    scores[name] = Score.none("there is no other item to compare with")
        return scores


def _boxes(artifact: Artifact, item: Item) -> list[Box]:
    image = pixels(artifact)
    return [] if image is None else windows(image, item)
