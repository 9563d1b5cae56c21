"""A strip: a wide image seen through windows of its full height, open-ended or wrapping around."""

from dataclasses import dataclass

import torch

from ..canvas import Canvas
from ..limits import PIXELS, check_size
from ..types import SyncbenchError


@dataclass(frozen=True)
class Strip:
    """A (height, width) image in pixels, seen by windows `window_width` wide and as high as the strip."""

    height: int
    width: int
    window_width: int
    wrap: bool = False
    """Whether the right end continues at the left end (360 degree panoramas)."""

    def __post_init__(self) -> None:
        if min(self.height, self.width, self.window_width) < 1:
            raise SyncbenchError(
                "a strip needs a positive height, width and window, "
                f"not {self.height}, {self.width} and {self.window_width} px"
            )
        if self.width < self.window_width:
            raise SyncbenchError(
                f"a strip {self.width} px wide is narrower than its window of {self.window_width} px: "
                "raise the width or choose a smaller window"
            )
        check_size("a strip", 1, self.height, self.width)

    @property
    def window(self) -> tuple[int, int]:
        """Height and width of one view in pixels."""
        return self.height, self.window_width

    @property
    def picture(self) -> bool:
        """True: a strip is one image."""
        return True

    def canvas(self, factor: int = 1, stride: float | None = None) -> Canvas:
        """The canvas of windows every `stride` window widths (None: side by side), `factor` pixels to a side of a cell.

        Unless the strip wraps, the last window ends at the right edge, so that every column is covered whatever the
        width (MultiDiffusion's released `get_views` leaves the columns after the last whole stride at zero).
        """
        high, wide, window = self.height // factor, self.width // factor, self.window_width // factor
        starts = self._starts(factor, stride)
        columns = (torch.tensor(starts)[:, None] + torch.arange(window)) % wide
        index = torch.arange(high)[None, :, None] * wide + columns[:, None, :]
        edges = {edge % wide for start in starts for edge in (start, start + window)}
        borders = tuple(sorted(edges if self.wrap else edges - {0}))
        return Canvas(index, torch.ones(index.shape), (high, wide), borders, self.wrap)

    def check(self, factor: int = 1, stride: float | None = None) -> int:
        """The number of windows. Raises SyncbenchError where `canvas` would."""
        return len(self._starts(factor, stride))

    def _starts(self, factor: int, stride: float | None) -> list[int]:
        """The first column of every window, in cells. Raises SyncbenchError for sizes or strides that do not fit."""
        for name, size in (("height", self.height), ("width", self.width), ("window", self.window_width)):
            if size % factor:
                raise SyncbenchError(
                    f"the strip's {name} of {size} px is not a multiple of the model's factor {factor}"
                )
        high, wide, window = self.height // factor, self.width // factor, self.window_width // factor
        step = window if stride is None else round(stride * window)
        if not 1 <= step <= window:
            raise SyncbenchError(f"a stride of {stride} windows leaves gaps or stands still: use a fraction in (0, 1]")
        count = len(range(0, wide if self.wrap else wide - window + 1, step))
        if count * high * window > PIXELS:
            raise SyncbenchError(
                f"{count:,} windows of {high:,} x {window:,} cells are more than the {PIXELS:,} cells that an item may "
                "have: take a larger stride or a smaller strip"
            )
        starts = list(range(0, wide if self.wrap else wide - window + 1, step))
        return starts if self.wrap or starts[-1] == wide - window else [*starts, wide - window]
