"""Cameras of known geometry, and which surface points each of them really sees."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from .sampling import edges, inside, inverse, project, sample, whole

Region = Literal["object", "surface"]
NEEDS = ("depth", "mask", "position", "normal", "extrinsics", "intrinsics")
"""Truth that `shots` reads."""
HELD = tuple(f"held_{name}" for name in ("mask", "position", "normal", "extrinsics"))
"""Truth that `points` reads of held-out cameras."""
COSINE = 0.3
"""Least cosine between a surface's normal and the way to the camera (73 degrees)."""
TOLERANCE = 0.005
"""Largest difference between a point's depth and the depth seen there, relative to it."""
RULES = f"depth within {TOLERANCE:.1%}, cos>={COSINE}, 2 px off edges, 1 px inside"
"""What makes a pixel count, for fingerprints."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Shot:
    """One camera and what it truly sees."""

    extrinsics: Float[Tensor, "4 4"]
    intrinsics: Float[Tensor, "3 3"]
    near: Float[Tensor, "1 h w"]
    """Inverse depth."""
    clear: Bool[Tensor, "1 h w"]
    """Pixels of the region that are off depth edges."""

    def sees(
        self, at: Float[Tensor, "3 p"], normal: Float[Tensor, "3 p"]
    ) -> tuple[Float[Tensor, "2 p"], Bool[Tensor, " p"]]:
        """Where world points (with normals) appear, and which of them are really seen there, not too slanted."""
        xy, z = project(at, self.extrinsics, self.intrinsics)
        found = (z > 0) & inside(xy, *self.near.shape[1:]) & (self.facing(at, normal) >= COSINE)
        found &= whole(self.clear, xy)
        return xy, found & ((sample(self.near, xy)[0] * z - 1).abs() < TOLERANCE)

    def facing(self, at: Float[Tensor, "3 p"], normal: Float[Tensor, "3 p"]) -> Float[Tensor, " p"]:
        """Cosine between normals and the way to the camera."""
        eye = -self.extrinsics[:3, :3].T @ self.extrinsics[:3, 3:]
        return (torch.nn.functional.normalize(eye - at, dim=0) * normal).sum(0)


def shots(truth: Mapping[str, Tensor], region: Region) -> list[Shot]:
    """The cameras of an item's views."""
    depth, ids, inner = truth["depth"].double(), truth.get("object"), _region(truth, region)
    return [
        Shot(
            extrinsics=truth["extrinsics"][k].double(),
            intrinsics=truth["intrinsics"][k].double(),
            near=inverse(depth[k]),
            clear=inner[k] & ~edges(depth[k], None if ids is None else ids[k]),
        )
        for k in range(len(depth))
    ]


def points(
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
