"""Unwrapped meshes kept in the user's cache folder, so that a large mesh is unwrapped once on a machine.

Each mesh and density has one safetensors file, named by a hash of the content; `SYNCBENCH_CACHE` names another folder.
A damaged file counts as absent, and where the folder cannot be written nothing is kept.
"""

import os
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import numpy as np
from platformdirs import user_cache_path
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from ..errors import SyncbenchError
from ..files.writing import write_whole
from .camera import Array

Charts = tuple[Array, int, int]
"""Texture coordinates (m, 3, 2) of the corners in texels, height and width of the texture."""


def read(name: str, faces: int) -> Charts | None:
    """The charts kept under `name` for a mesh of `faces` faces; None if there are none or the file is damaged."""
    try:
        with safe_open(_path(name), framework="numpy") as file:
            corners: Array = np.asarray(file.get_tensor("corners"), np.float64)
            facts: dict[str, str] = file.metadata() or {}
            height, width = int(facts["height"]), int(facts["width"])
    except (OSError, SafetensorError, KeyError, ValueError):
        return None
    sound = corners.shape == (faces, 3, 2) and facts.get("sha256") == _hash(corners, height, width)
    return (corners, height, width) if sound else None


def write(name: str, charts: Charts) -> None:
    """Keep charts under `name`, all of them or nothing. Disk errors are ignored."""
    corners, height, width = charts
    facts = {"height": str(height), "width": str(width), "sha256": _hash(corners, height, width)}
    with suppress(OSError, SyncbenchError):
        write_whole(_path(name), save({"corners": np.ascontiguousarray(corners)}, facts), follow=False)


def _path(name: str) -> Path:
    given = os.environ.get("SYNCBENCH_CACHE")
    return (Path(given) if given else user_cache_path("syncbench")) / "atlases" / f"{name}.safetensors"


def _hash(corners: Array, height: int, width: int) -> str:
    return sha256(f"{height} {width} ".encode() + np.ascontiguousarray(corners).tobytes()).hexdigest()
