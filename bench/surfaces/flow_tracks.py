"""Tracks through a clip by optical flow from each frame to the next, for clips whose exact motion nobody knows.

Unlike `tracks.Tracks` these are chained from frame to frame, so they drift by the flow's errors. A track's place is
kept between pixels, so that rounding adds nothing.
"""

from collections.abc import Callable
from dataclasses import InitVar, dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..canvas import Canvas
from .clip import Clip
from .warp import pixel_grid, sample

Step = tuple[Float[Tensor, "2 h w"], Bool[Tensor, "1 h w"]]
"""Flow in pixels from one frame to the next, and the pixels of the first whose point is seen in the next."""


@dataclass(frozen=True)
class FlowTracks(Clip):
    """The frames of a clip that look at tracks of estimated flow: pixels that see one point share a cell.

    A track begins at a pixel that no earlier track reaches and ends where its point is hidden, leaves the picture, or
    reaches a pixel to whose middle another track comes nearer. `shape` is flat, with one cell for each track.
    """

    flow: str
    """The estimate of flow in one line: method, version, weights."""
    digest: str
    """Hash of the clip; two instances are equal if their fields are."""
    step: InitVar[Callable[[int], Step]]
    """Function from t to the step from frame t to t + 1, called when the tracks are laid out; it keeps its answers."""

    def __post_init__(self, step: Callable[[int], Step]) -> None:
        Clip.__post_init__(self)
        object.__setattr__(self, "_step", step)

    def canvas(self, factor: int = 1, stride: float | None = None) -> Canvas:
        """The canvas with one view for each frame, `factor` pixels to a side of a cell; `stride` is ignored."""
        self.check(factor)
        step: Callable[[int], Step] = self.__dict__["_step"]
        high, wide = self.height // factor, self.width // factor
        centres = pixel_grid(high, wide).reshape(-1, 2)
        cell, at = torch.arange(high * wide), centres.clone()
        index, cells = [cell.reshape(high, wide)], high * wide
        for t in range(self.frames - 1):
            flow, seen = coarser(*step(t), factor)
            reached, there = _move(at, flow, seen)
            cell, at = _settled(cell[reached], there, high, wide)
            new = cell < 0
            cell[new] = cells + torch.arange(int(new.sum()))
            at = torch.where(new[:, None], centres, at)
            cells += int(new.sum())
            index.append(cell.reshape(high, wide))
        stacked = torch.stack(index)
        return Canvas(stacked, torch.ones(stacked.shape), (cells,))


def coarser(flow: Float[Tensor, "2 h w"], seen: Bool[Tensor, "1 h w"], factor: int) -> Step:
    """A step with `factor` x `factor` pixels merged: the mean flow of those that are seen, if half of them are."""
    if factor == 1:
        return flow, seen
    share = F.avg_pool2d(seen.float()[None], factor)[0]
    mean = F.avg_pool2d((flow * seen)[None], factor)[0] / share.clamp(min=1e-6)
    return mean / factor, share >= 0.5


def _move(
    at: Float[Tensor, "n 2"], flow: Float[Tensor, "2 h w"], seen: Bool[Tensor, "1 h w"]
) -> tuple[Int[Tensor, " m"], Float[Tensor, "m 2"]]:
    """Numbers of the places `at` whose point is seen in the next frame, and where it is there."""
    height, width = flow.shape[1:]
    column, row = at.floor().long().unbind(1)
    there = at + sample(flow[None], at[None, None])[0, :, 0].T
    inside = (there >= 0).all(1) & (there[:, 0] < width) & (there[:, 1] < height)
    reached = (inside & seen[0, row, column]).nonzero().squeeze(1)
    return reached, there[reached]


def _settled(
    cell: Int[Tensor, " m"], there: Float[Tensor, "m 2"], high: int, wide: int
) -> tuple[Int[Tensor, " p"], Float[Tensor, "p 2"]]:
    """For each pixel the cell of the track that comes nearest to its middle (-1: none does), and the track's place.

    Of tracks that are equally near, the one of the earliest cell is taken.
    """
    pixel = there[:, 1].floor().long() * wide + there[:, 0].floor().long()
    apart = (there - there.floor() - 0.5).square().sum(1)
    # a stable sort by cell, then by distance, then by pixel: the first of every pixel is its track
    order = torch.argsort(cell, stable=True)
    order = order[torch.argsort(apart[order], stable=True)]
    order = order[torch.argsort(pixel[order], stable=True)]
    first = torch.ones(len(order), dtype=torch.bool)
    first[1:] = pixel[order][1:] != pixel[order][:-1]
    best = order[first]
    found = torch.full((high * wide,), -1)
    place = torch.zeros(high * wide, 2)
    found[pixel[best]], place[pixel[best]] = cell[best], there[best].float()
    return found, place
