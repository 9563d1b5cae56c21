"""The one problem with a known answer: a row of pixels around a circle, Gaussian, seen through windows.

Latents are pixels, text means nothing, and every channel is a problem of its own with the same answer. A method runs on
it as on any model; here its noise is written down, or given, and its pixels are neither clamped nor rounded.
"""

# (torch's overrides are untyped.)

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import gcd, prod
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.overrides import TorchFunctionMode

from ...models.gauss import Gauss
from ...sampling.loop import Method
from ...surfaces.strip import Strip
from ...types import Item, Sampling, SyncbenchError

CONTRAST = 0.1
"""Pixel = 0.5 + CONTRAST * latent, so that [0, 1] is five standard deviations either way and no clamp is met."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """What one run of a method made, and of which noise."""

    made: Float[Tensor, "channels rows width"]
    """In latent units: variance 1 is the truth's."""
    noise: list[Tensor]
    """Every draw, as the method got it: (..., channels, h, w)."""
    borders: tuple[int, ...]
    """Columns where windows begin or end."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """`rows` independent circles of `width` px with covariance 0.7 exp(-(d/12)^2/2) + 0.3 exp(-d/40)."""

    width: int = 256
    window: int = 64
    """Pixels a window sees, which is also the lag at which correlation is reported."""
    steps: int = 50
    """DDIM steps, eta 0."""
    rows: int = 1

    @property
    def joint(self) -> "Problem":
        """The same with one window that sees everything: the model then is the joint law's."""
        return replace(self, window=self.width)

    def model(self, channels: int = 3) -> "Unclamped":
        """The exact denoiser; rows are independent because their correlation's length is next to nothing."""
        return Unclamped(
            channels=channels,
            window=self.window,
            period=self.width,
            levels="scaled_linear",
            height_length=1e-3,
            device="cpu",
        )

    def item(self) -> Item:
        """What the method is asked for."""
        surface = Strip(self.rows, self.width, self.window, wrap=True)
        protocol = Sampling(steps=self.steps, guidance=1.0)
        return Item(id="circle", family="overlap", prompts=("",), surface=surface, protocol=protocol)

    def truth(self) -> Float[Tensor, "width width"]:
        """The true covariance of a row; its mean is 0."""
        return self.model().covariance(self.width)

    def period(self, borders: Sequence[int]) -> int:
        """The smallest rotation, in px, that maps windows onto windows."""
        return gcd(self.width, *borders)

    def run(
        self, method: Method, seed: int = 0, channels: int = 3, draw: Callable[[tuple[int, ...]], Tensor] | None = None
    ) -> Run:
        """Run a method, on noise of `seed` or on what `draw` answers for each shape.

        Raises SyncbenchError if it makes no panorama; whatever else the method raises goes through.
        """
        with _Traced(draw) as traced:
            artifact = method(self.item(), self.model(channels), seed)
        if artifact.canvas is None or artifact.canvas.shape != (channels, self.rows, self.width):
            raise SyncbenchError("the method makes no panorama")
        borders = artifact.notes.get("borders") or range(0, self.width, self.window)
        made = (artifact.canvas.double() - 0.5) / CONTRAST
        return Run(made=made, noise=traced.noise, borders=tuple(int(b) for b in borders))


class Unclamped(Gauss):
    """The Gaussian model with a linear decoder."""

    def encode(self, images: Float[Tensor, "n channels H W"]) -> Float[Tensor, "n c h w"]:
        """Inverse of `decode`."""
        return (images.to(self.dtype) - 0.5) / CONTRAST

    def decode(self, latents: Float[Tensor, "n c h w"]) -> Float[Tensor, "n channels H W"]:
        """0.5 + CONTRAST x, whatever the range."""
        return 0.5 + CONTRAST * latents


class _Traced(TorchFunctionMode):
    """Within it draws of Gaussian noise are written down, or answered by `draw`, and float64 stays float64."""

    def __init__(self, draw: Callable[[tuple[int, ...]], Tensor] | None) -> None:
        super().__init__()
        self._draw = draw
        self.noise: list[Tensor] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.Tensor.float and args[0].dtype == torch.float64:
            return args[0]  # artifacts are float32, which would cost nine digits
        if func is not torch.randn:
            return func(*args, **(kwargs or {}))
        drawn = func(*args, **(kwargs or {}))
        if self._draw is not None:
            drawn = self._draw(tuple(drawn.shape))
        self.noise.append(drawn.double())
        return drawn


def per_channel(noise: Sequence[Tensor]) -> Float[Tensor, "channels draws"]:
    """All draws of a run in one vector for each channel (latents are (..., channels, h, w))."""
    return torch.cat([drawn.movedim(-3, 0).flatten(1) for drawn in noise], 1)


def draws(noise: Sequence[Tensor]) -> int:
    """How many numbers each channel was given."""
    return sum(prod(drawn.shape) // drawn.shape[-3] for drawn in noise)
