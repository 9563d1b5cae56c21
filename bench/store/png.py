"""Images to 8-bit PNG and back, within limits: a small file may stand for a picture that fills the memory."""

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
"""Most pixels of all pictures of one artifact. One picture has at most PIXELS: about 0.8 GB once it is decoded."""


def encode_png(image: Float[Tensor, "3 h w"]) -> bytes:
    """An image in [0, 1] as an 8-bit PNG."""
    pixels = (image.detach().float().clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()


def decode_png(data: bytes) -> Float[Tensor, "3 h w"]:
    """A PNG as float32 in [0, 1], multiples of 1/255. Raises ValueError for what is none, or has more than PIXELS."""
    picture = _opened(data)
    check_sizes([picture.size])
    try:
        pixels: npt.NDArray[np.uint8] = np.array(picture.convert("RGB"))
    except (OSError, SyntaxError, EOFError) as error:  # what Pillow raises where a PNG breaks off or is none inside
        raise ValueError(f"a picture is no whole PNG: {error}") from error
    return torch.tensor(pixels).permute(2, 0, 1).float() / 255


def declared(data: bytes) -> tuple[int, int]:
    """Width and height that a PNG declares; it is not decoded. Raises ValueError for what is none."""
    return _opened(data).size


def check_sizes(sizes: Iterable[tuple[int, int]]) -> None:
    """Raise ValueError if one of the pictures of an artifact, or all together, have more pixels than is stored."""
    total = 0
    for wide, high in sizes:
        total += wide * high
        if wide * high > PIXELS:
            raise ValueError(f"a picture of {wide} x {high} px is larger than the {PIXELS:,} px that are stored")
    if total > TOGETHER:
        raise ValueError(f"its pictures have {total:,} px together, and at most {TOGETHER:,} are stored")


def _opened(data: bytes) -> Image.Image:
    """Reads the head only; PNG and nothing else that Pillow could open, whatever the data say they are."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit here is lower
            return Image.open(io.BytesIO(data), formats=["PNG"])
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"a picture is no PNG of a size that is read: {error}") from error
