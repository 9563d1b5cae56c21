"""Network evaluations

Latents of views sent through the denoising network. Both halves of classifier-free guidance count; gradients do not.
Lower is cheaper.

Traps. The count is equal on every machine. A guided step through n windows costs 2 n, and so does one through a picture
in which n frames are tiles, though its attention, which all tiles share, takes longer. Encodes and decodes are not part
of it, nor is what a method does beside the network.
"""

from dataclasses import dataclass
from typing import ClassVar

from ..bench.types import Artifact, Family, Item, Role, Score


@dataclass(frozen=True, kw_only=True)
class NetworkEvaluations:
    """Number of network evaluations of one sample, `artifact.cost.evaluations`."""

    version: ClassVar[int] = 1
    role: ClassVar[Role] = "cost"
    primary: ClassVar[dict[str, int]] = {"channels": 2, "overlap": 2, "geometry": 2, "prior": 2, "frames": 2}
    direction: ClassVar[str] = "lower"
    unit: ClassVar[str] = "latents"
    families: ClassVar[tuple[Family, ...]] = ("channels", "overlap", "geometry", "prior", "frames")

    def fingerprint(self) -> str:
        """The name of the cost that is read."""
        return "cost.evaluations"

    def __call__(self, artifact: Artifact, item: Item) -> Score:
        """The recorded number of evaluations; coverage is 1. Null for an output of another program, which has none."""
        if "imported" in artifact.notes:
            return Score.none("made by another program, which did not count")
        return Score(value=float(artifact.cost.evaluations))
