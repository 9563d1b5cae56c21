"""Images to 8-bit PNG and back."""

import io

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor


def encode_png(image: Float[Tensor, "3 h w"]) -> bytes:
    """An image in [0, 1] as an 8-bit PNG."""
    pixels = (image.detach().float().clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()


def decode_png(data: bytes) -> Float[Tensor, "3 h w"]:
    """A PNG as float32 in [0, 1], multiples of 1/255."""
    pixels: npt.NDArray[np.uint8] = np.array(Image.open(io.BytesIO(data)).convert("RGB"))
    return torch.tensor(pixels).permute(2, 0, 1).float() / 255
