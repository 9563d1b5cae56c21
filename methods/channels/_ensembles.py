"""Ensembles: several samples of the channels of a picture as one."""

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ...bench.models.interface import Model
from ...bench.types import Artifact, Item

SHORTEST = 0.5
"""Length below which a mean of normals has no direction worth the name."""


def ensemble_of(
    sample: Callable[[Item, Model, int], Artifact],
    item: Item,
    model: Model,
    seed: int,
    count: int,
    reduction: Literal["median", "mean"],
) -> Artifact:
    """The artifact of `count` samples; with one it is `sample(item, model, seed)`, which is always among them.

    Pixels are reduced as `sample` writes the channels. Its extra `uncertainty` (views, 1, h, w) is the median absolute
    deviation of the samples from their median, averaged over colours; its note `ensemble` is the count.
    """
    artifact = sample(item, model, seed)
    if count == 1:
        return artifact
    seeds = np.random.SeedSequence([seed, count]).generate_state(count - 1)
    samples = [artifact, *(sample(item, model, int(one)) for one in seeds)]
    views = torch.stack([one.views for one in samples])
    middle = views.median(0).values
    artifact.views = middle if reduction == "median" else views.mean(0)
    wide = [one.canvas for one in samples if one.canvas is not None]
    if wide:
        artifact.canvas = torch.stack(wide).median(0).values if reduction == "median" else torch.stack(wide).mean(0)
    for number, name in enumerate(getattr(item.surface, "names", ())):
        if name == "normal":
            artifact.views[number] = mean_direction(views[:, number])
    artifact.extras["uncertainty"] = (views - middle).abs().median(0).values.mean(1, keepdim=True)
    artifact.notes["ensemble"] = count
    return artifact


def mean_direction(normals: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "3 h w"]:
    """The picture (m + 1) / 2 of the mean m of pictures of normals, brought to unit length.

    Where the mean is shorter than `SHORTEST`, as in the sky, which has no normal, it stays as it is.
    """
    mean = (2 * normals - 1).mean(0)
    length = mean.norm(dim=0, keepdim=True)
    return torch.where(length < SHORTEST, mean, mean / length.clamp_min(SHORTEST)) / 2 + 0.5
