"""Surfaces without geometry: all views share every pixel, or none shares any."""

from dataclasses import dataclass

import torch

from ..canvas import Canvas
from ..types import SyncbenchError

SHADING_MAX = 1.25
"""The linear shading that a shading image's white stands for, in every dataset and metric of channels."""


def _grid(height: int, width: int, factor: int) -> tuple[int, int]:
    if height < 1 or width < 1:
        raise SyncbenchError(f"views need a positive height and width, not {height} and {width} px")
    if height % factor or width % factor:
        raise SyncbenchError(f"views of {height} x {width} px are no multiple of the model's factor {factor}")
    return height // factor, width // factor


@dataclass(frozen=True)
class Shared:
    """The channels of one image: every view sees the same pixels."""

    names: tuple[str, ...]
    """One a view, in order."""
    height: int
    width: int

    @property
    def window(self) -> tuple[int, int]:
        """Height and width of one view in pixels."""
        return self.height, self.width

    @property
    def views(self) -> int:
        """One a channel."""
        return len(self.names)

    @property
    def picture(self) -> bool:
        """The views are the result."""
        return False

    def canvas(self, factor: int = 1, stride: float | None = None) -> Canvas:
        """One cell per pixel, seen by all views; `stride` has no meaning here."""
        high, wide = _grid(self.height, self.width, factor)
        index = torch.arange(high * wide).reshape(1, high, wide).repeat(len(self.names), 1, 1)
        return Canvas(index, torch.ones(index.shape), (high, wide))


@dataclass(frozen=True)
class Apart:
    """Views with nothing in common that is known: every view pixel is a cell of its own."""

    views: int
    height: int
    width: int

    @property
    def window(self) -> tuple[int, int]:
        """Height and width of one view in pixels."""
        return self.height, self.width

    @property
    def picture(self) -> bool:
        """The views are the result."""
        return False

    def canvas(self, factor: int = 1, stride: float | None = None) -> Canvas:
        """One cell per view pixel; `stride` has no meaning here."""
        high, wide = _grid(self.height, self.width, factor)
        index = torch.arange(self.views * high * wide).reshape(self.views, high, wide)
        return Canvas(index, torch.ones(index.shape), (self.views * high * wide,))
