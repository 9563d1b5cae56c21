"""Dense flow between two pictures, forward and backward, and where it can be believed.

Flow (2, h, w) is (dx, dy) in pixels, x along columns to the right and y along rows down, as in the world's truth: the
point at (x, y) of the first picture lies at (x + dx, y + dy) of the second. So a lookup of the second picture at these
places shows the first one (`surfaces.warp.sample`). Pictures are never resized, because resizing changes flow: they are
padded by repeating their border.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from ..surfaces.warp import pixel_grid, sample

MULTIPLE, SMALLEST = 8, 128
"""Sides of a padded picture are multiples of the one and at least the other, in pixels; RAFT needs both."""
PADDING = f"padded to x{MULTIPLE}, >= {SMALLEST} px"
CONSISTENT_SHARE, CONSISTENT_SQUARE = 0.01, 0.5
"""A pixel is hidden in the other picture where |f + b|^2 > share (|f|^2 + |b|^2) + square (px^2); f is the flow there,
b the flow back from where it leads. Lai et al., ECCV 2018, arXiv 1808.00449, after Ruder et al. 2016."""
BOUNDARY_SHARE, BOUNDARY_SQUARE = 0.01, 0.002
"""A pixel is at a motion boundary where |grad u|^2 + |grad v|^2 > share |f|^2 + square; the same sources."""
CHECKED = (
    f"forward-backward {CONSISTENT_SHARE:g}, {CONSISTENT_SQUARE:g}, boundaries {BOUNDARY_SHARE:g}, {BOUNDARY_SQUARE:g}"
)
"""The constants of `Match.visible` as fingerprints have them."""


class Flow(ABC):
    """Dense flow between two pictures of one size; equal pictures give equal flow on one machine."""

    name: str
    """`raft_large`, `raft_small`, `raft[reference]` or `dis`."""
    fingerprint: str
    """Implementation, version, weight hash and input, in one line."""

    def __call__(self, first: Float[Tensor, "3 h w"], second: Float[Tensor, "3 H W"]) -> Float[Tensor, "2 h w"]:
        """Flow (dx, dy) in pixels from every pixel of the first picture to its place in the second, on the CPU.

        Pictures are RGB in [0, 1] of one size. Raises ValueError for unlike sizes.
        """
        if first.shape != second.shape:
            raise ValueError(f"flow needs pictures of one size, not {tuple(first.shape)} and {tuple(second.shape)}")
        images, top, left = padded(torch.stack([first, second]).detach().float().cpu())
        found = self.estimate(images[0], images[1])
        return found[:, top : top + first.shape[1], left : left + first.shape[2]].contiguous()

    @abstractmethod
    def estimate(self, first: Float[Tensor, "3 H W"], second: Float[Tensor, "3 H W"]) -> Float[Tensor, "2 H W"]:
        """The flow of padded pictures, float32 on the CPU."""


@dataclass(frozen=True)
class Match:
    """Flow between two pictures in both directions, and where it can be believed."""

    flow: Float[Tensor, "2 h w"]
    """From the first picture to the second."""
    backward: Float[Tensor, "2 h w"]
    """From the second picture to the first."""

    @property
    def visible(self) -> Bool[Tensor, "1 h w"]:
        """Pixels of the first picture whose point is seen in the second one, and that are at no motion boundary."""
        return ~(occluded(self.flow, self.backward) | motion_boundary(self.flow))


def match(estimator: Flow, first: Float[Tensor, "3 h w"], second: Float[Tensor, "3 h w"]) -> Match:
    """Flow between two pictures (see `Flow`) in both directions."""
    return Match(estimator(first, second), estimator(second, first))


def padded(images: Float[Tensor, "n 3 h w"]) -> tuple[Float[Tensor, "n 3 H W"], int, int]:
    """Images whose border is repeated on all sides alike up to PADDING, and the rows above and columns left of them."""
    height, width = images.shape[2:]
    more = [max(SMALLEST, -(-side // MULTIPLE) * MULTIPLE) - side for side in (height, width)]
    top, left = more[0] // 2, more[1] // 2
    return F.pad(images, (left, more[1] - left, top, more[0] - top), mode="replicate"), top, left


def landing(field: Float[Tensor, "2 h w"]) -> Float[Tensor, "h w 2"]:
    """Pixel coordinates (x, y) to which the flow takes every pixel; see `surfaces.warp` for where pixel centres lie."""
    return pixel_grid(*field.shape[1:]).to(field) + field.permute(1, 2, 0)


def occluded(forward: Float[Tensor, "2 h w"], backward: Float[Tensor, "2 h w"]) -> Bool[Tensor, "1 h w"]:
    """Pixels that the way forward and back does not return to (CONSISTENT_SHARE), or that leave the picture."""
    there = landing(forward)
    back = sample(backward[None], there[None])[0]
    gap = (forward + back).square().sum(0)
    most = CONSISTENT_SHARE * (forward.square().sum(0) + back.square().sum(0)) + CONSISTENT_SQUARE
    size = torch.tensor([forward.shape[2], forward.shape[1]])
    outside = ((there < 0.5) | (there > size - 0.5)).any(-1)
    return ((gap > most) | outside)[None]


def motion_boundary(field: Float[Tensor, "2 h w"]) -> Bool[Tensor, "1 h w"]:
    """Pixels where the flow differs much from that of the next pixel to the right or below (BOUNDARY_SHARE)."""
    steep = torch.zeros_like(field[0])
    steep[:, :-1] += field.diff(dim=2).square().sum(0)
    steep[:-1] += field.diff(dim=1).square().sum(0)
    return (steep > BOUNDARY_SHARE * field.square().sum(0) + BOUNDARY_SQUARE)[None]
