"""FreeNoise: clips longer than a video network was trained for, in windows, from noise that repeats.

Qiu, Xia, Zhang, He, Wang, Shan, Liu, ICLR 2024, arXiv 2310.15169; diffusers' version read (Apache-2.0). The noise of
frames after the first window is that of the frames a window before, in blocks whose frames are shuffled, so that all
windows begin from like noise. Windows of frames overlap and are fused with weights that fall to their ends.

Upstream fuses windows in each temporal attention layer; here their predictions of x0 and noise are fused, which needs
nothing of the network's layers. With fresh noise (preset `windows`) that is Gen-L-Video (Wang, Chen, Song, Ye, Liu, Li,
2023, arXiv 2305.18264), MultiDiffusion along time. Left out: prompts that change along the clip.
"""

from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Interval
from jaxtyping import Float
from torch import Tensor

from ...bench.canvas import Canvas
from ...bench.sampling.loop import Noise, Step
from ...bench.types import Anchor, SyncbenchError
from ..independent import Independent


@dataclass(frozen=True, kw_only=True)
class FreeNoise(Independent):
    """Windows of frames are denoised together, from rescheduled noise."""

    version: ClassVar[int] = 1
    anchor: ClassVar[Anchor | None] = None
    paper: ClassVar[str] = "2310.15169"
    licence: ClassVar[str] = "Apache-2.0 (diffusers)"
    requires: ClassVar[tuple[str, ...]] = ("joint", "time", "text")
    presets: ClassVar[dict[str, dict[str, Any]]] = {"windows": {"repeated": False}}

    window: Annotated[int, Interval(ge=2, le=1_000)] = 16
    """Frames that the network denoises together: those of its training."""
    advance: Annotated[int, Interval(ge=1, le=1_000)] = 4
    """Frames from one window to the next, and frames whose noise is shuffled together."""
    repeated: bool = True
    """Whether noise is that of the window before, shuffled in blocks; otherwise it is fresh for every frame."""

    def __post_init__(self) -> None:
        if self.advance > self.window:
            raise SyncbenchError(
                f"windows of {self.window} frames, {self.advance} apart, leave frames between them out: advance is at "
                "most window"
            )

    def start(self, noise: Noise, canvas: Canvas) -> Tensor:
        """The noise of each frame."""
        x = super().start(noise, canvas)
        if not self.repeated:
            return x
        x = x.clone()
        for begin in range(self.window, len(x), self.advance):
            source = torch.arange(begin - self.window, begin - self.window + self.advance)
            order = source[noise((self.advance,)).cpu().argsort()]
            x[begin : begin + self.advance] = x[order[: len(x) - begin]]
        return x

    def predict(self, state: Any, x: Tensor, s: Step) -> tuple[Tensor, Tensor]:
        """x0 and noise of all frames, each the weighted mean of those of the windows that it is in."""
        total, mass = [torch.zeros_like(x), torch.zeros_like(x)], x.new_zeros(len(x), 1, 1, 1)
        for begin in starts(len(x), self.window, self.advance):
            rows = torch.arange(begin, min(begin + self.window, len(x)), device=x.device)
            whole = replace(s.condition.rows(rows), together=True)
            weight = pyramid(len(rows)).to(x)[:, None, None, None]
            for part, found in zip(total, s.model.predict(x[rows], s.level, whole), strict=True):
                part[rows] += weight * found
            mass[rows] += weight
        return total[0] / mass, total[1] / mass


def starts(frames: int, window: int, advance: int) -> list[int]:
    """First frames of the windows; the last window ends with the clip.

    >>> starts(24, 16, 4), starts(18, 16, 4), starts(8, 16, 4)
    ([0, 4, 8], [0, 2], [0])
    """
    last = max(0, frames - window)
    return sorted({*range(0, last, advance), last})


def pyramid(frames: int) -> Float[Tensor, " frames"]:
    """Weights that rise to the middle of a window and fall again: 1, 2, ..., 2, 1."""
    step = torch.arange(1, frames + 1, dtype=torch.float32)
    return torch.minimum(step, step.flip(0))
