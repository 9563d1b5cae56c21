"""RGB-to-X: one network, asked by prompt for one channel of a picture at a time.

Zeng, Deschaintre, Georgiev et al., SIGGRAPH 2024, arXiv 2405.00666. Channels are separate samples and agree only
because the picture is the same; nothing passes between them. Training is `syncbench train channels_prompted`. Left out:
roughness and metallicness, which the reference world has not. The bundled network reads the picture in sRGB, upstream's
in linear light. Upstream's weights are for non-commercial use; nothing is taken from its code. Several samples may be
averaged, as the suite writes them (`intrinsicdiffusion` averages what the network writes).
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from annotated_types import Interval

from ...bench.models.interface import Model
from ...bench.types import Anchor, Artifact, Item
from ..independent import Independent
from ._ensembles import ensemble_of


@dataclass(frozen=True, kw_only=True)
class RGBX(Independent):
    """Samples every channel alone, as `independent` does; the preset `shared` starts all channels from one noise."""

    version: ClassVar[int] = 1
    anchor: ClassVar[Anchor | None] = None
    paper: ClassVar[str] = "2405.00666"
    licence: ClassVar[str] = "research, non-commercial"
    presets: ClassVar[dict[str, dict[str, object]]] = {"shared": {"shared_noise": True}}
    requires: ClassVar[tuple[str, ...]] = ("channels", "image")

    ensemble: Annotated[int, Interval(ge=1, le=100)] = 1
    """Number of samples of every channel."""
    reduction: Literal["median", "mean"] = "mean"
    """What becomes of the samples of a pixel."""

    def __call__(self, item: Item, model: Model, seed: int) -> Artifact:
        """The channels. For an ensemble the extra `uncertainty` (views, 1, h, w) is the median absolute deviation."""
        return ensemble_of(super().__call__, item, model, seed, self.ensemble, self.reduction)
