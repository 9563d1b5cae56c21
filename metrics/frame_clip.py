"""CLIP frame consistency

100 * mean cosine of the projected CLIP image embeddings of pairs of frames: neighbours (`adjacent`), or `all` pairs.
Higher: frames show the same thing.

`adjacent` is "CLIP-Image" of Pix2Video (Ceylan et al. 2023, arXiv 2303.12688) and "Tem-Con" of FlowVid; `all` is the
frame consistency of LOVEU-TGVE 2023. Range [-100, 100]; ViT-B values of clips lie between 85 and 99, the judge's have
their own scale.

Traps. Four incompatible definitions share the name: V2VBench takes the embedding before projection, VBench averages
neighbours with the first frame and clamps at 0. Saturates; blind to flicker of fine texture, which `warping_error`
sees. A frozen clip scores 100, and a clip that turns to show another side loses through no fault: compare on the same
items only.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch

from ..bench.backbones.clip import Clip, clip
from ..bench.backbones.judge import beyond
from ..bench.types import Artifact, Family, Item, Role, Score
from .strips.crops import INPUT, device
from .views.images import stored


@dataclass(frozen=True, kw_only=True)
class FrameClip:
    """Mean cosine between the embeddings of frames, times 100."""

    version: ClassVar[int] = 1
    role: ClassVar[Role] = "consistency"
    direction: ClassVar[str] = "higher"
    unit: ClassVar[str] = "x100"
    families: ClassVar[tuple[Family, ...]] = ("frames",)
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "all": {"pairs": "all"},
        "b16": {"backbone": "ViT-B-16"},
        "b32": {"backbone": "ViT-B-32"},
        "l14": {"backbone": "ViT-L-14"},
        "l14-336": {"backbone": "ViT-L-14-336"},
    }

    backbone: str | None = None
    """`ViT-B-16`, `ViT-B-32`, `ViT-L-14`, `ViT-L-14-336` or `reference`; None takes the first that is here."""
    folder: str | None = None
    """Another judge than the bundled one, for `reference`."""
    pairs: Literal["adjacent", "all"] = "adjacent"
    """Which frames are compared."""

    def provider(self) -> Clip:
        """The network."""
        return clip(self.backbone, self.folder, device())

    def fingerprint(self) -> str:
        """Backbone, its weights, its preprocessing, the pairs."""
        found = self.provider()
        return f"{found.name}, mean cosine of {self.pairs} frames, projected embeddings, {found.fingerprint}, {INPUT}"

    def __call__(self, artifact: Artifact, item: Item) -> Score:
        """The mean over pairs."""
        frames = stored(artifact)
        if len(frames) < 2:
            return Score.none("there is only one frame")
        provider = self.provider()
        beyond_it = beyond(provider.name, self.folder, item, "clip")
        if beyond_it:
            return Score.none(beyond_it)
        seen = torch.cat([provider.image(frame[None]) for frame in frames]).double()
        if self.pairs == "adjacent":
            cosines = (seen[1:] * seen[:-1]).sum(1)
        else:
            first, second = torch.triu_indices(len(seen), len(seen), 1)
            cosines = (seen[first] * seen[second]).sum(1)
        return Score(value=100 * float(cosines.mean()))
