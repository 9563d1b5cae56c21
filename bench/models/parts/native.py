"""Native sizes: the pixels that a network was trained at, which `sample_size` does not always give."""

from collections.abc import Mapping
from typing import Any

Json = Mapping[str, Any]

_WIDE = [320, 640, 1280, 1280]
SIZES: tuple[tuple[Json, int], ...] = (
    # Stable Diffusion 2 with depth says 32 cells, and so do many networks tuned from Stable Diffusion 1.5 and 2-base.
    ({"_class_name": "UNet2DConditionModel", "in_channels": 5, "cross_attention_dim": 1024, "sample_size": 32}, 512),
    ({"_class_name": "UNet2DConditionModel", "in_channels": 4, "cross_attention_dim": 768, "sample_size": 32}, 512),
    ({"_class_name": "UNet2DConditionModel", "in_channels": 8, "cross_attention_dim": 768, "sample_size": 32}, 512),
    ({"_class_name": "UNet2DConditionModel", "in_channels": 9, "cross_attention_dim": 768, "sample_size": 32}, 512),
    ({"_class_name": "UNet2DConditionModel", "in_channels": 4, "cross_attention_dim": 1024, "sample_size": 32}, 512),
    # ModelScope's text-to-video network: 32 cells, and here it is true. Zeroscope says the same and was trained wider.
    ({"_class_name": "UNet3DConditionModel", "in_channels": 4, "cross_attention_dim": 1024, "sample_size": 32}, 256),
)
"""Fields of published networks of widths 320 to 1280 without a class embedding, and pixels of their training."""


def native_size(config: Json, factor: int) -> int:
    """Pixels along the longer side: from SIZES, else `sample_size` cells as in the configuration, 64 if it has none."""
    published = config.get("block_out_channels") == _WIDE and config.get("class_embed_type") is None
    for facts, size in SIZES if published else ():
        if all(config.get(name) == value for name, value in facts.items()):
            return size
    cells: Any = config.get("sample_size", 64)
    return int(max(cells) if isinstance(cells, list | tuple) else cells) * factor
