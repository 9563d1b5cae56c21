"""Background preservation

1000 * mean over frames of mean over B of (output - source)^2, values in [0, 1]. B holds the pixels that an edit is to
leave as they are: those outside the item's mask, which is widened by 2 px because an edge pixel shows both sides. Lower
is better; the published PSNR is 30 - 10 log10 of the value of a frame.

Source: the error over the unedited region of PIE-Bench (Ju et al., ICLR 2024, arXiv 2310.01506), FiVE and others, here
as a mean squared error, because the PSNR of an untouched background is infinite. The mask is the item's condition
`mask` (1 on what is edited), or the object of the reference world's truth. `estimated` and `dis` need none: there B
holds what moves as most of the frame's outer parts do, a homography of the source's flow found by RANSAC, and
everything else counts as the object.

Traps. Handing back the source scores 0: read it beside `edit_strength`. An edit of style is meant to change everything:
the metric is for edits of an object. By motion alone an object that stands still before a still camera is background,
so is much of one that a camera circles, and depth before a moving camera is not: a given mask is worth its pains.
"""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
from annotated_types import Interval
from jaxtyping import Bool
from torch import Tensor

from ..bench.backbones.matching import CHECKED
from ..bench.types import Artifact, Family, Item, Role, Score
from .views.images import eight_bit, stored_views
from .views.motion import EDGE, OTHERWISE, absent, background, described, estimator, refusal, source_of, unlike
from .views.sampling import dilated


@dataclass(frozen=True, kw_only=True)
class BackgroundPreservation:
    """Mean squared difference to the source outside what is edited."""

    version: ClassVar[int] = 1
    role: ClassVar[Role] = "quality"
    direction: ClassVar[str] = "lower"
    unit: ClassVar[str] = "x1e-3"
    families: ClassVar[tuple[Family, ...]] = ("frames",)
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "estimated": {"mask": "motion"},
        "raft": {"mask": "motion", "flow": "raft_large"},
        "dis": {"mask": "motion", "flow": "dis"},
        "reference": {"mask": "motion", "flow": "reference"},
    }

    mask: Literal["given", "motion"] = "given"
    """Where the background is: outside the item's mask (`given`), or what moves as the source's rim does (`motion`)."""
    flow: Literal["auto", "raft_large", "raft_small", "reference", "dis"] = "auto"
    """How motion is estimated; `auto` is `raft_large` if its weights are fetched, else `dis`."""
    folder: str | None = None
    """Folder of a trained network that the flow `reference` loads; None takes the bundled one."""
    least: Annotated[float, Interval(ge=0, le=1)] = 0.05
    """Smallest fraction of pixels that is background; below it the score is null."""
    most: Annotated[float, Interval(ge=0, le=1)] = 0.99
    """Largest fraction of pixels that is background by motion: above it nothing moves on its own, and it is null."""

    @property
    def estimates(self) -> str | None:
        """The metric by a given mask, where the mask is estimated; else None."""
        return "background_preservation" if self.mask == "motion" else None

    @property
    def _which(self) -> str | None:
        """The flow's name for `bench.backbones.flow`."""
        return None if self.flow == "auto" else self.flow

    def fingerprint(self) -> str:
        """One line that names the mask."""
        told = "mse to the source, mean of frames, rgb8, outside"
        if self.mask == "given":
            return f"{told} the given mask, {EDGE} px off it"
        by = described(self._which, self.folder)
        off = f"what moves off a homography of the rim by {OTHERWISE:g} of the side, {EDGE} px off it"
        return f"{told} {off}, {by}, {CHECKED}"

    def lacks(self) -> str | None:
        """Why the metric is null on every item of this machine: weights that are not here; None where it is not."""
        return None if self.mask == "given" else absent(self._which, self.folder)

    def __call__(self, artifact: Artifact, item: Item) -> Score:
        """The error; coverage is the mean fraction of a frame's pixels that is background."""
        source = source_of(item)
        if source is None:
            return Score.none("the item has no source clip to be preserved")
        why = unlike(artifact.views, source)
        if why:
            return Score.none(why)
        kept = self._background(item, source)
        if isinstance(kept, str):
            return Score.none(kept)
        coverage = float(kept.double().mean())
        if coverage < self.least:
            return Score.none(f"only {coverage:.1%} of the pixels are background")
        if self.mask == "motion" and coverage > self.most:
            return Score.none("nothing in the source moves on its own, so its background cannot be told by motion")
        square = (stored_views(artifact) - eight_bit(source)).double().square().mean(1, keepdim=True)
        frames = [float(square[t][kept[t]].mean()) for t in range(len(kept)) if bool(kept[t].any())]
        return Score(value=1000 * sum(frames) / len(frames), coverage=coverage)

    def _background(self, item: Item, source: Tensor) -> Bool[Tensor, "t 1 h w"] | str:
        """The pixels that an edit is to leave as they are, or why they are not known."""
        if self.mask == "motion":
            if len(source) < 2:
                return "there is only one frame"
            return refusal(self._which, self.folder, item) or background(source, estimator(self._which, self.folder))
        edited = item.conditions.get("mask", item.truth.get("mask"))
        if edited is None:
            return "the item has no mask: background_preservation@estimated finds what moves on its own"
        if edited.shape != (len(source), 1, *source.shape[2:]):
            return f"the mask is {tuple(edited.shape)}, the source clip {tuple(source.shape)}"
        return torch.stack([~dilated(one > 0.5, EDGE) for one in edited])
