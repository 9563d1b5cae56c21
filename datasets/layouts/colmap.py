"""Captures reconstructed by COLMAP, in text or binary, as MVImgNet has them too: `sparse/0` beside `images`.

Poses are world to camera with OpenCV's axes, a quaternion w, x, y, z and a translation, as here.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ...bench.errors import SyncbenchError, quoted
from ...bench.files.reading import is_file, is_folder, read_bytes, read_text
from ...bench.limits import ITEMS
from .._rows import inside, named_id
from .captures import Capture, Shot, lens, posed, turned_by

MODELS = ("SIMPLE_PINHOLE", "PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV")
"""Camera models that are read, by COLMAP's numbers: the first ones are pinholes, the others have a distorting lens."""
PARAMETERS = (3, 4, 4, 5, 8)
"""Numbers of parameters of MODELS."""
PLACES = ("sparse/0", "sparse", "colmap/sparse/0", ".")
"""Where a capture's reconstruction lies below its folder."""


class _Camera(NamedTuple):
    model: str
    width: int
    height: int
    parameters: tuple[float, ...]


def colmap_folder(root: Path) -> Path | None:
    """The folder of the reconstruction of a capture's folder; None where there is none."""
    for place in PLACES:
        for ending in ("bin", "txt"):
            if all(is_file(root / place / f"{name}.{ending}") for name in ("cameras", "images")):
                return root / place
    return None


def colmap_capture(root: Path) -> Capture:
    """The capture of a folder with a reconstruction. Raises SyncbenchError for files that cannot be used."""
    model = colmap_folder(root)
    if model is None:
        raise SyncbenchError(f"{quoted(root)}: no cameras and images (bin or txt) of COLMAP in sparse/0")
    pictures = next((one for one in (root / "images", root.parent / "images", root) if is_folder(one)), root)
    ending = "bin" if is_file(model / "images.bin") else "txt"
    files = model / f"cameras.{ending}", model / f"images.{ending}"
    read_cameras, read_images = (_cameras_bin, _images_bin) if ending == "bin" else (_cameras_txt, _images_txt)
    try:
        cameras = dict(read_cameras(files[0]))
        rows = list(read_images(files[1]))
    except (struct.error, ValueError, IndexError, UnicodeDecodeError) as error:
        raise SyncbenchError(f"{quoted(model)}: COLMAP's cameras or images.{ending} are damaged or cut off") from error
    shots: list[Shot] = []
    for name, number, turn, moved in sorted(rows):
        where = f"{quoted(files[1])}: {quoted(name, 60)}"
        if number not in cameras:
            raise SyncbenchError(f"{where}: camera {number} is not in {files[0].name}")
        camera = cameras[number]
        fx, fy, cx, cy, *bent = _pinhole(camera)
        shots.append(
            Shot(
                image=Path(inside(pictures, name, str(files[1]))),
                extrinsics=posed(turned_by(turn, where), moved, where),
                intrinsics=lens(fx, fy, cx, cy, where),
                size=(camera.height, camera.width),
                distortion=(bent[0], bent[1], bent[2], bent[3]),
            )
        )
    return Capture(id=named_id(root.resolve().name), prompt="", shots=tuple(shots))


def _pinhole(camera: _Camera) -> list[float]:
    """fx, fy, cx, cy, k1, k2, p1 and p2 of a camera."""
    given = list(camera.parameters)
    if camera.model in ("SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL"):
        given = [given[0], *given]
    return [*given, 0.0, 0.0, 0.0, 0.0][:8]


def _model(number: int | str, file: Path) -> tuple[str, int]:
    """Name and number of parameters of a camera model. Raises SyncbenchError for one that is not in MODELS."""
    index = MODELS.index(number) if isinstance(number, str) and number in MODELS else number
    if not isinstance(index, int) or not 0 <= index < len(MODELS):
        raise SyncbenchError(
            f"{quoted(file)}: camera model {quoted(number, 30)} is none of {', '.join(MODELS)}: run COLMAP's "
            "image_undistorter first"
        )
    return MODELS[index], PARAMETERS[index]


def _lines(file: Path) -> Iterator[list[str]]:
    return (line.split() for line in read_text(file, 2**28).split("\n") if not line.startswith("#"))


def _cameras_txt(file: Path) -> Iterator[tuple[int, _Camera]]:
    for words in _lines(file):
        if words:
            model, count = _model(words[1], file)
            if len(words) != 4 + count:
                raise ValueError(words)
            yield int(words[0]), _Camera(model, int(words[2]), int(words[3]), tuple(map(float, words[4:])))


def _images_txt(file: Path) -> Iterator[tuple[str, int, tuple[float, ...], tuple[float, ...]]]:
    # every second line lists points, and may be empty
    for words in list(_lines(file))[::2]:
        if words:
            numbers = tuple(map(float, words[1:8]))
            yield " ".join(words[9:]), int(words[8]), numbers[:4], numbers[4:]


def _cameras_bin(file: Path) -> Iterator[tuple[int, _Camera]]:
    data, at = read_bytes(file), 8
    for _ in range(_count(data)):
        id, number, wide, high = struct.unpack_from("<iiQQ", data, at)
        model, count = _model(number, file)
        values: Any = struct.unpack_from(f"<{count}d", data, at + 24)
        at += 24 + 8 * count
        yield id, _Camera(model, wide, high, values)


def _images_bin(file: Path) -> Iterator[tuple[str, int, tuple[float, ...], tuple[float, ...]]]:
    data, at = read_bytes(file, 2**30), 8
    for _ in range(_count(data)):
        _, *numbers, camera = struct.unpack_from("<i7di", data, at)
        end = data.index(b"\0", at + 64)
        name = data[at + 64 : end].decode()
        (points,) = struct.unpack_from("<Q", data, end + 1)
        at = end + 9 + 24 * points
        yield name, camera, tuple(numbers[:4]), tuple(numbers[4:])


def _count(data: bytes) -> int:
    (count,) = struct.unpack_from("<Q", data)
    if count > ITEMS:
        raise ValueError(count)
    return int(count)
