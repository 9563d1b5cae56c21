"""The reference model with temporal attention between its spatial layers: clips, from words or from a first frame.

AnimateDiff (Guo et al. 2023, arXiv 2307.04725) at the reference world's size. Trained by `syncbench train motion`;
diffusers' `MotionAdapter` and `UNetMotionModel` read it, too. Frames may follow depth through the `depth` model's
ControlNet, which was trained without the temporal layers, as in diffusers' AnimateDiffControlNetPipeline.
"""

from typing import ClassVar

from .parts.bundled import Bundled
from .parts.composed import Parts
from .parts.denoiser import Precision
from .parts.network import MotionUNet
from .parts.pictures import Hint, Picture
from .parts.wrappers import Control, Controlled, GivenFirst


class Motion(Bundled):
    """Optional conditions: `image` (1, 3, H, W), the clip's first frame, which the sample keeps; `depth` of frames.

    Where views are denoised together they are a clip's frames in order; else each is a picture of the reference model.
    """

    id = "motion"
    paper: ClassVar[str] = "2307.04725"

    def __init__(
        self,
        *,
        path: str = "",
        base: str = "",
        control: str = "",
        device: str = "auto",
        dtype: Precision = "bfloat16",
        batch: int = 32,
    ) -> None:
        """`path`, `base` and `control` replace the shipped folders of this model, reference and depth ControlNet."""
        super().__init__(path=path, base=base, device=device, dtype=dtype, batch=batch)
        self._control = control

    def parts(self) -> Parts:
        """The parts of the reference model, with temporal layers in its network and a ControlNet added to it."""
        base, follow = self.base, self.shipped("depth", self._control)
        clip = MotionUNet(base.unet, self.weights.weights("MotionAdapter"))
        levels = base.levels
        return Parts(
            network=GivenFirst(
                Controlled(clip, (Control(follow.weights("ControlNetModel")),)), levels.prediction, "given"
            ),
            conditioners=(base.text, Picture(out="given", per=None, missing="nothing"), Hint("depth")),
            codec=base.codec,
            levels=levels,
            window=base.window(),
            places=(1, clip.frames),
            folders=self.folders(control=follow.revision()),
        )
