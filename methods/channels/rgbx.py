"""RGB-to-X: one network, asked by prompt for one channel of a picture at a time.

Zeng, Deschaintre, Georgiev et al., SIGGRAPH 2024, arXiv 2405.00666. Channels are separate samples and agree only
because the picture is the same; nothing passes between them. Training is `syncbench train channels_prompted`. Left out:
roughness and metallicness, which the reference world has not. The bundled network reads the picture in sRGB, upstream's
in linear light. Upstream's weights are for non-commercial use; nothing is
taken from its code.
"""

from dataclasses import dataclass
from typing import ClassVar

from ...bench.types import Anchor
from ..independent import Independent


@dataclass(frozen=True, kw_only=True)
class RGBX(Independent):
    """Samples every channel alone, as `independent` does; the preset `shared` starts all channels from one noise."""

    version: ClassVar[int] = 1
    anchor: ClassVar[Anchor | None] = None
    paper: ClassVar[str] = "2405.00666"
    licence: ClassVar[str] = "research, non-commercial"
    presets: ClassVar[dict[str, dict[str, object]]] = {"shared": {"shared_noise": True}}
    requires: ClassVar[tuple[str, ...]] = ("channels", "image")
