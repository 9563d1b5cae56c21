"""From pixels of one view to those of another: projection, flow, bilinear lookup, and where that mixes two surfaces.

Image coordinates are (x, y) in pixels with the centre of the top-left pixel at (0.5, 0.5). Camera axes are
x right, y down, z forward; `extrinsics` take world to camera. Nothing here knows a mesh or the canvas that
methods paint on.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ...bench.surfaces import warp

JUMP = 0.02
"""Second difference of inverse depth, relative to it, above which there is an edge. It is 0 on every plane."""


def bilinear(image: Float[Tensor, "c h w"], xy: Float[Tensor, "2 p"]) -> Float[Tensor, "c p"]:
    """The image looked up bilinearly at points; beyond the outermost pixel centres the border is repeated."""
    return warp.sample(image.to(xy.dtype)[None], xy.T[None, None])[0, :, 0]


def in_image(xy: Float[Tensor, "2 p"], height: int, width: int, margin: float = 1.0) -> Bool[Tensor, " p"]:
    """Whether points lie in the image, at least `margin` px from its outline (outermost pixel centres: 0.5)."""
    x, y = xy
    return (x >= margin) & (x <= width - margin) & (y >= margin) & (y <= height - margin)


def lookup_inside(mask: Bool[Tensor, "1 h w"], xy: Float[Tensor, "2 p"]) -> Bool[Tensor, " p"]:
    """Whether every pixel that a bilinear lookup at a point uses is in the mask."""
    return bilinear(mask.to(xy.dtype), xy)[0] > 1 - 1e-4


def project_points(
    points: Float[Tensor, "3 p"], extrinsics: Float[Tensor, "4 4"], intrinsics: Float[Tensor, "3 3"]
) -> tuple[Float[Tensor, "2 p"], Float[Tensor, " p"]]:
    """Image coordinates and depth (camera z) of world points; the coordinates mean nothing where the depth is <= 0."""
    xy, z = warp.project(points[:, None], extrinsics[None], intrinsics[None])
    return xy[0, 0].T, z.flatten()


def inverse_depth(depth: Float[Tensor, "1 h w"]) -> Float[Tensor, "1 h w"]:
    """1 / depth, 0 where there is no surface (depth 0). Bilinear interpolation of inverse depth is exact on planes."""
    return torch.where(depth > 0, 1 / depth.clamp(min=1e-6), 0)


def surface_edges(
    depth: Float[Tensor, "1 h w"] | None, ids: Int[Tensor, "1 h w"] | None = None, margin: int = 1
) -> Bool[Tensor, "1 h w"]:
    """Pixels within `margin` px of a depth edge or of a change of object `ids`; None leaves either out.

    Raises ValueError where both are None.
    """
    near_edge: list[Tensor] = []
    if depth is not None:
        near = inverse_depth(depth)
        for axis in (1, 2):
            before, here, after = (near.narrow(axis, k, near.shape[axis] - 2) for k in range(3))
            bend = (before - 2 * here + after).abs()
            scale = torch.maximum(torch.maximum(before, here), after)
            near_edge.append(_padded(bend > JUMP * scale, axis, 1, 1))
    if ids is not None:
        for axis in (1, 2):
            change = ids.narrow(axis, 1, ids.shape[axis] - 1) != ids.narrow(axis, 0, ids.shape[axis] - 1)
            near_edge += [_padded(change, axis, 1, 0), _padded(change, axis, 0, 1)]
    if not near_edge:
        raise ValueError("edges of neither depth nor ids")
    return dilated(torch.stack(near_edge).any(0), margin)


def dilated(mask: Bool[Tensor, "n h w"], reach: int) -> Bool[Tensor, "n h w"]:
    """The mask and all pixels at most `reach` away from it (a square neighbourhood)."""
    return F.max_pool2d(mask.float()[:, None], 2 * reach + 1, 1, reach)[:, 0] > 0.5


def follow_flow(
    flow: Float[Tensor, "t 2 h w"], good: Bool[Tensor, "t 1 h w"]
) -> tuple[Float[Tensor, "2 p"], Bool[Tensor, " p"]]:
    """Where each pixel of the first frame lies after all steps of `flow`, and whether it could be followed throughout.

    `good` says, for the frame at which each step starts, which pixels may be followed.
    """
    height, width = flow.shape[2:]
    xy = warp.pixel_grid(height, width).reshape(-1, 2).T.double()
    kept = torch.ones(xy.shape[1], dtype=torch.bool)
    for step, mask in zip(flow, good, strict=True):
        kept &= in_image(xy, height, width, 0.5) & lookup_inside(mask, xy)
        xy = xy + bilinear(step.double(), xy)
    return xy, kept


def _padded(mask: Tensor, axis: int, before: int, after: int) -> Tensor:
    """The mask (1, h, w) with `before` and `after` rows (axis 1) or columns (axis 2) of False added at its ends."""
    pad = (before, after, 0, 0) if axis == 2 else (0, 0, before, after)
    return F.pad(mask, pad)
