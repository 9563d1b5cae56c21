"""AnimateDiff: temporal attention between the layers of a frozen image model makes its samples frames of a clip.

Guo, Yang, Rao et al., ICLR 2024, arXiv 2307.04725. The motion module is trained once (`syncbench train motion`); the
sampling loop is the plain one. Where the item has depth and the model a ControlNet, frames also follow the depth, as in
diffusers' AnimateDiffControlNetPipeline. Left out: motion LoRAs, and free noise for clips longer than the training's.
"""

from dataclasses import dataclass
from typing import ClassVar

from .._together import Together


@dataclass(frozen=True, kw_only=True)
class AnimateDiff(Together):
    """Every frame starts from its own noise."""

    version: ClassVar[int] = 1
    paper: ClassVar[str] = "2307.04725"
    licence: ClassVar[str] = "Apache-2.0"
    requires: ClassVar[tuple[str, ...]] = ("joint", "time", "text")
