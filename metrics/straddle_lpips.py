"""Straddle-LPIPS

mean over borders s of d([s - w, s), [s, s + w))  /  mean over borders of d([s, s + w), [s + w, s + 2 w)),
w = a quarter of a window's width.

The ratio compares strips on both sides of a border with neighbouring strips inside one window, which tell how much this
picture changes over w pixels anyway. Source: our definition on LPIPS (arXiv 1801.03924). Range [0, inf), ideal 1;
above, content breaks at the borders.

Traps. The ratio is insensitive to a one-pixel line (see `seam_ratio`) and sensitive to a change of content. Borders are
the item's own grid, the same for every method. A constant image has no ratio (null).
"""

from dataclasses import dataclass
from typing import ClassVar

from ..bench.backbones.judge import judge_refusal
from ..bench.backbones.perceptual import Perceptual, perceptual
from ..bench.types import Artifact, Family, Item, Role, Score
from .strips.borders import Borders, border_columns
from .strips.crops import INPUT, NO_CANVAS, Box, canvas_pixels, crop_features, metric_device


@dataclass(frozen=True, kw_only=True)
class StraddleLpips:
    """Perceptual distance across window borders, divided by that inside windows."""

    version: ClassVar[int] = 1
    role: ClassVar[Role] = "consistency"
    direction: ClassVar[str] = "target:1"
    unit: ClassVar[str] = "ratio"
    families: ClassVar[tuple[Family, ...]] = ("overlap",)

    backbone: str | None = None
    """`vgg`, `reference` or `statistics`; None takes the published weights if they are on the machine."""
    folder: str | None = None
    """Folder of a judge that the backbone `reference` loads; None takes the bundled judge."""
    borders: Borders = "window"
    """`window`: the item's grid; `declared`: the method's own borders if it names them."""

    def provider(self) -> Perceptual:
        """The perceptual distance d."""
        return perceptual(self.backbone, self.folder, metric_device())

    def fingerprint(self) -> str:
        """One line that names the backbone, its weights and the strips."""
        provider = self.provider()
        return f"{provider.name}, quarter windows, borders {self.borders}, {provider.fingerprint}, {INPUT}"

    def __call__(self, artifact: Artifact, item: Item) -> Score:
        """The ratio; coverage is the fraction of borders with room for all three strips."""
        image = canvas_pixels(artifact)
        if image is None:
            return Score.none(NO_CANVAS)
        provider, w = self.provider(), item.surface.window[1] // 4
        refusal = judge_refusal(provider.name, self.folder, item, "lpips")
        if refusal:
            return Score.none(refusal)
        columns, _ = border_columns(artifact, item, self.borders)
        width = image.shape[2]
        fit = [s for s in columns if s - w >= 0 and s + 2 * w <= width]
        if not columns:
            return Score.none("one window covers the canvas: there is no border")
        if not fit:
            return Score.none("no border has room for the strips beside it")
        if min(w, image.shape[1]) < provider.minimum:
            return Score.none(f"a quarter window is smaller than the {provider.minimum} px {provider.name} needs")
        across, inside = 0.0, 0.0
        for s in fit:
            boxes = [Box(0, left, image.shape[1], w) for left in (s - w, s, s + w)]
            left, middle, right = crop_features(artifact, boxes, provider)
            across += float(provider.compare(left, middle))
            inside += float(provider.compare(middle, right))
        if inside < 1e-9:
            return Score.none("the image does not change inside its windows: the ratio is undefined")
        return Score(value=across / inside, coverage=len(fit) / len(columns))
