"""Images to 8-bit PNG and back, within limits, because a small file may unpack to a picture that fills the memory."""

import io
import warnings
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from ..limits import PIXELS

TOGETHER = 4 * PIXELS
"""Largest number of pixels of all pictures of an artifact. One picture has at most PIXELS, about 0.8 GB decoded."""


def encode_png(image: Float[Tensor, "3 h w"]) -> bytes:
    """An image in [0, 1] as an 8-bit PNG."""
    pixels = _bytes(image).permute(1, 2, 0).cpu().numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()


def as_stored(images: Float[Tensor, "*n 3 h w"]) -> Float[Tensor, "*n 3 h w"]:
    """Images in [0, 1] as they are read back from PNG files: float32 on the CPU, in steps of 1/255."""
    return _bytes(images).cpu().float() / 255


def decode_png(data: bytes) -> Float[Tensor, "3 h w"]:
    """The image of a PNG as float32 in [0, 1], in steps of 1/255.

    Raises ValueError for data that are no whole PNG, or have more than PIXELS.
    """
    picture = _opened(data)
    check_sizes([picture.size])
    try:
        pixels: npt.NDArray[np.uint8] = np.array(picture.convert("RGB"))
    except (OSError, SyntaxError, EOFError) as error:  # what Pillow raises where a PNG breaks off or is none inside
        raise ValueError(f"a picture is no whole PNG: {error}") from error
    return torch.tensor(pixels).permute(2, 0, 1).float() / 255


def declared(data: bytes) -> tuple[int, int]:
    """Width and height that a PNG declares, without decoding it. Raises ValueError for data that are no PNG."""
    return _opened(data).size


def check_sizes(sizes: Iterable[tuple[int, int]]) -> None:
    """Raises ValueError if a picture (width, height) has more than PIXELS, or all together have more than TOGETHER."""
    total = 0
    for wide, high in sizes:
        total += wide * high
        if wide * high > PIXELS:
            raise ValueError(f"a picture of {wide} x {high} px is larger than the {PIXELS:,} px that are stored")
    if total > TOGETHER:
        raise ValueError(f"its pictures have {total:,} px together, and at most {TOGETHER:,} are stored")


def _bytes(images: Tensor) -> Tensor:
    return (images.detach().float().clamp(0, 1) * 255).round().byte()


def _opened(data: bytes) -> Image.Image:
    """The picture of a PNG, of which only the header is read. Raises ValueError for data in any other format."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit here is lower
            return Image.open(io.BytesIO(data), formats=["PNG"])
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"a picture is no PNG of a size that is read: {error}") from error
