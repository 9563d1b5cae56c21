"""Independent sampling: every view on its own. The floor every consistency score is measured from."""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from ..bench.canvas import Canvas
from ..bench.models.interface import Model
from ..bench.sampling.loop import Noise, Step, Sync, views_artifact
from ..bench.types import Anchor, Artifact, Item


@dataclass(frozen=True, kw_only=True)
class Independent(Sync):
    """Denoises every view alone; the state is the views. On a strip, windows stand side by side with hard seams."""

    version: ClassVar[int] = 2
    anchor: ClassVar[Anchor | None] = "floor"
    along_tracks: ClassVar[bool] = False
    presets: ClassVar[dict[str, dict[str, Any]]] = {"shared": {"shared_noise": True}}

    shared_noise: bool = False
    """Whether all views start from one noise instead of one each; one noise alone already correlates layouts."""

    def noise(self, noise: Noise, canvas: Canvas) -> Tensor:
        """Unit noise (views, c, h, w), different in every view even where views look at one cell."""
        return noise.alone()

    def start(self, noise: Noise, canvas: Canvas) -> Tensor:
        """The noise of each view; with `shared_noise`, the first view's noise for all."""
        x = self.noise(noise, canvas)
        return x[:1].expand_as(x).clone() if self.shared_noise else x

    def look(self, state: Any, s: Step) -> Tensor:
        """The views, which are the state."""
        return state

    def step(self, state: Any, x: Tensor, s: Step) -> Tensor:
        """The views at the next noise level, each from its own prediction."""
        return s.level.move(s.x0, s.eps, s.sampling.eta, lambda: self.noise(s.noise, s.canvas))

    def finish(self, state: Any, item: Item, canvas: Canvas, model: Model) -> Artifact:
        """The views, decoded one by one, as an artifact; on a strip they are pasted side by side into its picture."""
        return views_artifact(model.decode(state), item, canvas, model.factor)
