"""Base of methods whose network was trained to denoise several views together; the sampling loop adds nothing."""

from dataclasses import dataclass
from typing import Any, ClassVar

from ..bench.canvas import Canvas
from ..bench.models.interface import Model
from ..bench.sampling.loop import decode_together, views_artifact
from ..bench.types import Anchor, Artifact, Item
from .independent import Independent


@dataclass(frozen=True, kw_only=True)
class Together(Independent):
    """Every view starts from noise of its own; the network's trained layers let views attend to each other."""

    version: ClassVar[int] = 1
    anchor: ClassVar[Anchor | None] = None
    together: ClassVar[bool] = True
    presets: ClassVar[dict[str, dict[str, Any]]] = {}
    requires: ClassVar[tuple[str, ...]] = ("joint",)

    def finish(self, state: Any, item: Item, canvas: Canvas, model: Model) -> Artifact:
        """The decoded views as an artifact. A codec that compresses time decodes all frames at once."""
        return views_artifact(decode_together(state, model), item, canvas, model.factor)
