"""Exact ways between pixels: projection, flow, bilinear lookup, and where a lookup would mix two surfaces.

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


def sample(image: Float[Tensor, "c h w"], xy: Float[Tensor, "2 p"]) -> Float[Tensor, "c p"]:
    """Bilinear lookup; beyond the outermost pixel centres the border is repeated."""
    return warp.sample(image.to(xy.dtype)[None], xy.T[None, None])[0, :, 0]


def inside(xy: Float[Tensor, "2 p"], height: int, width: int, margin: float = 1.0) -> Bool[Tensor, " p"]:
    """Whether points lie in the image, at least `margin` px (0.5: a pixel centre) from its outline."""
    x, y = xy
    return (x >= margin) & (x <= width - margin) & (y >= margin) & (y <= height - margin)


def whole(mask: Bool[Tensor, "1 h w"], xy: Float[Tensor, "2 p"]) -> Bool[Tensor, " p"]:
    """Whether every pixel that a bilinear lookup uses is in the mask."""
    return sample(mask.to(xy.dtype), xy)[0] > 1 - 1e-4


def project(
    points: Float[Tensor, "3 p"], extrinsics: Float[Tensor, "4 4"], intrinsics: Float[Tensor, "3 3"]
) -> tuple[Float[Tensor, "2 p"], Float[Tensor, " p"]]:
    """Image coordinates and depth (camera z) of world points; the coordinates mean nothing where the depth is <= 0."""
    xy, z = warp.project(points[:, None], extrinsics[None], intrinsics[None])
    return xy[0, 0].T, z.flatten()


def inverse(depth: Float[Tensor, "1 h w"]) -> Float[Tensor, "1 h w"]:
    """1 / depth, 0 where there is no surface. Bilinear interpolation of it is exact on planes."""
    return torch.where(depth > 0, 1 / depth.clamp(min=1e-6), 0)


def edges(
    depth: Float[Tensor, "1 h w"] | None, ids: Int[Tensor, "1 h w"] | None = None, margin: int = 1
) -> Bool[Tensor, "1 h w"]:
    """Pixels within `margin` px of a depth edge, and of a change of `ids` where those are known."""
    found: list[Tensor] = []
    if depth is not None:
        near = inverse(depth)
        for axis in (1, 2):
            before, here, after = (near.narrow(axis, k, near.shape[axis] - 2) for k in range(3))
            bend = (before - 2 * here + after).abs()
            scale = torch.maximum(torch.maximum(before, here), after)
            found.append(_padded(bend > JUMP * scale, axis, 1, 1))
    if ids is not None:
        for axis in (1, 2):
            change = ids.narrow(axis, 1, ids.shape[axis] - 1) != ids.narrow(axis, 0, ids.shape[axis] - 1)
            found += [_padded(change, axis, 1, 0), _padded(change, axis, 0, 1)]
    if not found:
        raise ValueError("edges of neither depth nor ids")
    return grown(torch.stack(found).any(0), margin)


def grown(mask: Bool[Tensor, "n h w"], reach: int) -> Bool[Tensor, "n h w"]:
    """The mask and all pixels at most `reach` away from it (a square neighbourhood)."""
    return F.max_pool2d(mask.float()[:, None], 2 * reach + 1, 1, reach)[:, 0] > 0.5


def follow(
    flow: Float[Tensor, "t 2 h w"], good: Bool[Tensor, "t 1 h w"]
) -> tuple[Float[Tensor, "2 p"], Bool[Tensor, " p"]]:
    """Where each pixel of the first frame has come to after every step of `flow`, and whether it was good throughout.

    `good` says of each frame that is left whether its pixels may be followed.
    """
    height, width = flow.shape[2:]
    xy = warp.pixel_grid(height, width).reshape(-1, 2).T.double()
    kept = torch.ones(xy.shape[1], dtype=torch.bool)
    for step, mask in zip(flow, good, strict=True):
        kept &= inside(xy, height, width, 0.5) & whole(mask, xy)
        xy = xy + sample(step.double(), xy)
    return xy, kept


def _padded(mask: Tensor, axis: int, before: int, after: int) -> Tensor:
    """False added at both ends of an axis."""
    pad = (before, after, 0, 0) if axis == 2 else (0, 0, before, after)
    return F.pad(mask, pad)
