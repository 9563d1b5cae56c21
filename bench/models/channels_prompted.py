"""The reference world's decomposition of a picture: one channel at a time, chosen by the prompt.

RGB-to-X (Zeng et al. 2024, arXiv 2405.00666): the network reads the picture's latent beside the noisy one. The picture
enters in sRGB, where the published network reads linear light.
Trained by `syncbench train channels_prompted`.
"""

from typing import ClassVar

from .parts.bundled import Bundled
from .parts.channels import Channel
from .parts.composed import Parts
from .parts.network import UNet
from .parts.pictures import Picture
from .parts.texts import Words
from .parts.wrappers import Concatenated


class ChannelsPrompted(Bundled):
    """Condition `image`: (1, 3, H, W). A prompt is `albedo`, `normal` or `shading`.

    Other prompts, such as the picture's caption, name no channel: the views are then the three channels in this order.
    """

    id = "channels_prompted"
    paper: ClassVar[str] = "2405.00666"

    def parts(self) -> Parts:
        """The parts of the reference model, with this model's own network in place of its network."""
        base = self.base
        words = {name: name for name in ("albedo", "normal", "shading")}
        return Parts(
            network=Concatenated(UNet(self.weights.weights("UNet2DConditionModel")), after=("image",)),
            conditioners=(Words(base.text, words), Picture()),
            codec=base.codec,
            levels=base.levels,
            window=base.window(),
            folders=self.folders(),
            channels=tuple(map(Channel, ("albedo", "normal", "shading"))),
        )
