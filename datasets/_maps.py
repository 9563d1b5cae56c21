"""Maps of numbers per pixel (depth, albedo, shading, normals): NPY, EXR, PNG of 8 or 16 bits, HDF5."""

import warnings
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import numpy.typing as npt

from ..bench.errors import SyncbenchError, quoted
from ..bench.files.reading import is_file, read_bytes
from ..bench.limits import PIXELS

FORMATS = (".npy", ".exr", ".png", ".hdf5", ".h5")
"""Endings of the names of maps."""
LARGEST = 2**30
"""Bytes of the largest map that is read."""


GUARDED = {"protocol_whitelist": "file"}
LIMITED = {"max_pixels": str(PIXELS)}
"""Options of FFmpeg: no other file is opened, and no larger picture is made room for."""


def read_map(path: Path) -> npt.NDArray[Any]:
    """The numbers as they are stored, (h, w, c): float32, or uint8 and uint16 as in a PNG.

    EXR has its channels R, G, B or Y. An array (c, h, w) of 1 or 3 channels is turned, and (h, w) has one channel. HDF5
    holds it as `dataset`, as in Hypersim, and needs h5py. Raises SyncbenchError for a file that is missing, damaged,
    too large, or holds something else.
    """
    name, kind = quoted(path), path.suffix.lower()
    if not is_file(path):
        raise SyncbenchError(f"no map '{name}'")
    if kind not in FORMATS:
        raise SyncbenchError(f"{name}: a map of numbers ends in {', '.join(FORMATS)}")
    if kind in (".hdf5", ".h5"):
        found = _hdf5(path, name)
    else:
        found = _npy(path, name) if kind == ".npy" else _picture(path, name, kind)
    if found.ndim == 3 and found.shape[0] in (1, 3) and found.shape[-1] not in (1, 3):
        found = np.moveaxis(found, 0, -1)
    found = found[..., None] if found.ndim == 2 else found
    if found.ndim != 3 or not 1 <= found.shape[2] <= 4 or min(found.shape) < 1 or found[..., 0].size > PIXELS:
        raise SyncbenchError(f"{name}: numbers of {found.shape} are no map (h, w) or (h, w, 3) of up to {PIXELS:,} px")
    if found.dtype.kind not in "fiub":
        raise SyncbenchError(f"{name}: a map holds numbers, not {found.dtype}")
    if found.dtype.name in ("uint8", "uint16"):
        return found
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite
        return found.astype(np.float32)


def _npy(path: Path, name: str) -> npt.NDArray[Any]:
    try:
        return np.load(BytesIO(read_bytes(path, LARGEST)), allow_pickle=False)
    except (ValueError, EOFError, OSError, SyntaxError, MemoryError) as error:
        raise SyncbenchError(
            f"{name}: this is no array of numbers that NumPy reads; save it with numpy.save"
        ) from error


def _picture(path: Path, name: str, kind: str) -> npt.NDArray[Any]:
    """The levels of a picture, with R, G and B in place of any transparency."""
    demuxer = "exr_pipe" if kind == ".exr" else "png_pipe"
    try:
        with cast(Any, av).open(str(path), format=demuxer, options=GUARDED, stream_options=[LIMITED]) as container:
            stream = container.streams.video[0]
            if stream.width * stream.height > PIXELS:
                raise SyncbenchError(f"{name}: {stream.width} x {stream.height} px are more than {PIXELS:,}")
            frame = next(iter(container.decode(video=0)))
        if frame.format.name in ("pal8", "monob", "monow", "ya8"):
            frame = frame.reformat(format="rgb24")
        found: npt.NDArray[Any] = frame.to_ndarray()
    except (av.FFmpegError, ValueError, IndexError, StopIteration) as error:
        what = "an EXR with channels R, G, B or Y" if kind == ".exr" else "a PNG"
        raise SyncbenchError(
            f"{name}: this is not {what}, it is damaged, or it has more than {PIXELS:,} px ({quoted(error, 60)})"
        ) from error
    return found[..., :3] if found.ndim == 3 else found


def _hdf5(path: Path, name: str) -> npt.NDArray[Any]:
    try:
        import h5py  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise SyncbenchError(f"{name}: HDF5 needs h5py: pip install h5py, or convert the map to NPY") from error
    library: Any = h5py
    content = BytesIO(read_bytes(path, LARGEST))
    try:
        with library.File(content, "r") as file:
            stored = file["dataset"]
            if stored.external or stored.is_virtual:
                raise SyncbenchError(f"{name}: its numbers are kept in another file: copy them into this one")
            if int(np.prod(stored.shape)) > 4 * PIXELS:
                raise SyncbenchError(f"{name}: 'dataset' is no map of up to {PIXELS:,} px")
            return np.asarray(stored[()])
    except (OSError, KeyError, ValueError, RuntimeError, TypeError, AttributeError) as error:
        raise SyncbenchError(f"{name}: no HDF5 file with numbers called 'dataset', as Hypersim has") from error


def half_depth(levels: npt.NDArray[np.uint16]) -> npt.NDArray[np.float32]:
    """Depth that CO3D keeps as the bits of half floats in 16-bit levels; 0 where it is not finite.

    >>> half_depth(np.array([[0x3C00, 0x4200, 0x7C00]], np.uint16)).tolist()
    [[1.0, 3.0, 0.0]]
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        depth = np.ascontiguousarray(levels).view(np.float16).astype(np.float32)
    return np.where(np.isfinite(depth), depth, 0)


def depth_of_distance(
    distance: npt.NDArray[np.float32], focal: float, centre: tuple[float, float] | None = None
) -> npt.NDArray[np.float32]:
    """Camera z (h, w) of distances to the camera's centre (h, w), as Hypersim keeps them.

    `focal` and the principal point `centre` (column, row; by default the middle) are in pixels.
    """
    high, wide = distance.shape
    across, down = centre or (wide / 2, high / 2)
    x = (np.arange(wide) + 0.5 - across) / focal
    y = (np.arange(high) + 0.5 - down) / focal
    return (distance / np.sqrt(1 + x[None] ** 2 + y[:, None] ** 2)).astype(np.float32)
