"""Cameras with the true geometry before them, and which surface points each camera sees."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from .sampling import bilinear, in_image, inverse_depth, lookup_inside, project_points, surface_edges

Region = Literal["object", "surface"]
NEEDS = ("depth", "mask", "position", "normal", "extrinsics", "intrinsics")
"""Names of the truth that `view_cameras` reads."""
HELD = tuple(f"held_{name}" for name in ("mask", "position", "normal", "extrinsics"))
"""Names of the truth that `surface_points` reads of held-out cameras."""
COSINE = 0.3
"""Smallest cosine between a surface's normal and the direction to the camera (73 degrees)."""
TOLERANCE = 0.005
"""Largest relative difference between a point's depth and the depth seen at its pixel."""
RULES = f"depth within {TOLERANCE:.1%}, cos>={COSINE}, 2 px off edges, 1 px inside"
"""What makes a pixel count, for fingerprints."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TrueCamera:
    """One camera and the true geometry that it sees."""

    extrinsics: Float[Tensor, "4 4"]
    intrinsics: Float[Tensor, "3 3"]
    near: Float[Tensor, "1 h w"]
    """True inverse depth; 0 where there is no surface."""
    clear: Bool[Tensor, "1 h w"]
    """Pixels of the scored region that are not next to a depth edge or another object."""

    def sees(
        self, at: Float[Tensor, "3 p"], normal: Float[Tensor, "3 p"]
    ) -> tuple[Float[Tensor, "2 p"], Bool[Tensor, " p"]]:
        """Image coordinates of world points `at` with their normals, and whether the camera sees each of them.

        A point is seen if nothing hides it, it is not too slanted, and no depth edge is near.
        """
        xy, z = project_points(at, self.extrinsics, self.intrinsics)
        seen = (z > 0) & in_image(xy, *self.near.shape[1:]) & (self.facing(at, normal) >= COSINE)
        seen &= lookup_inside(self.clear, xy)
        return xy, seen & ((bilinear(self.near, xy)[0] * z - 1).abs() < TOLERANCE)

    def facing(self, at: Float[Tensor, "3 p"], normal: Float[Tensor, "3 p"]) -> Float[Tensor, " p"]:
        """Cosine between each point's normal and the direction from the point to the camera."""
        return (self.towards(at) * normal).sum(0)

    def towards(self, at: Float[Tensor, "3 p"]) -> Float[Tensor, "3 p"]:
        """Unit directions from points to the camera; of an orthographic camera they are all one."""
        if self.intrinsics[2, 2] == 0:
            return -self.extrinsics[2, :3, None].expand_as(at)
        eye = -self.extrinsics[:3, :3].T @ self.extrinsics[:3, 3:]
        return torch.nn.functional.normalize(eye - at, dim=0)


def view_cameras(truth: Mapping[str, Tensor], region: Region) -> list[TrueCamera]:
    """The cameras of an item's views, with the true geometry of the `region`."""
    depth, ids, inner = truth["depth"].double(), truth.get("object"), _region(truth, region)
    return [
        TrueCamera(
            extrinsics=truth["extrinsics"][k].double(),
            intrinsics=truth["intrinsics"][k].double(),
            near=inverse_depth(depth[k]),
            clear=inner[k] & ~surface_edges(depth[k], None if ids is None else ids[k]),
        )
        for k in range(len(depth))
    ]


def surface_points(
    truth: Mapping[str, Tensor], k: int, region: Region, prefix: str = ""
) -> tuple[Float[Tensor, "3 p"], Float[Tensor, "3 p"], Bool[Tensor, "1 h w"]]:
    """World points and world normals behind the pixels of camera `k` that are in the region, and those pixels."""
    inner = _region(truth, region, prefix)[k]
    at = truth[f"{prefix}position"][k].double()[:, inner[0]]
    rotation = truth[f"{prefix}extrinsics"][k, :3, :3].double()
    return at, rotation.T @ truth[f"{prefix}normal"][k].double()[:, inner[0]], inner


def _region(truth: Mapping[str, Tensor], region: Region, prefix: str = "") -> Bool[Tensor, "n 1 h w"]:
    name = f"{prefix}mask" if region == "object" else f"{prefix}surface"
    return truth[name] > 0.5 if name in truth else truth[f"{prefix}depth"] > 0
