"""Procedural colours of objects, ground and sky, for the colours and patterns that captions name.

Every colour is a function of a point or direction in the object's or the world's own coordinates, never of the camera,
so all views see one surface. Colours are sRGB unless they are called light; `to_linear` converts them.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

from .objects import pattern
from .solids import Solid

SOFT = 0.024
"""Width of a pattern's edges in world units: about 1.7 pixels of a 128-pixel picture, as in the flat scenes."""
_TILE = 256


def to_linear(srgb: np.ndarray) -> np.ndarray:
    """Linear light in [0, 1] of sRGB values in [0, 1] (IEC 61966-2-1)."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((np.maximum(srgb, 0.04045) + 0.055) / 1.055) ** 2.4)


def to_srgb(light: np.ndarray) -> np.ndarray:
    """sRGB values in [0, 1] of linear light, which is clipped to [0, 1] first."""
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * np.maximum(light, 0.0031308) ** (1 / 2.4) - 0.055)


def pattern_share(
    word: str,
    on: Solid,
    points: np.ndarray,
    normals: np.ndarray,
    tilt: float,
    phase: tuple[float, float] = (0.0, 0.0),
) -> np.ndarray:
    """Share (n,) of the pattern's colour, in [0, 1], at `points` (n, 3) of the object, in its own coordinates.

    `phase`, two numbers in [0, 1), moves stripes across and checks both ways by that part of a period; the first
    chooses one of the solid's sets of centres for dots.
    """
    if word == "dots":
        p = points.astype(np.float32)
        spots = on.spots[int(phase[0] * len(on.spots))]
        square = (p * p).sum(1)[:, None] - 2 * p @ spots.T + (spots * spots).sum(1)
        distance = np.sqrt(np.maximum(square.min(1), 0))
        return np.clip((0.078 - distance) / SOFT + 0.5, 0, 1)
    if on.chart == "box":
        side = np.abs(normals).argmax(1)
        first, second = np.array([1, 0, 0])[side], np.array([2, 2, 1])[side]
        rows = np.arange(len(points))
        # `pattern` counts in half heights
        return pattern(word, 2 * points[rows, first], 2 * points[rows, second], tilt, 2 * SOFT, phase)
    across, around = 2 * np.pi * phase[0], 2 * np.pi * phase[1]
    if on.chart == "ring":
        middle = 0.345
        y, z = points[:, 1], points[:, 2] - 0.5
        angle, length = np.arctan2(z, y), 0.155 * np.arctan2(points[:, 0], np.hypot(y, z) - middle)
        radius = np.full(len(points), middle)
        lanes = np.sin(length * (4 * np.pi / (2 * np.pi * 0.155)) + across)
    else:
        radius = np.hypot(points[:, 0], points[:, 1])
        angle, length = np.arctan2(points[:, 1], points[:, 0]), points[:, 2] - 0.7 * radius
        lanes = np.sin(length * (np.pi / 0.21) + across)
    turns = round(4 * tilt)
    if word == "stripes":
        if on.chart == "ring":
            wave = np.cos(8 * angle + turns * length / 0.155 + across) * radius / 8
        else:
            wave = np.cos(length * (2 * np.pi / 0.27) + turns * angle + across) * 0.27 / (2 * np.pi)
    else:
        wave = np.sin(on.around / 2 * angle + around) * lanes * 0.21 / np.pi
    return np.clip(wave / SOFT + 0.5, 0, 1)


@cache
def tile() -> np.ndarray:
    """A (256, 256) periodic field of smooth noise: unit variance, features about 8 cells wide."""
    white = np.random.default_rng(20).standard_normal((_TILE, _TILE))
    smooth = gaussian_filter(white, 4.0, mode="wrap")
    return (smooth / smooth.std()).astype(np.float32)


def periodic_noise(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Smooth noise of unit variance at u, v. A feature is about one unit wide; the field repeats after 32 units."""
    at = np.stack([v, u]) * 8.0
    return map_coordinates(tile(), at, order=1, mode="grid-wrap", output=np.float32)


def ground_shade(word: str, points: np.ndarray, offset: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Relative shade and share of mirrored sky, each (n,), of the ground at `points` (n, 2), in world units.

    Detail coarsens with the distance from the origin, where the object stands, so that far ground does not alias. This
    is a fixed property of the ground, equal for every camera.
    """
    away = np.hypot(points[:, 0], points[:, 1])
    at = points + offset
    scale = {"sea": 0.26, "meadow": 0.13, "desert": 0.5}[word]
    octave = np.clip(np.log2(np.maximum(away, 1e-3) / 1.5) / 1.3, 0, 3)
    field = np.zeros(len(points), np.float32)
    for k in range(4):
        weight = np.clip(1 - np.abs(octave - k), 0, 1)
        some = np.flatnonzero(weight > 0)
        size = scale * 2.6**k
        field[some] += weight[some] * periodic_noise(at[some, 0] / size + 7 * k, at[some, 1] / size)
    fade = 1 / (1 + (away / 12) ** 2)
    if word == "sea":
        glint = 0.36 * np.clip(field * 0.6 - 0.1, 0, 1) * fade
        return -0.05 * np.clip(-field, 0, 1) * fade - 0.06 * fade, glint + 0.45 * np.exp(-14 / np.maximum(away, 0.1))
    if word == "meadow":
        return (0.12 * np.tanh(1.5 * field) - 0.02) * fade, np.zeros(len(points))
    across = at[:, 0] * 0.8 + at[:, 1] * 0.6
    period = 0.34 * 2.6 ** np.floor(octave)
    blend = octave - np.floor(octave)
    ripple = np.sin(across * (2 * np.pi / period) + 2.0 * field) * (1 - blend)
    ripple += np.sin(across * (2 * np.pi / (2.6 * period)) + 2.0 * field) * blend
    return 0.08 * ripple * fade + 0.02, np.zeros(len(points))
