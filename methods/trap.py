"""Trap: perfectly consistent and worthless, so that consistency alone never wins.

No paper. `constant` paints everything in the mean colour of an independent sample; `blur` smooths that sample
beyond recognition. The sample takes few steps, because what is taken away again need not be drawn well. A table in
which the trap leads shows that its quality guards are missing.
"""

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

from ..bench.canvas import Canvas
from ..bench.limits import Count, Fraction
from ..bench.models.interface import Model
from ..bench.sampling.loop import canvas_artifact
from ..bench.types import Anchor, Artifact, Item
from .independent import Independent


@dataclass(frozen=True, kw_only=True)
class Trap(Independent):
    """An independent sample with its content taken away."""

    version: ClassVar[int] = 3
    anchor: ClassVar[Anchor | None] = "trap"
    presets: ClassVar[dict[str, dict[str, Any]]] = {"constant": {"kind": "constant"}, "blur": {"kind": "blur"}}

    kind: Literal["constant", "blur"] = "constant"
    sigma: Fraction = 0.125
    """Standard deviation of the blur as a fraction of the smaller side of a view."""

    steps: Count = 4
    """Denoising steps of that sample, at most the protocol's."""

    def __call__(self, item: Item, model: Model, seed: int) -> Artifact:
        """The sample, degraded."""
        few = min(self.steps, item.protocol.steps)
        return super().__call__(replace(item, protocol=replace(item.protocol, steps=few)), model, seed)

    def finish(self, state: Tensor, item: Item, canvas: Canvas, model: Model) -> Artifact:
        """The independent sample without content: its picture where views share one, else its views.

        With `constant`, all views get one colour.
        """
        sample = super().finish(state, item, canvas, model)
        if sample.canvas is None:
            return Artifact(views=self.degrade(sample.views, item.surface.window))
        return canvas_artifact(self.degrade(sample.canvas[None], item.surface.window)[0], item)

    def degrade(self, images: Tensor, window: tuple[int, int]) -> Tensor:
        """The images (n, 3, h, w) in their common mean colour, or blurred in proportion to `window` (height, width)."""
        if self.kind == "constant":
            return images.mean((0, 2, 3), keepdim=True).expand_as(images).clone()
        sigma = self.sigma * min(window)
        # The blur mirrors at the edges, which bounds the kernel's radius by the image's size. Rows and columns come one
        # after the other, because a square kernel of hundreds of pixels takes minutes.
        across, down = (2 * min(round(3 * sigma), side - 1) + 1 for side in (images.shape[3], images.shape[2]))
        return gaussian_blur(gaussian_blur(images, [across, 1], [sigma, sigma]), [1, down], [sigma, sigma])
