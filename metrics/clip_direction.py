"""CLIP directional similarity

100 * cos(E(output) - E(source), E(prompt) - E(source prompt)), averaged over the frames of a clip or over the views:
does the picture change in the direction in which the text does? E are CLIP's unit embeddings. Range [-100, 100]; higher
is better, and at 0 the change has nothing to do with the text.

Gal et al., StyleGAN-NADA, ACM Trans. Graph. 2022, arXiv 2108.00946; as a score of edits: Brooks, Holynski, Efros,
InstructPix2Pix, CVPR 2023, arXiv 2211.09800. It needs the source (`conditions["video"]`, or `image`) and a prompt of
what the source shows (`Item.source`).

Traps. Small edits make small differences of embeddings, whose direction is noise: an output that equals its source has
no value. The direction is the same however far the edit goes: read it beside `edit_strength`. A strong edit that
destroys all else may score well: read it beside `warping_error` and the quality of frames.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F

from ..bench.backbones.clip import Clip, clip
from ..bench.backbones.judge import judge_refusal
from ..bench.types import Artifact, Family, Item, Role, Score
from .strips.crops import INPUT, metric_device
from .views.images import eight_bit, stored_views

SMALLEST = 1e-3
"""Smallest length of a difference of embeddings that has a direction."""


@dataclass(frozen=True, kw_only=True)
class ClipDirection:
    """Mean cosine between the change of the pictures and that of the text, times 100."""

    version: ClassVar[int] = 1
    role: ClassVar[Role] = "text"
    direction: ClassVar[str] = "higher"
    unit: ClassVar[str] = "x100"
    families: ClassVar[tuple[Family, ...]] = ("frames",)
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "b16": {"backbone": "ViT-B-16"},
        "b32": {"backbone": "ViT-B-32"},
        "l14": {"backbone": "ViT-L-14"},
        "l14-336": {"backbone": "ViT-L-14-336"},
    }

    backbone: str | None = None
    """`ViT-B-16`, `ViT-B-32`, `ViT-L-14`, `ViT-L-14-336` or `reference`; None takes the first that is fetched."""
    folder: str | None = None
    """Folder of a judge that the backbone `reference` loads; None takes the bundled judge."""

    def provider(self) -> Clip:
        """The CLIP network that embeds frames and prompts."""
        return clip(self.backbone, self.folder, metric_device())

    def fingerprint(self) -> str:
        """One line that names the backbone, its weights and its preprocessing."""
        clip = self.provider()
        return f"{clip.name}, mean cosine of image change and text change, {clip.fingerprint}, {INPUT}"

    def __call__(self, artifact: Artifact, item: Item) -> Score:
        """The mean over frames; coverage is the fraction of the frames that differ from their source."""
        given, said = item.conditions.get("video"), item.source
        if given is None:
            return Score.none("the item has no source clip to edit")
        if not said or len(item.prompts) != 1:
            return Score.none("the item does not say in words what its source shows (`source`)")
        frames, source = stored_views(artifact), eight_bit(given)
        if len(frames) != len(source):
            return Score.none(f"the clip has {len(frames)} frames, its source {len(source)}")
        provider = self.provider()
        refusal = judge_refusal(provider.name, self.folder, item, "clip")
        if refusal:
            return Score.none(refusal)
        text = (provider.text(item.prompts) - provider.text([said]))[0].double()
        if float(text.norm()) < SMALLEST:
            return Score.none("the prompt says what the source prompt says: there is no direction")
        change = torch.cat(
            [provider.image(a[None]) - provider.image(b[None]) for a, b in zip(frames, source, strict=True)]
        )
        moved = change.double()[change.norm(dim=1) >= SMALLEST]
        if not len(moved):
            return Score.none("the output is the source: its change has no direction")
        value = float(F.cosine_similarity(moved, text[None], dim=1).mean())
        return Score(value=100 * value, coverage=len(moved) / len(frames))
