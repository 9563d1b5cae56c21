"""Rerender A Video: the first frame's and the previous frame's predictions, carried along the motion, replace others.

Yang, Zhou, Liu, Loy, SIGGRAPH Asia 2023, arXiv 2306.07954; upstream code read (S-Lab licence, commit dfaf9d8). The
source clip is noised and redrawn. Frames attend to the first and the previous one. In early steps the first frame's x0
is carried to all others where its pixels are seen (shape); in middle steps the decoded x0 of the previous and of the
first frame are (pixels), encoded with the codec's own error taken off; in late steps the mean and spread of each
frame's x0 are the first frame's (colour).

Motion is the item's tracks: exact in the reference world, else estimated from optical flow; upstream's is GMFlow.
Upstream makes one frame after the other and carries finished frames; here all frames of a step are one batch, so that
predictions of the same step are carried. Left out: frames between keyframes, which upstream interpolates (EbSynth).
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from ...bench.canvas import Canvas
from ...bench.limits import Fraction, Share
from ...bench.models.parts.shared_attention import first_and_previous
from ...bench.sampling.loop import Setting, Step
from ...bench.sampling.sharing import Sharing
from ._edit import Edit, Editing, Initial


@dataclass(frozen=True, kw_only=True)
class Rerender(Edit):
    """Anchored attention, and x0 carried along the tracks."""

    version: ClassVar[int] = 1
    paper: ClassVar[str] = "2306.07954"
    licence: ClassVar[str] = "S-Lab License 1.0"
    along_tracks: ClassVar[bool] = True
    requires: ClassVar[tuple[str, ...]] = ("text", "attention")
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "attention": {"shape": 0.0, "pixels_end": 0.5, "colour": 1.0},
        "diffusers": {"shape": 0.3},
    }

    initial: Initial = "noised"
    redrawn: Fraction = 0.75
    shared_noise: bool = True
    shape: Share = 0.1
    """End of the steps, as a fraction of all, in which the first frame's x0 is carried."""
    pixels_begin: Share = 0.5
    pixels_end: Share = 0.8
    """Begin and end of the steps in which decoded predictions are carried."""
    inner: Share = 0.9
    """Weight of what is carried in these steps; the rest is the frame's own."""
    colour: Share = 0.8
    """Begin of the steps in which colours are the first frame's."""

    def hooks(self, state: Editing, setting: Setting) -> AbstractContextManager[Any]:
        """A context in which frames attend to the first and the previous one."""
        return Sharing(select=first_and_previous).attach(setting.model)

    def predict(self, state: Editing, x: Tensor, s: Step) -> tuple[Tensor, Tensor]:
        """x0 with what is carried, and the noise as predicted."""
        x0, eps = s.predict(x)
        step, total = s.level.index, s.level.total
        # fractions of the steps that are taken, as upstream counts them
        done = (step - state.first) / (total - state.first)
        if done < self.shape:
            there, seen = carried(x0, s.canvas, 0)
            x0 = torch.where(seen, there, x0)
        if self.pixels_begin <= done < self.pixels_end:
            x0 = self.fused(x0, s)
        if done >= self.colour:
            x0 = like(x0, x0[:1])
        return x0, eps

    def fused(self, x0: Tensor, s: Step) -> Tensor:
        """x0 with the pixels of the previous frame, and over them those of the first, where they are seen."""
        images, pixels = s.model.decode(x0), s.pixels()
        result, known = images.clone(), torch.zeros_like(images[:, :1], dtype=torch.bool)
        for frame in range(1, len(images)):
            for source in (frame - 1, 0):
                there, seen = carried(result, pixels, source, frame)
                result[frame] = torch.where(seen[0], there[0], result[frame])
                known[frame] |= seen[0]
        again = s.model.encode(result)
        again = 2 * again - s.model.encode(s.model.decode(again))  # the codec's error, taken off
        high, wide = x0.shape[-2:]
        cells = F.adaptive_avg_pool2d(known.to(x0.dtype), (high, wide))
        inside = (cells > 0.5).to(x0.dtype) * self.inner
        return torch.lerp(x0, again.to(x0.dtype), inside)


def carried(
    x: Float[Tensor, "frames c h w"], canvas: Canvas, source: int, frame: int | None = None
) -> tuple[Float[Tensor, "n c h w"], Bool[Tensor, "n 1 h w"]]:
    """The frame `source` as seen along the tracks in all frames, or in `frame` alone, and where it is seen there."""
    index = canvas.index if frame is None else canvas.index[frame : frame + 1]
    cells = canvas.index[source].flatten()
    known = cells >= 0
    values, count = x.new_zeros(canvas.cells + 1, x.shape[1]), x.new_zeros(canvas.cells + 1)
    values.index_add_(0, cells[known], x[source].flatten(1).T[known])
    count.index_add_(0, cells[known], torch.ones_like(cells[known], dtype=x.dtype))
    at = torch.where(index >= 0, index, canvas.cells)  # the last row is of pixels that see no cell
    there = (values / count.clamp(min=1)[:, None])[at].movedim(-1, 1)
    return there, (count[at] > 0)[:, None]


def like(x: Float[Tensor, "frames c h w"], model: Float[Tensor, "#frames c h w"]) -> Float[Tensor, "frames c h w"]:
    """Latents with the means and standard deviations of others' channels, one's or each its own: adaptive instance
    normalisation."""
    spread, mean = torch.std_mean(x, (2, 3), correction=0, keepdim=True)
    other_spread, other_mean = torch.std_mean(model, (2, 3), correction=0, keepdim=True)
    return (x - mean) / spread.clamp(min=1e-6) * other_spread + other_mean
