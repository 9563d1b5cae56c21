"""Pictures that other programs write: 8- and 16-bit PNG, JPEG, WebP, TIFF, BMP, and EXR in linear light.

Transparent pixels are laid on white, grey pictures become RGB, and a picture is turned as its header says. Pillow reads
all but EXR and PNG of 16 bits, which it would cut to 8; FFmpeg decodes these without a change to their values.
"""

import io
import warnings
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from ..errors import SyncbenchError, quoted
from ..files.reading import read_bytes
from ..limits import PIXELS

FORMATS = {
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg"),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "BMP": (".bmp",),
    "EXR": (".exr",),
}
"""Formats of pictures and the endings of their files' names."""
ENDINGS = frozenset(ending for endings in FORMATS.values() for ending in endings)
"""Endings of all pictures."""
ANIMATED = ("GIF", "WEBP", "PNG")
"""Pillow's names of the formats that hold clips."""
DEEP = 24
"""Place of a PNG's bit depth in its bytes."""

Levels = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Picture:
    """A picture as its file holds it."""

    image: Float[Tensor, "3 h w"]
    """sRGB in [0, 1]; of an EXR whatever numbers it holds, which are finite."""
    linear: bool
    """Whether the file holds numbers in linear light (EXR) and not sRGB."""


def read_picture(path: Path) -> Picture:
    """The picture in a file. Raises SyncbenchError for a file that is none, is damaged, or has more than PIXELS."""
    data = read_bytes(path)
    with undamaged(path):
        if path.suffix.lower() == ".exr":
            return Picture(_tensor(_floats(data, path)), linear=True)
        if data.startswith(b"\x89PNG") and data[DEEP : DEEP + 1] == b"\x10":
            return Picture(_tensor(_sixteen_bit(data, path)), linear=False)
        formats = [name for name in FORMATS if name != "EXR"]
        image = opened(data, formats, path)
        if image.mode[0] in "IF" and image.mode not in ("I;16", "I;16L", "I;16B"):
            raise SyncbenchError(f"{quoted(path)}: levels of mode {image.mode}, not of 8 or 16 bits: save it as PNG")
        return Picture(_tensor(_levels(ImageOps.exif_transpose(image))), linear=False)


def read_animation(path: Path) -> Iterator[Float[Tensor, "3 h w"]]:
    """The frames of a GIF, an animated WebP or an animated PNG, in order, sRGB in [0, 1].

    Raises SyncbenchError for a file that is none, or has frames of more than PIXELS.
    """
    data = read_bytes(path)
    with undamaged(path):
        image: Any = opened(data, ANIMATED, path)
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            yield _tensor(_levels(image))


def moves(path: Path) -> bool:
    """Whether a WebP or a PNG has several frames."""
    if path.suffix.lower() not in (".webp", ".png"):
        return False
    with undamaged(path):
        return getattr(opened(read_bytes(path), ANIMATED, path), "n_frames", 1) > 1


def opened(data: bytes, formats: list[str] | tuple[str, ...], path: Path) -> Image.Image:
    """The picture in `data`, of which only the header has been read. Raises SyncbenchError for what is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit here is lower
            image = Image.open(io.BytesIO(data), formats=list(formats))
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise SyncbenchError(f"{quoted(path)}: this is no picture that can be read ({', '.join(formats)})") from error
    check_pixels(image.width, image.height, path)
    return image


@contextmanager
def undamaged(path: Path) -> Generator[None]:
    """A context in which the file at `path` is decoded; errors of the decoder become a SyncbenchError."""
    try:
        yield
    except (OSError, ValueError, SyntaxError, EOFError, av.FFmpegError) as error:
        raise SyncbenchError(f"{quoted(path)}: this file is damaged ({quoted(error, 120)}): write it again") from error


def check_pixels(width: int, height: int, path: Path) -> None:
    """Raise SyncbenchError for a picture of more than PIXELS."""
    if width * height > PIXELS:
        raise SyncbenchError(f"{quoted(path)}: {width} x {height} px are more than the {PIXELS:,} px that are read")


def on_white(levels: Levels) -> Levels:
    """Levels (h, w, 3) in [0, 1] of a picture (h, w, 1 to 4) whose even number of channels ends with opacity."""
    count = levels.shape[-1]
    colour = levels if count in (1, 3) else levels[..., :-1] * levels[..., -1:] + (1 - levels[..., -1:])
    return np.broadcast_to(colour, (*colour.shape[:2], 3)) if colour.shape[-1] == 1 else colour


def _levels(image: Image.Image) -> Levels:
    """Levels (h, w, 3) in [0, 1] of a picture that Pillow reads."""
    if image.mode.startswith("I;16"):
        return on_white(np.asarray(image, dtype=np.float32)[..., None] / np.float32(65535))
    mode = "RGBA" if image.has_transparency_data else "RGB"
    return on_white(np.asarray(image.convert(mode), dtype=np.float32) / np.float32(255))


def _sixteen_bit(data: bytes, path: Path) -> Levels:
    """Levels (h, w, 3) in [0, 1] of a PNG of 16 bits."""
    frame = _frame(data, "png_pipe", path)
    kinds = {"gray16be": "gray16le", "rgb48be": "rgb48le"}
    array = frame.to_ndarray(format=kinds.get(frame.format.name, "rgba64le"))
    return on_white(array.reshape(frame.height, frame.width, -1).astype(np.float32) / np.float32(65535))


def _floats(data: bytes, path: Path) -> Levels:
    """Numbers (h, w, 3) of an EXR's colours. Raises SyncbenchError where they are not finite."""
    frame = _frame(data, "exr_pipe", path)
    kind = "grayf32le" if frame.format.name.startswith("gray") else "gbrpf32le"
    array = frame.to_ndarray(format=kind).reshape(frame.height, frame.width, -1).astype(np.float32)
    if not np.isfinite(array).all():
        raise SyncbenchError(f"{quoted(path)}: it holds NaN or infinite values, which no channel picture may")
    return on_white(array)


def _frame(data: bytes, format: str, path: Path) -> av.VideoFrame:
    """The one frame that FFmpeg decodes of `data`."""
    with av.open(io.BytesIO(data), "r", format=format) as container:
        stream = container.streams.video[0]
        check_pixels(stream.width, stream.height, path)
        for frame in container.decode(video=0):
            return frame
    raise ValueError("no picture in it")


def _tensor(levels: Levels) -> Float[Tensor, "3 h w"]:
    return torch.from_numpy(np.ascontiguousarray(levels)).permute(2, 0, 1).contiguous()
