"""The reference world's decomposition of a picture: albedo, normal and shading denoised together.

One network reads the picture's latent and the three noisy ones, stacked, as Marigold-IID does (arXiv 2505.09358), whose
published models make no normals: albedo, roughness and metallicity, or albedo, shading and a residual. Trained by
`syncbench train channels_joint`.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import torch
from torch import Tensor

from ..types import SyncbenchError
from ._extended import Replaced

NAMES = ("albedo", "normal", "shading")


class ChannelsJoint(Replaced):
    """Condition `image`: (1, 3, H, W). Views are albedo, normal, shading of it, in this order; words say nothing."""

    id = "channels_joint"
    capabilities = frozenset({"text", "attention", "image", "joint", "channels"})
    always = True

    def _rows(self, inputs: dict[str, Tensor], views: int) -> dict[str, Tensor]:
        picture = self._needs(inputs, "image")[:: len(NAMES)]
        return {"image": self.encode(picture).repeat_interleave(len(NAMES), 0)[:views]}

    def _network(self, x: Tensor, t: float, text: dict[str, Tensor]) -> Tensor:
        if len(x) % len(NAMES):
            raise SyncbenchError(
                f"model {self.id} makes {len(NAMES)} views a picture ({', '.join(NAMES)}), not {len(x)}"
            )
        groups = x.unflatten(0, (-1, len(NAMES))).flatten(1, 2)
        rows = torch.cat([groups, text["image"][:: len(NAMES)]], 1).to(self.precision)
        words = self._empty.expand(len(rows), -1, -1).to(self.precision)
        found = self.pipeline.unet(rows, t, words).sample.to(self.dtype)
        return found.unflatten(1, (len(NAMES), -1)).flatten(0, 1)
