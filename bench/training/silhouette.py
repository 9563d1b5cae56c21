"""The silhouette of the object in a picture of the world, by a small network.

It is trained in a few minutes on renders and on renders that passed the codec, never on samples. Its `agreement` with
the true mask of held-out renders is the ceiling of every figure that uses it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import SyncbenchError
from ..world.stream import shots
from .saved import read, write
from .stream import signed


def _conv(inside: int, outside: int, stride: int = 1, spread: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, outside, 3, stride, spread, dilation=spread), nn.GroupNorm(8, outside), nn.SiLU()
    )


class Silhouette(nn.Module):
    """Pictures (n, 3, 128, 128) in [0, 1] to logits (n, 1, 128, 128) of the object's silhouette."""

    def __init__(self) -> None:
        super().__init__()
        self.by2, self.by4, self.by8 = _conv(3, 16, 2), _conv(16, 32, 2), _conv(32, 64, 2)
        self.wide = nn.Sequential(_conv(64, 64), _conv(64, 64, 1, 2), _conv(64, 64, 1, 4), _conv(64, 64, 1, 2))
        self.up4, self.up2, self.up1 = _conv(64 + 32, 32), _conv(32 + 16, 16), nn.Conv2d(16 + 3, 1, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (n, 1, 128, 128) for pictures (n, 3, 128, 128) in [0, 1]."""
        half = self.by2(images * 2 - 1)
        quarter = self.by4(half)
        deep = self.wide(self.by8(quarter))
        deep = self.up4(torch.cat([_double(deep), quarter], 1))
        deep = self.up2(torch.cat([_double(deep), half], 1))
        return self.up1(torch.cat([_double(deep), images * 2 - 1], 1))

    @torch.no_grad()
    def read(self, images: Tensor) -> Tensor:
        """Silhouettes, bool (n, H, W), of pictures (n, 3, H, W) in [0, 1]."""
        return torch.cat([self(part)[:, 0] > 0 for part in images.split(32)])


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def agreement(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union (n,) of silhouettes (n, H, W); 1 where both are empty."""
    both, either = (a & b).sum((1, 2)), (a | b).sum((1, 2))
    return torch.where(either > 0, both / either.clamp_min(1), 1.0)


def reader(file: Path, codec: Any, scenes: int = 256, steps: int = 1200, size: int = 16, seed: int = 0) -> Silhouette:
    """The network in `file`, which is trained and written first if the file does not exist."""
    torch.manual_seed(seed)
    net: Any = Silhouette()
    if file.exists():
        try:
            net.load_state_dict(read(file, dict))
        except (RuntimeError, TypeError, AttributeError) as error:
            raise SyncbenchError(f"'{file}' is of another network: delete it") from error
        return net.eval()
    taken = shots(700_001 + seed, scenes, "orbit4")
    images = torch.from_numpy(taken.rgb).flatten(0, 1).movedim(-1, 1)
    masks = torch.from_numpy(taken.mask).flatten(0, 1)[:, None].float()
    coded = _through(codec, images)
    net.to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3)
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = 3e-3 * min(1, (step + 1) / 20) * (1 - step / steps)
        pick = torch.randint(len(images), (size,))
        x = (images if step % 2 else coded)[pick].float() / 255
        y = masks[pick]
        if step % 4 < 2:
            x, y = x.flip(-1), y.flip(-1)
        with torch.autocast("cpu", torch.bfloat16):
            logits = net(x.to(memory_format=torch.channels_last)).float()
        loss = F.binary_cross_entropy_with_logits(logits, y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    write(file, net.state_dict())
    return net.eval()


@torch.no_grad()
def _through(codec: Any, images: Tensor) -> Tensor:
    """Pictures in [0, 1] of uint8 pictures that were encoded and decoded by the codec."""
    parts = [codec.decode(codec.encode(signed(part)).latents).sample for part in images.split(32)]
    return ((torch.cat(parts) / 2 + 0.5).clamp(0, 1) * 255).round().byte()
