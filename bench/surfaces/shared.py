"""Surfaces without geometry: all views share every pixel, or none shares any."""

from dataclasses import dataclass

import torch

from ..canvas import Canvas
from ..limits import check_factor, check_size
from ..types import SyncbenchError

SHADING_MAX = 1.25
"""The linear shading that a shading image's white stands for, in every dataset and metric of channels."""


def _check(views: int, height: int, width: int, factor: int) -> int:
    if height < 1 or width < 1:
        raise SyncbenchError(f"views need a positive height and width, not {height} and {width} px")
    check_size("an item", views, height, width)
    check_factor("views", height, width, factor)
    return views


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
        self.check(factor)
        high, wide = self.height // factor, self.width // factor
        index = torch.arange(high * wide).reshape(1, high, wide).repeat(len(self.names), 1, 1)
        return Canvas(index, torch.ones(index.shape), (high, wide))

    def check(self, factor: int = 1, stride: float | None = None) -> int:
        """The number of views. Raises SyncbenchError where `canvas` would have to refuse."""
        return _check(len(self.names), self.height, self.width, factor)


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
        self.check(factor)
        high, wide = self.height // factor, self.width // factor
        index = torch.arange(self.views * high * wide).reshape(self.views, high, wide)
        return Canvas(index, torch.ones(index.shape), (self.views * high * wide,))

    def check(self, factor: int = 1, stride: float | None = None) -> int:
        """The number of views. Raises SyncbenchError where `canvas` would have to refuse."""
        return _check(self.views, self.height, self.width, factor)
