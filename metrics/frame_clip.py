"""CLIP frame consistency

100 * mean cosine of the projected CLIP image embeddings of pairs of frames: neighbours (`adjacent`), or `all` pairs.
Higher is better: frames show the same thing. `lag2`, `lag4`, `lag8` compare frames so far apart; with `adjacent`, which
is lag 1, they make a curve that falls where a clip drifts.

`adjacent` is "CLIP-Image" of Pix2Video (Ceylan et al. 2023, arXiv 2303.12688) and "Tem-Con" of FlowVid; `all` is the
frame consistency of LOVEU-TGVE 2023. Range [-100, 100]; ViT-B values of clips lie between 85 and 99, the judge's have
their own scale.

Traps. Four incompatible definitions share the name: V2VBench takes the embedding before projection, VBench averages
neighbours with the first frame and clamps at 0. The score saturates and is blind to flicker of fine texture, which
`warping_error` sees. A frozen clip scores 100, and a clip that turns to show another side loses through no fault:
compare on the same items only.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from ..bench.backbones.clip import Clip, clip
from ..bench.backbones.judge import judge_refusal
from ..bench.types import Artifact, Item, Score
from .strips.crops import INPUT, metric_device
from .views.images import stored_views
from .views.lags import LAGS, FramePairs, frame_pairs, mean_cosine


@dataclass(frozen=True, kw_only=True)
class FrameClip(FramePairs):
    """Mean cosine between the embeddings of frames, times 100."""

    version: ClassVar[int] = 1
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        **LAGS,
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
        """The CLIP network that embeds frames."""
        return clip(self.backbone, self.folder, metric_device())

    def fingerprint(self) -> str:
        """One line that names the backbone, its weights, its preprocessing and the pairs."""
        clip = self.provider()
        pairs = frame_pairs(self.pairs, self.lag)
        return f"{clip.name}, mean cosine of {pairs}, projected embeddings, {clip.fingerprint}, {INPUT}"

    def __call__(self, artifact: Artifact, item: Item) -> Score:
        """The mean over pairs of frames; coverage is 1."""
        frames = stored_views(artifact)
        if why := self.too_short(len(frames)):
            return Score.none(why)
        provider = self.provider()
        refusal = judge_refusal(provider.name, self.folder, item, "clip")
        if refusal:
            return Score.none(refusal)
        seen = torch.cat([provider.image(frame[None]) for frame in frames]).double()
        return Score(value=100 * mean_cosine(seen, self.pairs, self.lag))
