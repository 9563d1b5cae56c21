"""Codecs of clips: the latents of one clip are decoded together, and may be fewer than its frames."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from .codec import Autoencoder, at_once


@dataclass(frozen=True)
class TemporalDecoder(Autoencoder):
    """`AutoencoderKLTemporalDecoder` (SVD): pictures are coded one by one, and a clip's frames decoded together."""

    chunk: int = 0
    """Frames decoded together, 0: all. Chunks are decoded independently, so that clips flicker if chunks are small."""

    def decode(self, latents: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 3 H W"]:
        """Pictures in [0, 1] of latents, each decoded as a clip of one frame."""
        return self._decode(latents, at_once(*(side * self.factor for side in latents.shape[-2:])), 1)

    def decode_together(self, latents: Float[Tensor, "frames c h w"]) -> Float[Tensor, "frames 3 H W"]:
        """The frames in [0, 1] of one clip, from its latents."""
        return self._decode(latents, self.chunk or len(latents), None)

    def _decode(self, latents: Tensor, size: int, frames: int | None) -> Tensor:
        shift, scale = (part.to(latents) for part in self._range)
        parts = (latents / scale + shift).split(size)
        images = [self.module.decode(part, num_frames=frames or len(part)).sample for part in parts]
        return (torch.cat(images) / 2 + 0.5).clamp(0, 1)


@dataclass(frozen=True)
class VideoAutoencoder(Autoencoder):
    """A codec of clips whose first latent is the first frame and every other latent `pace` frames.

    `AutoencoderKLWan` and `AutoencoderKLCogVideoX`. Pictures are coded and decoded as clips of one frame.
    """

    @property
    def factor(self) -> int:
        """Pixels along a side of a latent cell."""
        halvings = self.weights.config.get("temperal_downsample")  # Wan's spelling
        return 2 ** len(halvings) if halvings else super().factor

    @property
    def pace(self) -> int:
        """Number of frames of each latent but the first."""
        config = self.weights.config
        halvings = config.get("temperal_downsample")
        return 2 ** sum(halvings) if halvings else int(config.get("temporal_compression_ratio", 4))

    def raw(self, images: Float[Tensor, "n 3 H W"]) -> Float[Tensor, "n c h w"]:
        """The encoder's mean of each picture."""
        parts = images.split(at_once(*images.shape[-2:]))
        codes = [self.module.encode(part[:, :, None] * 2 - 1).latent_dist.mode() for part in parts]
        return torch.cat(codes)[:, :, 0]

    def decode(self, latents: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 3 H W"]:
        """Pictures in [0, 1] of latents, each decoded as a clip of one frame."""
        size = at_once(*(side * self.factor for side in latents.shape[-2:]))
        return torch.cat([self._decode(part[:, :, None])[:, :, 0] for part in latents.split(size)])

    def decode_together(self, latents: Float[Tensor, "n c h w"]) -> Float[Tensor, "frames 3 H W"]:
        """The 1 + (n - 1) * pace frames in [0, 1] of one clip, from its latents."""
        return self._decode(latents.transpose(0, 1)[None])[0].transpose(0, 1)

    def _decode(self, clips: Float[Tensor, "n c f h w"]) -> Float[Tensor, "n 3 frames H W"]:
        shift, scale = (part.to(clips)[..., None] for part in self._range)
        return (self.module.decode(clips / scale + shift).sample / 2 + 0.5).clamp(0, 1)
