"""Meshes of the reference world to be textured: eight views each, held-out cameras, and exact geometry.

Every mesh has two captions. The truth is the world's own object of that caption; names that begin with `held_` are the
truth of held-out cameras, which no method sees.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from ..bench.limits import Density, Length, Views
from ..bench.surfaces.atlas import Atlas
from ..bench.surfaces.camera import Array, Cameras
from ..bench.surfaces.lazy import Lazy
from ..bench.surfaces.rigs import RigName, published_cameras
from ..bench.types import Family, Item, Sampling
from ..bench.world.stage import object_pose, orbit_cameras, stage
from ..bench.world.trace import Take
from ..bench.world.truth import camera, depth, truth

CAPTIONS = {
    "ball": (
        "a red ball with white stripes on a green meadow under a blue sky",
        "a blue ball with yellow dots on a grey desert under an orange sky",
    ),
    "cube": (
        "an orange cube on a blue sea under a white sky",
        "a green cube with red dots on a yellow desert under a purple sky",
    ),
    "cone": (
        "a yellow cone with blue stripes on a white meadow under a red sky",
        "a purple cone on an orange desert under a cloudy blue sky",
    ),
    "cylinder": (
        "a white cylinder with red checks on a green sea under a yellow sky",
        "a grey cylinder with orange stripes on a purple meadow under a blue sky",
    ),
    "ring": (
        "an orange ring with blue checks on a grey sea under a red sky",
        "a white ring on a red desert under a cloudy blue sky",
    ),
    "star": (
        "a yellow star on a purple meadow under a blue sky",
        "a red star with white dots on a blue sea under an orange sky",
    ),
    "tower": (
        "a blue cube with white checks on a green meadow under an orange sky",
        "a red cube on a white desert under a cloudy purple sky",
    ),
    "fir": (
        "a green cone with red dots on a white meadow under a blue sky",
        "an orange cone with purple stripes on a grey sea under a yellow sky",
    ),
    "snowman": (
        "a white ball with blue dots on a red meadow under a green sky",
        "a purple ball with yellow checks on a blue desert under a white sky",
    ),
}
"""Two captions for every mesh. Meshes made of several parts (tower, fir, snowman) have captions that name one part."""
SCENES = 3 * 10**9
"""Seed of the first scene, above all seeds that training draws."""


@dataclass(frozen=True, kw_only=True)
class WorldMeshes:
    """One item per mesh and caption: the object is to be painted so that the views of all cameras agree."""

    version: ClassVar[int] = 3
    family: ClassVar[Family] = "geometry"

    rig: Literal["orbit"] | RigName = "orbit"
    """Where the cameras stand: on the world's own `orbit` of `views` cameras, or as those of a published method
    (`surfaces.rigs`), from places and through lenses that the bundled networks have not learnt."""
    views: Views = 8
    """Number of cameras of the `orbit`, alternately low and high. Published rigs have their own number."""
    held: Views = 4
    """Number of held-out cameras, which stand between the others and which no method sees."""
    size: Length = 128
    """Height and width of a view in pixels; the reference model's native size."""
    density: Density = 1.0
    """Texels of the texture atlas per pixel of a view, along an edge."""

    def items(self) -> list[Item]:
        """One item for each caption, mesh by mesh; all tensors are made on first access (see `world.truth.truth`)."""
        return [
            self._item(name, caption, 2 * i + j)
            for i, (name, captions) in enumerate(CAPTIONS.items())
            for j, caption in enumerate(captions)
        ]

    def _item(self, name: str, caption: str, number: int) -> Item:
        scene = stage(caption, SCENES + number, name, azimuth=20.0)
        pose = object_pose(stretch=scene.stretch)
        shown, apart = self._cameras(scene.shape.mesh.vertices @ pose[:3, :3].T)
        take = Take(scene, shown, np.tile(pose, (len(shown), 1, 1)))
        held = Take(scene, apart, np.tile(pose, (len(apart), 1, 1)))
        return Item(
            id=f"{name}-{number % 2 + 1}",
            family=self.family,
            world=True,
            prompts=(caption,),
            surface=Atlas.of(scene.shape.mesh, shown, pose, self.density),
            protocol=Sampling(steps=16, guidance=4.0),
            conditions=Lazy(depth=lambda: depth(take), camera=lambda: camera(take)),
            truth=truth(take, held),
            content=f"{take.digest} {held.digest}",
        )

    def _cameras(self, vertices: Array) -> tuple[Cameras, Cameras]:
        """The cameras of the views, and the held-out ones, around the object's vertices (n, 3)."""
        if self.rig != "orbit":
            return published_cameras(self.rig, self.held, vertices, self.size)
        turn = 360 / self.views
        every = np.arange(self.views)
        shown = orbit_cameras(20 + turn * every, np.where(every % 2, 19, 7), 2.0, self.size)
        return shown, orbit_cameras(20 + turn / 2 + 360 / self.held * np.arange(self.held), 13, 1.95, self.size)
