"""The noise schedule of the bundled models, and how trainers draw times from it and add noise."""

from __future__ import annotations

import torch
from diffusers import DDIMScheduler
from torch import Tensor


def schedule() -> DDIMScheduler:
    """The noise schedule: v-prediction, with so little signal at the end that sampling can start from unit noise.

    sqrt(alpha_bar) ends at 0.015 rather than at zero so that noise prediction stays convertible everywhere.
    """
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.02,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=True,
        steps_offset=1,
    )


class Noise:
    """The base's noise levels and the network's target, v = a eps - b x0."""

    def __init__(self) -> None:
        self.bars = schedule().alphas_cumprod

    def times(self, n: int, random: torch.Generator, lean: float = 1.0) -> Tensor:
        """n times spread evenly over the schedule; `lean` < 1 prefers the noisy end, where layout is decided."""
        share = (torch.arange(n) + torch.rand(n, generator=random)) / n
        return (share.pow(lean) * len(self.bars)).long().clamp_max(len(self.bars) - 1)

    def mix(self, x: Tensor, t: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor]:
        """(x_t, v) for clean x (n, ...) and times (n,)."""
        bar = self.bars[t].view(-1, *[1] * (x.ndim - 1))
        a, b = bar.sqrt(), (1 - bar).sqrt()
        noise = torch.randn(x.shape, generator=random)
        return a * x + b * noise, a * noise - b * x
