"""The geometry that cameras see of a mesh that stands alone, as tensors; for a user's own meshes."""

import numpy as np
import torch
from torch import Tensor

from .buffers import cast
from .camera import Array, Cameras, closeness
from .mesh import Ids, Mesh

NAMES = ("normal", "depth", "mask", "surface", "position", "object", "face", "extrinsics", "intrinsics")
"""Names of the truth that is known of a mesh without a texture."""


def visible_geometry(mesh: Mesh, cameras: Cameras) -> dict[str, Tensor]:
    """Tensors by name: NAMES, in the form of `bench.world.truth.truth`, and the conditions `closeness` and `camera`.

    The mesh is object 1, all else -1. A mesh may be open, so normals always face the camera.
    """
    shape = (cameras.height, cameras.width)
    faces: list[Ids] = []
    depths: list[Array] = []
    points: list[Array] = []
    normals: list[Array] = []
    for number in range(len(cameras)):
        seen = cast(mesh, cameras, number)
        face, depth = np.full((1, shape[0] * shape[1]), -1), np.zeros((1, shape[0] * shape[1]))
        point, normal = np.zeros((3, shape[0] * shape[1])), np.zeros((3, shape[0] * shape[1]))
        face[0, seen.hit], depth[0, seen.hit] = seen.face, seen.depth
        point[:, seen.hit], normal[:, seen.hit] = seen.points.T, seen.normal.T
        faces.append(face.reshape(1, *shape))
        depths.append(depth.reshape(1, *shape))
        points.append(point.reshape(3, *shape))
        normals.append(normal.reshape(3, *shape))
    number = torch.as_tensor(np.stack(faces))
    depth = np.stack(depths)
    covered = (number >= 0).float()
    return {
        "normal": torch.as_tensor(np.stack(normals)).float(),
        "depth": torch.as_tensor(depth).float(),
        "mask": covered,
        "surface": covered,
        "position": torch.as_tensor(np.stack(points)).float(),
        "object": torch.where(number >= 0, 1, -1),
        "face": number,
        "extrinsics": torch.as_tensor(cameras.extrinsics).float(),
        "intrinsics": torch.as_tensor(cameras.intrinsics).float(),
        "closeness": torch.as_tensor(closeness(depth)),
        "camera": torch.as_tensor(cameras.to_world).float().reshape(-1, 16),
    }
