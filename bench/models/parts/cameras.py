"""Conditioner and coordinates of cameras, as multi-view networks read them."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from .conditioners import Request, Rows, Silent


@dataclass(frozen=True)
class Camera(Silent):
    """Condition `camera` as 16 numbers for each view, the same in every pass; zeros for an item without cameras."""

    numbers: Callable[[Tensor], Tensor]
    """From camera-to-world matrices (n, 16), row by row, to the numbers (n, 16) that the network was trained with."""
    takes: frozenset[str] = frozenset({"camera"})
    out: str = "class_labels"

    def __call__(self, request: Request) -> tuple[Rows, Rows]:
        """The numbers (views, 16), given and dropped alike."""
        cameras = request.inputs.get("camera")
        rows = torch.zeros(request.views, 16) if cameras is None else self.numbers(cameras)
        return {self.out: rows}, {self.out: rows}


def orbit_numbers(to_world: Float[Tensor, "n 16"]) -> Float[Tensor, "n 16"]:
    """Camera-to-world matrices, row by row, as MVDream was trained with them, from those of this package.

    The world is Blender's, z up, as here. Camera axes are OpenGL's (y up, z backward) in place of OpenCV's. The origin
    is the point that the cameras look at, and every camera is at distance 1 of it.
    """
    poses = to_world.reshape(-1, 4, 4).double().clone()
    poses[:, :3, 3] -= looked_at(poses[:, :3, 3], poses[:, :3, 2])
    poses[:, :3, 3] /= poses[:, :3, 3].norm(dim=1, keepdim=True).clamp_min(1e-6)
    poses[:, :3, 1:3] *= -1
    return poses.flatten(1).to(to_world)


def looked_at(places: Float[Tensor, "n 3"], forward: Float[Tensor, "n 3"]) -> Float[Tensor, " 3"]:
    """The point nearest to all optical axes, in the sense of least squares; `forward` are unit vectors along them.

    Where several points are nearest, as for a single camera, it is the one of them nearest to the world's origin.
    """
    across = torch.eye(3).to(places) - forward[:, :, None] * forward[:, None, :]
    right = (across @ places[:, :, None]).sum(0)
    return (torch.linalg.pinv(across.sum(0), rtol=1e-6, hermitian=True) @ right)[:, 0]
