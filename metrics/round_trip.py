"""Round trip

RGB -> X -> RGB: the channels that a method took a picture apart into are put together again by a network that makes
pictures of channels (X-to-RGB), without a prompt, and the result is compared with the picture: root mean square
difference over pixels and colours, in 8-bit levels of sRGB. Lower is better.

Source: the cycle of Zeng et al., RGB<->X, SIGGRAPH 2024, arXiv 2405.00666, as a test of consistency; the noise that the
network starts from is one draw, the same for every method. Unlike `channel_reconstruction` it asks nothing of the
product of albedo and shading, reads normals, too, and serves channels that do not multiply.

Traps. The true channels do not score 0, because codec and network err: 9.6 levels over 12 pictures of the reference
world, of which the codec alone makes 6.9. The bundled network believes albedo more than anything else: albedo of
another picture scores 77, shading of another 14.1, normals of another 9.8. So the picture passed off as its own
albedo, with white shading and constant normals, scores 9.6, which is better than the methods here with 10.5:
read the round trip beside `albedo_error` and `normal_error`. The network knows pictures of the reference world alone
and answers on no others; `path` names a published one.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from ..bench.limits import Count
from ..bench.models.channels_to_rgb import ChannelsToRgb
from ..bench.models.x_to_rgb import XToRgb
from ..bench.types import Artifact, Family, Item, Role, Score
from .strips.crops import metric_device
from .views.images import eight_bit, stored_views
from .views.light import view_channels


@dataclass(frozen=True, kw_only=True)
class RoundTrip:
    """Difference between a picture and what a network makes of the channels that a method found in it."""

    version: ClassVar[int] = 1
    role: ClassVar[Role] = "consistency"
    direction: ClassVar[str] = "lower"
    unit: ClassVar[str] = "levels"
    families: ClassVar[tuple[Family, ...]] = ("channels",)

    path: str = ""
    """Folder or hub id of X-to-RGB; empty: the bundled `channels_to_rgb`, for items of the reference world."""
    steps: Count = 2
    """Denoising steps of the network."""

    def fingerprint(self) -> str:
        """One line that names the measure, the network and its weights."""
        network = _network(self.path, str(metric_device()))
        return f"rms, sRGB levels of 255, {network.id} {network.revision}, {self.steps} steps, no prompt, rgb8"

    def __call__(self, artifact: Artifact, item: Item) -> Score:
        """The difference over the whole picture."""
        names, image = view_channels(item), item.conditions.get("image")
        if image is None:
            return Score.none("the item has no picture that was taken apart")
        if not self.path and not item.world:
            return Score.none("the bundled network knows the reference world alone: set round_trip.path to an X-to-RGB")
        network = _network(self.path, str(metric_device()))
        views = stored_views(artifact)
        if len(names) != len(views):
            return Score.none("the artifact has another number of channels than the item")
        given = {name: view[None] for name, view in zip(names, views, strict=True) if name in network.capabilities}
        if not given:
            return Score.none(f"the network reads none of the channels {', '.join(names)}")
        if image.shape[2:] != views.shape[2:]:
            return Score.none("picture and channels are of unlike sizes")
        off = eight_bit(self.recomposed(network, given)).double() - eight_bit(image).double()
        return Score(value=255 * float(off.square().mean().sqrt()))

    @torch.no_grad()
    def recomposed(self, network: Any, channels: dict[str, Tensor]) -> Float[Tensor, "1 3 h w"]:
        """The picture that the network makes of channels (1, 3, h, w) by name, always from the same noise."""
        height, width = (side // network.factor for side in next(iter(channels.values())).shape[2:])
        noise = torch.randn(1, network.channels, height, width, generator=torch.Generator().manual_seed(0))
        x = noise.to(network.device, network.dtype)
        condition = network.condition([""], 1.0, **channels)
        for level in network.schedule(self.steps):
            x = level.move(*network.predict(x, level, condition))
        return network.decode(x)


@lru_cache(maxsize=2)
def _network(path: str, device: str) -> Any:
    if path:
        return XToRgb(path=path, device=device, image_guidance=1.0, rescale=0.0)
    return ChannelsToRgb(device=device, dtype="float32")
