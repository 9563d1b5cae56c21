"""The law of a row of pixels, as mean and covariance, and its distance from the truth."""

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
"""Names of the numbers of `Truth.figures`, in order."""


@dataclass(frozen=True, kw_only=True)
class Law:
    """Mean and covariance of a row of pixels around a circle, which determine its law where it is Gaussian."""

    mean: Float[Tensor, " width"]
    covariance: Float[Tensor, "width width"]

    @property
    def variance(self) -> Float[Tensor, " width"]:
        """Variance of each pixel."""
        return self.covariance.diagonal()

    @property
    def jumps(self) -> Float[Tensor, " width"]:
        """Expected squared difference E (x_p - x_{p-1})^2 of neighbours, by position p around the circle."""
        mean = self.mean - self.mean.roll(1)
        return self.variance + self.variance.roll(1) - 2 * self.along(1).roll(1) + mean.square()

    def along(self, distance: int) -> Float[Tensor, " width"]:
        """Covariance Cov(x_p, x_{p+distance}), by position p around the circle."""
        return self.covariance.roll(-distance, 1).diagonal()

    def correlation(self, distance: int) -> float:
        """Mean over positions of the correlation at a distance in pixels; pixels without variance count as 0."""
        scale = (self.variance * self.variance.roll(-distance)).clamp(min=0).sqrt()
        return float(torch.where(scale > 1e-12, self.along(distance) / scale.clamp(min=1e-12), 0.0).mean())


class Truth:
    """The true law, of mean 0, with which other laws are compared."""

    def __init__(self, covariance: Float[Tensor, "width width"]) -> None:
        self.law = Law(mean=torch.zeros_like(covariance[0]), covariance=covariance)
        self._root = symmetric_root(covariance)

    def w2(self, law: Law) -> float:
        """2-Wasserstein distance of a law from the truth per pixel, sqrt(W2^2 / width), in true standard deviations.

        W2^2 = |m|^2 + tr S + tr T - 2 tr (T^1/2 S T^1/2)^1/2 (Dowson and Landau, J. Multivariate Anal. 1982; the
        covariance part is the squared Bures distance). For laws that are not Gaussian it is a lower bound (Gelbrich,
        Math. Nachr. 1990).
        """
        between = torch.linalg.eigvalsh(self._root @ law.covariance @ self._root).clamp(min=0).sqrt().sum()
        squared = law.mean.square().sum() + law.variance.sum() + self.law.variance.sum() - 2 * between
        return float((squared.clamp(min=0) / len(law.mean)).sqrt())

    def figures(self, law: Law, borders: Sequence[int], lag: int) -> dict[str, float | None]:
        """The numbers FIGURES of a law, by name.

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


def symmetric_root(covariance: Float[Tensor, "n n"]) -> Float[Tensor, "n n"]:
    """The symmetric square root of a covariance matrix; eigenvalues below 0 count as 0."""
    values, vectors = torch.linalg.eigh(covariance)
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.T


def _mean(values: Tensor) -> float | None:
    return float(values.mean()) if len(values) else None
