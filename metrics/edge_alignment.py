"""Geometry edges found in the image

J = (share of the true geometry's edge pixels that have an image edge within 1 px) - (the same share for pixels away
from geometry edges), averaged over views. Geometry edges are depth edges, outlines of objects, and creases sharper
than 30 degrees; image edges are ridges of the colour gradient (sigma 1) above 16 levels per pixel, which faint texture
and blurred outlines do not reach. At 1 image edges lie on geometry edges and nowhere else, at 0 no more often than by
chance; higher is better. Of channels, the image of the normals is scored.

Source: our definition. It is a recall, because texture has edges that geometry lacks and not the reverse, less what an
image full of edges gets for nothing (Peirce's skill score, Youden's J).

Traps. Texture costs a little even where it is right, and a crease between two faces of one brightness cannot be seen:
the truth is below 1. Constant images and noise both score about 0. The metric asks whether the given geometry was
followed: in the family `prior`, where none is given, an object of another shape scores low through no fault.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Interval

from ..bench.types import Artifact, Family, Item, Role, Score
from .views.contours import CREASE, contours, outlines
from .views.images import mismatch, stored_views
from .views.light import view_channels
from .views.sampling import dilated

NEEDS = ("depth", "normal")


@dataclass(frozen=True, kw_only=True)
class EdgeAlignment:
    """Share of geometry edges that the image shows, less the share that chance would give."""

    version: ClassVar[int] = 1
    role: ClassVar[Role] = "quality"
    direction: ClassVar[str] = "higher"
    unit: ClassVar[str] = "J"
    families: ClassVar[tuple[Family, ...]] = ("channels", "geometry", "prior", "frames")

    reach: Annotated[int, Interval(ge=0, le=1_000)] = 1
    """Largest distance in pixels between a geometry edge and an image edge that counts as showing it."""
    sigma: Annotated[float, Interval(gt=0, le=100)] = 1.0
    """Standard deviation in pixels of the Gaussian that smooths the image before its gradient is taken."""
    contrast: Annotated[float, Interval(gt=0, le=1_000)] = 16.0
    """Least gradient of an image edge, 8-bit levels per pixel (a step of 40 levels)."""

    def fingerprint(self) -> str:
        """One line that names the edges of geometry and of images, and the tolerance."""
        edge = f"gradient ridges sigma {self.sigma:g} >={self.contrast:g} levels/px"
        return f"recall - false alarms, depth, object and {CREASE:g} deg edges, {edge}, reach {self.reach} px, rgb8"

    def __call__(self, artifact: Artifact, item: Item) -> Score:
        """The mean over views; coverage is the fraction of views that have geometry edges."""
        images, normal = stored_views(artifact), item.truth.get("normal")
        if item.family == "channels":
            if "normal" not in view_channels(item) or len(view_channels(item)) != len(images):
                return Score.none("the artifact has no normals")
            images = images[view_channels(item).index("normal")][None]
        reason = mismatch(Artifact(views=images), item, NEEDS)
        if reason or normal is None:
            return Score.none(reason or "the item's truth has no normal")
        depth, ids = item.truth["depth"], item.truth.get("object")
        values: list[float] = []
        for k, image in enumerate(images):
            true = outlines(depth[k], normal[k], None if ids is None else ids[k])
            near = dilated(contours(image, self.sigma, self.contrast), self.reach)
            away = ~dilated(true, 2 * self.reach)
            if bool(true.any()) and bool(away.any()):
                values.append(float(near[true].double().mean()) - float(near[away].double().mean()))
        if not values:
            return Score.none("the true geometry has no edges in any view")
        return Score(value=sum(values) / len(values), coverage=len(values) / len(images))
