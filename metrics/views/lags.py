"""Cosines of the embeddings of frames that are so many frames apart."""

import torch
from jaxtyping import Float
from torch import Tensor


def frame_pairs(pairs: str, lag: int) -> str:
    """Which frames are compared, in words for fingerprints."""
    return f"{pairs} frames" if pairs == "all" or lag == 1 else f"frames {lag} apart"


def mean_cosine(seen: Float[Tensor, "t d"], pairs: str, lag: int) -> float:
    """Mean inner product of the unit embeddings of every two frames (`all`), or of those `lag` apart (`adjacent`)."""
    if pairs == "all":
        first, second = torch.triu_indices(len(seen), len(seen), 1)
        return float((seen[first] * seen[second]).sum(1).mean())
    return float((seen[lag:] * seen[:-lag]).sum(1).mean())
