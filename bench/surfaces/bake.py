"""Baking: the pictures that cameras made of a mesh become one texture.

Each texel looks up the views that see it, bilinearly among pixels of its own surface, so that neither background nor
what stands in front bleeds into it. Colours are averaged with weights cos^p of the viewing angle (p = 6 as in SyncMVD,
arXiv 2311.12891, and TexPainter, arXiv 2406.18539), or the view that sees it least slanted takes all. Texels that no
view sees are as the nearest painted one on the surface.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from jaxtyping import Float
from torch import Tensor

from ..errors import SyncbenchError
from .atlas import Atlas, unwrap
from .buffers import cast, facing
from .camera import Array, Cameras
from .charts import Unwrapped, own_charts, usable
from .mesh import Mesh
from .texels import Mask, Texels, texels

SLANTED = 0.1
"""Smallest cosine of the viewing angle (84 degrees) at which a view colours a texel."""
OWN = 0.25
"""Smallest share of a bilinear lookup that must fall on pixels of the texel's own surface."""
GUTTER = 4
"""Empty texels around every chart, so that neither bilinear lookup nor a smaller copy of the texture mixes charts."""
DENSITY = 2.0
"""Texels per pixel of a view: with one, lookup would blur as much as another generation of pictures."""
POWER = 6.0
"""Exponent of the cosine in the weights."""


@dataclass(frozen=True, eq=False)
class Baked:
    """A mesh's texture, made of views."""

    texels: Texels
    texture: npt.NDArray[np.float32]
    """Colours (h, w, 3) in [0, 1], row 0 at the top, without empty texels."""
    seen: Mask
    """Whether a view colours the texel (h, w)."""

    @property
    def unseen(self) -> float:
        """The fraction of the surface's texels that no view colours."""
        covered = self.texels.covered
        return float(1 - self.seen[covered].mean()) if covered.any() else 0.0


def bake(
    texels: Texels,
    cameras: Cameras,
    views: Float[Tensor, "n 3 h w"],
    power: float = POWER,
    winner: bool = False,
) -> Baked:
    """The texture of `views` in [0, 1], which `cameras` (in the mesh's coordinates) made.

    With `winner` each texel has the colour of the view that sees it least slanted, whatever the `power`.
    """
    covered, points = texels.covered, texels.points
    face = texels.face[covered]
    total, colours, best = np.zeros(len(points)), np.zeros((len(points), 3)), np.zeros(len(points))
    pictures = views.detach().float().cpu().permute(0, 2, 3, 1).numpy()
    for number, picture in enumerate(pictures):
        colour, cosine = _looked_up(texels.mesh, cameras, number, face, points, picture)
        if winner:
            better = cosine > best
            colours[better], best[better] = colour[better], cosine[better]
            total[better] = 1.0
            continue
        weight = cosine**power * (cosine > 0)
        total += weight
        colours += weight[:, None] * colour
    seen = total > 0
    colours[seen] /= total[seen, None]
    painted = np.zeros_like(covered)
    painted[covered] = seen
    nearest = texels.nearest(painted)
    filled = np.where((nearest >= 0)[:, None], colours[nearest], 0.5)
    texture = np.full((*covered.shape, 3), 0.5, np.float32)
    texture[covered] = filled
    return Baked(texels, texels.padded(texture), painted)


def bake_views(
    atlas: Atlas,
    views: Float[Tensor, "n 3 h w"],
    density: float = DENSITY,
    power: float = POWER,
    winner: bool = False,
) -> Baked:
    """The views of an atlas as a texture of `density` texels per pixel, along an edge at the middle of the mesh.

    The texture is the file's own where its coordinates can be used (`charts.usable`), else xatlas unwraps the mesh with
    GUTTER empty texels around charts. Raises SyncbenchError for views of another number or size than the atlas's, and
    where the mesh cannot be unwrapped.
    """
    mesh, cameras, _ = atlas.shape
    if tuple(views.shape) != (len(cameras), 3, cameras.height, cameras.width):
        raise SyncbenchError(
            f"views of {tuple(views.shape)} are not the {len(cameras)} of {cameras.height} x {cameras.width} px"
        )
    per_unit = density * atlas.scale
    charts = own_charts(mesh, per_unit) if usable(mesh) else unwrap(mesh, per_unit, GUTTER)
    return bake(_texels(mesh, charts), cameras, views, power, winner)


@lru_cache(maxsize=2)
def _texels(mesh: Mesh, charts: Unwrapped) -> Texels:
    """The texels of the last meshes, for samples of several methods on one."""
    return texels(mesh, charts.corners, charts.height, charts.width)


def _looked_up(
    mesh: Mesh,
    cameras: Cameras,
    number: int,
    face: npt.NDArray[np.int64],
    points: Array,
    picture: npt.NDArray[np.float32],
) -> tuple[Array, Array]:
    """Colours (c, 3) of points of faces (c,) in one view, and cosines (c,), 0 where the view does not see them."""
    high, wide = cameras.height, cameras.width
    pixels, depth = cameras.project(number, points)
    there = (depth > 0) & (pixels >= 0.5).all(1) & (pixels <= [wide - 0.5, high - 0.5]).all(1)
    near = np.flatnonzero(there)
    origin, directions = cameras.rays(number, pixels[near])
    cosine = facing(mesh, cameras, number, face[near], directions)[1]
    reach = 1e-3 * mesh.sphere[1]
    _, along = mesh.first(origin, directions)
    length = np.linalg.norm(directions, axis=1)
    hidden = (depth[near] - along) * length > reach
    kept = ~hidden & (cosine >= SLANTED)
    near, cosine = near[kept], cosine[kept]
    colour, share = _bilinear(mesh, cameras, number, face[near], points[near], pixels[near], picture)
    own = share >= OWN
    colours, cosines = np.zeros((len(points), 3)), np.zeros(len(points))
    colours[near[own]], cosines[near[own]] = colour[own], cosine[own]
    return colours, cosines


def _bilinear(
    mesh: Mesh,
    cameras: Cameras,
    number: int,
    face: npt.NDArray[np.int64],
    points: Array,
    pixels: Array,
    picture: npt.NDArray[np.float32],
) -> tuple[Array, Array]:
    """Colours (c, 3) at `pixels` (c, 2) among pixels near each point's plane, and the share (c,) of those."""
    high, wide = picture.shape[:2]
    seen = cast(mesh, cameras, number)
    place = np.full((high * wide, 3), np.inf)
    place[seen.hit] = seen.points
    size = np.zeros(high * wide)
    size[seen.hit] = (1.0 if cameras.orthographic else seen.depth) / cameras.intrinsics[number, 0, 0]
    left, top = np.floor(pixels - 0.5).astype(np.int64).T
    across, down = (pixels - 0.5 - np.stack([left, top], 1)).T
    colour, total = np.zeros((len(points), 3)), np.zeros(len(points))
    for right, below in ((0, 0), (1, 0), (0, 1), (1, 1)):
        at = np.minimum(top + below, high - 1) * wide + np.minimum(left + right, wide - 1)
        weight = (across if right else 1 - across) * (down if below else 1 - down)
        on = np.isfinite(place[at, 0])
        away = np.zeros(len(points))
        away[on] = np.abs(np.einsum("ij,ij->i", place[at[on]] - points[on], mesh.normals[face[on]]))
        weight = weight * (on & (away <= 2 * size[at]))
        total += weight
        colour += weight[:, None] * picture.reshape(-1, 3)[at]
    return colour / np.maximum(total, 1e-12)[:, None], total
