"""Captures of CO3D v2: `CATEGORY/frame_annotations.jgz` beside the sequences' folders.

Viewpoints are PyTorch3D's: row vectors x R + T, axes x left, y up, z forward, focal length and principal point in
normalised device coordinates. Depth is kept as the bits of half floats, times `scale_adjustment`.
"""

import zlib
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np

from ...bench.errors import SyncbenchError, quoted
from ...bench.files.reading import is_file, parse_json, read_bytes
from ...bench.surfaces.camera import Array
from .._maps import half_depth, read_map
from .._rows import inside, name_prompt, named_id
from .captures import Capture, Map, Shot, lens, posed

ANNOTATIONS = "frame_annotations.jgz"
"""Name of the file that describes every frame of a category."""
UNPACKED = 2**29
"""Largest number of bytes to which it may unpack."""
TURN = np.diag([-1.0, -1.0, 1.0])
"""From PyTorch3D's camera axes to OpenCV's."""


def co3d_captures(file: Path) -> Iterator[Capture]:
    """The sequences of a category, in order of their names. Raises SyncbenchError for a file that cannot be used."""
    try:
        data = zlib.decompressobj(wbits=31).decompress(read_bytes(file), UNPACKED)
    except zlib.error as error:
        raise SyncbenchError(f"{quoted(file)}: this is no gzip file, or it is damaged: download it again") from error
    rows: Any = parse_json(data, file)
    if not isinstance(rows, list):
        raise SyncbenchError(f"{quoted(file)}: no list of frames, which CO3D's annotations are")
    sequences: dict[str, list[tuple[int, Mapping[str, Any]]]] = {}
    for number, row in enumerate(cast(list[Any], rows)):
        name = row.get("sequence_name") if isinstance(row, dict) else None
        if not isinstance(name, str):
            raise SyncbenchError(f"{quoted(file)}: frame {number} has no sequence_name, as CO3D has")
        sequences.setdefault(name, []).append((number, cast(Mapping[str, Any], row)))
    for name, frames in sorted(sequences.items()):
        shots = tuple(_shot(file, row, f"{quoted(file)}: frame {number}") for number, row in frames)
        category = file.resolve().parent.name
        yield Capture(id=named_id(f"{category}-{name}"), prompt=name_prompt(category), shots=shots)


def pytorch3d_camera(view: Mapping[str, Any], size: tuple[int, int], where: str) -> tuple[Array, Array]:
    """Extrinsics (4, 4) and intrinsics (3, 3) in this package's convention of a viewpoint for an image (height, width).

    Raises SyncbenchError, beginning with `where`, for a viewpoint that is none.
    """
    high, wide = size
    kinds = {"ndc_isotropic": (min(size) / 2,) * 2, "ndc_norm_image_bounds": (wide / 2, high / 2)}
    kind = str(view.get("intrinsics_format", "ndc_norm_image_bounds"))
    if kind not in kinds:
        raise SyncbenchError(f"{where}: intrinsics_format '{quoted(kind, 40)}' is none of {', '.join(kinds)}")
    try:
        turn = np.asarray(view["R"], np.float64).reshape(3, 3)
        (fx, fy), (px, py) = (map(float, view[name]) for name in ("focal_length", "principal_point"))
        moved = np.asarray(view["T"], np.float64).reshape(3)
    except (KeyError, ValueError, TypeError) as error:
        raise SyncbenchError(f"{where}: a viewpoint has R, T, focal_length and principal_point, as CO3D has") from error
    x, y = kinds[kind]
    intrinsics = lens(fx * x, fy * y, wide / 2 - px * x, high / 2 - py * y, where)
    return posed(TURN @ turn.T, TURN @ moved, where), intrinsics


def _shot(file: Path, row: Mapping[str, Any], where: str) -> Shot:
    image, depth, mask, view = (row.get(name) for name in ("image", "depth", "mask", "viewpoint"))
    if not isinstance(image, dict) or not isinstance(image.get("path"), str) or not isinstance(view, dict):
        raise SyncbenchError(f"{where}: no image.path or no viewpoint, as CO3D has")
    size = image.get("size")
    if not isinstance(size, list) or [type(side) for side in cast(list[Any], size)] != [int, int] or min(size) < 1:
        raise SyncbenchError(f"{where}: image.size is a height and a width in pixels")
    high, wide = cast(list[int], size)
    extrinsics, intrinsics = pytorch3d_camera(cast(Mapping[str, Any], view), (high, wide), where)
    reader = file_of_depth = None
    if isinstance(depth, dict) and isinstance(depth.get("path"), str):
        scale = depth.get("scale_adjustment", 1.0)
        seen = depth.get("mask_path")
        known = _path(file, seen) if isinstance(seen, str) else None
        file_of_depth = _path(file, depth["path"])
        reader = partial(_depth, mask=known, scale=float(scale) if isinstance(scale, int | float) else 1.0)
    shown = _path(file, mask["path"]) if isinstance(mask, dict) and isinstance(mask.get("path"), str) else None
    return Shot(
        image=_path(file, image["path"]),
        extrinsics=extrinsics,
        intrinsics=intrinsics,
        size=(high, wide),
        mask=shown,
        depth=reader,
        depth_file=file_of_depth,
    )


def _path(file: Path, name: str) -> Path:
    """A path of the annotations, which begins with the category's folder."""
    return Path(inside(file.resolve().parents[1], name, str(file)))


def _depth(path: Path, mask: Path | None, scale: float) -> Map:
    levels = read_map(path)[..., 0]
    if levels.dtype != np.uint16:
        raise SyncbenchError(f"{quoted(path)}: CO3D keeps depth in a PNG of 16 bits, and this one has 8")
    depth = half_depth(levels) * scale
    if mask is not None and is_file(mask):
        known = read_map(mask)[..., 0]
        if known.shape != depth.shape:
            raise SyncbenchError(f"{quoted(mask)}: a mask of {known.shape} px for a depth of {depth.shape} px")
        depth = depth * (known > 0)
    return np.where(depth > 0, depth, 0).astype(np.float32)
