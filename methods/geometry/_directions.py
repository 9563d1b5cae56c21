"""Words for where a view looks from, added to prompts: "..., front view"."""

from dataclasses import dataclass

from ...bench.sampling.loop import Sync
from ...bench.surfaces.directions import view_words
from ...bench.types import Item


@dataclass(frozen=True, kw_only=True)
class Directed(Sync):
    """A method whose prompts may end in the word for each view's direction."""

    directions: bool = False
    """Whether each view's prompt ends in "front view", "left view" and so on; not in the reference world, whose models
    have no words for directions."""

    def lacks(self, item: Item) -> str | None:
        """A sentence where directions are asked for and the item has no cameras, or is of the reference world."""
        if self.directions and item.world:
            return "the reference world has no words for the directions of views"
        if self.directions and not view_words(item):
            return "the item has no cameras that would tell the directions of views"
        return None

    def prompts(self, item: Item, views: int) -> tuple[str, ...]:
        """The item's prompts, with the direction of each view where `directions` says so."""
        plain = super().prompts(item, views)
        if not self.directions:
            return plain
        return tuple(f"{prompt}, {words}" for prompt, words in zip(plain, view_words(item), strict=True))
