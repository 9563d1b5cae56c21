"""Captures in NeRF's `transforms.json`: Blender's synthetic scenes, instant-ngp, nerfstudio, OmniObject3D.

`transform_matrix` is camera to world with OpenGL's axes. The focal length is `fl_x` and `fl_y` in pixels, or follows
from `camera_angle_x`, the horizontal field of view. A `file_path` without an ending is a PNG. `depth_file_path` holds
camera z: millimetres in a PNG of 16 bits, world units in NPY and EXR.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np

from ...bench.errors import SyncbenchError, quoted
from ...bench.files.reading import parse_json, read_bytes
from ...bench.surfaces.camera import inverse
from .._maps import read_map
from .._pictures import opened_picture, undamaged, upright_size
from .._rows import inside, named_id
from .captures import OPENGL, Capture, Map, Shot, lens, rigid

NAMES = ("transforms.json", "transforms_train.json", "transforms_test.json")
"""Names of the file, of which a folder's first one is read."""


def nerf_capture(file: Path) -> Capture:
    """The capture of a transforms.json. Raises SyncbenchError for a file that cannot be used."""
    content: Any = parse_json(read_bytes(file), file)
    frames = content.get("frames") if isinstance(content, dict) else None
    if not isinstance(frames, list) or not frames:
        raise SyncbenchError(f"{quoted(file)}: no list 'frames', which NeRF's transforms.json has")
    table = cast(Mapping[str, Any], content)
    rows = cast(list[Any], frames)
    return Capture(
        id=named_id(file.resolve().parent.name),
        prompt="",
        shots=tuple(_shot(file, table, row, f"{quoted(file)}: frame {number}") for number, row in enumerate(rows)),
    )


def _shot(file: Path, table: Mapping[str, Any], row: Any, where: str) -> Shot:
    if not isinstance(row, dict) or not isinstance(row.get("file_path"), str):
        raise SyncbenchError(f"{where}: no text 'file_path'")
    facts: dict[str, Any] = {**table, **cast(Mapping[str, Any], row)}
    image = Path(inside(file.parent, facts["file_path"].removeprefix("./"), str(file)))
    image = image if image.suffix else image.with_name(f"{image.name}.png")
    with undamaged(image):
        high, wide = upright_size(opened_picture(image))
    if "fl_x" in facts:
        wide, high = (_whole(facts.get(key, side), where) for key, side in (("w", wide), ("h", high)))
        across, down = facts["fl_x"], facts.get("fl_y", facts["fl_x"])
    else:
        angle = facts.get("camera_angle_x")
        if not isinstance(angle, int | float) or not 0 < angle < np.pi:
            raise SyncbenchError(f"{where}: neither fl_x nor camera_angle_x (radians, from 0 to pi) is known")
        across = down = 0.5 * wide / np.tan(0.5 * angle)
    for name in ("k3", "k4"):
        if facts.get(name):
            raise SyncbenchError(f"{where}: lens distortion by {name} is not known here: undistort the pictures first")
    if str(facts.get("camera_model", "")).upper().endswith("FISHEYE") or facts.get("is_fisheye"):
        raise SyncbenchError(f"{where}: a fisheye is no pinhole camera: undistort the pictures first")
    place = facts.get("depth_file_path")
    depth = Path(inside(file.parent, place.removeprefix("./"), str(file))) if isinstance(place, str) else None
    mask = facts.get("mask_path")
    return Shot(
        image=image,
        extrinsics=inverse(rigid(facts.get("transform_matrix"), where) @ OPENGL),
        intrinsics=lens(across, down, facts.get("cx", wide / 2), facts.get("cy", high / 2), where),
        size=(high, wide),
        distortion=cast(Any, tuple(_number(facts.get(name, 0.0), where) for name in ("k1", "k2", "p1", "p2"))),
        mask=Path(inside(file.parent, mask.removeprefix("./"), str(file))) if isinstance(mask, str) else None,
        depth=None if depth is None else _depth,
        depth_file=depth,
    )


def _depth(path: Path) -> Map:
    levels = read_map(path)[..., 0]
    depth = levels.astype(np.float32) * (0.001 if levels.dtype == np.uint16 else 1.0)
    return np.where(np.isfinite(depth) & (depth > 0), depth, 0).astype(np.float32)


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e3:
        raise SyncbenchError(f"{where}: lens distortion is given by numbers")
    return float(value)


def _whole(value: Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= 2**20:
        raise SyncbenchError(f"{where}: w and h are numbers of pixels")
    return int(value)
