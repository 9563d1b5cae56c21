"""Codecs, which turn pictures in [0, 1] into latents and back."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ...errors import SyncbenchError
from .weights import Held, Weights

PIXELS = 2**20
"""Largest number of pixels coded in one call, unless one picture is larger; bounds memory, not the result."""


class Codec(Protocol):
    """A network that encodes pictures as latents, and decodes latents."""

    @property
    def factor(self) -> int:
        """Pixels along a side of a latent cell."""
        ...

    @property
    def channels(self) -> int:
        """Number of channels of a latent."""
        ...

    @property
    def module(self) -> nn.Module:
        """The network, loaded on first use."""
        ...

    def encode(self, images: Float[Tensor, "n 3 H W"]) -> Float[Tensor, "n c h w"]:
        """Latents of pictures in [0, 1], shifted and scaled for the denoising network; the mean, no sampling."""
        ...

    def raw(self, images: Float[Tensor, "n 3 H W"]) -> Float[Tensor, "n c h w"]:
        """The encoder's mean of pictures in [0, 1], neither shifted nor scaled, as some conditions of networks are."""
        ...

    def decode(self, latents: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 3 H W"]:
        """Pictures in [0, 1] of latents of any height and width. Differentiable inside the range."""
        ...


@dataclass(frozen=True)
class Autoencoder:
    """One of diffusers' picture codecs (AutoencoderKL, AutoencoderTiny, AutoencoderDC, ...).

    latents = (code - shift) * scale. Shift and scale are in its configuration: two numbers (`shift_factor`,
    `scaling_factor`), or two for each channel (`latents_mean`, `latents_std`).
    """

    weights: Weights | Held

    @property
    def module(self) -> Any:
        """The network."""
        return self.weights.module

    @property
    def factor(self) -> int:
        """Pixels along a side of a latent cell: what the configuration says, or 2 ** (levels - 1)."""
        config = self.weights.config
        known = config.get("spatial_compression_ratio") or config.get("scale_factor_spatial")
        widths: Any = config.get("block_out_channels") or config.get("encoder_block_out_channels")
        return int(known or 2 ** (len(widths) - 1))

    @property
    def channels(self) -> int:
        """Number of channels of a latent."""
        config = self.weights.config
        return int(config.get("latent_channels") or config["z_dim"])

    @cached_property
    def _range(self) -> tuple[Tensor, Tensor]:
        """Shift and scale of latents, each (c, 1, 1) or of no dimension."""
        config = self.weights.config
        mean, deviation, scale = (config.get(n) for n in ("latents_mean", "latents_std", "scaling_factor"))
        if scale is not None and not 0 < scale < float("inf"):
            raise SyncbenchError(f"the codec has scaling_factor = {scale}: it must be above 0")
        if mean is not None and deviation is not None:
            factor = 1.0 if scale is None else float(scale)
            return _column(mean), factor / _column(deviation)
        scale = 0.18215 if scale is None and config.get("_class_name") == "AutoencoderKL" else scale
        return torch.tensor(float(config.get("shift_factor") or 0.0)), torch.tensor(1.0 if scale is None else scale)

    def encode(self, images: Float[Tensor, "n 3 H W"]) -> Float[Tensor, "n c h w"]:
        """Latents of pictures in [0, 1]."""
        shift, scale = (part.to(images) for part in self._range)
        return (self.raw(images) - shift) * scale

    def raw(self, images: Float[Tensor, "n 3 H W"]) -> Float[Tensor, "n c h w"]:
        """The encoder's mean of pictures in [0, 1], neither shifted nor scaled."""
        found: list[Tensor] = []
        for part in images.split(at_once(*images.shape[-2:])):
            code = self.module.encode(part * 2 - 1)
            found.append(_mean(code))
        return torch.cat(found)

    def decode(self, latents: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 3 H W"]:
        """Pictures in [0, 1] of latents."""
        shift, scale = (part.to(latents) for part in self._range)
        height, width = (side * self.factor for side in latents.shape[-2:])
        parts = (latents / scale + shift).split(at_once(height, width))
        images = torch.cat([self.module.decode(part).sample for part in parts])
        return (images / 2 + 0.5).clamp(0, 1)


@dataclass(frozen=True)
class Affine:
    """A codec around another: latents (inner - shift) * scale, of pictures whose contrast is changed about mid-grey.

    Zero123++ has shift 0.22, scale 0.75 and 0.625 of the pictures' contrast.
    """

    inner: Codec
    shift: float = 0.0
    scale: float = 1.0
    contrast: float = 1.0

    @property
    def module(self) -> nn.Module:
        """The network."""
        return self.inner.module

    @property
    def factor(self) -> int:
        """Pixels along a side of a latent cell."""
        return self.inner.factor

    @property
    def channels(self) -> int:
        """Number of channels of a latent."""
        return self.inner.channels

    def encode(self, images: Float[Tensor, "n 3 H W"]) -> Float[Tensor, "n c h w"]:
        """Latents of pictures in [0, 1]."""
        return (self.inner.encode(0.5 + (images - 0.5) * self.contrast) - self.shift) * self.scale

    def raw(self, images: Float[Tensor, "n 3 H W"]) -> Float[Tensor, "n c h w"]:
        """The encoder's mean of the pictures at this contrast."""
        return self.inner.raw(0.5 + (images - 0.5) * self.contrast)

    def decode(self, latents: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 3 H W"]:
        """Pictures in [0, 1] of latents."""
        images = self.inner.decode(latents / self.scale + self.shift)
        return (0.5 + (images - 0.5) / self.contrast).clamp(0, 1)


def at_once(height: int, width: int) -> int:
    """Number of pictures of that size that are coded in one call."""
    return max(1, PIXELS // (height * width))


def _mean(code: Any) -> Tensor:
    """The mean of an encoder's answer, whatever field of it holds the mean."""
    for name in ("latents", "latent"):
        if hasattr(code, name):
            return getattr(code, name)
    return code.latent_dist.mode()


def _column(values: Sequence[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32).view(-1, 1, 1)
