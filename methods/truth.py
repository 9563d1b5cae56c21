"""Truth: the known answer itself. The ceiling every consistency score is measured against."""

from dataclasses import dataclass
from typing import ClassVar

from ..bench.models.interface import Model
from ..bench.sampling.loop import Method, canvas_artifact
from ..bench.types import Anchor, Artifact, Door, Item, SyncbenchError


@dataclass(frozen=True, kw_only=True)
class Truth(Method):
    """Returns the item's true `views`, and its true `canvas` where the surface is a picture; the model is not run."""

    version: ClassVar[int] = 1
    door: ClassVar[Door] = "as_published"
    anchor: ClassVar[Anchor | None] = "ceiling"
    runs_model: ClassVar[bool] = False

    def lacks(self, item: Item) -> str | None:
        """A reason where the item has no true picture: a data set may know its geometry but not how it looks."""
        known = "views" in item.truth or ("canvas" in item.truth and item.surface.picture)
        return None if known else "the dataset knows no true picture of this item"

    def __call__(self, item: Item, model: Model, seed: int) -> Artifact:
        """The truth as an artifact, equal for every seed. Raises SyncbenchError where the item has none."""
        canvas, views = item.truth.get("canvas"), item.truth.get("views")
        if canvas is not None and item.surface.picture:
            artifact = canvas_artifact(canvas, item)
            return artifact if views is None else Artifact(views=views.float().cpu(), canvas=artifact.canvas)
        if views is not None:
            return Artifact(views=views.float().cpu())
        raise SyncbenchError(
            f"item {item.id!r} has no known truth: leave out the method `truth`, or choose a dataset that knows it"
        )
