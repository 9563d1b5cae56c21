"""Text2Video-Zero: all frames attend to the first, and start from its half-denoised latent, moved along one direction.

Khachatryan, Movsisyan, Tadevosyan et al., ICCV 2023, arXiv 2303.13439; upstream code read (CreativeML OpenRAIL-M). A
first frame is denoised for a part of the steps; its latent is copied to every frame k and moved by k times a constant
flow; frames are noised again to an earlier level, and all are denoised with the keys and values of the first frame.

With a hint for every frame (depth, edges) upstream starts all frames from one noise and moves nothing, because the hint
says how things move: here so wherever the model reads a condition of the item. Levels are fractions of the schedule, so
that any number of steps has them; of 50 they are upstream's (881 and 941 of 1000). Left out: the smoothing of the
background, which needs a detector of salient objects.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from ...bench.limits import Share
from ...bench.models.parts.shared_attention import first
from ...bench.sampling.loop import Setting, taken_conditions
from ...bench.sampling.sharing import Sharing
from ._edit import Edit, Editing, Initial


@dataclass(frozen=True, kw_only=True)
class Text2VideoZero(Edit):
    """Cross-frame attention to the first frame, and motion in the latents where no hint gives it."""

    version: ClassVar[int] = 2
    paper: ClassVar[str] = "2303.13439"
    licence: ClassVar[str] = "CreativeML OpenRAIL-M"
    requires: ClassVar[tuple[str, ...]] = ("text", "attention")
    presets: ClassVar[dict[str, dict[str, Any]]] = {"still": {"shift": (0.0, 0.0)}, "own": {"shared_noise": False}}

    initial: Initial = "noise"
    shared_noise: bool = True
    shift: tuple[float, float] = (12 / 512, 12 / 512)
    """Motion from frame to frame, right and down, as a fraction of a frame: upstream's 12 of 512 px. The latent is read
    there, so that what is seen moves left and up."""
    warped: Share = 0.88
    """Where frames are copied and moved: the share of the schedule's noise levels that are below, t0 = 881 of 1000."""
    renoised: Share = 0.94
    """The level to which they are noised again, t1 = 941 of 1000."""

    def prepare(self, setting: Setting) -> Editing:
        """One noise for all frames where the item's conditions say how frames move, else moved latents."""
        state = super().prepare(setting)
        high, low = self.marks(len(setting.schedule))
        if taken_conditions(setting.item, setting.model) or self.initial != "noise" or low <= high:
            return state
        model, levels = setting.model, [*setting.schedule]
        one = setting.condition.rows(slice(1))
        x, kept = state.x[:1], state.x[:1]
        for level in levels[:low]:
            if level.index == high:
                kept = x
            x = level.move(*model.predict(x, level, one))
        moved = torch.cat([translated(x, *(k * part for part in self.shift)) for k in range(setting.canvas.views)])
        schedule = setting.schedule
        scale = schedule.a[high] / schedule.a[low]
        spread = max(schedule.b[high] ** 2 - (scale * schedule.b[low]) ** 2, 0.0) ** 0.5
        again = scale * moved[1:] + spread * setting.noise(moved[1:].shape)
        return replace(state, x=torch.cat([kept, again]), first=high)

    def marks(self, total: int) -> tuple[int, int]:
        """Numbers of the levels, of `total`, to which moved frames are noised again, and at which they are moved.

        The second is later than the first, by one step at least; both are 0 where nothing can be moved.

        >>> Text2VideoZero().marks(50), Text2VideoZero().marks(16), Text2VideoZero().marks(2), Text2VideoZero().marks(1)
        ((2, 5), (0, 1), (0, 1), (0, 0))
        """
        high, low = (max(0, total - 1 - round(share * total)) for share in (self.renoised, self.warped))
        return (high, min(max(low, high + 1), total - 1)) if self.renoised > self.warped else (0, 0)

    def hooks(self, state: Editing, setting: Setting) -> AbstractContextManager[Any]:
        """A context in which every frame attends to the first."""
        return Sharing(select=first).attach(setting.model)


def translated(x: Float[Tensor, "n c h w"], right: float, down: float) -> Float[Tensor, "n c h w"]:
    """The latents read `right` and `down`, in fractions of their size, with nearest cells and reflected borders."""
    theta = torch.tensor([[1.0, 0.0, 2 * right], [0.0, 1.0, 2 * down]], dtype=x.dtype, device=x.device)
    grid = F.affine_grid(theta.expand(len(x), 2, 3), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, mode="nearest", padding_mode="reflection", align_corners=False)
