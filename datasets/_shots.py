"""Shots of a capture as tensors: square pictures without lens distortion, their cameras, and geometry from depth."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from ..bench.errors import SyncbenchError, quoted
from ..bench.models.parts.cameras import looked_at
from ..bench.surfaces.camera import Array, Cameras
from ..bench.surfaces.mesh import TURNS
from ._pictures import opened_picture, read_picture, undamaged, upright_size
from .layouts.captures import Shot

RADIUS = 2.0
"""Mean distance of the cameras from the point that they look at, once a capture has the world's size."""
HEIGHT = 0.5
"""Height of that point above the origin, as in the reference world."""


def square_cameras(shots: Sequence[Shot], size: int, up: str) -> tuple[Cameras, float]:
    """Cameras of the square pictures, in a world of the reference world's size, and the scale by which it was changed.

    `up` names the capture's axis that points up. Raises SyncbenchError for cameras that are all at one place.
    """
    poses = np.stack([shot.extrinsics for shot in shots])
    poses[:, :3, :3] = poses[:, :3, :3][:, :, list(TURNS[up])]
    places = -np.einsum("nij,ni->nj", poses[:, :3, :3], poses[:, :3, 3])
    centre = looked_at(torch.from_numpy(places), torch.from_numpy(poses[:, 2, :3].copy())).numpy()
    distance = float(np.linalg.norm(places - centre, axis=1).mean())
    if not np.isfinite(distance) or distance < 1e-9:
        raise SyncbenchError(
            f"{quoted(shots[0].image)}: all cameras are where they look at; these are no views around it"
        )
    scale = RADIUS / distance
    moved = np.einsum("nij,j->ni", poses[:, :3, :3], centre * scale - np.array([0, 0, HEIGHT]))
    poses[:, :3, 3] = poses[:, :3, 3] * scale + moved
    intrinsics = np.stack([_squared(shot, size) @ shot.intrinsics for shot in shots])
    return Cameras(poses, intrinsics, size, size), scale


def square_pictures(shots: Sequence[Shot], size: int) -> Float[Tensor, "n 3 size size"]:
    """The pictures in [0, 1]: the middle square, the short side scaled to `size`."""
    return torch.cat([_square(_straight(read_picture(shot.image), shot), size) for shot in shots])


def masked(shots: Sequence[Shot]) -> bool:
    """Whether every shot has a mask, or a picture that may be transparent. Pixels are not read."""
    for shot in shots:
        if shot.mask is None:
            with undamaged(shot.image):
                if not opened_picture(shot.image).has_transparency_data:
                    return False
    return True


def square_masks(shots: Sequence[Shot], size: int) -> Float[Tensor, "n 1 size size"] | None:
    """1 on the object: where a mask is bright, or else a picture opaque; None if a shot has neither."""
    if not masked(shots):
        return None
    masks: list[Tensor] = []
    for shot in shots:
        with undamaged(shot.mask or shot.image):
            image: Image.Image = opened_picture(shot.mask or shot.image, deep=True)
            levels = np.asarray(image.convert("L") if shot.mask else image.convert("RGBA").getchannel("A"), np.float32)
        masks.append(_square(_straight(torch.from_numpy(levels / 255)[None, None], shot), size))
    return (torch.cat(masks) >= 0.5).float()


def square_depth(shots: Sequence[Shot], size: int, scale: float) -> Float[Tensor, "n 1 size size"] | None:
    """Camera z times `scale`, 0 where it is not known; None if a shot has none. Pixels are taken, not blended."""
    depths: list[Tensor] = []
    for shot in shots:
        if shot.depth is None or shot.depth_file is None:
            return None
        depth = torch.from_numpy(np.ascontiguousarray(shot.depth(shot.depth_file), dtype=np.float32))[None, None]
        depths.append(_square(_straight(depth, shot, "nearest"), size, "nearest") * scale)
    return torch.cat(depths)


def positions(cameras: Cameras, depth: Float[Tensor, "n 1 h w"]) -> Float[Tensor, "n 3 h w"]:
    """World points that the pixels' centres see, 0 where there is no depth."""
    found: list[Array] = []
    for number, plane in enumerate(depth[:, 0].double().numpy()):
        origin, directions = cameras.rays(number)
        found.append(np.where(plane[..., None] > 0, origin + plane[..., None] * directions, 0))
    return torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2).float()


def normals(cameras: Cameras, depth: Float[Tensor, "n 1 h w"]) -> Float[Tensor, "n 3 h w"]:
    """Unit normals in camera axes, towards the camera, by differences between neighbours; 0 where one is unknown."""
    at = positions(cameras, depth).double()
    turn = torch.from_numpy(cameras.extrinsics[:, :3, :3])
    moved = torch.from_numpy(cameras.extrinsics[:, :3, 3])
    there = torch.einsum("nij,njhw->nihw", turn, at) + moved[:, :, None, None]
    across, down = torch.zeros_like(there), torch.zeros_like(there)
    across[..., 1:-1] = there[..., 2:] - there[..., :-2]
    down[..., 1:-1, :] = there[..., 2:, :] - there[..., :-2, :]
    known = depth > 0
    whole = F.avg_pool2d(known.double(), 3, 1, 1) > 1 - 1e-6  # the padding counts as unknown
    normal = F.normalize(torch.cross(across, down, dim=1), dim=1)
    away = (normal * there).sum(1, keepdim=True) > 0
    return torch.where(whole, torch.where(away, -normal, normal), 0).float()


def _sides(high: int, wide: int, size: int) -> tuple[int, int, int, int]:
    """Height and width once the short side is `size`, and the first row and column of the middle square."""
    new = [max(size, round(side * size / min(high, wide))) for side in (high, wide)]
    return new[0], new[1], (new[0] - size) // 2, (new[1] - size) // 2


def _squared(shot: Shot, size: int) -> Array:
    """From pixels of a shot's `size` to those of its square picture (3, 3)."""
    with undamaged(shot.image):
        high, wide = upright_size(opened_picture(shot.image))
    if abs(high * shot.size[1] - wide * shot.size[0]) > 0.02 * high * shot.size[1]:
        raise SyncbenchError(
            f"{quoted(shot.image)}: {wide} x {high} px, but its camera is of {shot.size[1]} x {shot.size[0]} px"
        )
    tall, broad, above, beside = _sides(high, wide, size)
    return np.array([[broad / shot.size[1], 0, -beside], [0, tall / shot.size[0], -above], [0, 0, 1.0]])


def _square(picture: Float[Tensor, "1 c h w"], size: int, how: str = "bilinear") -> Float[Tensor, "1 c size size"]:
    tall, broad, above, beside = _sides(picture.shape[2], picture.shape[3], size)
    if (tall, broad) != tuple(picture.shape[2:]):
        smooth = {"antialias": True, "align_corners": False} if how == "bilinear" else {}
        exact = "nearest-exact" if how == "nearest" else how
        picture = F.interpolate(picture, (tall, broad), mode=exact, **smooth)
    return picture[:, :, above : above + size, beside : beside + size].clamp(min=0)


def _straight(picture: Float[Tensor, "1 c h w"], shot: Shot, how: str = "bilinear") -> Float[Tensor, "1 c h w"]:
    """The picture as a pinhole of the same intrinsics sees it, by OpenCV's radial and tangential model."""
    k1, k2, p1, p2 = shot.distortion
    if not any(shot.distortion):
        return picture
    high, wide = picture.shape[2:]
    scale = np.diag([wide / shot.size[1], high / shot.size[0], 1.0])
    lens = torch.from_numpy(scale @ shot.intrinsics)
    row, column = torch.meshgrid(torch.arange(high) + 0.5, torch.arange(wide) + 0.5, indexing="ij")
    x, y = (column - lens[0, 2]) / lens[0, 0], (row - lens[1, 2]) / lens[1, 1]
    square = x * x + y * y
    radial = 1 + k1 * square + k2 * square * square
    bent_x = x * radial + 2 * p1 * x * y + p2 * (square + 2 * x * x)
    bent_y = y * radial + p1 * (square + 2 * y * y) + 2 * p2 * x * y
    u, v = bent_x * lens[0, 0] + lens[0, 2], bent_y * lens[1, 1] + lens[1, 2]
    grid = torch.stack([2 * u / wide - 1, 2 * v / high - 1], -1)[None].float()
    return F.grid_sample(picture, grid, mode=how, padding_mode="zeros", align_corners=False)
