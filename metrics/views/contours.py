"""Edges of images, and edges of the geometry they should show."""

from math import cos, pi

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.ndimage import gaussian_filter1d
from torch import Tensor

from .sampling import surface_edges

CREASE = 30.0
"""Degrees between the normals of neighbouring pixels above which there is a crease."""


def contours(image: Float[Tensor, "3 h w"], sigma: float, least: float) -> Bool[Tensor, "1 h w"]:
    """Edges of an image, one pixel wide: ridges of its Gaussian gradient of at least `least` 8-bit levels per pixel.

    The gradient is that of all colour channels together, and `sigma` is the Gaussian's standard deviation in pixels.
    These are Canny's first two stages, with one threshold.
    """
    levels = image.double().numpy() * 255
    y = gaussian_filter1d(gaussian_filter1d(levels, sigma, 2, mode="nearest"), sigma, 1, 1, mode="nearest")
    x = gaussian_filter1d(gaussian_filter1d(levels, sigma, 1, mode="nearest"), sigma, 2, 1, mode="nearest")
    strength = np.sqrt((x**2 + y**2).sum(0))
    lead = (x**2 + y**2).argmax(0)[None]
    x, y = (np.take_along_axis(g, lead, 0)[0] for g in (x, y))
    octant = np.round(np.arctan2(y, x) / (pi / 4)).astype(int) % 4
    padded = np.pad(strength, 1)
    height, width = strength.shape
    ridge = np.zeros(strength.shape, bool)
    for k, (dy, dx) in enumerate(((0, 1), (1, 1), (1, 0), (1, -1))):
        ahead = padded[1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]
        behind = padded[1 - dy : 1 - dy + height, 1 - dx : 1 - dx + width]
        ridge |= (octant == k) & (strength >= ahead) & (strength > behind)
    return torch.from_numpy(ridge & (strength >= least))[None]


def outlines(
    depth: Float[Tensor, "1 h w"], normal: Float[Tensor, "3 h w"], ids: Int[Tensor, "1 h w"] | None
) -> Bool[Tensor, "1 h w"]:
    """Edges of the geometry: pixels on either side of a depth edge, a change of object, or a crease."""
    edge = surface_edges(depth, ids, margin=0)
    for axis in (1, 2):
        size = normal.shape[axis] - 1
        before, after = normal.narrow(axis, 0, size), normal.narrow(axis, 1, size)
        known = (before.norm(dim=0, keepdim=True) > 0.5) & (after.norm(dim=0, keepdim=True) > 0.5)
        bent = known & ((before * after).sum(0, keepdim=True) < cos(CREASE * pi / 180))
        edge.narrow(axis, 0, size).logical_or_(bent)
        edge.narrow(axis, 1, size).logical_or_(bent)
    return edge
