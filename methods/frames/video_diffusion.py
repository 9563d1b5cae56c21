"""Video diffusion: a network trained on clips denoises all frames together, from words.

Ho, Salimans, Gritsenko, Chan, Norouzi, Fleet, NeurIPS 2022, arXiv 2204.03458; of released checkpoints ModelScope's
text-to-video (Wang et al. 2023, arXiv 2308.06571, a UNet with convolutions and attention along time) and Wan (2025,
arXiv 2503.20314, a transformer over patches of space and time). Nothing is exchanged beside the network's own layers.
"""

from dataclasses import dataclass
from typing import ClassVar

from .._together import Together


@dataclass(frozen=True, kw_only=True)
class VideoDiffusion(Together):
    """Denoises all frames of a clip together, each from noise of its own."""

    version: ClassVar[int] = 1
    paper: ClassVar[str] = "2204.03458"
    requires: ClassVar[tuple[str, ...]] = ("joint", "time", "text")
