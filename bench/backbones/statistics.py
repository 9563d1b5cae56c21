"""A perceptual distance without weights: statistics of colour and of oriented detail, band by band.

Opponent colours and the energies of four quadrature Gabor pairs over three octaves are each summarised by mean and
standard deviation in four horizontal bands, so that the upper part of an image is compared with the upper part of
another. The idea follows Portilla and Simoncelli (IJCV 2000), reduced to first and second moments. The distance shares
nothing with a learned backbone, so a method guided by one can be judged by the other.
"""

from functools import lru_cache
from math import cos, pi, sin

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

BANDS = 4
OCTAVES = 3
ANGLES = 4
WAVELENGTH = 4.0
"""Wavelength of the Gabor filters in pixels, at the finest octave."""
OPPONENT = ((0.299, 0.587, 0.114), (0.5, -0.5, 0.0), (0.25, 0.25, -0.5))
"""Rows of the colour matrix: luma, red-green, yellow-blue."""
FLOOR = 1e-4
"""Constant added under square roots, so that the gradient is zero, and not infinite, in flat regions."""


class Statistics:
    """The distance `statistics`: squared differences of statistics of colour and of oriented detail."""

    name = "statistics"
    fingerprint = "statistics 1: opponent colour, gabor 4 angles x 3 octaves, mean and std in 4 bands, rgb [0,1]"
    minimum = 16
    """Smallest side in pixels."""

    def embed(self, images: Float[Tensor, "n 3 h w"]) -> tuple[Tensor, ...]:
        """Means and standard deviations of images in [0, 1], one tensor (n, channels, 2, bands) per octave."""
        matrix = torch.tensor(OPPONENT, dtype=images.dtype, device=images.device)
        maps = torch.einsum("oc,nchw->nohw", matrix, images)
        even, odd = _gabors()
        even, odd = even.to(images), odd.to(images)
        octaves: list[Tensor] = []
        for octave in range(OCTAVES):
            if octave:
                maps = F.avg_pool2d(maps, 2)
            padded = F.pad(maps[:, :1], (4, 4, 4, 4), mode="replicate")
            power = F.conv2d(padded, even).square() + F.conv2d(padded, odd).square()
            energy = (power + FLOOR).sqrt() - FLOOR**0.5
            octaves.append(_moments(torch.cat([maps, energy], 1)))
        return tuple(octaves)

    def compare(self, a: tuple[Tensor, ...], b: tuple[Tensor, ...]) -> Float[Tensor, " n"]:
        """Squared differences of the statistics, summed over channels, averaged over bands and octaves."""
        gaps = [(x - y).square().sum((1, 2)).mean(1) for x, y in zip(a, b, strict=True)]
        return torch.stack(gaps).mean(0)

    def distance(self, a: Float[Tensor, "n 3 h w"], b: Float[Tensor, "n 3 h w"]) -> Float[Tensor, " n"]:
        """Distance of images in [0, 1]; 0 for equal ones. Differentiable everywhere."""
        return self.compare(self.embed(a), self.embed(b))


def _moments(maps: Tensor) -> Tensor:
    mean = F.adaptive_avg_pool2d(maps, (BANDS, 1))[..., 0]
    power = F.adaptive_avg_pool2d(maps.square(), (BANDS, 1))[..., 0]
    spread = ((power - mean.square()).clamp(min=0) + FLOOR).sqrt()
    return torch.stack([mean, spread], 2)


@lru_cache(maxsize=1)
def _gabors() -> tuple[Tensor, Tensor]:
    """Even and odd filters (angles, 1, 9, 9) of zero mean and unit absolute sum."""
    y, x = torch.meshgrid(torch.arange(-4.0, 5), torch.arange(-4.0, 5), indexing="ij")
    envelope = torch.exp(-(x**2 + y**2) / (2 * 2.0**2))
    pairs: list[Tensor] = []
    for k in range(ANGLES):
        phase = 2 * pi / WAVELENGTH * (x * cos(pi * k / ANGLES) + y * sin(pi * k / ANGLES))
        even = envelope * torch.cos(phase)
        even = even - envelope * (even.sum() / envelope.sum())
        odd = envelope * torch.sin(phase)
        pairs.append(torch.stack([even / even.abs().sum(), odd / odd.abs().sum()]))
    both = torch.stack(pairs, 1)[:, :, None]
    return both[0], both[1]
