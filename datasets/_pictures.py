"""Pictures of a user's own, read by Pillow: upright, on white where transparent, levels as stored (sRGB)."""

import re
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor
from torch.nn import functional as F

from ..bench.errors import SyncbenchError, quoted
from ..bench.files.reading import is_file
from ..bench.limits import ITEMS, PIXELS

FORMATS = {"PNG": (".png",), "JPEG": (".jpg", ".jpeg"), "WEBP": (".webp",), "TIFF": (".tif", ".tiff"), "BMP": (".bmp",)}
"""Pillow's names of the formats that are read, and the endings by which the pictures of a folder are recognised."""
ENDINGS = frozenset(ending for some in FORMATS.values() for ending in some)
"""Endings of the names of pictures."""


def read_picture(path: Path) -> Float[Tensor, "1 3 h w"]:
    """The picture in [0, 1], upright and on white. Raises SyncbenchError for damage, and as `opened_picture` does."""
    with undamaged(path):
        image = ImageOps.exif_transpose(opened_picture(path))
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    levels: Any = np.asarray(image, dtype=np.float32) / 255
    share = levels[..., 3:] if levels.shape[-1] == 4 else 1.0
    opaque = levels[..., :3] * share + (1 - share)
    return torch.from_numpy(opaque).permute(2, 0, 1)[None].contiguous()


def read_scaled(path: Path, height: int, width: int) -> Float[Tensor, "1 3 height width"]:
    """The picture in [0, 1], scaled (bilinear, antialiased). Raises SyncbenchError as `read_picture` does."""
    picture = read_picture(path)
    if picture.shape[2:] != (height, width):
        picture = F.interpolate(picture, (height, width), mode="bilinear", antialias=True, align_corners=False)
    return picture.clamp(0, 1)


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Height and width of an opened picture as its header turns it."""
    wide, high = image.size
    return (wide, high) if image.getexif().get(0x0112, 1) >= 5 else (high, wide)


def natural_order(path: Path) -> tuple[tuple[int, int, str], ...]:
    """A key that orders names with numbers by the numbers, so that 2.png comes before 10.png.

    >>> sorted([Path("10.png"), Path("2.png"), Path("b1")], key=natural_order)
    [PosixPath('2.png'), PosixPath('10.png'), PosixPath('b1')]
    """
    parts = re.findall(r"[0-9]+|[^0-9]+", path.name)
    return tuple((0, int(part[:100]), part) if part.isdigit() else (1, 0, part) for part in parts)


def picture_files(folder: Path) -> list[Path]:
    """The pictures of a folder in the order of their names (`natural_order`).

    Raises SyncbenchError for more than ITEMS of them, and a folder that cannot be listed.
    """
    try:
        files = [file for file in folder.iterdir() if file.suffix.lower() in ENDINGS and not file.name.startswith(".")]
    except OSError as error:
        raise SyncbenchError(f"cannot list {quoted(folder)}: {error.strerror or error}") from error
    if len(files) > ITEMS:
        raise SyncbenchError(f"{quoted(folder)}: more than {ITEMS:,} pictures in this folder")
    return sorted((file for file in files if is_file(file)), key=natural_order)


@contextmanager
def undamaged(path: Path) -> Generator[None]:
    """A context in which Pillow reads the picture at `path`; Pillow's errors are raised as SyncbenchError."""
    try:
        yield
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise SyncbenchError(f"{quoted(path)}: this picture is damaged ({error}): copy it again") from error


def opened_picture(path: Path, deep: bool = False) -> Image.Image:
    """The picture at `path`, of which only the header has been read.

    Raises SyncbenchError for a file that is missing, no picture, too large, or, unless `deep`, of more than 8 bits.
    """
    if not is_file(path):
        raise SyncbenchError(f"no picture '{quoted(path)}'")
    try:
        image = Image.open(path, formats=list(FORMATS))
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as error:
        raise SyncbenchError(f"{quoted(path)}: this is no picture that can be read ({', '.join(FORMATS)})") from error
    if image.width * image.height > PIXELS:
        raise SyncbenchError(
            f"{quoted(path)}: {image.width} x {image.height} px are more than the {PIXELS:,} px that are read"
        )
    if image.mode[0] in "IF" and not deep:
        raise SyncbenchError(f"{quoted(path)}: levels of more than 8 bits (mode {image.mode}): convert it to 8-bit RGB")
    return image
