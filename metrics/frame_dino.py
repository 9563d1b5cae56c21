"""DINO frame consistency

100 * mean cosine of the DINO features of pairs of frames: neighbours (`adjacent`), `all` pairs, or frames 2, 4 or 8
apart (`lag2`, `lag4`, `lag8`): with neighbours, which are lag 1, a curve that falls where a clip drifts. Higher is
better: the subject stays the same.

"Subject consistency" of VBench (Huang et al., CVPR 2024, arXiv 2311.17982) has the same network (Caron et al. 2021,
arXiv 2104.14294, ViT-B/16, class token) but averages neighbours with the first frame, clamps at 0 and resizes without
antialiasing. Range [-100, 100]; values of clips lie between 85 and 99.

Traps. A frozen clip scores 100, and a clip that turns to show another side loses through no fault: compare on the same
items only, beside `edit_strength`. Flicker of fine texture is hardly seen. Without the published weights there is no
value: no network of this package stands in for them.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch

from ..bench.backbones.dino import ABSENT, MODEL, Dino, dino
from ..bench.types import Artifact, Item, Score
from .strips.crops import INPUT, metric_device
from .views.images import stored_views
from .views.lags import FramePairs, frame_pairs, mean_cosine


@dataclass(frozen=True, kw_only=True)
class FrameDino(FramePairs):
    """Mean cosine between the DINO features of frames, times 100."""

    version: ClassVar[int] = 1

    def provider(self) -> Dino | None:
        """The network; None where its weights are not on this machine."""
        return dino(metric_device())

    def fingerprint(self) -> str:
        """One line that names the network, its weights, its preprocessing and the pairs."""
        provider = self.provider()
        network = f"{MODEL}, no weights" if provider is None else provider.fingerprint
        return f"dino, mean cosine of {frame_pairs(self.pairs, self.lag)}, {network}, {INPUT}"

    def lacks(self) -> str | None:
        """Why the metric is null on every item of this machine; None where it is not."""
        return ABSENT if self.provider() is None else None

    def __call__(self, artifact: Artifact, item: Item) -> Score:
        """The mean over pairs of frames; coverage is 1."""
        frames, provider = stored_views(artifact), self.provider()
        if why := self.too_short(len(frames)):
            return Score.none(why)
        if provider is None:
            return Score.none(ABSENT)
        seen = torch.cat([provider.image(frame[None]) for frame in frames]).double()
        return Score(value=100 * mean_cosine(seen, self.pairs, self.lag))
