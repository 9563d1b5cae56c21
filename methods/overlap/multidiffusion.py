"""MultiDiffusion: every step, each window denoises on its own and the results are averaged.

Bar-Tal, Yariv, Lipman, Dekel, ICML 2023, arXiv 2302.08113. Formulas read in the paper and checked against
upstream commit 69bcdce (no licence file, so nothing is taken from it). Left out: region prompts with masks
and bootstrapping, which need mask conditions.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from ...bench.limits import Fraction
from ...bench.sampling.loop import Reported, Step, Sync


@dataclass(frozen=True, kw_only=True)
class MultiDiffusion(Sync):
    """z' = least-squares fusion of the windows' own next states (eq. 5); the state is the canvas."""

    version: ClassVar[int] = 1
    paper: ClassVar[str] = "2302.08113"
    licence: ClassVar[str] = "none stated"
    reported: ClassVar[tuple[Reported, ...]] = (
        {
            "metric": "intra_lpips",
            "value": "0.72 ±0.08",
            "setting": "512 x 4608 px, 1,000 panoramas of 14 prompts, Stable Diffusion 2.0",
            "source": "CDGS, table 4",
        },
        {
            "metric": "intra_style",
            "value": "2.96 ±0.24 (x1e-2, summed over pairs)",
            "setting": "512 x 4608 px, 1,000 panoramas of 14 prompts, Stable Diffusion 2.0",
            "source": "CDGS, table 4",
        },
    )

    stride: Fraction | None = 0.125
    """Step between windows as a fraction of a window: 8 of 64 latent pixels, the paper's 87.5 % overlap."""

    def step(self, state: Any, x: Tensor, s: Step) -> Tensor:
        """The canvas at the next noise level: the mean of the windows' own next states."""
        return s.canvas.paint(s.move(s.x0, s.eps))
