"""Janus share

Fraction of the views from behind that CLIP takes for the front: cos(E(view), E("PROMPT, front view")) is above
cos(E(view), E("PROMPT, back view")), for cameras more than 140 degrees from the front (azimuth 0, +x). Range [0, 1];
lower is better, 0.5 is chance.

Source: our definition; the fault is named after the god with two faces by papers on text to 3-D (DreamFusion, Poole et
al., arXiv 2209.14988, and after), whose view words ("front view", "back view") these are.

Traps. It knows no geometry: objects without a front (a ball, a vase) make it guess, and so do meshes whose front does
not face +x. Of a few views it is coarse: read it over many items. CLIP's judgement of view words is weak, so compare
methods on the same items only. The bundled judge knows no view words, so there is no value without `syncbench fetch
clip`.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from ..bench.backbones.clip import Clip, clip
from ..bench.backbones.judge import NO_VIEW_WORDS
from ..bench.types import Artifact, Family, Item, Role, Score
from .strips.crops import INPUT, metric_device
from .views.images import mismatch, stored_views
from .views.pictures import image_prompts

BEHIND = 140.0
"""Degrees from the front beyond which a camera looks at the back."""
WORDS = ("front view", "back view")


@dataclass(frozen=True, kw_only=True)
class Janus:
    """Share of the views from behind that look like the front."""

    version: ClassVar[int] = 1
    role: ClassVar[Role] = "consistency"
    direction: ClassVar[str] = "lower"
    unit: ClassVar[str] = ""
    families: ClassVar[tuple[Family, ...]] = ("geometry",)
    presets: ClassVar[dict[str, dict[str, Any]]] = {}

    backbone: str | None = None
    """`ViT-B-16`, `ViT-B-32`, `ViT-L-14` or `ViT-L-14-336`; None takes the first that is fetched."""

    def provider(self) -> Clip:
        """The CLIP network that embeds views and words."""
        return clip(self.backbone, None, metric_device())

    def fingerprint(self) -> str:
        """One line that names the words, the views, the backbone, its weights and its preprocessing."""
        provider = self.provider()
        return f"{provider.name}, {' against '.join(WORDS)}, >{BEHIND:g} degrees, {provider.fingerprint}, {INPUT}"

    def lacks(self) -> str | None:
        """Why the metric is null on every item of this machine; None where it is not."""
        return NO_VIEW_WORDS if self.provider().name.endswith("[reference]") else None

    def __call__(self, artifact: Artifact, item: Item) -> Score:
        """The share; coverage is the fraction of the views that look from behind."""
        if why := self.lacks():
            return Score.none(why)
        if reason := mismatch(artifact, item, ("mask", "position", "extrinsics")):
            return Score.none(reason)
        behind = from_behind(item)
        views = stored_views(artifact)
        texts = image_prompts(item, len(views))
        if texts is None or not any(texts):
            return Score.none(f"there are {len(item.prompts)} prompts for {len(views)} views")
        if not behind.any():
            return Score.none("no camera looks from behind")
        provider = self.provider()
        fooled: list[bool] = []
        for number in behind.nonzero().flatten().tolist():
            seen = provider.image(views[number][None])
            front, back = (seen @ provider.text([f"{texts[number]}, {word}" for word in WORDS]).T)[0].tolist()
            fooled.append(front > back)
        return Score(value=sum(fooled) / len(fooled), coverage=len(fooled) / len(views))


def from_behind(item: Item) -> torch.Tensor:
    """Which cameras (n,) look at the back of the item's object, whose front faces +x; none from straight above."""
    poses = item.truth["extrinsics"].double()
    eyes = -(poses[:, :3, :3].mT @ poses[:, :3, 3:])[..., 0]
    inside = item.truth["mask"].expand(-1, 3, -1, -1) > 0.5
    middle = item.truth["position"].double().movedim(1, -1)[inside.movedim(1, -1)].reshape(-1, 3).mean(0)
    away = eyes - middle
    level = away[:, :2].norm(dim=1)
    angle = torch.atan2(away[:, 1], away[:, 0]).abs().rad2deg()
    return (angle > BEHIND) & (level > 0.05 * away.norm(dim=1))
