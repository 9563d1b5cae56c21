"""Source: what the item itself shows, where no true answer is known. The ceiling of consistency on real data.

No paper, and no model is run. It is the source clip of an edit, or, for a mesh that has no texture of its own, a solid
texture: colours that depend on the surface point alone. It is as consistent as resampling allows. What a prompt asks
for it does not show, so its text score is no ceiling, and an edit may rightly differ from its source.
"""

from dataclasses import dataclass
from typing import ClassVar

from ..bench.models.interface import Model
from ..bench.sampling.loop import Method
from ..bench.types import Anchor, Artifact, Door, Item, SyncbenchError
from ._source import NONE, as_artifact, shows_pictures, source_views


@dataclass(frozen=True, kw_only=True)
class Source(Method):
    """Returns the item's own pictures, equal for every seed; the model is not run."""

    version: ClassVar[int] = 1
    door: ClassVar[Door] = "as_published"
    anchor: ClassVar[Anchor | None] = "ceiling"
    runs_model: ClassVar[bool] = False

    def lacks(self, item: Item) -> str | None:
        """A reason where the item has no pictures, or where its truth is known, which is the better ceiling."""
        if "views" in item.truth or ("canvas" in item.truth and item.surface.picture):
            return "the true picture is known, and `truth` is the ceiling"
        return None if shows_pictures(item) else NONE

    def __call__(self, item: Item, model: Model, seed: int) -> Artifact:
        """The pictures as an artifact. Raises SyncbenchError where the item has none."""
        views = source_views(item)
        if views is None:
            raise SyncbenchError(NONE)
        return as_artifact(views, item)
