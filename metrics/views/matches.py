"""Matches between two views by SIFT, through OpenCV.

Lowe, Distinctive Image Features from Scale-Invariant Keypoints, IJCV 2004. Key points are found in grey images resized
to a fixed length of their shorter side, with thresholds near COLMAP's (peak 0.02 / 3 per layer, edge 30 as in TSED's
protocol); two are a match where each is the other's nearest and the second nearest is 1 / 0.8 times as far.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

CONTRAST, EDGE, RATIO = 0.02, 30, 0.8
"""Thresholds of contrast and edges (OpenCV's parameters), and the largest ratio of nearest to second nearest."""
HOW = f"opencv precise SIFT contrast {CONTRAST}, edge {EDGE}, mutual, ratio {RATIO}"
"""How matches are found, for fingerprints."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Keypoints:
    """Key points of one view."""

    at: Float[np.ndarray, "n 2"]
    """Image coordinates (x, y) in pixels of the view; the centre of the top-left pixel is (0.5, 0.5)."""
    descriptors: Float[np.ndarray, "n 128"]


def keypoints(view: Float[Tensor, "3 h w"], side: int) -> Keypoints:
    """The key points of a view in [0, 1], found after its shorter side was resized to `side` px."""
    height, width = view.shape[1:]
    scale = side / min(height, width)
    rgb = (view.movedim(0, -1).numpy() * 255).round().astype(np.uint8)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    grey = cv2.cvtColor(cv2.resize(np.ascontiguousarray(rgb), size, interpolation=how), cv2.COLOR_RGB2GRAY)
    # without the precise upscale every key point lies a quarter of a pixel too far right and down
    sift = cv2.SIFT.create(contrastThreshold=CONTRAST, edgeThreshold=EDGE, enable_precise_upscale=True)
    found, descriptors = sift.detectAndCompute(grey, None)
    if not found:
        return Keypoints(at=np.zeros((0, 2)), descriptors=np.zeros((0, 128)))
    # OpenCV counts from the centre of the first pixel
    at = (np.array([point.pt for point in found]) + 0.5) * (width / size[0], height / size[1])
    return Keypoints(at=at, descriptors=np.asarray(descriptors, dtype=np.float64))


def matched(a: Keypoints, b: Keypoints) -> tuple[Float[Tensor, "2 m"], Float[Tensor, "2 m"]]:
    """Image coordinates of the matches of two views, in each; equal ones (of several directions) count once."""
    if min(len(a.at), len(b.at)) < 2:
        return torch.zeros(2, 0).double(), torch.zeros(2, 0).double()
    first, second = (_nearest(x.descriptors, y.descriptors) for x, y in ((a, b), (b, a)))
    here = np.flatnonzero(first >= 0)
    here = here[second[first[here]] == here]
    pairs = np.unique(np.concatenate([a.at[here], b.at[first[here]]], axis=1), axis=0)
    return torch.from_numpy(pairs[:, :2].T.copy()), torch.from_numpy(pairs[:, 2:].T.copy())


def _nearest(a: Float[np.ndarray, "n 128"], b: Float[np.ndarray, "m 128"]) -> np.ndarray:
    """Index (n,) of the nearest row of `b`; -1 where the second nearest is not much farther."""
    far = np.sqrt(np.maximum((a * a).sum(1)[:, None] + (b * b).sum(1)[None] - 2 * a @ b.T, 0))
    two = np.partition(far, 1, axis=1)[:, :2]
    return np.where(two[:, 0] < RATIO * two[:, 1], far.argmin(1), -1)
