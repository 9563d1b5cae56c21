"""Exact denoiser of a stationary Gaussian field: closed form, no weights, so the right joint is known.

The clean image is x0 ~ N(0, Cx kron Cy) in each channel, channels independent. For x_t = a x0 + b eps the posterior
mean is E[x0 | x_t] = a C (a^2 C + b^2 I)^-1 x_t (linear-Gaussian estimation, e.g. Bishop, PRML, eq. 2.116).
It holds for a window of any size, because a window of a stationary field has the field's own covariance; like a
network, it uses nothing that lies outside the window.
"""

from collections.abc import Sequence
from functools import cache
from math import acos, cos, pi, sin
from typing import Annotated, Any, Literal

import torch
from annotated_types import Interval
from jaxtyping import Float
from torch import Tensor

from ..limits import Positive, Share, Side
from ..types import SyncbenchError
from .interface import Condition
from .parts.denoiser import Denoiser, Precision, digest
from .parts.schedule import Level, Schedule


class Gauss(Denoiser):
    """The field's exact denoiser; latents are pixels (factor 1).

    The covariance at distance d along x is variance * ((1 - rough) exp(-(d / smooth_length)^2 / 2) + rough exp(-d /
    rough_length)); it is multiplied by exp(-(d / height_length)^2 / 2) for a distance d along y.
    """

    id = "gauss"

    def __init__(
        self,
        *,
        variance: Positive = 1.0,
        smooth_length: Positive = 12.0,
        rough: Share = 0.3,
        rough_length: Positive = 40.0,
        height_length: Positive = 16.0,
        channels: Annotated[int, Interval(ge=1, le=64)] = 3,
        window: Side = 64,
        period: Side | None = None,
        levels: Literal["angles", "scaled_linear"] = "angles",
        device: str = "auto",
        dtype: Precision = "float64",
        batch: int = 64,
    ) -> None:
        """`rough` is the share of the exponential part; lengths are pixels, `height_length` that along y.

        `window` is the native size reported to others; every size is served. With `period` the field lies on a circle
        of `period` pixels: distance along x is the shorter way round, no window may be wider than the circle, and a
        window of that width spans all of it. `levels` are those of `schedule`. `dtype` other than float64 loses
        exactness at the noisiest levels.
        """
        super().__init__(device, dtype, batch)
        if period is not None and period < 1:
            raise SyncbenchError(f"gauss.period = {period}: a circle needs at least 1 px, or leave it out")
        if not (variance > 0 and 0 <= rough <= 1 and min(smooth_length, rough_length, height_length) > 0):
            raise SyncbenchError("gauss needs variance > 0, rough in [0, 1] and lengths > 0")
        self._channels, self._window, self._period, self._levels = channels, window, period, levels
        self._variance, self._rough = variance, rough
        self._lengths = smooth_length, rough_length, height_length
        if period is not None and float(torch.fft.fft(self.covariance(period)[0]).real.min()) < -1e-9 * variance:
            raise SyncbenchError(
                f"gauss.period = {period}: no field of these lengths closes so soon, take a longer one"
            )
        self._modes = cache(self._decompose)

    @property
    def factor(self) -> int:
        """1: latents are pixels."""
        return 1

    @property
    def channels(self) -> int:
        """Number of channels, which are independent."""
        return self._channels

    @property
    def window(self) -> int:
        """Native image size in pixels."""
        return self._window

    @property
    def revision(self) -> str:
        """12 hex digits of the fields that define the density."""
        facts: dict[str, Any] = {
            "lengths": self._lengths,
            "variance": self._variance,
            "rough": self._rough,
            "channels": self.channels,
        }
        # Defaults stay out, so that results from before there was a choice keep their revision.
        if self._period is not None:
            facts["period"] = self._period
        if self._levels != "angles":
            facts["levels"] = self._levels
        if self._window != 64:  # by which decodes are counted
            facts["window"] = self._window
        return digest({"model": self.id, **facts, "dtype": str(self.precision)})

    def covariance(self, width: int) -> Float[Tensor, "width width"]:
        """Exact covariance of one row of `width` pixels; float64, on the CPU. The oracle compares results with it."""
        d = _distance(width)
        if self._period is not None:
            if width > self._period:
                raise SyncbenchError(f"a window of {width} px is wider than the circle of {self._period} px")
            d = torch.minimum(d, self._period - d)
        smooth, rough, _ = self._lengths
        mixed = (1 - self._rough) * (-0.5 * (d / smooth) ** 2).exp() + self._rough * (-d / rough).exp()
        return self._variance * mixed

    def correlation(self, height: int) -> Float[Tensor, "height height"]:
        """Exact correlation of one column; the field's covariance is `covariance` kron this."""
        return (-0.5 * (_distance(height) / self._lengths[2]) ** 2).exp()

    def schedule(self, steps: int) -> Schedule:
        """Variance-preserving levels down to (a, b) = (1, 0).

        `angles`: a = cos(angle) with angles evenly spaced, from a = 1e-4: near enough to pure noise, yet noise
        prediction stays convertible. `scaled_linear`: those Stable Diffusion was trained on (sqrt(beta) from
        sqrt(0.00085) to sqrt(0.012) in 1000 times), with DDIM's trailing times, as checkpoints are sampled.
        """
        if self._levels == "scaled_linear":
            return _scaled_linear(steps)
        start = acos(1e-4)
        angles = [start * (1 - i / steps) for i in range(steps + 1)]
        times = tuple(angle / (pi / 2) * 1000 for angle in angles[:-1])
        return Schedule(times, tuple(cos(angle) for angle in angles), tuple(sin(angle) for angle in angles))

    def condition(
        self, prompts: Sequence[str], guidance: float, negative: str = "", *, together: bool = False, **inputs: Tensor
    ) -> Condition:
        """Text changes nothing here; both halves of guidance are equal, and both are counted."""
        self.refuse(inputs)
        return Condition(guidance, passes=({},) if guidance == 1.0 else ({}, {}), views=len(prompts))

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


def _scaled_linear(steps: int) -> Schedule:
    if not 1 <= steps <= 1000:
        raise SyncbenchError(f"{steps} denoising steps: gauss with levels = scaled_linear has 1 to 1000")
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64).square()
    times = [round(1000 - i * 1000 / steps) - 1 for i in range(steps)]
    bars = [*(1 - betas).cumprod(0)[times].tolist(), 1.0]
    return Schedule(tuple(map(float, times)), tuple(b**0.5 for b in bars), tuple((1 - b) ** 0.5 for b in bars))


def _distance(size: int) -> Tensor:
    place = torch.arange(size, dtype=torch.float64)
    return (place[:, None] - place).abs()
