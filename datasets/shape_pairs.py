"""Shapes of your own folders with known correspondences: SHREC'19 and TOSCA, as published.

`path` names a folder in one of the layouts of `layouts.shape_files`. By default cameras, size and sampling are those of
Diff3F (Dutt et al., CVPR 2024, arXiv 2311.17024): 100 views of 512 px, 30 steps, guidance 7, eta 1.
"""

from dataclasses import dataclass
from typing import ClassVar

from ..bench.limits import Density, Length, Views, check_size
from ..bench.surfaces.rigs import RIGS, RigName, published_cameras
from ..bench.types import Family, Item, Sampling
from ._rows import checked_prompt
from ._shapes import shape_item
from .layouts.shape_files import filed_shapes


@dataclass(frozen=True, kw_only=True)
class ShapePairs:
    """One item per shape, whose truth names the vertices of the shapes that it is matched with; see `_shapes`."""

    version: ClassVar[int] = 1
    family: ClassVar[Family] = "geometry"
    located_by: ClassVar[tuple[str, ...]] = ("path",)

    path: str = ""
    """The folder. It is no part of a result's identity."""
    prompt: str = ""
    """What the shapes are to look like; empty: `human` for SHREC'19, the shape's name for TOSCA."""
    humans: bool = False
    """Whether TOSCA's people (david, michael, victoria) are among the shapes; published numbers are of its animals."""
    up: str = "y"
    """Which axis of the files points up: `x`, `y` or `z`."""
    rig: RigName = "diff3f"
    """Where the cameras stand, as in a published method."""
    held: Views = 4
    """Number of held-out cameras, which no method sees."""
    size: Length = 512
    """Height and width of a view in pixels; the model's native size."""
    density: Density = 0.25
    """Texels of the texture atlas per pixel of a view, along an edge."""

    def items(self) -> list[Item]:
        """One item for each shape, in the order of their names. Raises SyncbenchError for files that cannot be used."""
        check_size("an item", len(RIGS[self.rig].azimuth) + self.held, self.size, self.size)
        prompt = checked_prompt(self.prompt, "shape_pairs.prompt") if self.prompt.strip() else ""
        sampling = Sampling(steps=30, guidance=7.0, eta=1.0)
        return [
            shape_item(
                shape,
                *published_cameras(self.rig, self.held, shape.mesh.vertices, self.size),
                self.density,
                sampling,
            )
            for shape in filed_shapes(self.path, self.up, prompt, self.humans)
        ]
