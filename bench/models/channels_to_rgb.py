"""The reference world's recomposition: a picture from albedo, normal and shading, any of which may be missing.

X-to-RGB (Zeng et al. 2024, arXiv 2405.00666): the network reads the channels' latents beside the noisy one, a latent of
zeros where one is missing. All pictures are in sRGB, where the published network works in linear light. Trained by
`syncbench train channels_to_rgb`.
"""

from typing import ClassVar

from .parts.bundled import Bundled
from .parts.composed import Parts
from .parts.network import UNet
from .parts.pictures import Picture
from .parts.wrappers import Concatenated


class ChannelsToRgb(Bundled):
    """Conditions `albedo`, `normal`, `shading`: (N, 3, H, W) channel images in [0, 1], each optional."""

    id = "channels_to_rgb"
    paper: ClassVar[str] = "2405.00666"

    def parts(self) -> Parts:
        """The parts of the reference model, with this model's own network in place of its network."""
        base = self.base
        names = ("albedo", "normal", "shading")
        side = base.window() // base.codec.factor
        shape = (base.codec.channels, side, side)
        return Parts(
            network=Concatenated(UNet(self.weights.weights("UNet2DConditionModel")), after=names),
            conditioners=(base.text, *(Picture(name, name, missing="zeros", shape=shape) for name in names)),
            codec=base.codec,
            levels=base.levels,
            window=base.window(),
            folders=self.folders(),
        )
