"""Phase-folded gradient, for methods whose windows overlap densely

m(k) = mean of g(x) over column edges x with x mod p = k,   p = the method's stride in pixels.
`peak`: max m / mean m.
`amplitude`: |sum g(x) exp(-2 pi i x / p)| / sum g(x), the gradient's share at the stride's frequency.
`excess`: peak divided by the median peak at periods p - 3 to p + 3 other than p.

Source: our definition; folding at a known period is the standard test for a weak periodic signal. Range of `peak`
[1, inf), of `amplitude` [0, 1], of `excess` (0, inf), ideal 1.

Traps. A maximum over phases exceeds 1 on any picture, the more so the fewer strides fit the width, and differently
for every p: `excess` divides this bias out and is the default; `peak` and `amplitude` compare only methods of one
stride. At least three strides must fit the width. The stride is `notes["stride"]`, else the first declared border, else
the item's window.
"""

from dataclasses import dataclass
from statistics import median
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from ..bench.types import Artifact, Family, Item, Role, Score
from .strips.borders import border_columns, column_gradient
from .strips.crops import INPUT, NO_CANVAS, canvas_pixels


@dataclass(frozen=True, kw_only=True)
class SeamPhase:
    """How strongly the horizontal gradient repeats at the method's stride."""

    version: ClassVar[int] = 1
    role: ClassVar[Role] = "consistency"
    direction: ClassVar[str] = "target:1"
    unit: ClassVar[str] = "ratio"
    families: ClassVar[tuple[Family, ...]] = ("overlap",)
    presets: ClassVar[dict[str, dict[str, Any]]] = {"peak": {"statistic": "peak"}}

    statistic: Literal["excess", "peak", "amplitude"] = "excess"
    """`peak`: the largest phase over the mean; `excess`: peak over that of other periods; `amplitude`: share of the
    gradient at the stride's frequency."""

    def fingerprint(self) -> str:
        """One line that names the statistic. The stride is not in it, because it differs by method."""
        return f"phase-folded gradient, {self.statistic} at the method's stride, {INPUT}"

    def __call__(self, artifact: Artifact, item: Item) -> Score:
        """The statistic; coverage is the fraction of column edges folded (whole periods only)."""
        image = canvas_pixels(artifact)
        if image is None:
            return Score.none(NO_CANVAS)
        columns, wraps = border_columns(artifact, item, "declared")
        period = int(artifact.notes.get("stride") or min((b for b in columns if b > 0), default=0))
        g = column_gradient(image, wraps)
        g = g if wraps else g[1:]
        if period < 4:
            return Score.none("the method declares no stride of at least 4 px")
        if len(g) < 3 * period:
            return Score.none(f"fewer than three strides of {period} px fit the width")
        if float(g.mean()) < 1e-6:
            return Score.none("the image is constant: the ratio is undefined")
        whole = len(g) // period * period
        if self.statistic == "amplitude":
            angle = 2 * torch.pi * torch.arange(whole, dtype=torch.double) / period
            wave = torch.complex(angle.cos(), angle.sin())
            value = float((g[:whole] * wave).sum().abs() / g[:whole].sum())
        elif self.statistic == "peak":
            value = peak(g, period)
        else:
            value = peak(g, period) / median([peak(g, period + d) for d in (-3, -2, -1, 1, 2, 3)])
        return Score(value=value, coverage=whole / len(g))


def peak(g: Float[Tensor, " columns"], period: int) -> float:
    """The largest mean of `g` at one phase of `period` columns, over the mean of all phases; whole periods only."""
    folded = g[: len(g) // period * period].reshape(-1, period).mean(0)
    return float(folded.max() / folded.mean())
