"""A problem with a known answer: a row of pixels around a circle, of a Gaussian law, seen through windows.

Latents are pixels, prompts have no effect, and channels are independent problems with one answer. A method runs on it
as on any model; its noise is recorded, or given, and its pixels are neither clamped nor rounded.
"""

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
"""A pixel is 0.5 + CONTRAST * latent, so that [0, 1] is five standard deviations each way and no clamp acts."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """The output of one run of a method, and its noise."""

    made: Float[Tensor, "channels rows width"]
    """The output in latent units, in which the true variance is 1."""
    noise: list[Tensor]
    """Every draw that the method got, each (..., channels, h, w)."""
    borders: tuple[int, ...]
    """Pixel columns where windows begin or end."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """`rows` independent circles of `width` px with covariance 0.7 exp(-(d/12)^2/2) + 0.3 exp(-d/40)."""

    width: int = 256
    window: int = 64
    """Width of a window in pixels, which is also the distance at which correlation is reported."""
    steps: int = 50
    """Number of DDIM steps, with eta 0."""
    rows: int = 1

    @property
    def joint(self) -> "Problem":
        """This problem with one window that sees everything, whose model is exact for the joint law."""
        return replace(self, window=self.width)

    def model(self, channels: int = 3) -> "Unclamped":
        """The exact denoiser of windows; rows are independent, because their correlation length is all but 0."""
        return Unclamped(
            channels=channels,
            window=self.window,
            period=self.width,
            levels="scaled_linear",
            height_length=1e-3,
            device="cpu",
        )

    def item(self) -> Item:
        """The item that methods are given."""
        surface = Strip(self.rows, self.width, self.window, wrap=True)
        protocol = Sampling(steps=self.steps, guidance=1.0)
        return Item(id="circle", family="overlap", prompts=("",), surface=surface, protocol=protocol)

    def truth(self) -> Float[Tensor, "width width"]:
        """The true covariance of a row; its mean is 0."""
        return self.model().covariance(self.width)

    def period(self, borders: Sequence[int]) -> int:
        """The smallest rotation in pixels that maps windows with these `borders` onto windows."""
        return gcd(self.width, *borders)

    def run(
        self, method: Method, seed: int = 0, channels: int = 3, draw: Callable[[tuple[int, ...]], Tensor] | None = None
    ) -> Run:
        """The run of a method on noise of `seed`, or on draws that `draw` returns for each shape.

        Raises SyncbenchError if the method makes no panorama, and whatever the method raises.
        """
        with _Traced(draw) as traced:
            artifact = method(self.item(), self.model(channels), seed)
        if artifact.canvas is None or artifact.canvas.shape != (channels, self.rows, self.width):
            raise SyncbenchError("the method makes no panorama")
        borders = artifact.notes.get("borders") or range(0, self.width, self.window)
        made = (artifact.canvas.double() - 0.5) / CONTRAST
        return Run(made=made, noise=traced.noise, borders=tuple(int(b) for b in borders))


class Unclamped(Gauss):
    """The model `gauss` with a linear decoder that does not clamp."""

    def encode(self, images: Float[Tensor, "n channels H W"]) -> Float[Tensor, "n c h w"]:
        """The latents that `decode` maps to these images."""
        return (images.to(self.dtype) - 0.5) / CONTRAST

    def decode(self, latents: Float[Tensor, "n c h w"]) -> Float[Tensor, "n channels H W"]:
        """Images 0.5 + CONTRAST x of latents x, which may leave [0, 1]."""
        return 0.5 + CONTRAST * latents


class _Traced(TorchFunctionMode):
    """A context in which draws of Gaussian noise are recorded, or replaced by those of `draw`, and float64 is kept."""

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
    """All draws of a run, each (..., channels, h, w), as one vector for each channel."""
    return torch.cat([drawn.movedim(-3, 0).flatten(1) for drawn in noise], 1)


def draw_count(noise: Sequence[Tensor]) -> int:
    """Number of random numbers that each channel was given."""
    return sum(prod(drawn.shape) // drawn.shape[-3] for drawn in noise)
