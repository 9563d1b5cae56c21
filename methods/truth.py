"""Truth: the known answer itself. The ceiling every consistency score is measured against."""

from dataclasses import dataclass
from typing import ClassVar

from ..bench.models.interface import Model
from ..bench.sampling.loop import Method, canvas_artifact
from ..bench.types import Anchor, Artifact, Door, Item, SyncbenchError


@dataclass(frozen=True, kw_only=True)
class Truth(Method):
    """Returns `item.truth` and asks nothing of the model: `views` where known, and on a picture the `canvas`."""

    version: ClassVar[int] = 1
    door: ClassVar[Door] = "as_published"
    anchor: ClassVar[Anchor | None] = "ceiling"

    def lacks(self, item: Item) -> str | None:
        """A true picture: a data set may know the geometry of an item and not how it looks."""
        known = "views" in item.truth or ("canvas" in item.truth and item.surface.picture)
        return None if known else "the dataset knows no true picture of this item"

    def __call__(self, item: Item, model: Model, seed: int) -> Artifact:
        """The truth as an artifact, the same for every seed. SyncbenchError where the item has none."""
        canvas, views = item.truth.get("canvas"), item.truth.get("views")
        if canvas is not None and item.surface.picture:
            found = canvas_artifact(canvas, item)
            return found if views is None else Artifact(views=views.float().cpu(), canvas=found.canvas)
        if views is not None:
            return Artifact(views=views.float().cpu())
        raise SyncbenchError(
            f"item {item.id!r} has no known truth: leave out the method `truth`, or choose a dataset that knows it"
        )
