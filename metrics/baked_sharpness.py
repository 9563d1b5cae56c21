"""Baked sharpness

Sharpness of the textured mesh whose texture averages the views, with weights cos^p of the viewing angle, over that of
the mesh whose texels each take the one view that sees them least slanted. Sharpness is the variance of the Laplacian of
luma, of both meshes drawn from held-out cameras, inside the object and away from where one view hands over to another.
Higher is better; 1 means that averaging loses nothing, because views agree; views that disagree average to a blur.

Source: our definition; variance of the Laplacian is that of `sharpness`; p = 6 is that of SyncMVD (arXiv 2311.12891)
and TexPainter (arXiv 2406.18539), and p = 1 (`@even`) gives slanted views more to say.

Traps. Blurred and blank views lose nothing when they are averaged: read it beside `sharpness`. It tells disagreement in
fine detail, and neither shifts of colour nor what happens at seams (`texel_variance`, `texture_seam_ratio`).
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from ..bench.limits import Scale
from ..bench.surfaces.atlas import Atlas
from ..bench.types import Artifact, Family, Item, Role, Score
from .strips.detail import laplacian
from .views.baked import RULES, baked_views
from .views.sampling import dilated

INNER = 2
"""Pixels inside an object's outline that are left out: an outline is an edge however blurred the object is."""
CLEAR = 2
"""Pixels from a hand-over between views that are left out: a step there is no detail."""
FEWEST = 64
"""Smallest number of pixels of a picture whose variance is taken; a picture with fewer is left out."""


@dataclass(frozen=True, kw_only=True)
class BakedSharpness:
    """How much of single views' detail is left in the texture that all views make together."""

    version: ClassVar[int] = 1
    role: ClassVar[Role] = "consistency"
    direction: ClassVar[str] = "higher"
    unit: ClassVar[str] = "ratio"
    families: ClassVar[tuple[Family, ...]] = ("geometry",)
    presets: ClassVar[dict[str, dict[str, Any]]] = {"even": {"power": 1.0}}

    power: Scale = 6.0
    """Exponent p of the cosine in the weights."""

    def fingerprint(self) -> str:
        """One line that names the weights, the texture and the pixels."""
        where = f"held-out, {INNER} px inside, {CLEAR} px off hand-overs"
        return f"laplacian variance of the mesh baked with cos^{self.power:g} over winner's, {where}, {RULES}"

    def __call__(self, artifact: Artifact, item: Item) -> Score:
        """The ratio; coverage is the fraction of the pixels inside the object that lie away from hand-overs."""
        names = ("held_extrinsics", "held_intrinsics")
        single, together = (baked_views(artifact, item, w, names, self.power) for w in (True, False))
        if isinstance(single, str) or isinstance(together, str):
            return Score.none(str(single))
        assert isinstance(item.surface, Atlas)
        if len(artifact.views) < 2:
            return Score.none("there is only one view")
        cameras = single.held(item)
        seen, label = single.labelled(cameras)
        change = torch.zeros_like(seen.visible)
        for axis in (1, 2):
            differ = label.diff(dim=axis) != 0
            size = differ.shape[axis]
            change.narrow(axis, 0, size).logical_or_(differ)
            change.narrow(axis, 1, size).logical_or_(differ)
        inner = ~dilated(~seen.visible, INNER)
        region = inner & (label >= 0) & ~dilated(change & (seen.visible | (label >= 0)), CLEAR)
        sums = [0.0, 0.0]
        for side, made in enumerate((single, together)):
            for picture, here in zip(made.drawn(cameras), region, strict=True):
                if int(here.sum()) >= FEWEST:
                    sums[side] += float(laplacian(picture)[here].var(correction=0))
        if sums[0] < 1e-9:
            return Score.none("the views are constant where they are compared, or show too little of the mesh")
        return Score(value=sums[1] / sums[0], coverage=float(region.sum() / inner.sum().clamp(min=1)))
