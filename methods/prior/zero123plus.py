"""Zero123++: six fixed views of the object in a picture, as tiles of one image.

Shi, Chen, Zhang et al. 2023, arXiv 2310.15110. The six poses are baked into the places of the tiles, self-attention
spans the whole image, and the picture, noised to the same level, joins keys and values. Training is `syncbench train
grid`. As published, by the model `sd_zero123plus` and the suite `views`: the picture's embedding ramped over the tokens
of an empty text, scaled latents and pictures, both sets of poses (`rig` of `world_views`), and ancestral Euler steps,
which are those of the protocol with `eta = 1`. Left out: the depth and normal ControlNets. The bundled network's
reference noise is the same for all items and seeds, and its unconditional picture is a latent of zeros (see the model
`grid`).
"""

from dataclasses import dataclass
from typing import ClassVar

from .._together import Together


@dataclass(frozen=True, kw_only=True)
class Zero123Plus(Together):
    """Denoises six views, in the published order, of the object in the picture `conditions["image"]`."""

    version: ClassVar[int] = 1
    paper: ClassVar[str] = "2310.15110"
    licence: ClassVar[str] = "code Apache-2.0, weights non-commercial"
    requires: ClassVar[tuple[str, ...]] = ("joint", "image", "poses")
