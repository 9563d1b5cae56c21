"""A view as another view shows it: pixels of one are looked up in the other by the true geometry."""

from collections.abc import Iterator
from itertools import pairwise

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ...bench.types import Artifact, Item
from .images import mismatch, stored_views
from .sampling import bilinear
from .shots import COSINE, NEEDS, Region, surface_points, view_cameras


def neighbour_composites(
    artifact: Artifact, item: Item, region: Region
) -> Iterator[tuple[Float[Tensor, "3 h w"], Float[Tensor, "3 h w"], Bool[Tensor, "h w"], int]]:
    """For each view and each of its neighbours: the view, its composite, the compared pixels, and how many could be.

    The composite has the neighbour's colours, looked up bilinearly, at the pixels of the region that both see (by the
    rules of `shots`), and the view's own everywhere else. Call it only where `obstacle` has no reason against it.
    """
    views, cameras = stored_views(artifact).double(), view_cameras(item.truth, region)
    order = list(pairwise(range(len(views))))
    for i, j in (*order, *((j, i) for i, j in order)):
        at, normal, inner = surface_points(item.truth, i, region)
        usable = cameras[i].clear[inner] & (cameras[i].facing(at, normal) >= COSINE)
        xy, seen = cameras[j].sees(at, normal)
        seen &= usable
        compared = torch.zeros_like(inner[0])
        compared[inner[0]] = seen
        composite = views[i].clone()
        composite[:, compared] = bilinear(views[j], xy[:, seen])
        yield views[i], composite, compared, int(inner.sum())


def obstacle(artifact: Artifact, item: Item) -> str | None:
    """Why the views cannot be reprojected into each other; None where they can."""
    if reason := mismatch(artifact, item, NEEDS):
        return reason
    return "there is only one view" if len(artifact.views) < 2 else None
