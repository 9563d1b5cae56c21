"""Angles between predicted and true normals of a picture, which metrics of normals sum up."""

from math import pi

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ...bench.types import Artifact, Item
from .light import decoded_channels, scored_mask
from .shots import Region

SHORTEST = 0.1
"""Length below which a predicted normal names no direction; rounding to 8 bits alone makes 0.007."""


def normal_pairs(artifact: Artifact, item: Item, region: Region) -> tuple[np.ndarray, np.ndarray] | None:
    """Predicted and true normals (n, 3) of the region's surfaces in NumPy, for other routes to the angles between them.

    None where the artifact has no normals, or one of them names no direction.
    """
    predicted = decoded_channels(artifact, item)
    if predicted is None or predicted.normal is None:
        return None
    true = item.truth["normal"][0].double().numpy()
    inner = scored_mask(item, region, *true.shape[1:])[0].numpy() > 0.5
    inner &= np.linalg.norm(true, axis=0) > 0.5
    made, true = predicted.normal.numpy()[:, inner].T, true[:, inner].T
    return None if np.linalg.norm(made, axis=1).min() < SHORTEST else (made, true)


def normal_angles(artifact: Artifact, item: Item, region: Region) -> tuple[Float[Tensor, " n"], float] | str:
    """Angles in degrees over the pixels of the region, and the fraction of the picture that they are of.

    A prediction without a direction is at 90 degrees. Returns the reason instead where there is nothing to compare.
    """
    predicted = decoded_channels(artifact, item)
    if predicted is None or predicted.normal is None:
        return "the artifact has no normals"
    if "normal" not in item.truth:
        return "the item's truth has no normals"
    truth = item.truth["normal"][0].double()
    if truth.shape != predicted.normal.shape:
        return "the true normals are of another size"
    # a true normal of zero length (the sky) is no surface, and would count as 90 degrees
    inner = (truth.norm(dim=0) > 0.5) & (scored_mask(item, region, *truth.shape[1:])[0] > 0.5)
    if not bool(inner.any()):
        return f"the picture shows no {region}"
    made, truth = predicted.normal[:, inner], truth[:, inner]
    length = made.norm(dim=0)
    cosine = (made * truth).sum(0) / (length * truth.norm(dim=0)).clamp(min=1e-9)
    cosine = torch.where(length < SHORTEST, 0.0, cosine.clamp(-1, 1))
    return cosine.acos() * 180 / pi, float(inner.double().mean())
