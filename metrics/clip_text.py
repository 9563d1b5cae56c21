"""CLIP text score

100 * cos(E(image), E(prompt)), averaged over the non-overlapping window-sized crops (`crops`), or of the whole
canvas squeezed to CLIP's square (`squeezed`). In families without a wide canvas the views take the place of crops, in
`channels` the one picture that the channels make, albedo times shading. `margin` subtracts the score that an image of
the crop's mean colour alone has. With `directions` each view is compared with the prompt and the words for where its
camera looks from ("PROMPT, front view"), as TEXTure and its successors prompt.

Radford et al. 2021, arXiv 2103.00020; in the form of Mean-CLIP-S (SyncDiffusion, arXiv 2306.05178), but over all
crops instead of one random one, and unclamped. Range [-100, 100]; higher follows the prompt. ViT values (25 to
35) and those of the bundled judge are not comparable.

Traps. CLIP sees only the central square of an image, hence the crops. Text scores have a large offset: a blank
image of the right colour scores little below a good one, which `margin` takes out. Differences of 0.2 to 0.3 are
within prompt noise: use the score as a guard, not to rank. Prompts outside the judge's vocabulary mean nothing to
`clip[reference]`. Of a prompt longer than the context (77 tokens of ViT-B, 24 of the judge) the rest is not read, and
coverage falls in proportion. CLIP's judgement of the words for directions is weak (see `janus`), and the bundled judge
does not know them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from ..bench.backbones.clip import Clip, clip
from ..bench.backbones.judge import NO_VIEW_WORDS, judge_refusal
from ..bench.surfaces.directions import view_words
from ..bench.types import Artifact, Family, Item, Role, Score
from .strips.crops import (
    INPUT,
    NO_CANVAS,
    Box,
    canvas_pixels,
    covered_fraction,
    crop_features,
    metric_device,
    window_boxes,
)
from .views.pictures import image_prompts, judged_images


@dataclass(frozen=True, kw_only=True)
class ClipText:
    """Mean cosine of crops and prompt, times 100."""

    version: ClassVar[int] = 1
    role: ClassVar[Role] = "text"
    primary: ClassVar[dict[str, int]] = {"channels": 1, "overlap": 1, "geometry": 1, "prior": 1, "frames": 1}
    direction: ClassVar[str] = "higher"
    unit: ClassVar[str] = "x100"
    families: ClassVar[tuple[Family, ...]] = ("channels", "overlap", "geometry", "prior", "frames")
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "squeezed": {"look": "squeezed"},
        "margin": {"margin": True},
        "directions": {"directions": True},
        "b16": {"backbone": "ViT-B-16"},
        "b32": {"backbone": "ViT-B-32"},
        "l14": {"backbone": "ViT-L-14"},
        "l14-336": {"backbone": "ViT-L-14-336"},
    }

    backbone: str | None = None
    """`ViT-B-16`, `ViT-B-32`, `ViT-L-14`, `ViT-L-14-336` or `reference`; None takes the first that is fetched."""
    folder: str | None = None
    """Folder of a judge that the backbone `reference` loads; None takes the bundled judge."""
    look: Literal["crops", "squeezed"] = "crops"
    """What CLIP is shown of a wide canvas: its window-sized `crops`, or all of it, `squeezed` to a square."""
    margin: bool = False
    """Whether the score of an image of the same mean colour is subtracted."""
    directions: bool = False
    """Whether prompts end in the words for each view's direction; only of items with cameras."""

    def provider(self) -> Clip:
        """The CLIP network that embeds images and prompts."""
        return clip(self.backbone, self.folder, metric_device())

    def fingerprint(self) -> str:
        """One line that names the backbone, its weights, its preprocessing and what it is shown."""
        provider = self.provider()
        over = (", over mean colour" if self.margin else "") + (", with directions" if self.directions else "")
        return f"{provider.name}, {self.look}{over}, {provider.fingerprint}, {INPUT}"

    def lacks(self) -> str | None:
        """Why the metric is null on every item of this machine; None where it is not."""
        return NO_VIEW_WORDS if self.directions and self.provider().name.endswith("[reference]") else None

    def __call__(self, artifact: Artifact, item: Item) -> Score:
        """The mean; coverage is the fraction of the canvas that was shown, times that of the prompt that was read."""
        if why := self.lacks():
            return Score.none(why)
        if not any(item.prompts):
            return Score.none("the item has no prompt")
        refusal = judge_refusal(self.provider().name, self.folder, item, "clip")
        if refusal:
            return Score.none(refusal)
        if self.directions and not view_words(item):
            return Score.none("the item has no cameras that would tell the directions of views")
        return self._canvas(artifact, item) if item.surface.picture else self._views(artifact, item)

    def reference(self, artifact: Artifact, item: Item) -> float | None:
        """The score by open_clip's own transforms and forward pass, to check the metric.

        None unless crops are scored without `margin` and `directions`.
        """
        if self.margin or self.directions or self.look != "crops":
            return None
        if item.surface.picture:
            image = canvas_pixels(artifact)
            shown = [] if image is None else [box.cut(image) for box in window_boxes(image, item)]
        else:
            shown = list(judged_images(artifact, item))
        texts = image_prompts(item, len(shown))
        return None if not shown or texts is None else self.provider().logits(shown, texts)

    def _canvas(self, artifact: Artifact, item: Item) -> Score:
        image = canvas_pixels(artifact)
        if image is None:
            return Score.none(NO_CANVAS)
        if self.look == "crops":
            boxes = window_boxes(image, item)
        else:
            boxes = [Box(0, 0, image.shape[1], image.shape[2])]
        if not boxes:
            return Score.none("the canvas holds no whole window")
        if self.look == "squeezed" and len(item.prompts) > 1:
            return Score.none("each view has a prompt of its own: no one text describes the whole image")
        texts = item.prompts * len(boxes) if len(item.prompts) == 1 else item.prompts[: len(boxes)]
        if len(texts) < len(boxes):
            return Score.none("there are fewer prompts than crops")
        shown = [torch.cat([e[0] for e in crop_features(artifact, boxes, look)]) for look in self._looks()]
        return Score(
            value=self._mean(shown, texts), coverage=covered_fraction(image, boxes) * self.provider().read(texts)
        )

    def _views(self, artifact: Artifact, item: Item) -> Score:
        images = judged_images(artifact, item)
        texts = image_prompts(item, len(images))
        if texts is None:
            return Score.none(f"there are {len(item.prompts)} prompts for {len(images)} views")
        if self.directions:
            if len(words := view_words(item)) != len(images):
                return Score.none(f"there are {len(words)} cameras for {len(images)} views")
            texts = [f"{text}, {word}" for text, word in zip(texts, words, strict=True)]
        shown = [torch.cat([look.embed(image[None])[0] for image in images]) for look in self._looks()]
        return Score(value=self._mean(shown, texts), coverage=self.provider().read(texts))

    def _looks(self) -> "list[_Look]":
        return [_Look(self.provider(), self.look == "squeezed", plain) for plain in (False, True)[: 1 + self.margin]]

    def _mean(self, shown: list[Tensor], texts: Sequence[str]) -> float:
        cosines = [(seen * self.provider().text(texts)).sum(1) for seen in shown]
        value = cosines[0] - cosines[1] if self.margin else cosines[0]
        return 100 * float(value.double().mean())


class _Look:
    """CLIP's image encoder for images as they are, squeezed to a square (`squeeze`) or of one mean colour (`plain`)."""

    def __init__(self, provider: Clip, squeeze: bool, plain: bool) -> None:
        self._provider, self._squeeze, self._plain = provider, squeeze, plain
        self.fingerprint = f"{provider.fingerprint} squeeze={squeeze} plain={plain}"

    def embed(self, images: Tensor) -> tuple[Tensor, ...]:
        """Unit embeddings, one row per image."""
        if self._plain:
            images = images.mean((2, 3), keepdim=True).expand_as(images)
        if self._squeeze:
            return (self._provider.squeezed(images),)
        return (self._provider.image(images),)
