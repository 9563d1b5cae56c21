"""Picture error

Root mean square difference between the picture that a method made of given channels and the true one, over pixels and
colours, in 8-bit levels of sRGB. Range [0, 255]; lower is better.

Source: root mean square error, as in X-to-RGB (Zeng et al., SIGGRAPH 2024), which reports PSNR = 20 log10(255 / error)
from all channels.

Traps. Channels that are missing leave the picture open, and another picture that fits is as good: compare methods that
were given the same channels. Squared error rewards blur: read it beside `sharpness`. What the codec of a model cannot
code is part of the error, about 7 levels for the bundled one.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..bench.surfaces.shared import PICTURE
from ..bench.types import Artifact, Family, Item, Role, Score
from .views.images import mismatch, stored_views
from .views.light import view_channels


@dataclass(frozen=True, kw_only=True)
class PictureError:
    """How far the picture made of channels is from the true one."""

    version: ClassVar[int] = 1
    role: ClassVar[Role] = "consistency"
    primary: ClassVar[dict[str, int]] = {"channels": 4}
    direction: ClassVar[str] = "lower"
    unit: ClassVar[str] = "levels"
    families: ClassVar[tuple[Family, ...]] = ("channels",)

    def fingerprint(self) -> str:
        """One line that names the measure and the encoding."""
        return "rms over pixels and colours, sRGB levels of 255, rgb8"

    def __call__(self, artifact: Artifact, item: Item) -> Score:
        """The error over the whole picture."""
        reason = _reason(artifact, item)
        if reason:
            return Score.none(reason)
        off = stored_views(artifact).double() - item.truth["views"].double()
        return Score(value=255 * float(off.square().mean().sqrt()))

    def reference(self, artifact: Artifact, item: Item) -> float | None:
        """The error by NumPy's norm of all differences, to check the metric; None where it has no value."""
        if _reason(artifact, item):
            return None
        off = (stored_views(artifact) * 255).round().numpy().astype(float) - 255 * item.truth["views"].numpy()
        return float(np.linalg.norm(off.ravel()) / np.sqrt(off.size))


def _reason(artifact: Artifact, item: Item) -> str | None:
    if view_channels(item) != (PICTURE,):
        return "the item asks for channels, not for the picture that they make"
    return mismatch(artifact, item, ("views",))
