"""Identity across views

100 * mean cosine of the image embeddings of all pairs of views: whether they show one and the same thing. `worst` is
the pair that is least alike. Higher is better; nothing is asked of cameras or geometry, so that views of real
checkpoints and outputs of other programs are scored, too.

Source: CLIP similarity between views, as in the tables of image-to-3D papers (there to a reference picture), over all
pairs as in LOVEU-TGVE 2023 for frames; `dino` takes DINO's class token (Caron et al. 2021, arXiv 2104.14294). Views
that truly show one object have unlike embeddings, too, 90 to 96 by the bundled judge: compare with the truth's.

Traps. Sides of an object differ by right, and four times the front (the Janus fault) scores best of all: this is no
measure of geometry. Constant and blurred views are alike. The bundled judge knows the words of its world, and finds two
red balls of unlike pattern the same.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from ..bench.backbones.clip import Clip, clip
from ..bench.backbones.dino import ABSENT, MODEL, dino
from ..bench.backbones.judge import judge_refusal
from ..bench.types import Artifact, Family, Item, Role, Score
from .strips.crops import INPUT, metric_device
from .views.images import stored_views

DINO = "dino"


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Mean cosine between the embeddings of views, times 100."""

    version: ClassVar[int] = 1
    role: ClassVar[Role] = "consistency"
    direction: ClassVar[str] = "higher"
    unit: ClassVar[str] = "x100"
    families: ClassVar[tuple[Family, ...]] = ("geometry", "prior")
    estimates: ClassVar[str] = "texel_variance"
    presets: ClassVar[dict[str, dict[str, Any]]] = {"worst": {"statistic": "worst"}, "dino": {"backbone": DINO}}

    statistic: Literal["mean", "worst"] = "mean"
    """What becomes of the pairs: their mean, or the lowest of them."""
    backbone: str | None = None
    """`dino`, `ViT-B-16`, `ViT-B-32`, `ViT-L-14`, `ViT-L-14-336` or `reference`; None takes the first CLIP that is
    fetched."""

    def provider(self) -> Clip:
        """The CLIP network that embeds views."""
        return clip(self.backbone, None, metric_device())

    def fingerprint(self) -> str:
        """One line that names the network, its weights, its preprocessing and the statistic."""
        over = f"{self.statistic} cosine of all pairs of views"
        if self.backbone == DINO:
            network = dino(metric_device())
            return f"{MODEL}, {over}, {'no weights' if network is None else network.fingerprint}, {INPUT}"
        provider = self.provider()
        return f"{provider.name}, {over}, projected embeddings, {provider.fingerprint}, {INPUT}"

    def __call__(self, artifact: Artifact, item: Item) -> Score:
        """The cosine over pairs of views; coverage is 1."""
        views = stored_views(artifact)
        if len(views) < 2:
            return Score.none("there is only one view")
        seen = self._embedded(views, item)
        if isinstance(seen, str):
            return Score.none(seen)
        first, second = torch.triu_indices(len(seen), len(seen), 1)
        cosines = (seen[first] * seen[second]).sum(1)
        return Score(value=100 * float(cosines.mean() if self.statistic == "mean" else cosines.min()))

    def _embedded(self, views: Float[Tensor, "n 3 h w"], item: Item) -> Float[Tensor, "n d"] | str:
        """Unit embeddings of the views, or the reason why there are none."""
        if self.backbone == DINO:
            network = dino(metric_device())
            return ABSENT if network is None else torch.cat([network.image(view[None]) for view in views]).double()
        provider = self.provider()
        refusal = judge_refusal(provider.name, None, item, "clip")
        return refusal or torch.cat([provider.image(view[None]) for view in views]).double()
