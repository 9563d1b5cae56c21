"""Panoramas of your own: a prompt file (txt, jsonl, json or csv), sampled at any width.

txt: one prompt a line; blank lines and lines starting with # are skipped. jsonl and csv: objects, or a table, with
`prompt` (or `caption`) and, if wanted, `id` and `negative`. json: a list of prompts or of such objects. A prompt is
plain text: weights such as (word:1.3) are refused, and what is longer than the model's context is not read.
"""

from dataclasses import dataclass
from typing import ClassVar

from ..bench.limits import Length
from ..bench.surfaces.strip import Strip
from ..bench.types import Family, Item
from ._rows import prompt_items


@dataclass(frozen=True, kw_only=True)
class Prompts:
    """One item per prompt of a file. There is no truth; the defaults are those of Stable Diffusion panoramas."""

    version: ClassVar[int] = 1
    family: ClassVar[Family] = "overlap"
    located_by: ClassVar[tuple[str, ...]] = ("path",)

    path: str = ""
    """The prompt file. Its path is no part of a result's identity; its prompts are."""
    width: Length = 2048
    """Width of the panorama in pixels."""
    window: Length = 512
    """Width of one view in pixels; the model's native size."""
    height: Length | None = None
    """Height of the panorama in pixels; None makes it as high as a window is wide."""
    wrap: bool = False
    """Whether the right end continues at the left."""

    def items(self) -> list[Item]:
        """One item for each row of the file, in order.

        Raises SyncbenchError without a file, and one that names file and line of a row that cannot be used.
        """
        surface = Strip(self.window if self.height is None else self.height, self.width, self.window, self.wrap)
        return prompt_items("prompts", self.path, surface)
