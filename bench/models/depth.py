"""The reference model with its depth ControlNet (Zhang et al. 2023, arXiv 2302.05543).

Trained by `syncbench train depth`; diffusers' `ControlNetModel` and `StableDiffusionControlNetPipeline` read it, too.
"""

from typing import ClassVar

from .parts.bundled import Bundled
from .parts.composed import Parts
from .parts.pictures import Hint
from .parts.wrappers import Control, Controlled


class Depth(Bundled):
    """Condition `depth`: (N, 1, H, W) normalised inverse depth in [0, 1], 1 near, 0 sky; without it, the reference."""

    id = "depth"
    paper: ClassVar[str] = "2302.05543"

    def parts(self) -> Parts:
        """The parts of the reference model, with a ControlNet added to its network."""
        base = self.base
        return Parts(
            network=Controlled(base.unet, (Control(self.weights.weights("ControlNetModel")),)),
            conditioners=(base.text, Hint("depth")),
            codec=base.codec,
            levels=base.levels,
            window=base.window(),
            folders=self.folders(),
        )
