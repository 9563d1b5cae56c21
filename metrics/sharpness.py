"""Sharpness

Variance of the 4-neighbour Laplacian of luma, in levels^2 (8-bit), averaged over tiles of the canvas that touch no
border of the item's window grid. In families without a wide canvas it is taken over the pixels of each view and
averaged over views; in `geometry` and `prior` only over the object without its outline, where views must agree and
where fusing them blurs. In `channels` it is that of the one picture the channels make, albedo times shading.

Pech-Pacheco et al., ICPR 2000 (variance of the Laplacian), tiled so that a seam is not mistaken for detail. Range
[0, inf); higher is sharper, 0 is constant.

Traps. The number guards against blurring and blank output, which consistency metrics reward. It is not a quality score:
noise and checkerboards are the sharpest images there are. It depends on content: compare methods on the same items
only.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import torch
from annotated_types import Interval
from scipy.ndimage import laplace

from ..bench.types import Artifact, Family, Item, Role, Score
from .strips.borders import distance_to_border, window_grid
from .strips.crops import INPUT, NO_CANVAS, canvas_pixels
from .strips.detail import LUMA, laplacian
from .views.images import mismatch
from .views.pictures import judged_images
from .views.sampling import dilated

INNER = 4
"""Pixels inside an object's outline that are left out: an outline is an edge however blurred the object is."""
FEWEST = 64
"""Smallest number of pixels of a view whose variance is taken; a view with fewer is left out."""


@dataclass(frozen=True, kw_only=True)
class Sharpness:
    """Variance of the Laplacian, away from the window grid or inside the object."""

    version: ClassVar[int] = 1
    role: ClassVar[Role] = "quality"
    primary: ClassVar[dict[str, int]] = {"channels": 1, "overlap": 1, "geometry": 1, "prior": 1, "frames": 1}
    direction: ClassVar[str] = "higher"
    unit: ClassVar[str] = "levels^2"
    families: ClassVar[tuple[Family, ...]] = ("channels", "overlap", "geometry", "prior", "frames")

    tile: Annotated[int, Interval(ge=1, le=65_536)] = 16
    """Side of a tile in pixels."""
    clear: Annotated[int, Interval(ge=0, le=65_536)] = 4
    """Pixels between a tile and the nearest border of the item's window grid."""

    def fingerprint(self) -> str:
        """One line that names the operator, the tiles and the clearance."""
        where = f"{self.tile} px tiles >={self.clear} px from the grid, or objects {INNER} px inside their outline"
        return f"laplacian variance of luma, {where}, {INPUT}"

    def __call__(self, artifact: Artifact, item: Item) -> Score:
        """The mean over tiles or views; coverage is the fraction of the canvas or of the views' pixels scored."""
        return self._tiles(artifact, item) if item.surface.picture else _views(artifact, item)

    def reference(self, artifact: Artifact, item: Item) -> float | None:
        """The score of views by SciPy's Laplacian, to check the metric; None for wide pictures."""
        if item.surface.picture:
            return None
        values: list[float] = []
        for n, image in enumerate(judged_images(artifact, item).double().numpy()):
            response = laplace(np.einsum("c,chw->hw", LUMA, 255 * image), mode="nearest")
            if item.family in ("geometry", "prior"):
                outside = np.pad(item.truth["mask"][n, 0].numpy() < 0.5, INNER, constant_values=False)
                near = np.lib.stride_tricks.sliding_window_view(outside, (2 * INNER + 1, 2 * INNER + 1)).any((2, 3))
                response = response[~near]
            if response.size >= FEWEST:
                values.append(float(response.var()))
        return float(np.mean(values)) if values else None

    def _tiles(self, artifact: Artifact, item: Item) -> Score:
        image = canvas_pixels(artifact)
        if image is None:
            return Score.none(NO_CANVAS)
        response = laplacian(image)
        height, width = response.shape
        columns, wraps = window_grid(item)
        usable = torch.ones(width, dtype=torch.bool)
        if columns:
            usable = distance_to_border(width, columns, wraps) >= self.clear
        values: list[float] = []
        left = 0
        while left + self.tile <= width:
            blocked = (~usable[left : left + self.tile]).nonzero()
            if len(blocked):
                left += int(blocked[-1]) + 1
                continue
            strip = response[:, left : left + self.tile]
            tops = range(0, height - self.tile + 1, self.tile)
            values += [float(strip[top : top + self.tile].var(correction=0)) for top in tops]
            left += self.tile
        if not values:
            return Score.none(f"no tile of {self.tile} px fits between the borders")
        return Score(value=sum(values) / len(values), coverage=len(values) * self.tile**2 / (height * width))


def _views(artifact: Artifact, item: Item) -> Score:
    images = judged_images(artifact, item)
    inner = torch.ones(len(images), *images.shape[2:], dtype=torch.bool)
    if item.family in ("geometry", "prior"):
        reason = mismatch(artifact, item, ("mask",))
        if reason:
            return Score.none(reason)
        inner = ~dilated(item.truth["mask"][:, 0] < 0.5, INNER)
    values = [
        float(laplacian(image)[part].var(correction=0))
        for image, part in zip(images, inner, strict=True)
        if int(part.sum()) >= FEWEST
    ]
    if not values:
        return Score.none(f"no view shows {FEWEST} px of the object")
    return Score(value=sum(values) / len(values), coverage=float(inner.double().mean()))
