"""Textured meshes of a board: the shape of each item once, and the texture of each sample, for the page's viewer."""

import base64
from typing import Any

import numpy as np
import torch

from ...errors import SyncbenchError
from ...run.loaded import Loaded
from ...store.folder import Store
from ...store.stored import StoredJob
from ...surfaces.atlas import Atlas
from ...surfaces.bake import Baked
from ...surfaces.textured_files import indexed
from ...types import Json
from ..meshes import baked_sample, sample_surface

FACES = 60_000
"""Largest number of faces of a shape in the page."""
DENSITY = 1.0
"""Texels per pixel of a view: the page is to be looked at, `syncbench bake` writes the meshes."""


def solid(store: Store, job: StoredJob, loaded: Loaded) -> tuple[Json, torch.Tensor] | str:
    """The shape of a stored sample as JSON, and its texture (1, 3, h, w); or the reason why there is none."""
    try:
        if len(sample_surface(job, loaded).shape[0].faces) > FACES:
            return f"more than {FACES:,} faces: see `syncbench bake`"
        atlas, baked = baked_sample(store, job, loaded, DENSITY)
    except SyncbenchError as error:
        return str(error)
    return _shape(atlas, baked), torch.from_numpy(baked.texture).permute(2, 0, 1)[None]


def _shape(atlas: Atlas, baked: Baked) -> Json:
    """Places, texture coordinates and faces of a mesh as base64 of little-endian numbers."""
    mesh, _, pose = atlas.shape
    places, uv, faces = indexed(mesh, pose, baked.texels.corners, baked.texture)
    return {"places": _packed(places, "<f4"), "uv": _packed(uv, "<f4"), "faces": _packed(faces, "<u4")}


def _packed(values: np.ndarray[Any, Any], kind: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values, kind).tobytes()).decode()
