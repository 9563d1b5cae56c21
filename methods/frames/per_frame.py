"""Per-frame editing: every frame of the source clip is inverted, or noised, and denoised to the new prompt, alone.

DDIM inversion (Song, Meng, Ermon, ICLR 2021, arXiv 2010.02502) and SDEdit (Meng et al., ICLR 2022, arXiv 2108.01073),
frame by frame: what editing a clip with an image model alone gives. Frames agree as far as their starting points, their
hints and the prompt make them. Written from the formulas.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from ._edit import Edit


@dataclass(frozen=True, kw_only=True)
class PerFrame(Edit):
    """Frames that exchange nothing. The preset `sdedit` starts from the noised source, each frame with its own noise,
    and redraws it in the last two thirds of the steps."""

    version: ClassVar[int] = 1
    paper: ClassVar[str] = "2010.02502"
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "sdedit": {"initial": "noised", "redrawn": 0.67},
        "sdedit_shared": {"initial": "noised", "redrawn": 0.67, "shared_noise": True},
        "own": {"initial": "noise"},
        "shared": {"initial": "noise", "shared_noise": True},
    }
