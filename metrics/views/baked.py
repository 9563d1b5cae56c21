"""Views baked into one texture, as a person does who wants a textured mesh, for metrics of what comes out.

The texture is the metrics' own, which xatlas lays out with two texels a pixel: neither the canvas that a method painted
on nor a file's coordinates, which no item's identity knows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ...bench.surfaces.atlas import Atlas
from ...bench.surfaces.bake import POWER, Baked, bake_views
from ...bench.surfaces.buffers import SurfaceBuffers, surface_buffers
from ...bench.surfaces.camera import Array, Cameras
from ...bench.surfaces.charts import Unwrapped
from ...bench.surfaces.mesh import Mesh
from ...bench.surfaces.paint import painted_views
from ...bench.surfaces.textured_files import texture_paint
from ...bench.types import Artifact, Item
from .images import eight_bit, stored_views

RULES = "own texture of 2 texels a pixel, rgb8"
"""How views are baked, for fingerprints."""


@dataclass(frozen=True, kw_only=True, eq=False)
class BakedViews:
    """The texture that an artifact's views make, and the mesh with its cameras."""

    mesh: Mesh
    cameras: Cameras
    """The views' cameras in the mesh's coordinates."""
    pose: Array
    """Where the mesh stands in the world (4, 4)."""
    baked: Baked

    def held(self, item: Item) -> Cameras:
        """The item's held-out cameras, in the mesh's coordinates."""
        poses, lenses = (item.truth[f"held_{name}"].double().numpy() for name in ("extrinsics", "intrinsics"))
        return Cameras(poses @ self.pose, lenses, self.cameras.height, self.cameras.width)

    def labelled(self, cameras: Cameras) -> tuple[SurfaceBuffers, Int[Tensor, "n h w"]]:
        """What cameras see of the mesh, and the view that sees each pixel's texel least slanted; -1 where none does."""
        texels = self.baked.texels
        seen = surface_buffers(self.mesh, cameras, Unwrapped(texels.corners, *texels.face.shape))
        label = torch.from_numpy(self.baked.best).reshape(-1)[seen.texel.clamp(min=0)]
        return seen, torch.where(seen.visible, label, -1)

    def drawn(self, cameras: Cameras) -> Float[Tensor, "n 3 h w"]:
        """What cameras see of the textured mesh on white, in 8 bits."""
        corners = self.baked.texels.corners
        return eight_bit(painted_views(self.mesh, texture_paint(corners, self.baked.texture), cameras))


def baked_views(
    artifact: Artifact, item: Item, winner: bool, names: Sequence[str] = (), power: float = POWER
) -> BakedViews | str:
    """The artifact's views baked with weights cos^power, or each texel by its least slanted view if `winner`.

    `names` are those of the truth that the caller reads. Where views cannot be baked, the answer is the reason.
    """
    if not isinstance(item.surface, Atlas):
        return "the item has no mesh on which views could be baked"
    lacking = [name for name in names if name not in item.truth]
    if lacking:
        return f"the item's truth has no {', '.join(lacking)}"
    mesh, cameras, pose = item.surface.shape
    shape = (len(cameras), 3, cameras.height, cameras.width)
    if tuple(artifact.views.shape) != shape:
        return f"views of {tuple(artifact.views.shape)} are not those of the cameras, {shape}"
    made = bake_views(item.surface, stored_views(artifact), power=power, winner=winner, own=False)
    if not made.seen.any():
        return "the views show nothing of the mesh"
    return BakedViews(mesh=mesh, cameras=cameras, pose=pose, baked=made)
