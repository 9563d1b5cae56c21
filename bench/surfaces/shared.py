"""Surfaces without geometry: all views share every pixel (`Shared`), or no two views share any (`Apart`)."""

from dataclasses import dataclass

import torch

from ..canvas import Canvas
from ..limits import check_factor, check_size
from ..types import SyncbenchError

SHADING_MAX = 1.25
"""Shading in linear light that white stands for in a shading image, in every dataset and metric of channels."""
PICTURE = "picture"
"""Name of the view of an item whose channels are given, and whose picture is to be made."""


def _check(views: int, height: int, width: int, factor: int) -> int:
    """The number of views. Raises SyncbenchError for sizes below 1, too large, or no multiple of `factor`."""
    if height < 1 or width < 1:
        raise SyncbenchError(f"views need a positive height and width, not {height} and {width} px")
    check_size("an item", views, height, width)
    check_factor("views", height, width, factor)
    return views


@dataclass(frozen=True)
class Shared:
    """The channels of one image: all views see the same pixels."""

    names: tuple[str, ...]
    """Names of the channels, one for each view, in order."""
    height: int
    width: int

    @property
    def window(self) -> tuple[int, int]:
        """Height and width of one view in pixels."""
        return self.height, self.width

    @property
    def views(self) -> int:
        """The number of views, one for each channel."""
        return len(self.names)

    @property
    def picture(self) -> bool:
        """False: the views are the result."""
        return False

    def canvas(self, factor: int = 1, stride: float | None = None) -> Canvas:
        """The canvas with one cell per pixel (`factor` = 1), seen by all views; `stride` is ignored."""
        self.check(factor)
        high, wide = self.height // factor, self.width // factor
        index = torch.arange(high * wide).reshape(1, high, wide).repeat(len(self.names), 1, 1)
        return Canvas(index, torch.ones(index.shape), (high, wide))

    def check(self, factor: int = 1, stride: float | None = None) -> int:
        """The number of views. Raises SyncbenchError where `canvas` would."""
        return _check(len(self.names), self.height, self.width, factor)


@dataclass(frozen=True)
class Apart:
    """Views whose common points are not known: every pixel of every view is a cell of its own."""

    views: int
    height: int
    width: int

    @property
    def window(self) -> tuple[int, int]:
        """Height and width of one view in pixels."""
        return self.height, self.width

    @property
    def picture(self) -> bool:
        """False: the views are the result."""
        return False

    def canvas(self, factor: int = 1, stride: float | None = None) -> Canvas:
        """The canvas with one cell for each pixel of each view (`factor` = 1); `stride` is ignored."""
        self.check(factor)
        high, wide = self.height // factor, self.width // factor
        index = torch.arange(self.views * high * wide).reshape(self.views, high, wide)
        return Canvas(index, torch.ones(index.shape), (self.views * high * wide,))

    def check(self, factor: int = 1, stride: float | None = None) -> int:
        """The number of views. Raises SyncbenchError where `canvas` would."""
        return _check(self.views, self.height, self.width, factor)
