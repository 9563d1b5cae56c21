"""The frames of a clip as the views of a surface: the base of tracks, exact and estimated."""

from dataclasses import dataclass

from ..limits import check_factor, check_size


@dataclass(frozen=True)
class Clip:
    """Frames of one size. A subclass lays them out on a canvas."""

    frames: int
    height: int
    width: int

    def __post_init__(self) -> None:
        check_size("a clip", self.frames, self.height, self.width)

    @property
    def window(self) -> tuple[int, int]:
        """Height and width of one frame in pixels."""
        return self.height, self.width

    @property
    def views(self) -> int:
        """The number of views, one for each frame."""
        return self.frames

    @property
    def picture(self) -> bool:
        """False: the frames are the result."""
        return False

    def check(self, factor: int = 1, stride: float | None = None) -> int:
        """The number of frames. Raises SyncbenchError where the canvas would be refused."""
        check_factor("frames", self.height, self.width, factor)
        return self.frames
