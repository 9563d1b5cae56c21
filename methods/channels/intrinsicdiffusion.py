"""IntrinsicDiffusion: albedo, shading and normals of a picture, each the mean of samples as the network writes them.

Luo, Ceylan, Yoon, Zhao, Philip, Frühstück, Li, Richardt, Wang, SIGGRAPH 2024, doi 10.1145/3641519.3657472 (code read at
f3ab117). The model `sd_intrinsicdiffusion` was trained for it. Channels are rows of one batch, each from noise of its
own, that do not attend to each other: what they share are layers that read the picture. Samples are averaged before
they are converted, so that shading is averaged as S / (1 + S), where one bright sample weighs no more than others;
`rgbx` averages the suite's pictures. Left out: the product of albedo and shading at the brightness of the picture,
since `channel_reconstruction` fits that factor itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Interval
from torch import Tensor

from ...bench.models.interface import Model
from ...bench.sampling.loop import channel_names
from ...bench.types import Anchor, Artifact, Item
from ..independent import Independent
from ._ensembles import ensemble_of


@dataclass(frozen=True, kw_only=True)
class IntrinsicDiffusion(Independent):
    """Samples every channel alone, `ensemble` times: four with the preset `ensemble`, as in the published command."""

    version: ClassVar[int] = 1
    anchor: ClassVar[Anchor | None] = None
    paper: ClassVar[str] = "10.1145/3641519.3657472"
    licence: ClassVar[str] = "Apache-2.0"
    presets: ClassVar[dict[str, dict[str, object]]] = {"ensemble": {"ensemble": 4}, "shared": {"shared_noise": True}}
    requires: ClassVar[tuple[str, ...]] = ("channels", "image")

    ensemble: Annotated[int, Interval(ge=1, le=100)] = 1
    """Number of samples of every channel."""

    def show(self, names: Sequence[str], views: Tensor, model: Model) -> Tensor:
        """The views of one sample as the network writes them; the mean of all samples is converted."""
        return views

    def __call__(self, item: Item, model: Model, seed: int) -> Artifact:
        """The channels. For an ensemble the extra `uncertainty` (views, 1, h, w) is of what the network writes."""
        artifact = ensemble_of(super().__call__, item, model, seed, self.ensemble, "mean")
        names = channel_names(item, model)
        if names:
            artifact.views = super().show(names, artifact.views, model)
        return artifact
