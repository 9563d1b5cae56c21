"""Seconds

Wall time of the method after warm-up, with the device synchronised. Lower is faster.

Traps. Seconds depend on the machine and on what else runs there. Rows of unlike machines have columns of their own;
rows of one machine are comparable only if it was as busy.
"""

from dataclasses import dataclass
from typing import ClassVar

from ..bench.types import Artifact, Family, Item, Role, Score


@dataclass(frozen=True, kw_only=True)
class Seconds:
    """Wall time of one sample, `artifact.cost.seconds`."""

    version: ClassVar[int] = 1
    role: ClassVar[Role] = "cost"
    primary: ClassVar[dict[str, int]] = {"channels": 1, "overlap": 1, "geometry": 1, "prior": 1, "frames": 1}
    machine: ClassVar[bool] = True
    direction: ClassVar[str] = "lower"
    unit: ClassVar[str] = "s"
    families: ClassVar[tuple[Family, ...]] = ("channels", "overlap", "geometry", "prior", "frames")

    def fingerprint(self) -> str:
        """The name of the cost that is read."""
        return "cost.seconds"

    def __call__(self, artifact: Artifact, item: Item) -> Score:
        """The recorded seconds; null where none were recorded."""
        value = float(artifact.cost.seconds)
        return Score(value=value) if value > 0 else Score.none("nothing was recorded")
