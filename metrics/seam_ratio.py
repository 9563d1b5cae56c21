"""Seam-gradient ratio

SGR = mean of g over S / mean of g over N,   g(x) = mean over rows and channels of |I(x) - I(x - 1)|,
S = column edges within `reach` px of a window border, N = column edges at least `clear` px from every border.

Source: our definition, after the normalised edge response of the Discontinuity Score (Christensen et al. 2024);
there is no paper of its own. Range [0, inf), ideal 1: above, seams show; below, borders are blurred.

Traps. A ratio says nothing about the image: noise, and any picture without windows, score 1; read it beside
sharpness and variety. By default S is the item's own grid of windows side by side, the same columns for every
method, so a dense method whose borders are everywhere is only asked whether that grid stands out: read `seam_phase`
beside it. `@declared` takes the method's own borders instead and has no answer when they leave no clear column. A
constant image has no ratio (null).
"""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from annotated_types import Interval

from ..bench.types import Artifact, Family, Item, Role, Score
from .strips.borders import Borders, border_columns, column_gradient, distance_to_border
from .strips.crops import INPUT, NO_CANVAS, canvas_pixels


@dataclass(frozen=True, kw_only=True)
class SeamRatio:
    """Mean horizontal gradient on window borders, divided by the mean away from them."""

    version: ClassVar[int] = 1
    role: ClassVar[Role] = "consistency"
    primary: ClassVar[dict[str, int]] = {"overlap": 1}
    direction: ClassVar[str] = "target:1"
    unit: ClassVar[str] = "ratio"
    families: ClassVar[tuple[Family, ...]] = ("overlap",)
    presets: ClassVar[dict[str, dict[str, Any]]] = {"declared": {"borders": "declared"}}

    borders: Borders = "window"
    """`window`: the item's grid, the same for all methods; `declared`: the method's own borders if it names them."""
    reach: Annotated[int, Interval(ge=0, le=65_536)] = 4
    """Pixels on either side of a border that count as the seam."""
    clear: Annotated[int, Interval(ge=0, le=65_536)] = 16
    """Pixels from any border at which a column counts as free of it; decoders spread a seam over 8 to 16."""

    def fingerprint(self) -> str:
        """One line that names the borders, their reach and the clearance."""
        return f"sgr, borders {self.borders}, seam <={self.reach} px, clear >={self.clear} px, {INPUT}"

    def __call__(self, artifact: Artifact, item: Item) -> Score:
        """The ratio over all borders; coverage is the fraction of column edges in S or N."""
        image = canvas_pixels(artifact)
        if image is None:
            return Score.none(NO_CANVAS)
        columns, wraps = border_columns(artifact, item, self.borders)
        if not columns:
            return Score.none("one window covers the canvas: there is no border")
        g = column_gradient(image, wraps)
        gap = distance_to_border(image.shape[2], columns, wraps)
        real = ~g.isnan()
        seam, free = (gap <= self.reach) & real, (gap >= self.clear) & real
        if not free.any():
            return Score.none(f"every column lies within {self.clear} px of a border: see seam_phase")
        if not seam.any():
            return Score.none("no border lies inside the canvas")
        base = float(g[free].mean())
        if base < 1e-6:
            return Score.none("the image is constant away from the borders: the ratio is undefined")
        used = int(seam.sum()) + int(free.sum())
        return Score(value=float(g[seam].mean()) / base, coverage=used / int(real.sum()))
