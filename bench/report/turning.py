"""Samples on given meshes as they turn once around, and their textures, for sheets."""

from collections.abc import Hashable, Mapping
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import SyncbenchError
from ..run.events import Tally
from ..run.loaded import Loaded
from ..store.folder import Store
from ..store.stored import StoredJob
from ..surfaces.atlas import Atlas
from ..surfaces.bake import Baked
from ..surfaces.camera import Cameras, orbit, pinhole
from ..surfaces.paint import painted_views
from ..surfaces.textured_files import texture_paint
from .meshes import baked_sample, warn_unbaked

FRAMES = 24
"""Pictures of one turn."""
ELEVATION = 20.0
"""Degrees from which the mesh is seen."""
ANGLE = 40.0
"""Field of view in degrees."""
WIDE = 256
"""Largest side of the pictures in pixels."""
Place = TypeVar("Place", bound=Hashable)


class Turning(NamedTuple):
    """One sample, baked."""

    texture: Float[Tensor, "3 H W"]
    """The texture, white off the surface."""
    frames: Float[Tensor, "n 3 h w"]
    """The mesh with the texture, turning."""


def turning(store: Store, jobs: Mapping[Place, StoredJob], progress: Tally) -> dict[Place, Turning]:
    """The jobs' samples baked and turning, by place. Those that cannot be baked are left out, with a warning."""
    loaded, made, reasons = Loaded(), dict[Place, Turning](), list[str]()
    for done, (place, job) in enumerate(jobs.items()):
        progress(done, len(jobs), f"{job.header.method} {job.header.item}")
        try:
            atlas, baked = baked_sample(store, job, loaded)
        except SyncbenchError as error:
            if store.folder(job.key) not in store.damage:
                reasons.append(str(error))
            continue
        shown = np.where(baked.texels.covered[..., None], baked.texture, 1).astype(np.float32)
        flat = torch.from_numpy(shown).permute(2, 0, 1).contiguous()
        made[place] = Turning(flat, turntable(atlas, baked, min(WIDE, max(atlas.window))))
    progress(len(jobs), len(jobs), "")
    warn_unbaked(reasons)
    return made


def turntable(atlas: Atlas, baked: Baked, size: int, frames: int = FRAMES) -> Float[Tensor, "n 3 size size"]:
    """Pictures of the mesh with its baked texture, unlit, on white; the whole mesh fills each of them."""
    mesh, _, pose = atlas.shape
    places = mesh.vertices @ pose[:3, :3].T + pose[:3, 3]
    middle = (places.min(0) + places.max(0)) / 2
    ball = float(np.linalg.norm(places - middle, axis=1).max())
    half = np.radians(ANGLE / 2)
    poses = orbit(360 / frames * np.arange(frames), ELEVATION, 1.08 * ball / float(np.sin(half)), middle)
    lens = pinhole(frames, size / 2 / float(np.tan(half)), (size / 2, size / 2))
    cameras = Cameras(poses @ pose, lens, size, size)
    return painted_views(mesh, texture_paint(baked.texels.corners, baked.texture), cameras)
