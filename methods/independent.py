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
    """No exchange at all: the state is the views. On a strip: windows side by side, hard seams."""

    version: ClassVar[int] = 2
    anchor: ClassVar[Anchor | None] = "floor"
    presets: ClassVar[dict[str, dict[str, Any]]] = {"shared": {"shared_noise": True}}

    shared_noise: bool = False
    """Every view starts from the *same* noise instead of its own, which already correlates layouts."""

    def noise(self, noise: Noise, canvas: Canvas) -> Tensor:
        """Fresh noise for the views, each its own even where they look at the same cell."""
        return noise.alone()

    def start(self, noise: Noise, canvas: Canvas) -> Tensor:
        """Per-view noise, or the first view's for all."""
        x = self.noise(noise, canvas)
        return x[:1].expand_as(x).clone() if self.shared_noise else x

    def look(self, state: Any, s: Step) -> Tensor:
        """The state is the views."""
        return state

    def step(self, state: Any, x: Tensor, s: Step) -> Tensor:
        """Each view moves alone."""
        return s.level.move(s.x0, s.eps, s.sampling.eta, lambda: self.noise(s.noise, s.canvas))

    def finish(self, state: Any, item: Item, canvas: Canvas, model: Model) -> Artifact:
        """Decode views one by one; on a strip put them side by side."""
        return views_artifact(model.decode(state), item, canvas, model.factor)
