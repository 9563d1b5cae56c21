"""Noise levels and the one sampler step, written for `x_t = a x0 + b eps`.

DDIM on variance-preserving models and Euler on flow models are the same formula here: both move along
`x' = a' x0 + b' eps`. With eta > 0 part of eps is replaced by fresh noise of the posterior's variance.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import sqrt
from typing import Literal

from torch import Tensor

Prediction = Literal["eps", "v", "flow", "sample"]


@dataclass(frozen=True)
class Level:
    """One denoising step: network time `t`, the level (a, b) it starts from and (a_next, b_next) it ends at."""

    index: int
    total: int
    t: float
    a: float
    b: float
    a_next: float
    b_next: float

    def sigma(self, eta: float) -> float:
        """Standard deviation of fresh noise; eta = 1 is the posterior q(x_next | x_t, x0).

        Equals DDIM's eq. 16 (arXiv 2010.02502) for a^2 + b^2 = 1 and extends it to flow models.
        """
        if eta == 0 or self.b_next == 0 or self.b == 0:
            return 0.0
        transition = self.b**2 - (self.a / self.a_next * self.b_next) ** 2
        return eta * self.b_next / self.b * sqrt(max(transition, 0.0))

    def move(self, x0: Tensor, eps: Tensor, eta: float = 0.0, noise: Callable[[], Tensor] | None = None) -> Tensor:
        """The sample at the next level from predictions `x0` and `eps`; `noise()` is asked for only if needed."""
        sigma = self.sigma(eta)
        if sigma == 0:
            return self.a_next * x0 + self.b_next * eps
        if noise is None:
            raise ValueError("a stochastic step (eta > 0) needs noise")
        return self.a_next * x0 + sqrt(max(self.b_next**2 - sigma**2, 0.0)) * eps + sigma * noise()

    def eps_of(self, x: Tensor, x0: Tensor) -> Tensor:
        """The noise that makes `x = a x0 + b eps` true."""
        return (x - self.a * x0) / self.b

    def x0_of(self, x: Tensor, eps: Tensor) -> Tensor:
        """The clean sample that makes `x = a x0 + b eps` true. Needs a > 0."""
        return (x - self.b * eps) / self.a

    def split(self, x: Tensor, output: Tensor, kind: Prediction) -> tuple[Tensor, Tensor]:
        """(x0, eps) from a network output: `eps`, `v = a eps - b x0`, `flow = eps - x0`, or `sample = x0`."""
        if kind == "eps":
            return self.x0_of(x, output), output
        if kind == "sample":
            return output, self.eps_of(x, output)
        if kind == "v":
            scale = self.a**2 + self.b**2
            return (self.a * x - self.b * output) / scale, (self.b * x + self.a * output) / scale
        scale = self.a + self.b
        return (x - self.b * output) / scale, (x + self.a * output) / scale

    def output_of(self, x: Tensor, x0: Tensor, kind: Prediction) -> Tensor:
        """The network output of that kind that means `x0`; the inverse of `split`."""
        eps = self.eps_of(x, x0)
        return {"eps": eps, "v": self.a * eps - self.b * x0, "flow": eps - x0, "sample": x0}[kind]


@dataclass(frozen=True)
class Schedule:
    """Levels from noisy to clean: `t` (steps,), and (a, b) at steps + 1 levels."""

    t: tuple[float, ...]
    a: tuple[float, ...]
    b: tuple[float, ...]

    def __post_init__(self) -> None:
        if not len(self.t) + 1 == len(self.a) == len(self.b):
            raise ValueError("a schedule of n steps has n times and n + 1 levels")

    def __len__(self) -> int:
        return len(self.t)

    def __iter__(self) -> Iterator[Level]:
        n = len(self.t)
        for i, t in enumerate(self.t):
            yield Level(i, n, t, self.a[i], self.b[i], self.a[i + 1], self.b[i + 1])
