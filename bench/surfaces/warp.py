"""Bilinear lookup and projection in torch, by which metrics find a view's pixels in another view.

Pixel coordinates are (column, row); the centre of the top-left pixel is (0.5, 0.5). Sampling is bilinear between
pixel centres; within half a pixel of the border the outermost pixel is repeated.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def pixel_grid(height: int, width: int) -> Float[Tensor, "h w 2"]:
    """Coordinates of all pixel centres, (column, row)."""
    row, column = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    return torch.stack([column, row], -1)


def sample(images: Float[Tensor, "n c H W"], pixels: Float[Tensor, "n h w 2"]) -> Float[Tensor, "n c h w"]:
    """Images looked up bilinearly at pixel coordinates (column, row)."""
    size = torch.tensor([images.shape[3], images.shape[2]], dtype=pixels.dtype)
    grid = (pixels / size * 2 - 1).to(images.dtype)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def project(
    points: Float[Tensor, "3 h w"], extrinsics: Float[Tensor, "n 4 4"], intrinsics: Float[Tensor, "n 3 3"]
) -> tuple[Float[Tensor, "n h w 2"], Float[Tensor, "n 1 h w"]]:
    """Pixel coordinates (column, row) and depth of world points in n cameras; depth <= 0 lies behind the camera.

    The last entry of `intrinsics` is 1 for perspective cameras and 0 for orthographic ones (see `camera`).
    """
    height, width = points.shape[1:]
    flat = points.reshape(3, -1).double()
    there = extrinsics[:, :3, :3].double() @ flat + extrinsics[:, :3, 3:].double()
    depth = there[:, 2]
    divisor = torch.where((intrinsics[:, 2, 2] == 0)[:, None], torch.ones_like(depth), depth)
    image = intrinsics[:, :2].double() @ torch.cat([there[:, :2], divisor[:, None]], 1)
    safe = torch.where(divisor.abs() < 1e-9, torch.full_like(depth, 1e-9), divisor)
    pixels = (image / safe[:, None]).transpose(1, 2).reshape(len(extrinsics), height, width, 2)
    return pixels.to(points.dtype), depth.reshape(len(extrinsics), 1, height, width).to(points.dtype)
