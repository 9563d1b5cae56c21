"""X-to-RGB: a picture from its channels, any of which may be missing, and a prompt.

Zeng, Deschaintre, Georgiev et al., SIGGRAPH 2024, arXiv 2405.00666. The network reads the channels beside the noisy
latent, and nothing in place of a missing one, as it was trained; guidance has three rows (nothing, channels, channels
and text), whose scales are the model's and the protocol's. Training is `syncbench train channels_to_rgb`. Left out: the
variant that paints into a given picture. Upstream's weights are for non-commercial use; nothing is taken from its code.
"""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from ...bench.models.interface import Model
from ...bench.surfaces.lazy import Lazy
from ...bench.types import Anchor, Artifact, Item
from ..independent import Independent

READS = ("albedo", "normal", "shading", "roughness", "metallic")
"""Conditions that are channels."""


@dataclass(frozen=True, kw_only=True)
class XToRGB(Independent):
    """Samples the picture that the item's channels are of, from those that the item knows and `without` spares."""

    version: ClassVar[int] = 1
    anchor: ClassVar[Anchor | None] = None
    paper: ClassVar[str] = "2405.00666"
    licence: ClassVar[str] = "research, non-commercial"
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "albedo": {"without": ("normal", "shading", "roughness", "metallic")},
        "normal": {"without": ("albedo", "shading", "roughness", "metallic")},
        "text": {"without": READS},
    }
    requires: ClassVar[tuple[str, ...]] = ("albedo", "shading")

    without: tuple[str, ...] = ()
    """Channels that the network is not given, as if the item did not know them."""

    def __post_init__(self) -> None:
        unknown = sorted(set(self.without) - set(READS))
        if unknown:
            raise ValueError(f"without names channels, {', '.join(READS)}, and not {', '.join(unknown)}")

    def lacks(self, item: Item) -> str | None:
        """That the item has no channel to start from; None where it has one."""
        if set(item.conditions) & set(READS):
            return None
        return f"item '{item.id}' has no channels to make a picture of: choose world_pictures"

    def __call__(self, item: Item, model: Model, seed: int) -> Artifact:
        """The picture; its note `without` names the channels that the item knows and the network was not given."""
        kept = [name for name in item.conditions if name not in self.without]
        given = Lazy(**{name: lambda name=name: item.conditions[name] for name in kept})
        artifact = super().__call__(replace(item, conditions=given), model, seed)
        left = sorted(set(item.conditions) - set(kept))
        if left:
            artifact.notes["without"] = left
        return artifact
