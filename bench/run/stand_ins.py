"""Published architectures in the place of checkpoints that are not on this machine yet, for forecasts of sweeps."""

from ..catalogue.registry import load_class, split
from ..fetch.manifest import Weights as Published
from ..fetch.manifest import of_repository
from ..fetch.needs import repositories
from ..models.tiny import Kind, Tiny
from ..suites.suite import Entry

STAND_INS: dict[str, tuple[Kind, int | None]] = {
    "sd15": ("sd15", None),
    "sd2": ("sd21", 64),
    "sd21": ("sd21", None),
    "sdxl": ("sdxl", None),
}
"""Published architectures, by the field `like` of the manifest, and their native sizes in latent cells."""


class _Published(Tiny):
    """A network of a published architecture, in place of weights that are not on this machine."""

    @property
    def revision(self) -> str:
        """A text where weights have a hash: there are none here, and so no results of this model."""
        return "not here yet"

    @property
    def native(self) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Native size of the published checkpoint in pixels."""
        return self.window


def stand_in(entry: Entry) -> "_Published | None":
    """The architecture that the manifest has for a checkpoint that is not on this machine; None if it has none."""
    [known, *_] = [of_repository(one) for one in repositories(entry)] or [Published(name="")]
    if known.like not in STAND_INS or load_class("models", split(entry.spec)[0], entry.spec).__name__ != "Diffusers":
        return None
    kind, size = STAND_INS[known.like]
    return _Published(kind=kind, widths="full", sample_size=size, device="meta")
