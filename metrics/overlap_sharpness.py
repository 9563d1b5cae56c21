"""Overlap sharpness

Mean squared Laplacian of luma where several windows were fused, over that where one window stands alone. Averaging
windows that disagree blurs; the ratio shows this inside one image, against its own content.

Source: our definition (a blur guard for fused regions). Range [0, inf), ideal 1; below, fusion blurs; above, fused
regions carry extra texture (ghosts, seams).

Traps. The method must declare its borders, and some columns must be covered by one window and others by several; there
is no number (null) elsewhere. With dense strides only two narrow strips at the ends are covered once, and they hold
other content: coverage says how little was compared, and single items are noisy.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Interval

from ..bench.types import Artifact, Family, Item, Role, Score
from .strips.borders import eroded, window_grid, windows_per_column
from .strips.crops import INPUT, NO_CANVAS, canvas_pixels
from .strips.detail import laplacian


@dataclass(frozen=True, kw_only=True)
class OverlapSharpness:
    """Energy of fine detail where windows overlap, divided by that where they do not."""

    version: ClassVar[int] = 1
    role: ClassVar[Role] = "quality"
    direction: ClassVar[str] = "target:1"
    unit: ClassVar[str] = "ratio"
    families: ClassVar[tuple[Family, ...]] = ("overlap",)

    margin: Annotated[int, Interval(ge=0, le=1_000)] = 2
    """Columns left out on either side of a change of coverage."""

    def fingerprint(self) -> str:
        """One line that names the operator and the margin."""
        return f"laplacian energy of luma, overlap over single coverage, margin {self.margin} px, {INPUT}"

    def __call__(self, artifact: Artifact, item: Item) -> Score:
        """The ratio; coverage is the fraction of columns in either region."""
        image = canvas_pixels(artifact)
        if image is None:
            return Score.none(NO_CANVAS)
        declared = artifact.notes.get("borders")
        if not declared:
            return Score.none("the method declares no borders")
        if window_grid(item)[1]:
            return Score.none("the image wraps around: every column is covered alike")
        count = windows_per_column(image.shape[2], sorted({int(b) for b in declared}), item.surface.window[1])
        several, single = eroded(count > 1, self.margin), eroded(count == 1, self.margin)
        if not several.any() or not single.any():
            kind = "more than one window" if (count > 1).any() else "one window"
            return Score.none(f"every column is covered by {kind}")
        energy = laplacian(image).square().mean(0)
        base = float(energy[single].mean())
        if base < 1e-6:
            return Score.none("the image is constant where one window stands alone: the ratio is undefined")
        used = int(several.sum()) + int(single.sum())
        return Score(value=float(energy[several].mean()) / base, coverage=used / len(count))
