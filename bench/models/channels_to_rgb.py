"""The reference world's recomposition: a picture from albedo, normal and shading, any of which may be missing.

X-to-RGB (Zeng et al. 2024, arXiv 2405.00666): the network reads the channels' latents beside the noisy one, a latent of
zeros where one is missing. All pictures are in sRGB, where the published network works in linear light. Trained by
`syncbench train channels_to_rgb`.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import torch
from torch import Tensor

from ._extended import Replaced
from .channels_joint import NAMES


class ChannelsToRgb(Replaced):
    """Conditions `albedo`, `normal`, `shading`: (N, 3, H, W) channel images in [0, 1], each optional."""

    id = "channels_to_rgb"
    capabilities = frozenset({"text", "attention", "albedo", "normal", "shading"})

    def _rows(self, inputs: dict[str, Tensor], views: int) -> dict[str, Tensor]:
        side = self.window // self.factor
        nothing = torch.zeros(views, self.channels, side, side, device=self.device, dtype=self.dtype)
        return {"channels": torch.cat([self.encode(inputs[n]) if n in inputs else nothing for n in NAMES], 1)}

    def _network(self, x: Tensor, t: float, text: dict[str, Tensor]) -> Tensor:
        rows = torch.cat([x, text["channels"]], 1).to(self.precision)
        return self.pipeline.unet(rows, t, text["text"].to(self.precision)).sample.to(self.dtype)
