"""Which views stand around the object, in the order of their azimuths, and which look from above or below."""

from math import atan2, degrees, hypot
from statistics import median

import torch
from jaxtyping import Float
from torch import Tensor

from ...bench.types import Item

APART = 25.0
"""Degrees of elevation, off the median of all views, from which on a view is not one of those around the object."""


def ring(item: Item, views: int) -> tuple[list[int], list[int]]:
    """Numbers of the views around the object, from the first of them by azimuth, and of all others, as numbered.

    Without cameras, all views stand around it as they are numbered.
    """
    towards = directions(item, views)
    if towards is None:
        return [*range(views)], []
    places: list[list[float]] = towards.tolist()
    elevations = [degrees(atan2(z, hypot(x, y))) for x, y, z in places]
    middle = median(elevations)
    around = [view for view in range(views) if abs(elevations[view] - middle) < APART]
    if not around:  # half of the views far above the other half
        return [*range(views)], []
    azimuths = [degrees(atan2(y, x)) for x, y, _ in places]
    start = azimuths[around[0]] - 0.01  # so that rounding puts no view of the same azimuth last
    around.sort(key=lambda view: (azimuths[view] - start) % 360)
    return around, [view for view in range(views) if view not in around]


def directions(item: Item, views: int) -> Float[Tensor, "views 3"] | None:
    """Unit vectors from what each view looks at to its camera; None without cameras."""
    if item.surface.picture or "camera" not in item.conditions:
        return None
    cameras = item.conditions["camera"].reshape(-1, 4, 4)
    return -cameras[:, :3, 2].cpu() if len(cameras) == views else None


def attended(item: Item, views: int) -> list[list[int]]:
    """For each view, itself and the views that it attends to in SyncMVD.

    Views around the object have their two neighbours; any other view has the front, which is the first around the
    object, or the back, whichever is nearer.
    """
    around, others = ring(item, views)
    found: dict[int, list[int]] = {}
    for place, view in enumerate(around):
        found[view] = sorted({view, around[place - 1], around[(place + 1) % len(around)]})
    towards = directions(item, views)
    if towards is not None and others:
        front = around[0]
        back = around[int(torch.argmin(towards[around, :2] @ towards[front, :2]))]
        for view in others:
            nearer = float(towards[view] @ (towards[back] - towards[front])) > 1e-3  # poles have the front
            found[view] = sorted({view, back if nearer else front})
    return [found[view] for view in range(views)]
