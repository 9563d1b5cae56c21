"""Texture-seam ratio

Mean of |I(p) - I(q)| over pairs of neighbouring pixels at seams of the texture, divided by the mean over pairs near
them. Only pairs on one smooth part of the surface count (no depth edge, normals within 18 degrees), so that neither an
outline nor a crease is taken for a seam. Ideal 1: above, seams show; below, something blurred them.

By default the seams are where the textured mesh hands over from one view to another: the views are baked into one
texture in which the least slanted view takes each texel, and held-out cameras look at it. `charts` looks at the views
themselves, at the borders of the charts of the item's atlas, where methods that paint or diffuse in the texture leave
seams.

Source: our definition, as `seam_ratio` for panoramas; seams between the views of a textured mesh are the main fault
named of TEXTure (arXiv 2302.01721) and of baking by winner-takes-all.

Traps. A ratio says nothing about the picture: noise scores 1; read it beside `sharpness`. It sees steps along
hand-overs, not colours that drift slowly from view to view: read `texel_variance` beside it. Views that agree but were
fused by a method elsewhere than at equal angles have their seams elsewhere. A constant surface has no ratio (null).
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..bench.surfaces.atlas import Atlas
from ..bench.surfaces.buffers import SurfaceBuffers
from ..bench.surfaces.texels import shared_edges
from ..bench.types import Artifact, Family, Item, Role, Score
from .views.baked import RULES, baked_views
from .views.images import mismatch, stored_views
from .views.sampling import dilated

REACH, CLEAR, FAR = 1, 3, 12
"""Pixels from a seam up to which a pair is at it; from which and up to which it is near it."""
BEND = 0.95
"""Smallest cosine between the normals of a pair's pixels."""
JUMP = 0.02
"""Largest relative difference between their depths, beyond what their slant explains."""
OUTLINE = 1
"""Pixels inside the outline that are left out, because they mix with the background."""
FEWEST = 32
"""Smallest number of pairs at seams, and near them."""


@dataclass(frozen=True, kw_only=True)
class TextureSeamRatio:
    """Gradient at the seams of a textured mesh, divided by the gradient near them."""

    version: ClassVar[int] = 1
    role: ClassVar[Role] = "consistency"
    direction: ClassVar[str] = "target:1"
    unit: ClassVar[str] = "ratio"
    families: ClassVar[tuple[Family, ...]] = ("geometry",)
    presets: ClassVar[dict[str, dict[str, Any]]] = {"charts": {"seams": "charts"}}

    seams: Literal["views", "charts"] = "views"
    """`views`: hand-overs between views in the baked texture, from held-out cameras; `charts`: borders of the atlas's
    charts in the views themselves."""

    def fingerprint(self) -> str:
        """One line that names the seams, the pairs and the texture."""
        what = {"views": f"hand-overs of the baked mesh, held-out, {RULES}", "charts": "charts in views, rgb8"}
        return f"gradient at seams <={REACH} px over {CLEAR} to {FAR} px, smooth surface, {what[self.seams]}"

    def __call__(self, artifact: Artifact, item: Item) -> Score:
        """The ratio over all pairs; coverage is the fraction of the smooth pairs that are at seams or near them."""
        found = self._charts(artifact, item) if self.seams == "charts" else self._views(artifact, item)
        return Score.none(found) if isinstance(found, str) else _ratio(*found)

    def _views(self, artifact: Artifact, item: Item) -> "tuple[Tensor, Tensor, SurfaceBuffers] | str":
        """Pictures, the label of each pixel, and geometry, of held-out cameras; or why there are none."""
        made = baked_views(artifact, item, True, ("held_extrinsics", "held_intrinsics"))
        if isinstance(made, str):
            return made
        if len(artifact.views) < 2:
            return "there is only one view"
        cameras = made.held(item)
        seen, label = made.labelled(cameras)
        return made.drawn(cameras), label, seen

    def _charts(self, artifact: Artifact, item: Item) -> "tuple[Tensor, Tensor, SurfaceBuffers] | str":
        if not isinstance(item.surface, Atlas):
            return "the item has no texture atlas"
        if reason := mismatch(artifact, item, ("mask",)):
            return reason
        mesh, seen = item.surface.shape[0], item.surface.buffers()
        chart = torch.from_numpy(shared_edges(mesh, item.surface.unwrapped().corners).charts(len(mesh.faces)))
        return stored_views(artifact), torch.where(seen.visible, chart[seen.face.clamp(min=0)], -1), seen


def _ratio(images: Float[Tensor, "n 3 h w"], label: Int[Tensor, "n h w"], seen: SurfaceBuffers) -> Score:
    known = label >= 0
    pairs = [_pairs(seen, axis) & _both(known, axis) for axis in (1, 2)]
    border = torch.zeros_like(known)
    for axis, fine in zip((1, 2), pairs, strict=True):
        cross = (label.diff(dim=axis) != 0) & fine
        border |= _pixels(cross, axis)
    near, far = (dilated(border, reach) for reach in (CLEAR - 1, FAR))
    at = border if REACH == 1 else dilated(border, REACH - 1)
    steps: tuple[list[Tensor], list[Tensor]] = ([], [])
    smooth = 0
    for axis, fine in zip((1, 2), pairs, strict=True):
        gradient = images.double().diff(dim=axis + 1).abs().mean(1)
        steps[0].append(gradient[fine & _both(at, axis)])
        steps[1].append(gradient[fine & _both(far & ~near, axis)])
        smooth += int(fine.sum())
    there, beside = torch.cat(steps[0]), torch.cat(steps[1])
    if len(there) < FEWEST or len(beside) < FEWEST:
        return Score.none(f"{len(there)} pairs of pixels lie at seams and {len(beside)} near them, on smooth surface")
    if float(beside.mean()) < 1e-4:
        return Score.none("the surface is constant beside the seams")
    return Score(value=float(there.mean() / beside.mean()), coverage=(len(there) + len(beside)) / smooth)


def _pairs(seen: SurfaceBuffers, axis: int) -> Bool[Tensor, "n a b"]:
    """Which neighbours along `axis` (1: rows, 2: columns) lie on one smooth part of the surface."""
    size = seen.face.shape[axis] - 1
    ahead, here = (
        (seen.normal.narrow(axis + 1, start, size), seen.depth.narrow(axis, start, size)) for start in (1, 0)
    )
    bend = (ahead[0] * here[0]).sum(1) >= BEND
    slope = (here[0][:, :2].norm(dim=1) / here[0][:, 2].abs().clamp(min=0.05)).clamp(max=20)
    # a pixel is about a thousandth to a hundredth of the depth wide; a plane's step is its slope times that
    gap = (ahead[1] - here[1]).abs() <= JUMP * here[1] * (1 + slope)
    return _both(~dilated(~seen.visible, OUTLINE), axis) & bend & gap


def _both(mask: Bool[Tensor, "n h w"], axis: int) -> Bool[Tensor, "n a b"]:
    """Whether both pixels of each pair along `axis` are in the mask."""
    size = mask.shape[axis] - 1
    return mask.narrow(axis, 0, size) & mask.narrow(axis, 1, size)


def _pixels(pairs: Bool[Tensor, "n a b"], axis: int) -> Bool[Tensor, "n h w"]:
    """The pixels of the pairs along `axis`."""
    before, after = ((0, 0, 0, 1), (0, 0, 1, 0)) if axis == 1 else ((0, 1), (1, 0))
    return F.pad(pairs, before) | F.pad(pairs, after)
