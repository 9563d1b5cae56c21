"""What Diff3F keeps while it draws."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass
class Drawing:
    """Views that are drawn, and what the network's decoder made of them."""

    views: Float[Tensor, "views c h w"]
    """Noisy latents."""
    total: Tensor = field(default_factory=lambda: torch.empty(0))
    """Weighted sum (views, d, h, w) of unit features; empty before the first."""
    weight: float = 0.0
    """Weight of the present step's features; 0 where none are kept."""
    times: list[float] = field(default_factory=list[float])
    """Times, as the network counts them, of the steps whose features are kept."""
    rows: slice = field(default_factory=lambda: slice(0))
    """The views of the network call in progress."""
