"""Zero123++: six fixed views of the object in a picture, as tiles of one image.

Shi, Chen, Zhang et al. 2023, arXiv 2310.15110. The six poses are baked into the places of the tiles, self-attention
spans the whole image, and the picture, noised to the same level, joins keys and values. Training is `syncbench train
grid`. Left out: the global image embedding, which stands in for the words that the reference model has; Euler ancestral
steps, because the protocol's sampler is every method's. The bundled network's reference noise is the same for all items
and seeds, and its unconditional picture is a latent of zeros (see the model `grid`).
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
