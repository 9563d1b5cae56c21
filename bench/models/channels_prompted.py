"""The reference world's decomposition of a picture: one channel at a time, chosen by the prompt.

RGB-to-X (Zeng et al. 2024, arXiv 2405.00666): the network reads the picture's latent beside the noisy one. The picture
enters in sRGB, where the published network reads linear light.
Trained by `syncbench train channels_prompted`.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Sequence

import torch
from torch import Tensor

from ._extended import Replaced
from .channels_joint import NAMES
from .interface import Condition


class ChannelsPrompted(Replaced):
    """Condition `image`: (1, 3, H, W). A prompt is `albedo`, `normal` or `shading`.

    Other prompts, such as the picture's caption, say nothing about channels: their views are the three in order.
    """

    id = "channels_prompted"
    capabilities = frozenset({"text", "attention", "image", "channels"})

    def condition(self, prompts: Sequence[str], guidance: float, negative: str = "", **inputs: Tensor) -> Condition:
        """One row per prompt."""
        asked = [p if p in NAMES else NAMES[i % len(NAMES)] for i, p in enumerate(prompts)]
        return super().condition(asked, guidance, negative, **inputs)

    def _rows(self, inputs: dict[str, Tensor], views: int) -> dict[str, Tensor]:
        return {"image": self.encode(self._needs(inputs, "image"))}

    def _network(self, x: Tensor, t: float, text: dict[str, Tensor]) -> Tensor:
        rows = torch.cat([x, text["image"]], 1).to(self.precision)
        return self.pipeline.unet(rows, t, text["text"].to(self.precision)).sample.to(self.dtype)
