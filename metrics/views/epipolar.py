"""Epipolar geometry of two views with known cameras: fundamental matrix and symmetric epipolar distance."""

from itertools import combinations, pairwise
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from ...bench.types import Artifact, Item
from .images import stored_views
from .matches import Keypoints, keypoints, matched

_kept: WeakIdKeyDictionary = WeakIdKeyDictionary()
"""Views (by identity) to their version and their key points by `side`. An entry goes when its views do."""
Pairs = Literal["neighbours", "all"]
CAMERAS = ("extrinsics", "intrinsics")


def fundamental(extrinsics: Float[Tensor, "2 4 4"], intrinsics: Float[Tensor, "2 3 3"]) -> Float[Tensor, "3 3"]:
    """The matrix F with x2^T F x1 = 0 for image coordinates (x, y, 1) of one point in views 1 and 2.

    It is zero for cameras in one place, between which every pair of points is possible.
    """
    first, second = extrinsics.double()
    turn = second[:3, :3] @ first[:3, :3].T
    x, y, z = second[:3, 3] - turn @ first[:3, 3]
    nothing = torch.zeros_like(x)
    cross = torch.stack([nothing, -z, y, z, nothing, -x, -y, x, nothing]).reshape(3, 3)
    one, two = torch.linalg.inv(intrinsics.double())
    return two.T @ cross @ turn @ one


def epipolar_distances(
    f: Float[Tensor, "3 3"], a: Float[Tensor, "2 m"], b: Float[Tensor, "2 m"]
) -> Float[Tensor, " m"]:
    """Half the sum of the distances, in pixels, of each point of a match from the other's epipolar line."""
    one, two = (torch.cat([x, torch.ones_like(x[:1])]) for x in (a, b))
    lines, back = f @ one, f.T @ two
    off = (two * lines).sum(0).abs()
    return (off / lines[:2].norm(dim=0) + off / back[:2].norm(dim=0)) / 2


def view_pairs(count: int, which: Pairs) -> list[tuple[int, int]]:
    """Pairs of views: each with the next one, or every two."""
    return list(pairwise(range(count)) if which == "neighbours" else combinations(range(count), 2))


def cameras_of(artifact: Artifact, item: Item) -> tuple[Tensor, Tensor] | str:
    """Extrinsics (n, 4, 4) and intrinsics (n, 3, 3) of the views, from the item's truth or conditions, or why none."""
    known = [item.truth.get(name, item.conditions.get(name)) for name in CAMERAS]
    if known[0] is None or known[1] is None:
        return "the item does not say where its cameras are (extrinsics, intrinsics)"
    if not len(known[0]) == len(known[1]) == len(artifact.views):
        return f"there are {len(known[0])} cameras for {len(artifact.views)} views"
    if len(artifact.views) < 2:
        return "there is only one view"
    if bool((known[1][:, 2, 2] == 0).any()):
        return "epipolar lines are those of perspective cameras, and these are orthographic"
    return known[0], known[1]


def seen_keypoints(artifact: Artifact, side: int) -> list[Keypoints]:
    """The key points of every view of the artifact, in pixels of the view; see `matches.keypoints`.

    They are found once for all metrics of an artifact, and forgotten with its views.
    """
    none: tuple[int, dict[int, list[Keypoints]]] = (-1, {})
    version, found = _kept.get(artifact.views) or none
    if version != artifact.views._version:
        found = {}
    if side not in found:
        found = {**found, side: [keypoints(view, side) for view in stored_views(artifact)]}
        _kept[artifact.views] = (artifact.views._version, found)
    return found[side]


def distances(
    found: list[Keypoints], pair: tuple[int, int], cameras: tuple[Tensor, Tensor]
) -> Float[Tensor, " m"] | None:
    """Symmetric epipolar distances of two views' matches, in pixels of the view; None for cameras in one place."""
    i, j = pair
    extrinsics, intrinsics = (torch.stack([each[i], each[j]]) for each in cameras)
    f = fundamental(extrinsics, intrinsics)
    if float(f.abs().max()) < 1e-12:
        return None
    return epipolar_distances(f, *matched(found[i], found[j]))
