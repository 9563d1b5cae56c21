"""The law of a row, mean and covariance, and how far it is from the truth."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

FIGURES = (
    "w2",
    "variance",
    "variance_min",
    "variance_max",
    "jump_border",
    "jump_inside",
    "jump_largest",
    "correlation",
    "covariance",
)
"""Of `figures`, in order."""


@dataclass(frozen=True, kw_only=True)
class Law:
    """Mean and covariance of a row; all there is to say of it where it is Gaussian."""

    mean: Float[Tensor, " width"]
    covariance: Float[Tensor, "width width"]

    @property
    def variance(self) -> Float[Tensor, " width"]:
        """By position."""
        return self.covariance.diagonal()

    @property
    def jumps(self) -> Float[Tensor, " width"]:
        """E (x_p - x_{p-1})^2 by position p, around the circle."""
        mean = self.mean - self.mean.roll(1)
        return self.variance + self.variance.roll(1) - 2 * self.along(1).roll(1) + mean.square()

    def along(self, distance: int) -> Float[Tensor, " width"]:
        """Cov(x_p, x_{p+distance}) by position p, around the circle."""
        return self.covariance.roll(-distance, 1).diagonal()

    def correlation(self, distance: int) -> float:
        """Mean over positions of the correlation at a distance; 0 where there is no variance."""
        scale = (self.variance * self.variance.roll(-distance)).clamp(min=0).sqrt()
        return float(torch.where(scale > 1e-12, self.along(distance) / scale.clamp(min=1e-12), 0.0).mean())


class Truth:
    """A true covariance, with what is needed to compare many laws with it."""

    def __init__(self, covariance: Float[Tensor, "width width"]) -> None:
        self.law = Law(mean=torch.zeros_like(covariance[0]), covariance=covariance)
        self._root = root(covariance)

    def w2(self, law: Law) -> float:
        """2-Wasserstein distance of Gaussians per pixel: sqrt(W2^2 / width).

        W2^2 = |m|^2 + tr S + tr T - 2 tr (T^1/2 S T^1/2)^1/2 (Dowson and Landau, J. Multivariate Anal. 1982; the
        covariance part is the squared Bures distance). For laws that are not Gaussian it is a lower bound (Gelbrich,
        Math. Nachr. 1990). In units of the truth's standard deviation.
        """
        between = torch.linalg.eigvalsh(self._root @ law.covariance @ self._root).clamp(min=0).sqrt().sum()
        squared = law.mean.square().sum() + law.variance.sum() + self.law.variance.sum() - 2 * between
        return float((squared.clamp(min=0) / len(law.mean)).sqrt())

    def figures(self, law: Law, borders: Sequence[int], lag: int) -> dict[str, float | None]:
        """`FIGURES` of a law.

        `variance` is the mean over positions relative to the truth, `variance_min` and `variance_max` its extremes;
        `jump_border` and `jump_inside` are expected squared differences of neighbours relative to the truth's, at
        `borders` and elsewhere (None where there is no such place), `jump_largest` the largest; `correlation` and
        `covariance` (relative to the true variance) are those at distance `lag`.
        """
        variance, jumps = law.variance / self.law.variance, law.jumps / self.law.jumps
        border = torch.zeros(len(jumps), dtype=torch.bool)
        border[list(borders)] = True
        return {
            "w2": self.w2(law),
            "variance": float(variance.mean()),
            "variance_min": float(variance.min()),
            "variance_max": float(variance.max()),
            "jump_border": _mean(jumps[border]),
            "jump_inside": _mean(jumps[~border]),
            "jump_largest": float(jumps.max()),
            "correlation": law.correlation(lag),
            "covariance": float((law.along(lag) / self.law.variance).mean()),
        }


def root(covariance: Float[Tensor, "n n"]) -> Float[Tensor, "n n"]:
    """The symmetric square root."""
    values, vectors = torch.linalg.eigh(covariance)
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.T


def _mean(values: Tensor) -> float | None:
    return float(values.mean()) if len(values) else None
