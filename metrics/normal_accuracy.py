"""Normal accuracy

Fraction of the pixels with a surface whose predicted normal is within an angle of the true one: 11.25 degrees, or 22.5
and 30 in the presets `22.5` and `30`. Range [0, 1]; higher is better.

The measure of Fouhey et al., ICCV 2013, per picture, then averaged over items. Predictions are brought to unit length;
axes are the camera's, x right, y down, z forward.

Traps. As of `normal_error`: the ground has one normal and fills most of many pictures, which `object` leaves out. The
fraction saturates where all pixels are within the angle: then compare smaller angles, or `normal_error`.
"""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import Interval

from ..bench.types import Artifact, Family, Item, Role, Score
from .views.angles import normal_angles, normal_pairs
from .views.shots import Region


@dataclass(frozen=True, kw_only=True)
class NormalAccuracy:
    """Share of normals within an angle of the true ones."""

    version: ClassVar[int] = 1
    role: ClassVar[Role] = "consistency"
    direction: ClassVar[str] = "higher"
    unit: ClassVar[str] = ""
    families: ClassVar[tuple[Family, ...]] = ("channels",)
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "22.5": {"angle": 22.5},
        "30": {"angle": 30.0},
        "object": {"region": "object"},
    }

    angle: Annotated[float, Interval(gt=0, le=180)] = 11.25
    """Largest angle in degrees of a normal that counts as right."""
    region: Region = "surface"
    """Which pixels are scored: every `surface`, or the `object` alone."""

    def fingerprint(self) -> str:
        """One line that names the angle, the axes and the region."""
        where = f"pixels of the {self.region}"
        return f"share within {self.angle:g} degrees per picture, opencv camera axes, unit predictions, {where}, rgb8"

    def __call__(self, artifact: Artifact, item: Item) -> Score:
        """The share; coverage is the fraction of the picture that was scored."""
        found = normal_angles(artifact, item, self.region)
        if isinstance(found, str):
            return Score.none(found)
        return Score(value=float((found[0] < self.angle).double().mean()), coverage=found[1])

    def reference(self, artifact: Artifact, item: Item) -> float | None:
        """The share by lengths of chords, |a - b| < 2 sin(angle / 2), to check the metric; None without directions."""
        both = normal_pairs(artifact, item, self.region)
        if both is None:
            return None
        made, true = (some / np.linalg.norm(some, axis=1, keepdims=True) for some in both)
        chord = np.linalg.norm(made - true, axis=1)
        return float((chord < 2 * np.sin(np.radians(self.angle) / 2)).mean())
