"""Captures of scanned objects: SyncDreamer's renders of Google Scanned Objects, and NAVI."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np

from ...bench.errors import SyncbenchError, quoted
from ...bench.files.reading import is_file, parse_json, read_bytes
from ...bench.surfaces.camera import orbit
from .._maps import read_map
from .._pictures import opened_picture, undamaged, upright_size
from .._rows import inside, name_prompt, named_id
from .captures import Capture, Map, Shot, lens, posed, turned_by

RENDERS = 16
"""Number of SyncDreamer's renders of an object, a sixteenth of a turn apart."""
ELEVATION, DISTANCE, FOCAL = 30.0, 1.5, 35 / 32
"""Elevation in degrees, distance from the origin, and focal length over the width of a picture, of its rig."""


def gso_capture(folder: Path) -> Capture:
    """SyncDreamer's renders `NAME-gt/000.png` to `015.png` of one object, RGBA, by the published rig.

    `meta.pkl` is not read, because nothing is unpickled. Raises SyncbenchError for a picture that is missing.
    """
    poses = orbit(360 / RENDERS * np.arange(RENDERS), ELEVATION, DISTANCE, (0.0, 0.0, 0.0))
    shots: list[Shot] = []
    for number, pose in enumerate(poses):
        image = folder / f"{number:03d}.png"
        with undamaged(image):
            high, wide = upright_size(opened_picture(image))
        where = quoted(image)
        intrinsics = lens(FOCAL * wide, FOCAL * wide, wide / 2, high / 2, where)
        shots.append(Shot(image=image, extrinsics=pose, intrinsics=intrinsics, size=(high, wide)))
    name = folder.name.removesuffix("-gt")
    return Capture(id=named_id(name), prompt=name_prompt(name), shots=tuple(shots))


def navi_capture(file: Path) -> Capture:
    """The capture of NAVI's `OBJECT/multiview-XX-CAMERA/annotations.json`, with masks and depth where they are there.

    A pose takes the object to the camera. Axes are OpenCV's: the projection of NAVI's code (google/navi, data_util.py;
    the last row of its matrix is 0 0 1 0, and rows of pixels count down) divides by +z. Raises SyncbenchError for a
    file that cannot be used.
    """
    rows: Any = parse_json(read_bytes(file), file)
    if not isinstance(rows, list) or not rows:
        raise SyncbenchError(f"{quoted(file)}: no list of pictures, which NAVI's annotations are")
    shots = tuple(_navi_shot(file, row, number) for number, row in enumerate(cast(list[Any], rows)))
    folder = file.resolve().parent
    name = folder.parent.name
    return Capture(id=named_id(f"{name}-{folder.name}"), prompt=name_prompt(name), shots=shots)


def _navi_shot(file: Path, row: Any, number: int) -> Shot:
    where = f"{quoted(file)}: picture {number}"
    table = cast(Mapping[str, Any], row) if isinstance(row, dict) else {}
    camera, name, size = table.get("camera"), table.get("filename"), table.get("image_size")
    if not isinstance(camera, dict) or not isinstance(name, str):
        raise SyncbenchError(f"{where}: no camera or no filename, as NAVI has")
    if not isinstance(size, list) or [type(side) for side in cast(list[Any], size)] != [int, int] or min(size) < 1:
        raise SyncbenchError(f"{where}: image_size is a height and a width in pixels")
    high, wide = cast(list[int], size)
    facts = cast(Mapping[str, Any], camera)
    pose = posed(turned_by(facts.get("q"), where), facts.get("t"), where)
    focal = facts.get("focal_length")
    image = Path(inside(file.parent / "images", name, str(file)))
    mask, depth = (file.parent / folder / f"{image.stem}.png" for folder in ("masks", "depth"))
    return Shot(
        image=image,
        extrinsics=pose,
        intrinsics=lens(focal, focal, wide // 2, high // 2, where),
        size=(high, wide),
        mask=mask if is_file(mask) else None,
        depth=navi_depth if is_file(depth) else None,
        depth_file=depth if is_file(depth) else None,
    )


def navi_depth(path: Path) -> Map:
    """Depth of NAVI's PNG of 16 bits, which holds inverse depth in units of 1 / 655350; 0 where there is none."""
    levels = read_map(path)[..., 0]
    if levels.dtype != np.uint16:
        raise SyncbenchError(f"{quoted(path)}: NAVI keeps depth in a PNG of 16 bits, and this one has 8")
    return np.where(levels > 0, 655350.0 / np.maximum(levels, 1), 0).astype(np.float32)
