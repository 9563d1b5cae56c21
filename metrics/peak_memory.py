"""Peak memory

Peak memory in MiB while the method ran: allocated on the GPU, or resident set of the process on the CPU. Lower is
better.

Traps. On the CPU the resident set never shrinks within a process, so earlier samples of the process raise the number.
"""

from dataclasses import dataclass
from typing import ClassVar

from ..bench.types import Artifact, Family, Item, Role, Score


@dataclass(frozen=True, kw_only=True)
class PeakMemory:
    """Peak memory of one sample, `artifact.cost.peak_mb`."""

    version: ClassVar[int] = 1
    role: ClassVar[Role] = "cost"
    machine: ClassVar[bool] = True
    direction: ClassVar[str] = "lower"
    unit: ClassVar[str] = "MiB"
    families: ClassVar[tuple[Family, ...]] = ("channels", "overlap", "geometry", "prior", "frames")

    def fingerprint(self) -> str:
        """The name of the cost that is read."""
        return "cost.peak_mb"

    def __call__(self, artifact: Artifact, item: Item) -> Score:
        """The recorded memory in MiB; null where none was recorded."""
        value = float(artifact.cost.peak_mb)
        return Score(value=value) if value > 0 else Score.none("nothing was recorded")
