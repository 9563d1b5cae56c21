"""A small random model with every capability that methods ask for, named as `coupled.py:Coupled`."""

from contextlib import AbstractContextManager

from syncbench.bench.models.tiny import Tiny
from syncbench.bench.sharing import Sharing


class Coupled(Tiny):
    """Denoised together, its views attend to each other."""

    id = "coupled"
    capabilities = Tiny.capabilities | {"joint", "camera", "image", "poses", "time", "channels"}

    def together(self) -> AbstractContextManager[None]:
        """Shared attention."""
        return Sharing().attach(self)
