"""Full panoramas of your own: a prompt file, sampled on a sphere around the viewer.

Views are perspective cameras in the middle of the sphere, in rings of equal elevation; they overlap where their fields
of view do. The prompt file is read as by `prompts`. This is the setting of the 360-degree panoramas of SyncTweedies
(Kim et al. 2024, arXiv 2403.14370). The views are the result: a sphere unrolled is stretched at its poles, so metrics
of one wide picture, such as `seam_ratio`, are null.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Interval, MinLen

from ..bench.limits import Length, Views
from ..bench.surfaces.sphere import Sphere
from ..bench.types import Family, Item
from ._rows import prompt_items


@dataclass(frozen=True, kw_only=True)
class Spheres:
    """One item per prompt of a file. There is no truth; the defaults are eight views of Stable Diffusion's size."""

    version: ClassVar[int] = 1
    family: ClassVar[Family] = "overlap"
    located_by: ClassVar[tuple[str, ...]] = ("path",)

    path: str = ""
    """The prompt file. Its path is no part of a result's identity; its prompts are."""
    views: Views = 8
    """Number of views of a ring, evenly spaced in azimuth from 0 degrees."""
    elevations: Annotated[tuple[Annotated[float, Interval(ge=-90, le=90)], ...], MinLen(1)] = (0.0,)
    """Elevation of each ring in degrees: 0 is the horizon, 90 straight up."""
    field_of_view: Annotated[float, Interval(gt=0, lt=180)] = 90.0
    """Field of view across a view, in degrees."""
    size: Length = 512
    """Height and width of a view in pixels; the model's native size."""

    def items(self) -> list[Item]:
        """One item for each row of the file, in order.

        Raises SyncbenchError without a file, and one that names file and line of a row that cannot be used.
        """
        turn = 360 / self.views
        directions = tuple((turn * number, level) for level in self.elevations for number in range(self.views))
        surface = Sphere(self.size, self.size, self.field_of_view, directions)
        return prompt_items("spheres", self.path, surface)
