"""A small random model with every capability that methods ask for, named as `coupled.py:Coupled`."""

from dataclasses import replace

from syncbench.bench.models.parts.composed import Parts
from syncbench.bench.models.parts.wrappers import Joint
from syncbench.bench.models.tiny import Tiny


class Coupled(Tiny):
    """Denoised together, its views attend to each other."""

    id = "coupled"

    def parts(self) -> Parts:
        """Tiny's, with attention over all views."""
        found = super().parts()
        return replace(found, network=Joint(found.network))

    @property
    def capabilities(self) -> frozenset[str]:
        """Everything."""
        offers = {"text", "attention", "joint", "camera", "image", "video", "poses", "time", "channels", "rows"}
        return frozenset(offers | {"albedo", "shading"})

    def refuse(self, inputs: dict[str, object]) -> None:
        """Nothing."""
