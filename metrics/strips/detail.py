"""Fine detail of an image, as its Laplacian."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

LUMA = (0.299, 0.587, 0.114)
"""Rec. 601 weights of R, G, B."""


def laplacian(image: Float[Tensor, "3 H W"]) -> Float[Tensor, "H W"]:
    """4-neighbour Laplacian of luma in 8-bit levels (float64), edges replicated."""
    luma = torch.einsum("c,chw->hw", torch.tensor(LUMA, dtype=torch.double), image.double() * 255)
    p = F.pad(luma[None, None], (1, 1, 1, 1), mode="replicate")[0, 0]
    return p[:-2, 1:-1] + p[2:, 1:-1] + p[1:-1, :-2] + p[1:-1, 2:] - 4 * luma
