"""The reference world's decomposition of a picture: albedo, normal and shading denoised together.

One network reads the picture's latent and the three noisy ones, stacked, as Marigold-IID does (arXiv 2505.09358), whose
published models have the picture first and make no normals: albedo, roughness and metallicity, or albedo, shading and a
residual. Trained by `syncbench train channels_joint`.
"""

from typing import ClassVar

from .parts.bundled import Bundled
from .parts.channels import Channel
from .parts.composed import Parts
from .parts.network import UNet
from .parts.pictures import Picture
from .parts.texts import Silence
from .parts.wrappers import Concatenated, Stacked


class ChannelsJoint(Bundled):
    """Condition `image`: (1, 3, H, W). Its views are albedo, normal, shading, in this order; prompts have no effect."""

    id = "channels_joint"
    paper: ClassVar[str] = "2505.09358"

    def parts(self) -> Parts:
        """The parts of the reference model, with this model's own network in place of its network."""
        base = self.base
        unet = UNet(self.weights.weights("UNet2DConditionModel"))
        return Parts(
            network=Stacked(Concatenated(unet, after=("image",)), views=3),
            conditioners=(Silence(base.text), Picture(per=3)),
            codec=base.codec,
            levels=base.levels,
            window=base.window(),
            places=(3, 3),
            folders=self.folders(),
            channels=tuple(map(Channel, ("albedo", "normal", "shading"))),
        )
