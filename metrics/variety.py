"""Variety

For each item, the mean perceptual distance from its window-sized crops to the crops of the other items of the same
method, dataset and seed. Higher: the method makes different images for different prompts. Families without a wide
canvas: from each view to the same view of the other items, at most 4 views, evenly spaced; `channels` shows the one
picture its channels make, albedo times shading.

The mean over items is the mean over pairs. Each item's value is its jackknife pseudo-value, n U - (n - 1) U_i of the
means U over all pairs and U_i over those without the item: items share pairs, so that plain means by item would make
intervals half as wide as they should be (Efron and Stein, Ann. Statist. 1981). One item's value may lie outside the
range of the distance.

Source: our definition; it plays the part of GIQA-DS (GVCFDiffusion) and of diversity in few-shot generation, on the
backbone of Intra-LPIPS, so that the two can be read together. Range as the backbone's.

Traps. The antidote to `intra_lpips`, which rewards an image that repeats itself and a method that always makes the
same: no method may win there and lose here. Noise is various, and so are blank images of unlike colours: read it
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

from ..bench.backbones.judge import beyond
from ..bench.backbones.perceptual import Perceptual, perceptual
from ..bench.types import Artifact, Family, Item, Role, Score
from .strips.crops import INPUT, NO_CANVAS, device, features, pixels, windows
from .views.pictures import pictures, spread_out

MOST = 4
"""Most views of an item that are shown."""


@dataclass(frozen=True, kw_only=True)
class Variety:
    """Mean perceptual distance to other items of the same method."""

    version: ClassVar[int] = 2
    role: ClassVar[Role] = "variety"
    direction: ClassVar[str] = "higher"
    unit: ClassVar[str] = ""
    families: ClassVar[tuple[Family, ...]] = ("channels", "overlap", "geometry", "prior", "frames")

    backbone: str | None = None
    """`vgg`, `reference` or `statistics`; None takes the published weights if they are on the machine."""
    folder: str | None = None
    """Another judge than the bundled one, for `reference`."""
    others: Annotated[int, Interval(ge=1, le=100_000)] = 12
    """Most items each item is compared with."""

    def provider(self) -> Perceptual:
        """The distance."""
        return perceptual(self.backbone, self.folder, device())

    def fingerprint(self) -> str:
        """Backbone, its weights, the pairs."""
        found = self.provider()
        shown = f"window crops or {MOST} views"
        return f"{found.name}, {shown} against {self.others} other items, {found.fingerprint}, {INPUT}"

    def group(self, artifacts: Mapping[str, Artifact], items: Mapping[str, Item]) -> dict[str, Score]:
        """The pseudo-value by item id; coverage is the fraction of partners whose images have the same size."""
        provider = self.provider()
        shown = {
            name: beyond(provider.name, self.folder, items[name], "lpips")
            or _shown(artifacts[name], items[name], provider)
            for name in sorted(artifacts)
        }
        kept = {name: found for name, found in shown.items() if not isinstance(found, str)}
        names = list(kept)
        known: dict[tuple[str, str], float] = {}

        def between(a: str, b: str) -> float:
            pair = (min(a, b), max(a, b))
            if pair not in known:
                here, there = (kept[name].features() for name in pair)
                pairs = zip(here, there, strict=True) if kept[a].paired else product(here, there)
                distances = [float(provider.compare(x, y)) for x, y in pairs]
                known[pair] = sum(distances) / len(distances)
            return known[pair]

        pairs: set[tuple[str, str]] = set()
        scores: dict[str, Score] = {}
        for name in artifacts:
            mine = shown[name]
            if isinstance(mine, str):
                scores[name] = Score.none(mine)
                continue
            start = names.index(name)
            partners = [*names[start + 1 :], *names[:start]][: self.others]
            alike = [p for p in partners if kept[p].size == mine.size]
            pairs |= {(min(name, p), max(name, p)) for p in alike}
            scores[name] = (
                Score(value=0.0, coverage=len(alike) / len(partners))
                if alike
                else Score.none("there is no other item to compare with")
            )
        values = pseudo_values({pair: between(*pair) for pair in sorted(pairs)})
        return {
            name: replace(one, value=values[name]) if one.value is not None else one for name, one in scores.items()
        }


def pseudo_values(distances: Mapping[tuple[str, str], float]) -> dict[str, float]:
    """Jackknife pseudo-values by item of the mean over pairs of items; of a single pair the distance itself."""
    names = sorted({name for pair in distances for name in pair})
    total, n = sum(distances.values()), len(names)
    found: dict[str, float] = {}
    for name in names:
        own = [distance for pair, distance in distances.items() if name in pair]
        rest = len(distances) - len(own)
        whole = total / len(distances)
        found[name] = n * whole - (n - 1) * (total - sum(own)) / rest if rest else whole
    return found


@dataclass(frozen=True)
class _Shown:
    """The images of one item."""

    size: tuple[int, ...]
    """What must be equal for two items to be compared."""
    features: Callable[[], list[tuple[Tensor, ...]]]
    paired: bool
    """Whether the n-th image goes with the n-th (views), or every one with every other (crops)."""


def _shown(artifact: Artifact, item: Item, provider: Perceptual) -> _Shown | str:
    """What is shown of an item, or why nothing is."""
    if not item.surface.picture:
        every = pictures(artifact, item)
        images = spread_out(every, MOST)
        if min(images.shape[2:]) < provider.minimum:
            return f"views are smaller than the {provider.minimum} px {provider.name} needs"
        with torch.no_grad(), torch.backends.cudnn.flags(deterministic=True, allow_tf32=False):
            found = [provider.embed(image[None].to(device())) for image in images]
        return _Shown(tuple(every.shape), lambda: found, True)
    image = pixels(artifact)
    if image is None:
        return NO_CANVAS
    boxes = windows(image, item)
    if not boxes:
        return "the canvas holds no whole window"
    if min(item.surface.window) < provider.minimum:
        return f"windows are smaller than the {provider.minimum} px {provider.name} needs"
    return _Shown(item.surface.window, lambda: features(artifact, boxes, provider), False)
