"""The object of a flat object scene: signed distance to its outline, coordinates for its pattern, and shade."""

from __future__ import annotations

import numpy as np


def _star(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Approximate signed distance to a five-pointed star of radius 1, and the shade of its facets."""
    angle = np.arctan2(x, -y)
    sector = np.mod(angle, 2 * np.pi / 5) - np.pi / 5
    radius = np.hypot(x, y)
    # points at +-36 degrees, notches at 0 of the folded sector
    a, b = np.abs(np.sin(np.abs(sector))) * radius, np.cos(sector) * radius
    inner, px, py = 0.52, np.sin(np.pi / 5), np.cos(np.pi / 5)
    nx, ny = inner - py, px
    norm = np.hypot(nx, ny)
    return ((b - inner) * ny + a * nx) / norm, np.where(sector > 0, 0.10, -0.10) - 0.05 * y


def object_fields(word: str, x: np.ndarray, y: np.ndarray):
    """Signed distance (negative inside), pattern coordinates u and v, and shade of an object, each of the shape of `x`.

    `x` and `y` (downwards) are coordinates around the centre. All lengths are in halves of the object's height.
    """
    if word == "ball":
        radius = np.hypot(x, y)
        z = np.sqrt(np.clip(1 - radius**2, 0.02, 1))
        return radius - 1, x, y, -0.10 + 0.26 * (-0.5 * x - 0.6 * y + 0.6 * z)
    if word == "cube":
        # three faces of a cube seen from above: a hexagon split at its centre
        distance = np.maximum(np.abs(x) - 0.87, np.abs(x) * 0.5 + np.abs(y) * 0.866 - 0.866)
        top = -y - np.abs(x) * 0.577
        side = np.clip(x / 0.05, -1, 1)
        mix = np.clip(top / 0.05 + 0.5, 0, 1)
        u = np.where(top > 0, 0.55 * (x + y * 1.73), x)
        v = np.where(top > 0, 0.55 * (y * 1.73 - x), y - np.abs(x) * 0.577)
        return distance, u, v, mix * 0.14 + (1 - mix) * (-0.07 - 0.14 * side)
    if word == "cone":
        half = 0.82 * (y + 1) / 1.75
        slant = (np.abs(x) - half) * 0.9
        base = np.where(y > 0.75, np.hypot(x / 0.82, (y - 0.75) / 0.25) - 1, -1) * 0.25
        shade = -0.24 * np.clip(x / np.maximum(half, 0.1) + 0.2, -1, 1)
        return np.where(y > 0.75, base, slant), x, y, shade
    if word == "cylinder":
        bend = 0.20 * np.sqrt(np.clip(1 - (x / 0.68) ** 2, 0, 1))
        distance = np.maximum(np.abs(x) - 0.68, np.maximum(y - 0.8 - bend, -y - 0.8 - bend))
        lid = np.clip((-0.8 + bend - y) / 0.04 + 0.5, 0, 1)
        return distance, x, y, lid * 0.13 + (1 - lid) * -0.24 * np.clip(x / 0.68 + 0.2, -1, 1)
    if word == "ring":
        radius = np.hypot(x, y)
        across = (radius - 0.68) / 0.32
        facing = (-0.6 * x - 0.8 * y) / np.maximum(radius, 0.1)
        return (np.abs(across) - 1) * 0.32, x, y, 0.10 * np.cos(across * 1.5) + 0.14 * across * facing - 0.03
    distance, shade = _star(x, y)
    return distance, x, y, shade


def pattern(
    word: str, u: np.ndarray, v: np.ndarray, tilt: float, soft: float, phase: tuple[float, float] = (0.0, 0.0)
) -> np.ndarray:
    """Share of the pattern's colour, in [0, 1], at pattern coordinates u and v, turned by `tilt` radians.

    Periods are 0.55 to 0.84 and edges are `soft` wide, in halves of the object's height. `phase` moves the pattern by
    parts of a period, first across its stripes, then along them.
    """
    period = {"stripes": 0.55, "checks": 0.84, "dots": 0.56}[word]
    c, s = np.cos(tilt), np.sin(tilt)
    p, q = c * u - s * v + period * phase[1], s * u + c * v + period * phase[0]
    if word == "stripes":
        wave = np.cos(q * (2 * np.pi / 0.55)) * 0.55 / (2 * np.pi)
    elif word == "checks":
        wave = np.sin(p * (np.pi / 0.42)) * np.sin(q * (np.pi / 0.42)) * 0.42 / np.pi
    else:
        dots = np.cos(p * (2 * np.pi / 0.56)) + np.cos(q * (2 * np.pi / 0.56))
        wave = (dots - 0.55) * 0.56 / (2 * np.pi) / 1.3
    return np.clip(wave / soft + 0.5, 0, 1)
