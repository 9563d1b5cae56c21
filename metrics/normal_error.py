"""Normal error

Angle between predicted and true camera-space normals over the pixels with a surface, in degrees: `mean`, `median` or
`rms`. Predictions (2 v - 1 of the stored image) are brought to unit length first. Lower is better; 90 is what a
perpendicular normal scores, 180 one that points the opposite way.

The measure of surface normal estimation since Fouhey et al., ICCV 2013 (mean, median). Statistics are per picture,
then averaged over items; papers that pool all pixels of a data set report other medians.

Traps. One direction everywhere is the baseline to beat: pointing at the camera, it is 45 degrees off on a ball. A flat
ground has one normal, fills most of many pictures and is easy: `object` leaves it out, and the median may reflect
nothing else. A grey pixel has no direction and counts as 90 degrees, so that no method gains by leaving pixels grey.
Axes are the camera's, x right, y down, z forward; a network trained on other axes scores near 180 or worse than chance
until they are flipped.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from ..bench.types import Artifact, Family, Item, Role, Score
from .views.angles import normal_angles, normal_pairs
from .views.shots import Region


@dataclass(frozen=True, kw_only=True)
class NormalError:
    """Angle between predicted and true normals."""

    version: ClassVar[int] = 1
    role: ClassVar[Role] = "consistency"
    primary: ClassVar[dict[str, int]] = {"channels": 3}
    direction: ClassVar[str] = "lower"
    unit: ClassVar[str] = "degrees"
    families: ClassVar[tuple[Family, ...]] = ("channels",)
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "median": {"statistic": "median"},
        "rms": {"statistic": "rms"},
        "object": {"region": "object"},
    }

    statistic: Literal["mean", "median", "rms"] = "mean"
    """How the angles of a picture's pixels become one number."""
    region: Region = "surface"
    """Which pixels are scored: every `surface`, or the `object` alone."""

    def fingerprint(self) -> str:
        """One line that names the statistic, the axes and the region."""
        where = f"pixels of the {self.region}"
        return f"{self.statistic} angle per picture, opencv camera axes, unit predictions, {where}, rgb8"

    def __call__(self, artifact: Artifact, item: Item) -> Score:
        """The angle; coverage is the fraction of the picture that was scored."""
        found = normal_angles(artifact, item, self.region)
        if isinstance(found, str):
            return Score.none(found)
        angle, coverage = found
        pooled = {"mean": angle.mean(), "median": angle.median(), "rms": angle.square().mean().sqrt()}
        return Score(value=float(pooled[self.statistic]), coverage=coverage)

    def reference(self, artifact: Artifact, item: Item) -> float | None:
        """The angle by its tangent, |a x b| / a.b, to check the metric; None if a prediction has no direction."""
        both = normal_pairs(artifact, item, self.region)
        if both is None:
            return None
        made, true = both
        angle = np.degrees(np.arctan2(np.linalg.norm(np.cross(made, true), axis=1), (made * true).sum(1)))
        if self.statistic == "median":
            return float(np.quantile(angle, 0.5, method="lower"))
        return float(angle.mean() if self.statistic == "mean" else np.sqrt(np.mean(angle**2)))
