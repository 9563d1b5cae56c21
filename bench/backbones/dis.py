"""Dense inverse search by OpenCV: optical flow without weights. See `matching`."""

from typing import Any

import cv2
import torch
from jaxtyping import Float
from torch import Tensor

from .matching import PADDING, Flow


class Dis(Flow):
    """OpenCV's DIS flow at its medium preset, on 8-bit grey pictures. It is the same with any number of threads."""

    name = "dis"
    fingerprint = f"dis medium, opencv {cv2.__version__}, grey8, {PADDING}"

    def estimate(self, first: Float[Tensor, "3 H W"], second: Float[Tensor, "3 H W"]) -> Float[Tensor, "2 H W"]:
        """The flow of padded pictures, float32 on the CPU."""
        search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        nothing: Any = None  # no earlier flow to start from
        found: Any = search.calc(_grey(first), _grey(second), nothing)
        return torch.from_numpy(found).permute(2, 0, 1).contiguous()


def _grey(image: Float[Tensor, "3 H W"]) -> Any:
    """The picture's luma in 8 bits, as an array (H, W)."""
    levels = (image.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
    return cv2.cvtColor(levels, cv2.COLOR_RGB2GRAY)
