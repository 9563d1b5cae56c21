"""GeoWizard: depth and normals of a picture, which start from one noise and attend to each other in every layer.

Fu et al., ECCV 2024, arXiv 2403.12013. Self-attention takes keys and values of both channels; Wonder3D (Long et al.,
CVPR 2024, arXiv 2310.15008) adds layers that do so between normals and colours. Trained for it is the model
`sd_geowizard`; `batch_attention@shared` does the same to a network that makes one channel at a time, without training.
Left out: ensembles.
"""

from dataclasses import dataclass
from typing import ClassVar

from .._together import Together


@dataclass(frozen=True, kw_only=True)
class GeoWizard(Together):
    """Denoises the channels of a picture together, all from the same noise."""

    version: ClassVar[int] = 1
    paper: ClassVar[str] = "2403.12013"
    licence: ClassVar[str] = "CC-BY-4.0"
    requires: ClassVar[tuple[str, ...]] = ("joint", "channels", "image")

    shared_noise: bool = True
    """Whether all channels start from one noise, as in training."""
