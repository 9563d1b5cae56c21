"""Layers between ground and sky (hills, mountains, forest, city, dunes) as fields of coverage and shade."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .fields import bumps, spline_noise

Ridge = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Height over the base, signed offset from the highest bump, and that bump's half width; each (n,)."""

SOFT = 1.3
"""Width of an edge in units of 1/128 of the height: it looks sharp and survives a codec of factor 8."""

_SUB = 4
"""Columns averaged for each pixel, so that steep flanks are anti-aliased."""


def _top(height: np.ndarray, dx: np.ndarray, width: np.ndarray) -> Ridge:
    """The highest of several bumps (k, n) at every place."""
    best = height.argmax(0)[None]
    pick = [np.take_along_axis(np.broadcast_to(a, height.shape), best, 0)[0] for a in (height, dx, width)]
    return pick[0], pick[1], pick[2]


def _hills(seed: int, salt: int, x: np.ndarray) -> Ridge:
    dx, a, b, _ = bumps(seed, salt, x, 44, 2)
    width = 36 + 16 * a
    return _top((12 + 14 * b) * (1 - (dx / width) ** 2), dx, width)


def _mountains(seed: int, salt: int, x: np.ndarray) -> Ridge:
    dx, a, b, _ = bumps(seed, salt, x, 36, 2)
    width = 26 + 12 * a
    height, dx, width = _top((22 + 18 * b) * (1 - np.abs(dx) / width), dx, width)
    return height + 0.8 * spline_noise(seed, salt + 1, x / 5, np.zeros(1))[0], dx, width


def _dunes(seed: int, salt: int, x: np.ndarray) -> Ridge:
    dx, a, b, _ = bumps(seed, salt, x, 52, 2)
    width = np.where(dx < 0, 50 + 14 * a, 24 + 8 * a)
    return _top((12 + 10 * b) * (1 - (np.abs(dx) / width) ** 1.25), dx, width)


def _forest(seed: int, salt: int, x: np.ndarray) -> Ridge:
    dx, a, b, _ = bumps(seed, salt, x, 12, 2)
    width = 6.5 + 2 * a
    return _top((17 + 12 * b) * (1 - np.abs(dx) / width), dx, width)


def _city(seed: int, salt: int, x: np.ndarray) -> Ridge:
    dx, a, b, _ = bumps(seed, salt, x, 17, 2)
    width = 6.5 + 4 * a
    wall = np.clip((width - np.abs(dx)) / 1.0 + 0.5, 0, 1)
    return _top((14 + 26 * b) * wall, dx, width)


_RIDGES: dict[str, Callable[[int, int, np.ndarray], Ridge]] = {
    "hills": _hills,
    "mountains": _mountains,
    "forest": _forest,
    "city": _city,
    "dunes": _dunes,
}


def _shade(word: str, depth: np.ndarray, dx: np.ndarray, width: np.ndarray) -> np.ndarray:
    """Relative brightness in about [-0.2, 0.2] at ``depth`` units below the ridge; (rows, columns)."""
    below = np.maximum(depth, 0)
    if word == "hills":
        return (0.10 - 0.16 * dx / width) * np.exp(-below / 16) - 0.002 * below
    if word == "mountains":
        edge = 2.5 * np.sin(0.42 * below) + 0.12 * below
        return -0.17 * np.tanh((dx - edge) / 1.5) * np.exp(-below / 26) + 0.03
    if word == "dunes":
        edge = 0.35 * below + 2.0 * np.sin(0.16 * below)
        return -0.15 * np.tanh((dx - edge) / 1.5) * np.exp(-below / 20) + 0.05
    if word == "forest":
        return -0.13 * np.tanh(dx / 2.0) * np.exp(-below / 14) - 0.004 * below
    windows = np.sin(dx * (np.pi / 6)) ** 2 * np.sin(below * (np.pi / 7)) ** 2
    inside = np.clip((width - np.abs(dx)) / 3, 0, 1) * np.clip(below / 4, 0, 1)
    return 0.20 * windows * inside - 0.07 * np.sign(dx) * np.minimum(np.abs(dx) / 3, 1) - 0.03


def layer(word: str, seed: int, salt: int, x: np.ndarray, y: np.ndarray, base: float, scale: float):
    """Coverage in [0, 1] and shade of one layer, each (len(y), len(x)).

    `x` and `y` are pixel centres in units of 1/128 of the height, `base` is the row on which the layer stands, and
    `scale` multiplies heights.
    """
    pixel = float(x[1] - x[0])
    fine = (x[:, None] + ((np.arange(_SUB) + 0.5) / _SUB - 0.5) * pixel).ravel()
    height, dx, width = _RIDGES[word](seed, salt, fine)
    depth = y[:, None] - (base - scale * height)[None]
    soft = max(SOFT, pixel)
    coverage = np.clip(depth / soft + 0.5, 0, 1).reshape(len(y), len(x), _SUB).mean(-1)
    middle = slice(_SUB // 2, None, _SUB)
    shade = _shade(word, depth[:, middle], dx[None, middle], width[None, middle])
    return coverage.astype(np.float32), shade.astype(np.float32)
