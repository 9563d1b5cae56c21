"""Warping by flow and reprojection of whole images: an independent route to what the world's truth must satisfy.

Conventions of pixels and sampling are those of `bench.surfaces.warp`.
"""

import torch
from jaxtyping import Float
from syncbench.bench.surfaces.warp import pixel_grid, project, sample
from torch import Tensor


def backward_warp(images: Float[Tensor, "n c h w"], flow: Float[Tensor, "n 2 h w"]) -> Float[Tensor, "n c h w"]:
    """Images looked up where the flow points: frame t + 1 and the flow from frame t give frame t."""
    grid = pixel_grid(images.shape[2], images.shape[3])
    return sample(images, grid + flow.permute(0, 2, 3, 1))


def unproject(
    depth: Float[Tensor, "n 1 h w"], extrinsics: Float[Tensor, "n 4 4"], intrinsics: Float[Tensor, "n 3 3"]
) -> Float[Tensor, "n 3 h w"]:
    """World points of depth maps; 0 where there is no surface (depth 0)."""
    height, width = depth.shape[2:]
    grid = pixel_grid(height, width).reshape(-1, 2).double()
    rays = torch.cat([grid, torch.ones(len(grid), 1, dtype=torch.float64)], 1).T
    there = intrinsics.double().inverse() @ rays * depth.reshape(len(depth), 1, -1)
    turn = extrinsics[:, :3, :3].double()
    points = turn.transpose(1, 2) @ (there - extrinsics[:, :3, 3:].double())
    return torch.where(depth > 0, points.reshape(-1, 3, height, width), 0.0).to(depth.dtype)


def visible(
    pixels: Float[Tensor, "n h w 2"],
    depth: Float[Tensor, "n 1 h w"],
    buffer: Float[Tensor, "n 1 H W"],
    tolerance: float = 0.01,
) -> Float[Tensor, "n 1 h w"]:
    """1 where a point at those pixels and depths is what the camera with depth map `buffer` sees there, else 0.

    Depths are compared to within the relative `tolerance`. The bilinear lookup of inverse depth is exact on planes.
    Where inverse depth bends by more than three times `tolerance` at one of the four neighbours, an outline runs
    through them and the result is 0, so that a bilinear lookup of colours mixes no two surfaces where the result is 1.
    """
    size = torch.tensor([buffer.shape[3], buffer.shape[2]], dtype=pixels.dtype)
    inside = ((pixels >= 0.5) & (pixels <= size - 0.5)).all(-1)[:, None] & (depth > 0)
    inverse = torch.where(buffer > 0, 1 / buffer.clamp(min=1e-6), 0.0)
    close = (sample(inverse, pixels) * depth - 1).abs() <= tolerance
    rough = ((_bend(inverse) > 3 * tolerance * inverse) | (buffer <= 0)).to(buffer.dtype)
    return (inside & close & (sample(rough, pixels) <= 0)).to(depth.dtype)


def _bend(image: Float[Tensor, "n 1 h w"]) -> Float[Tensor, "n 1 h w"]:
    """Largest second difference along rows and columns; 0 along the border."""
    bend = torch.zeros_like(image)
    row = (image[..., 2:, :] - 2 * image[..., 1:-1, :] + image[..., :-2, :]).abs()
    column = (image[..., 2:] - 2 * image[..., 1:-1] + image[..., :-2]).abs()
    bend[..., 1:-1, :] = row
    bend[..., 1:-1] = torch.maximum(bend[..., 1:-1], column)
    return bend


def gather(
    views: Float[Tensor, "n c h w"],
    buffers: Float[Tensor, "n 1 h w"],
    extrinsics: Float[Tensor, "n 4 4"],
    intrinsics: Float[Tensor, "n 3 3"],
    points: Float[Tensor, "3 H W"],
    tolerance: float = 0.01,
) -> tuple[Float[Tensor, "n c H W"], Float[Tensor, "n 1 H W"]]:
    """What each of n views (with their depth maps) shows at world points, and 1 where the view sees the point.

    The position map `points` is 0 at the sky, which is also a point of the ground: the caller masks the sky.
    """
    pixels, depth = project(points, extrinsics, intrinsics)
    return sample(views, pixels), visible(pixels, depth, buffers, tolerance)
