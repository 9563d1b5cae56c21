"""SyncMVD: the latent texture is what is denoised; views predict, their clean predictions are merged in it every step.

Liu, Xie, Liu, Wong, SIGGRAPH Asia 2024, arXiv 2311.12891; upstream code read (MIT, commit 04d7c4e), nothing copied. The
predictions x0 of the views are averaged with weights cos^p of the viewing angle, p growing from 0 to 6 over the steps;
the texture takes the sampler's step, with noise drawn in the texture; in the last fifth of the steps views are denoised
alone. Views around the object attend to their two neighbours, those from above to the front or the back. In the first
fifth of the steps this attention is averaged with attention to the first view.

Upstream samples by DDPM (`--set protocol.eta=1`), 30 steps, guidance 15.5, with a depth ControlNet; these belong to the
data set and the model. Its code takes the exponent 0 of the first step for "not set" and uses 1 (preset `release`);
`plain` leaves the attention out. Left out: flat random colours behind the object (here background is drawn, like all
else), a negative prompt per view, the ramp of the ControlNet's scale, and the last bake in colours, after which views
agree by construction. Upstream fills texels that no view sees; here none is looked up.
"""

from collections.abc import Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from math import ceil
from typing import Any, ClassVar

from torch import Tensor

from ...bench.canvas import Canvas
from ...bench.limits import Fraction, Scale, Share
from ...bench.models.interface import Model
from ...bench.models.parts.shared_attention import first
from ...bench.sampling.loop import Noise, Reported, Setting, Step, views_artifact
from ...bench.sampling.sharing import Sharing
from ...bench.types import Artifact, Item
from ._directions import Directed
from ._ring import attended


@dataclass(frozen=True, kw_only=True)
class SyncMvd(Directed):
    """The state is the latent texture, and in the end the views."""

    version: ClassVar[int] = 1
    paper: ClassVar[str] = "2311.12891"
    licence: ClassVar[str] = "MIT"
    requires: ClassVar[tuple[str, ...]] = ("attention",)
    reported: ClassVar[tuple[Reported, ...]] = (
        {
            "metric": "FID",
            "value": "22.76 (SyncTweedies 21.76)",
            "setting": "meshes of TEXTure and Text2Tex, Stable Diffusion 1.5 with depth",
            "source": "SyncTweedies, table of mesh texturing",
        },
    )
    presets: ClassVar[dict[str, dict[str, Any]]] = {"release": {"zero_is_one": True}, "plain": {"sharing": False}}

    stride: Fraction | None = 0.25
    """Step between windows of a strip as a fraction of a window."""
    power: Scale = 6.0
    """Exponent of the weights in the last step; it grows from 0 in equal parts."""
    zero_is_one: bool = False
    """Whether the exponent of the first step is 1."""
    end: Share = 0.8
    """Leading fraction of the steps on which views are merged, rounded up; in the rest they are denoised alone."""
    sharing: bool = True
    """Whether views around the object attend to their two neighbours, and all others to the front or the back."""
    reference: Share = 0.2
    """Leading fraction of the steps in which half of the attention is to the first view."""

    def hooks(self, state: Tensor, setting: Setting) -> AbstractContextManager[Any]:
        """A context in which views attend to each other."""
        if not self.sharing:
            return nullcontext()
        return _neighbourly(setting.model, attended(setting.item, setting.canvas.views), self.reference)

    def start(self, noise: Noise, canvas: Canvas) -> Tensor:
        """Noise on the surface; where views are never merged, the views of it."""
        return canvas.look(noise()) if self.end == 0 else noise()

    def look(self, state: Tensor, s: Step) -> Tensor:
        """The views of the texture, or the views themselves once they are denoised alone."""
        return state if state.ndim == 4 else s.canvas.look(state)

    def step(self, state: Tensor, x: Tensor, s: Step) -> Tensor:
        """The texture at the next noise level; views at the first level on which they are alone."""
        if state.ndim == 4:
            return s.move(s.x0, s.eps)
        merged = s.canvas.raised(self.exponent(s.level.index, s.level.total)).paint(s.x0)
        state = s.move(merged, s.level.eps_of(state, merged))
        last = s.level.index + 1 >= ceil(self.end * s.level.total - 1e-9)
        return s.canvas.look(state) if last else state

    def exponent(self, step: int, total: int) -> float:
        """The exponent of the weights in a step."""
        power = self.power * step / max(total - 1, 1)
        return 1.0 if power == 0 and self.zero_is_one else power

    def finish(self, state: Tensor, item: Item, canvas: Canvas, model: Model) -> Artifact:
        """The decoded views."""
        return views_artifact(model.decode(state), item, canvas, model.factor)


@contextmanager
def _neighbourly(model: Model, near: list[list[int]], reference: float) -> Generator[None]:
    """A context in which each view attends to those `near` it, and at first half to the first view."""

    def select(i: int, n: int) -> list[int]:
        return near[i] if n == len(near) else [i]  # attention to the first view comes by as that of one sample

    with ExitStack() as stack:
        if reference:
            stack.enter_context(Sharing(select=first, strength=0.5, end=reference).attach(model))
        stack.enter_context(Sharing(select=select).attach(model))  # wraps the other, which mixes its answer
        yield
