"""AnimateDiff: temporal attention between the layers of a frozen image model makes its samples frames of a clip.

Guo, Yang, Rao et al., ICLR 2024, arXiv 2307.04725. The motion module is trained once (`syncbench train motion`); the
sampling loop exchanges nothing between frames. Where the item has depth and the model a ControlNet, frames also follow
the depth, as in diffusers' AnimateDiffControlNetPipeline. Left out: motion LoRAs, and FreeNoise for clips longer than
those of training.
"""

from dataclasses import dataclass
from typing import ClassVar

from .._together import Together


@dataclass(frozen=True, kw_only=True)
class AnimateDiff(Together):
    """Denoises all frames of a clip together, each from noise of its own; the motion module makes them agree."""

    version: ClassVar[int] = 1
    paper: ClassVar[str] = "2307.04725"
    licence: ClassVar[str] = "Apache-2.0"
    requires: ClassVar[tuple[str, ...]] = ("joint", "time", "text")
