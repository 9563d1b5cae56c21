"""Random fields that are stationary along x and can be evaluated at any coordinates."""

from __future__ import annotations

import numpy as np

_TABLE = 512
"""Rows of a random table: fields repeat after this many lattice steps."""


def random_table(seed: int, salt: int, columns: int) -> np.ndarray:
    """A (512, columns) table of uniform numbers in [0, 1), a pure function of its arguments."""
    return np.random.default_rng([seed, salt]).random((_TABLE, columns), dtype=np.float32)


def _spline(t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cubic B-spline weights: base index (n,) and weights (4, n) at lattice coordinates t."""
    base = np.floor(t)
    f = (t - base).astype(np.float32)
    g = 1 - f
    weights = np.stack([g**3, 3 * f**3 - 6 * f**2 + 4, 3 * g**3 - 6 * g**2 + 4, f**3]) / 6
    return base.astype(np.int64) - 1, weights


def spline_noise(seed: int, salt: int, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Smooth noise (len(v), len(u)) of about unit variance, at lattice coordinates u (along x) and v >= 0.

    Splines are separable, so that two small matrix products replace a lookup for each pixel.
    """
    rows = int(np.ceil(v.max())) + 4
    values = random_table(seed, salt, rows).T - 0.5
    ku, wu = _spline(u)
    kv, wv = _spline(v)
    low, high = int(ku.min()), int(ku.max()) + 4
    along = np.zeros((high - low, len(u)), np.float32)
    across = np.zeros((len(v), rows + 4), np.float32)
    for i in range(4):
        along[ku - low + i, np.arange(len(u))] = wu[i]
        across[np.arange(len(v)), kv + i + 1] = wv[i]
    lattice = values[:, np.arange(low, high) % _TABLE]
    return (across[:, 1 : rows + 1] @ lattice @ along) * np.float32(7.2)


def bumps(
    seed: int, salt: int, x: np.ndarray, period: float, reach: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Offsets from the centres of the bumps near every x, and three uniform numbers of each bump.

    Each result is (2 * reach + 1, len(x)). Bumps are about `period` apart.
    """
    values = random_table(seed, salt, 4)
    k = np.floor(x / period).astype(np.int64)[None] + np.arange(-reach, reach + 1)[:, None]
    row = values[k % _TABLE]
    dx = x[None] - (k + 0.5 + 0.6 * (row[..., 3] - 0.5)) * period
    return dx.astype(np.float32), row[..., 0], row[..., 1], row[..., 2]
