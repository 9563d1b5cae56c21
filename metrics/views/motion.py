"""Estimated motion of clips: flow between frames, found once a clip, and which of its pixels can be followed."""

from collections.abc import Iterator
from typing import Any

import cv2
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from ...bench.backbones import flow as flows
from ...bench.backbones.matching import Flow, Match, landing
from ...bench.types import Item
from ..strips.crops import metric_device
from .images import eight_bit
from .sampling import dilated, in_image

BUDGET = 2**30
"""Bytes of flow kept at a time; what is beyond it is estimated again when asked for."""
BAND, FEWEST, MOST = 0.2, 64, 4096
"""Width of the outer parts of a frame, which mostly show background, as a share of the shorter side; the fewest and
about the most of their pixels from which the background's motion is found."""
OTHERWISE, EDGE = 0.005, 2
"""Distance from the background's motion from which on a pixel moves otherwise, as a share of the shorter side (at least
1 px); pixels beside such ones that are left out, too."""
Way = tuple[Float[Tensor, "2 p"], Bool[Tensor, " p"]]
"""Where every pixel of a frame lies in another frame (see `sampling`), and which of them can be followed there."""

_kept: WeakIdKeyDictionary = WeakIdKeyDictionary()
"""Clip (by identity) to its version and its pixels and flow. An entry goes when its clip does."""


def estimator(which: str | None, folder: str | None) -> Flow:
    """The flow `which` on the metrics' device. Raises SyncbenchError where it is not on this machine."""
    return flows.flow(which, folder, metric_device())


def refusal(which: str | None, folder: str | None, item: Item) -> str | None:
    """Why the flow `which` cannot judge an item, as `bench.backbones.flow` says; None where it can."""
    return flows.flow_refusal(which, folder, item)


def absent(which: str | None, folder: str | None) -> str | None:
    """Why a metric of this flow is null on every item of this machine; None where its weights are here."""
    return flows.lacking(which, folder)


def described(which: str | None, folder: str | None) -> str:
    """The flow's part of a fingerprint; it says so where the weights are not on this machine."""
    if absent(which, folder):
        return f"{flows.chosen(which, folder)}, which is not on this machine"
    return estimator(which, folder).fingerprint


def source_of(item: Item) -> Float[Tensor, "t 3 h w"] | None:
    """The clip that the item's output is an edit of; None where there is none."""
    return item.conditions.get("video")


def unlike(output: Tensor, source: Tensor) -> str | None:
    """Why an output and its source, both (t, 3, h, w), cannot be compared frame by frame; None where they can."""
    if output.shape == source.shape:
        return None
    told = (f"{n} frames of {h}x{w} px" for n, _, h, w in (output.shape, source.shape))
    return "the output has {}, the source clip {}".format(*told)


def between(clip: Float[Tensor, "t 3 h w"], first: int, second: int, estimator: Flow) -> Float[Tensor, "2 h w"]:
    """Flow from frame `first` to frame `second` of a clip in [0, 1], rounded to 8 bits; found once a clip."""
    store = _store(clip)
    key = (estimator.fingerprint, first, second)
    if key in store:
        return store[key]
    if "frames" not in store:
        store["frames"] = eight_bit(clip)
    found = estimator(store["frames"][first], store["frames"][second])
    if _size() + found.nbytes <= BUDGET:
        store[key] = found
    return found


def matched(clip: Float[Tensor, "t 3 h w"], first: int, second: int, estimator: Flow) -> Match:
    """Flow between two frames of a clip in both directions."""
    return Match(between(clip, first, second, estimator), between(clip, second, first, estimator))


def estimated_ways(clip: Float[Tensor, "t 3 h w"], gap: int, estimator: Flow) -> Iterator[Way]:
    """For every frame t, the way of its pixels to frame t + gap, by flow from the one to the other.

    A pixel can be followed where flow forward and backward agrees, off motion boundaries (`Match.visible`), and lands
    at least 1 px inside the picture.
    """
    for t in range(len(clip) - gap):
        match = matched(clip, t, t + gap, estimator)
        xy = landing(match.flow).reshape(-1, 2).T.double()
        yield xy, match.visible.flatten() & in_image(xy, *clip.shape[2:])


def background(clip: Float[Tensor, "t 3 h w"], estimator: Flow) -> Bool[Tensor, "t 1 h w"]:
    """Pixels of every frame that move as most of its outer parts do, which a homography of the flow describes (RANSAC).

    What moves otherwise by OTHERWISE towards one of the two nearest frames, or cannot be followed to both, is left out
    with a margin of EDGE.
    """
    store = _store(clip)
    key = (estimator.fingerprint, "background")
    if key not in store:
        frames = range(len(clip))
        near = [sorted((other for other in frames if other != t), key=lambda o, t=t: abs(o - t))[:2] for t in frames]
        masks = [torch.stack([_dominant(matched(clip, t, o, estimator)) for o in near[t]]).all(0) for t in frames]
        store[key] = torch.stack([~dilated(~mask, EDGE) for mask in masks])
    return store[key]


def _dominant(match: Match) -> Bool[Tensor, "1 h w"]:
    """Pixels of a frame that move to another one as most of its outer parts do."""
    height, width = match.flow.shape[1:]
    band, most = round(BAND * min(height, width)), max(1.0, OTHERWISE * min(height, width))
    outer = torch.ones(height, width, dtype=torch.bool)
    outer[band : height - band, band : width - band] = False
    there = landing(match.flow).double()
    here = there - match.flow.double().permute(1, 2, 0)
    sure = match.visible[0]
    chosen = (sure & outer).nonzero()
    if len(chosen) < FEWEST:
        return torch.zeros(1, height, width, dtype=torch.bool)
    row, column = chosen[:: max(1, len(chosen) // MOST)].unbind(1)
    before, after = (points[row, column].numpy() for points in (here, there))
    fit: Any = cv2.findHomography(before, after, cv2.RANSAC, most, maxIters=500)[0]
    if fit is None:
        return torch.zeros(1, height, width, dtype=torch.bool)
    plane = torch.cat([here, torch.ones(height, width, 1, dtype=torch.float64)], -1) @ torch.from_numpy(fit).T
    gap = (plane[..., :2] / plane[..., 2:] - there).norm(dim=-1)
    return ((gap <= most) & sure)[None]


def _store(clip: Tensor) -> dict[Any, Any]:
    """What is kept for a clip; empty at first, and again after the clip was changed in place."""
    version = -1 if clip.is_inference() else clip._version
    if clip not in _kept or _kept[clip][0] != version:
        _kept[clip] = (version, {})
    return _kept[clip][1]


def _size() -> int:
    return sum(value.nbytes for clip in list(_kept) for value in _kept[clip][1].values())
