"""Edit strength

mean over frames of d(output, source) / mean over frames of d(truth, source), d a perceptual distance. At 0 the output
is the source, at 1 it is as far from the source as the true edit is, above 1 further than was asked.

`plain` is the mean of d(output, source) alone, for clips whose true edit nobody knows: 0 is the source, and more is a
stronger edit, of which nobody can say whether it is enough.

Source: our definition. Consistency metrics of edited clips reward doing nothing, since the source is consistent; the
benchmark knows the true edit, so strength needs no text model and has a target.

Traps. The ratio tells how far an edit goes and not whether it is the right one: a wrong edit of the right size scores
1. Read it beside `clip_text`. Noise and blur are far from the source too, and so is a clip that moves otherwise. An
item needs a source clip, and but for `plain` a true edit that differs from it.
"""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
from annotated_types import Interval
from torch import Tensor

from ..bench.backbones.judge import judge_refusal
from ..bench.backbones.perceptual import Perceptual, perceptual
from ..bench.types import Artifact, Family, Item, Role, Score
from .strips.crops import INPUT, metric_device
from .views.images import eight_bit


@dataclass(frozen=True, kw_only=True)
class EditStrength:
    """Perceptual distance to the source over that of the true edit."""

    version: ClassVar[int] = 1
    role: ClassVar[Role] = "variety"
    direction: ClassVar[str] = "target:1"
    families: ClassVar[tuple[Family, ...]] = ("frames",)
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "statistics": {"backbone": "statistics"},
        "plain": {"over": "one"},
        "plain_statistics": {"over": "one", "backbone": "statistics"},
    }

    backbone: str | None = None
    """`vgg`, `reference` or `statistics`; None takes the published weights if they are on the machine."""
    folder: str | None = None
    """Folder of a judge that the backbone `reference` loads; None takes the bundled judge."""
    over: Literal["truth", "one"] = "truth"
    """What the distance is divided by: that of the true edit (`truth`), or 1."""
    least: Annotated[float, Interval(ge=0, le=1)] = 1e-3
    """Smallest distance between truth and source that counts as an edit."""

    def __post_init__(self) -> None:
        if self.over == "one":  # more is a stronger edit, and there is no aim
            object.__setattr__(self, "direction", "higher")

    @property
    def unit(self) -> str:
        """`ratio`, or `distance` where nothing is divided."""
        return "ratio" if self.over == "truth" else "distance"

    def provider(self) -> Perceptual:
        """The perceptual distance d."""
        return perceptual(self.backbone, self.folder, metric_device())

    def fingerprint(self) -> str:
        """One line that names the backbone, its weights and the divisor."""
        provider = self.provider()
        over = " / that of the truth" if self.over == "truth" else ""
        return f"{provider.name} to the source{over}, mean of frames, {provider.fingerprint}, {INPUT}"

    def __call__(self, artifact: Artifact, item: Item) -> Score:
        """The ratio or the distance; coverage is 1."""
        source, truth = item.conditions.get("video"), item.truth.get("views") if self.over == "truth" else None
        if source is None:
            return Score.none("the item has no source clip to edit")
        if truth is None and self.over == "truth":
            return Score.none("the item's truth has no views: edit_strength@plain needs none")
        output, source = eight_bit(artifact.views), eight_bit(source)
        truth = None if truth is None else eight_bit(truth)
        if output.shape != source.shape or (truth is not None and truth.shape != source.shape):
            return Score.none("output, source and truth are of unlike lengths or sizes")
        provider = self.provider()
        refusal = judge_refusal(provider.name, self.folder, item, "lpips")
        if refusal:
            return Score.none(refusal)
        if min(output.shape[2:]) < provider.minimum:
            return Score.none(f"frames are smaller than the {provider.minimum} px {provider.name} needs")
        if truth is None:
            return Score(value=_distance(provider, output, source))
        asked = _distance(provider, truth, source)
        if asked < self.least:
            return Score.none("the true answer is the source: there is nothing to edit")
        return Score(value=_distance(provider, output, source) / asked)


def _distance(provider: Perceptual, a: Tensor, b: Tensor) -> float:
    """Mean distance of the frames (t, 3, h, w), compared one by one so that no batch size can change a number."""
    with torch.no_grad(), torch.backends.cudnn.flags(deterministic=True, allow_tf32=False):
        gaps = [float(provider.distance(*(x[t : t + 1].to(metric_device()) for x in (a, b)))) for t in range(len(a))]
    return sum(gaps) / len(gaps)
