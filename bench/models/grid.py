"""The reference model's image-conditioned grid: six views of the object of a picture, on one canvas of 3 x 2 tiles.

Zero123++ (Shi et al. 2023, arXiv 2310.15110) at the reference world's size: poses are baked into the tiles (azimuth 30,
90, ... 330 degrees from the picture's, elevation 20 and -10 in turn), and every self-attention also sees the picture,
noised to the same level, through the same network. Trained by `syncbench train grid`.

Unlike the published pipeline, so that samples can be repeated: the noise on the picture depends on the step alone, and
is the same for all items and seeds and in both passes of guidance, where upstream draws it afresh. The run's seed does
not change it. The unconditional pass sees a latent of zeros, where upstream encodes a grey picture; the field of view
is 49 degrees, not 30.
"""

from typing import ClassVar

from .parts.bundled import Bundled
from .parts.composed import Parts
from .parts.network import UNet
from .parts.pictures import Picture
from .parts.wrappers import Referring, Tiled


class Grid(Bundled):
    """Condition `image`: (1, 3, H, W), the input view. Views are the six poses in order.

    Where views are denoised together they are tiles of one canvas; else each is denoised by itself, with the picture in
    its attention but its pose unknown.
    """

    id = "grid"
    paper: ClassVar[str] = "2310.15110"

    def parts(self) -> Parts:
        """The parts of the reference model, with this model's own network in place of its network."""
        base = self.base
        return Parts(
            network=Tiled(Referring(UNet(self.weights.weights("UNet2DConditionModel"))), rows=3, columns=2),
            conditioners=(base.text, Picture(per=None, absent="zeros")),
            codec=base.codec,
            levels=base.levels,
            window=base.window(),
            places=(6, 6),
            folders=self.folders(),
        )
