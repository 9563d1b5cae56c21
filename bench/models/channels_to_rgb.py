"""The reference world's recomposition: a picture from albedo, normal and shading, any of which may be missing.

X-to-RGB (Zeng et al. 2024, arXiv 2405.00666): the network reads the channels' latents beside the noisy one, a latent of
zeros where one is missing. All pictures are in sRGB, where the published network works in linear light. Guidance has
three passes, as published: nothing given, the channels given, channels and text given. Trained by `syncbench train
channels_to_rgb`, which leaves out channels and captions at random.
"""

from typing import Annotated, ClassVar

from annotated_types import Interval

from ..limits import Share
from .parts.bundled import Bundled
from .parts.composed import Parts
from .parts.denoiser import Precision
from .parts.guidance import TextAndImage
from .parts.network import UNet
from .parts.pictures import Picture
from .parts.wrappers import Concatenated

CHANNELS = ("albedo", "normal", "shading")


class ChannelsToRgb(Bundled):
    """Conditions `albedo`, `normal`, `shading`: (N, 3, H, W) channel images in [0, 1], each optional."""

    id = "channels_to_rgb"
    paper: ClassVar[str] = "2405.00666"

    def __init__(
        self,
        *,
        path: str = "",
        base: str = "",
        image_guidance: Annotated[float, Interval(ge=0, le=100)] = 1.0,
        rescale: Share = 0.0,
        device: str = "auto",
        dtype: Precision = "bfloat16",
        batch: int = 32,
    ) -> None:
        """`image_guidance` is the scale of guidance by the channels; the protocol's guidance scale is that of the text.

        `rescale` moves the result towards the standard deviation of the last pass; see `TextAndImage`. `path` and
        `base` replace the shipped folders, of this model and of the reference model.
        """
        super().__init__(path=path, base=base, device=device, dtype=dtype, batch=batch)
        self._guidance = TextAndImage(image_guidance, rescale)

    def parts(self) -> Parts:
        """The parts of the reference model, with this model's own network in place of its network."""
        base = self.base
        unet = UNet(self.weights.weights("UNet2DConditionModel"))
        pictures = (Picture(name, name, absent="zeros", missing="nothing") for name in CHANNELS)
        return Parts(
            network=Concatenated(unet, after=CHANNELS, optional=dict.fromkeys(CHANNELS, base.codec.channels)),
            conditioners=(base.text, *pictures),
            codec=base.codec,
            levels=base.levels,
            guidance=self._guidance,
            window=base.window(),
            folders=self.folders(guidance=str(self._guidance)),
        )
