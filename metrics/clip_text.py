"""CLIP text score

100 * cos(E(image), E(prompt)), averaged over the non-overlapping window-sized crops (`crops`), or of the whole
canvas squeezed to CLIP's square (`squeezed`). Families without a wide canvas show their views in the place of crops;
`channels` shows the one picture its channels make, albedo times shading. `margin` subtracts the same score of a plain
image of the crop's mean colour.

Radford et al. 2021, arXiv 2103.00020; in the form of Mean-CLIP-S (SyncDiffusion, arXiv 2306.05178), but over all
crops instead of one random one, and unclamped. Range [-100, 100]; higher follows the prompt. ViT values (25 to
35) and the judge's are not comparable.

Traps. CLIP sees only the central square of an image, hence the crops. Text scores have a large offset: a blank
image of the right colour is not far below a good one, which `margin` takes out. Differences of 0.2 to 0.3 are
within prompt noise: a guard, not a headline. Prompts outside the judge's vocabulary mean nothing to
`clip[reference]`. A prompt longer than the context (77 tokens of ViT-B, 24 of the judge) is read to there only, which
coverage says.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from ..bench.backbones.clip import Clip, clip
from ..bench.backbones.judge import beyond
from ..bench.types import Artifact, Family, Item, Role, Score
from .strips.crops import INPUT, NO_CANVAS, Box, device, features, pixels, share, windows
from .views.pictures import pictures, prompts


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
        "b16": {"backbone": "ViT-B-16"},
        "b32": {"backbone": "ViT-B-32"},
        "l14": {"backbone": "ViT-L-14"},
        "l14-336": {"backbone": "ViT-L-14-336"},
    }

    backbone: str | None = None
    """`ViT-B-16`, `ViT-B-32`, `ViT-L-14`, `ViT-L-14-336` or `reference`; None takes the first that is here."""
    folder: str | None = None
    """Another judge than the bundled one, for `reference`."""
    look: Literal["crops", "squeezed"] = "crops"
    """What CLIP is shown."""
    margin: bool = False
    """Subtract the score of a plain image of the same mean colour."""

    def provider(self) -> Clip:
        """The network."""
        return clip(self.backbone, self.folder, device())

    def fingerprint(self) -> str:
        """Backbone, its weights, its preprocessing, what it is shown."""
        found = self.provider()
        over = ", over mean colour" if self.margin else ""
        return f"{found.name}, {self.look}{over}, {found.fingerprint}, {INPUT}"

    def __call__(self, artifact: Artifact, item: Item) -> Score:
        """The mean; coverage is the fraction of the canvas that was shown, times that of the prompt that was read."""
        if not any(item.prompts):
            return Score.none("the item has no prompt")
        beyond_it = beyond(self.provider().name, self.folder, item, "clip")
        if beyond_it:
            return Score.none(beyond_it)
        return self._canvas(artifact, item) if item.surface.picture else self._views(artifact, item)

    def reference(self, artifact: Artifact, item: Item) -> float | None:
        """The same from open_clip's own transforms and forward pass, picture by picture; crops without margin only."""
        if self.margin or self.look != "crops":
            return None
        if item.surface.picture:
            image = pixels(artifact)
            shown = [] if image is None else [box.cut(image) for box in windows(image, item)]
        else:
            shown = list(pictures(artifact, item))
        texts = prompts(item, len(shown))
        return None if not shown or texts is None else self.provider().logits(shown, texts)

    def _canvas(self, artifact: Artifact, item: Item) -> Score:
        image = pixels(artifact)
        if image is None:
            return Score.none(NO_CANVAS)
        if self.look == "crops":
            boxes = windows(image, item)
        else:
            boxes = [Box(0, 0, image.shape[1], image.shape[2])]
        if not boxes:
            return Score.none("the canvas holds no whole window")
        if self.look == "squeezed" and len(item.prompts) > 1:
            return Score.none("each view has a prompt of its own: no one text describes the whole image")
        texts = item.prompts * len(boxes) if len(item.prompts) == 1 else item.prompts[: len(boxes)]
        if len(texts) < len(boxes):
            return Score.none("there are fewer prompts than crops")
        shown = [torch.cat([e[0] for e in features(artifact, boxes, look)]) for look in self._looks()]
        return Score(value=self._mean(shown, texts), coverage=share(image, boxes) * self.provider().read(texts))

    def _views(self, artifact: Artifact, item: Item) -> Score:
        images = pictures(artifact, item)
        texts = prompts(item, len(images))
        if texts is None:
            return Score.none(f"there are {len(item.prompts)} prompts for {len(images)} views")
        shown = [torch.cat([look.embed(image[None])[0] for image in images]) for look in self._looks()]
        return Score(value=self._mean(shown, texts), coverage=self.provider().read(texts))

    def _looks(self) -> "list[_Look]":
        return [_Look(self.provider(), self.look == "squeezed", plain) for plain in (False, True)[: 1 + self.margin]]

    def _mean(self, shown: list[Tensor], texts: Sequence[str]) -> float:
        cosines = [(seen * self.provider().text(texts)).sum(1) for seen in shown]
        value = cosines[0] - cosines[1] if self.margin else cosines[0]
        return 100 * float(value.double().mean())


class _Look:
    """CLIP's image half as a feature provider: crops as they are, squeezed to a square, or wiped to their mean."""

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
