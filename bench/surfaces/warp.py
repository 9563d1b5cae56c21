"""Warping and reprojection of images (torch): what metrics judge consistency with.

Pixel coordinates are (column, row); the centre of the top-left pixel is (0.5, 0.5). Sampling is bilinear between
pixel centres; within half a pixel of the border the outermost pixel is repeated.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def pixel_grid(height: int, width: int) -> Float[Tensor, "h w 2"]:
    """Pixel centres, columns then rows."""
    row, column = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    return torch.stack([column, row], -1)


def sample(images: Float[Tensor, "n c H W"], pixels: Float[Tensor, "n h w 2"]) -> Float[Tensor, "n c h w"]:
    """Images looked up bilinearly at pixel coordinates."""
    size = torch.tensor([images.shape[3], images.shape[2]], dtype=pixels.dtype)
    grid = (pixels / size * 2 - 1).to(images.dtype)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def backward_warp(images: Float[Tensor, "n c h w"], flow: Float[Tensor, "n 2 h w"]) -> Float[Tensor, "n c h w"]:
    """Images fetched from where the flow points: frame t + 1 and the flow from t give frame t."""
    grid = pixel_grid(images.shape[2], images.shape[3])
    return sample(images, grid + flow.permute(0, 2, 3, 1))


def project(
    points: Float[Tensor, "3 h w"], extrinsics: Float[Tensor, "n 4 4"], intrinsics: Float[Tensor, "n 3 3"]
) -> tuple[Float[Tensor, "n h w 2"], Float[Tensor, "n 1 h w"]]:
    """Pixels and depth of world points in n cameras; depth <= 0 lies behind the camera."""
    height, width = points.shape[1:]
    flat = points.reshape(3, -1).double()
    there = extrinsics[:, :3, :3].double() @ flat + extrinsics[:, :3, 3:].double()
    image = intrinsics.double() @ there
    depth = there[:, 2]
    safe = torch.where(depth.abs() < 1e-9, torch.full_like(depth, 1e-9), depth)
    pixels = (image[:, :2] / safe[:, None]).transpose(1, 2).reshape(len(extrinsics), height, width, 2)
    return pixels.to(points.dtype), depth.reshape(len(extrinsics), 1, height, width).to(points.dtype)


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

    Inverse depth is linear over a plane, so its bilinear lookup is exact there, to within `tolerance`, relatively.
    Where it bends by more than three times that at one of the four neighbours, an outline runs through them: such
    points fail too, so a bilinear lookup of colours mixes no two surfaces where this is 1.
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

    Position maps are 0 at the sky, which is a point on the ground like any other: mask it.
    """
    pixels, depth = project(points, extrinsics, intrinsics)
    return sample(views, pixels), visible(pixels, depth, buffers, tolerance)
