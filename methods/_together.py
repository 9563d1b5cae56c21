"""What methods of networks trained for several views have in common: the network does it."""

from dataclasses import dataclass
from typing import Any, ClassVar

from ..bench.canvas import Canvas
from ..bench.models.interface import Model
from ..bench.sampling.loop import decode_together, views_artifact
from ..bench.types import Anchor, Artifact, Item
from .independent import Independent


@dataclass(frozen=True, kw_only=True)
class Together(Independent):
    """Views move alone, but the network's trained layers look from one to another."""

    version: ClassVar[int] = 1
    anchor: ClassVar[Anchor | None] = None
    together: ClassVar[bool] = True
    presets: ClassVar[dict[str, dict[str, Any]]] = {}
    requires: ClassVar[tuple[str, ...]] = ("joint",)

    def finish(self, state: Any, item: Item, canvas: Canvas, model: Model) -> Artifact:
        """Decode all views together, by a codec of clips where the model has one."""
        return views_artifact(decode_together(state, model), item, canvas, model.factor)
