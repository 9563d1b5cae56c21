"""Exact denoiser of a stationary Gaussian field: closed form, no weights, so the right joint is known.

The clean image is x0 ~ N(0, Cx kron Cy) in each channel, channels independent. For x_t = a x0 + b eps the posterior
mean is E[x0 | x_t] = a C (a^2 C + b^2 I)^-1 x_t (linear-Gaussian estimation, e.g. Bishop, PRML, eq. 2.116).
It holds for a window of any size, because a window of a stationary field has the field's own covariance; it knows
nothing of what lies outside the window, as a network would not.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Sequence
from functools import cache
from math import acos, cos, pi, sin

import torch
from jaxtyping import Float
from torch import Tensor

from ..schedule import Level, Schedule
from ..types import SyncbenchError
from ._denoiser import Denoiser, Precision, digest
from .interface import Condition


class Gauss(Denoiser):
    """Pixels are latents (factor 1). Covariance along x at distance d, times a squared exponential along y:

    variance * ((1 - rough) exp(-(d / smooth_length)^2 / 2) + rough exp(-d / rough_length))
    """

    id = "gauss"

    def __init__(
        self,
        *,
        variance: float = 1.0,
        smooth_length: float = 12.0,
        rough: float = 0.3,
        rough_length: float = 40.0,
        height_length: float = 16.0,
        channels: int = 3,
        window: int = 64,
        device: str = "auto",
        dtype: Precision = "float64",
        batch: int = 64,
    ) -> None:
        """`rough` is the share of the exponential part; lengths are pixels, `height_length` that along y.

        `window` is the native size reported to others; every size is served. `dtype` other than float64 loses
        exactness at the noisiest levels.
        """
        super().__init__(device, dtype, batch)
        if not (variance > 0 and 0 <= rough <= 1 and min(smooth_length, rough_length, height_length) > 0):
            raise SyncbenchError("gauss needs variance > 0, rough in [0, 1] and lengths > 0")
        self._channels, self._window = channels, window
        self._variance, self._rough = variance, rough
        self._lengths = smooth_length, rough_length, height_length
        self._modes = cache(self._decompose)

    @property
    def factor(self) -> int:
        """Latents are pixels."""
        return 1

    @property
    def channels(self) -> int:
        """Independent channels."""
        return self._channels

    @property
    def window(self) -> int:
        """Native image size in pixels."""
        return self._window

    @property
    def revision(self) -> str:
        """12 hex digits of the fields that define the density."""
        facts = {"lengths": self._lengths, "variance": self._variance, "rough": self._rough, "channels": self.channels}
        return digest({"model": self.id, **facts, "dtype": str(self.precision)})

    def covariance(self, width: int) -> Float[Tensor, "width width"]:
        """Exact covariance of one row of `width` pixels; float64, on the CPU. What the oracle compares with."""
        d = _distance(width)
        smooth, rough, _ = self._lengths
        mixed = (1 - self._rough) * (-0.5 * (d / smooth) ** 2).exp() + self._rough * (-d / rough).exp()
        return self._variance * mixed

    def correlation(self, height: int) -> Float[Tensor, "height height"]:
        """Exact correlation of one column; the field's covariance is `covariance` kron this."""
        return (-0.5 * (_distance(height) / self._lengths[2]) ** 2).exp()

    def schedule(self, steps: int) -> Schedule:
        """Variance-preserving, a = cos(angle) with angles evenly spaced down to 0, where (a, b) = (1, 0).

        It starts at a = 1e-4: near enough to pure noise, yet noise prediction stays convertible.
        """
        start = acos(1e-4)
        angles = [start * (1 - i / steps) for i in range(steps + 1)]
        times = tuple(angle / (pi / 2) * 1000 for angle in angles[:-1])
        return Schedule(times, tuple(cos(angle) for angle in angles), tuple(sin(angle) for angle in angles))

    def condition(self, prompts: Sequence[str], guidance: float, negative: str = "", **inputs: Tensor) -> Condition:
        """Text changes nothing here; both halves of guidance are equal, and both are counted."""
        self.refuse(inputs)
        return Condition(guidance, views=len(prompts))

    def encode(self, images: Float[Tensor, "n 3 H W"]) -> Float[Tensor, "n c h w"]:
        """Inverse of `decode`."""
        self.cost.encodes += len(images)
        return (images.to(self.device, self.dtype) - 0.5) / 0.18

    def decode(self, latents: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 3 H W"]:
        """0.5 + 0.18 x, clamped to [0, 1]."""
        self.cost.decodes += len(latents) * self.views_in(*latents.shape[-2:])
        return (0.5 + 0.18 * latents).clamp(0, 1)

    def _predict(self, x: Tensor, level: Level, condition: Condition) -> tuple[Tensor, Tensor]:
        high, rows = self._modes(x.shape[-2], "y")
        wide, columns = self._modes(x.shape[-1], "x")
        spectrum = high[:, None] * wide
        gain = level.a * spectrum / (level.a**2 * spectrum + level.b**2)
        x0 = rows @ (gain * (rows.T @ x @ columns)) @ columns.T
        return x0, level.eps_of(x, x0)

    def _decompose(self, size: int, axis: str) -> tuple[Tensor, Tensor]:
        """Eigenvalues and eigenvectors of one Toeplitz factor."""
        values, vectors = torch.linalg.eigh(self.covariance(size) if axis == "x" else self.correlation(size))
        return values.clamp(min=0).to(self.device, self.dtype), vectors.to(self.device, self.dtype)


def _distance(size: int) -> Tensor:
    place = torch.arange(size, dtype=torch.float64)
    return (place[:, None] - place).abs()
