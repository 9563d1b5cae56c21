"""Baking: the pictures that cameras made of a mesh become one texture.

Each texel looks up the views that see it, bilinearly among pixels of its own surface, so that neither background nor
what stands in front bleeds into it. Colours are averaged with weights cos^p of the viewing angle (p = 6 as in SyncMVD,
arXiv 2311.12891, and TexPainter, arXiv 2406.18539), or the view that sees it least slanted takes all. Texels that no
view sees are as the nearest painted one on the surface.
"""

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from jaxtyping import Float
from torch import Tensor

from ..catalogue.content import digest
from ..errors import SyncbenchError
from ..limits import PIXELS
from .atlas import Atlas, unwrap
from .buffers import cast, facing
from .camera import Array, Cameras
from .charts import own_charts, usable
from .mesh import Ids, Mesh
from .texels import Mask, Texels, texels

SLANTED = 0.1
"""Smallest cosine of the viewing angle (84 degrees) at which a view colours a texel."""
OWN = 0.25
"""Smallest share of a bilinear lookup that must fall on pixels of the texel's own surface."""
GUTTER = 4
"""Empty texels around every chart, so that neither bilinear lookup nor a smaller copy of the texture mixes charts."""
DENSITY = 2.0
"""Texels per pixel of a view: with one, lookup would blur as much as another generation of pictures."""
MOST = 2**23
"""Number of lookups (about 50 bytes each) that are kept for further pictures of the same meshes."""
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
    best: Ids
    """Number (h, w) of the view that sees the texel least slanted, the first of equal ones; -1 where none does."""

    @property
    def unseen(self) -> float:
        """The fraction of the surface's texels that no view colours."""
        covered = self.texels.covered
        return float(1 - self.seen[covered].mean()) if covered.any() else 0.0


@dataclass(frozen=True, eq=False)
class Seen:
    """Which of c points on the surface one camera sees, and which pixels show each of them."""

    number: Ids
    """Numbers (k,) of the points that are seen."""
    pixels: Ids
    """Flat numbers (k, 4) of the pixels around each."""
    shares: npt.NDArray[np.float32]
    """Bilinear weights (k, 4) of those, 0 for pixels of another surface; they sum to 1."""
    cosine: npt.NDArray[np.float32]
    """Cosines (k,) of the viewing angle."""

    def colours(self, picture: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Colours (k, 3) of the points in a picture (h, w, 3)."""
        return np.einsum("ki,kic->kc", self.shares, picture.reshape(-1, picture.shape[2])[self.pixels])


@dataclass(frozen=True, eq=False)
class Bakery:
    """A texture's texels and the cameras that see them: all of a bake that does not depend on the pictures."""

    texels: Texels
    views: tuple[Seen, ...]
    painted: Mask
    """Whether a camera sees the texel (h, w)."""
    nearest: Ids
    """For each covered texel, in order, the nearest painted one (see `Texels.nearest`)."""
    best: Ids
    """Number (h, w) of the camera that sees the texel least slanted, the first of equal ones; -1 where none does."""

    @property
    def lookups(self) -> int:
        """The number of texels that cameras see, each counted once for each camera."""
        return sum(len(seen.number) for seen in self.views)

    def bake(self, views: Float[Tensor, "n 3 h w"], power: float = POWER, winner: bool = False) -> Baked:
        """The texture of the cameras' `views` in [0, 1], averaged with weights cos^power.

        With `winner` each texel has the colour of the view that sees it least slanted, whatever the `power`.
        """
        covered = self.texels.covered
        count, best = int(covered.sum()), self.best[covered]
        total, colours = np.zeros(count), np.zeros((count, 3))
        pictures = views.detach().float().cpu().permute(0, 2, 3, 1).contiguous().numpy()
        for number, (seen, picture) in enumerate(zip(self.views, pictures, strict=True)):
            weight = (best[seen.number] == number).astype(float) if winner else seen.cosine.astype(float) ** power
            total[seen.number] += weight
            colours[seen.number] += weight[:, None] * seen.colours(picture)
        there = total > 0
        colours[there] /= total[there, None]
        filled = np.where((self.nearest >= 0)[:, None], colours[self.nearest], 0.5)
        texture = np.full((*covered.shape, 3), 0.5, np.float32)
        texture[covered] = filled
        return Baked(self.texels, self.texels.padded(texture), self.painted, self.best)


def bakery(texels: Texels, cameras: Cameras) -> Bakery:
    """What is needed to bake views of `cameras`, which are in the mesh's coordinates."""
    covered, points = texels.covered, texels.points
    face = texels.face[covered]
    views = tuple(_seen(texels.mesh, cameras, number, face, points) for number in range(len(cameras)))
    straight, first = np.zeros(len(points)), np.full(len(points), -1)
    for number, seen in enumerate(views):
        better = seen.cosine > straight[seen.number]
        straight[seen.number[better]], first[seen.number[better]] = seen.cosine[better], number
    best, painted = np.full(covered.shape, -1, np.int64), np.zeros_like(covered)
    best[covered], painted[covered] = first, first >= 0
    return Bakery(texels, views, painted, texels.nearest(painted), best)


def bake_views(
    atlas: Atlas,
    views: Float[Tensor, "n 3 h w"],
    density: float = DENSITY,
    power: float = POWER,
    winner: bool = False,
    own: bool = True,
) -> Baked:
    """The views of an atlas as a texture of `density` texels per pixel, along an edge at the middle of the mesh.

    The texture is the file's own where its coordinates can be used (`charts.usable`) and are wanted (`own`), else
    xatlas unwraps the mesh with GUTTER empty texels around charts. Raises SyncbenchError for views of another number or
    size than the atlas's, and where the mesh cannot be unwrapped or its texture would be too large.
    """
    cameras = atlas.shape[1]
    if tuple(views.shape) != (len(cameras), 3, cameras.height, cameras.width):
        raise SyncbenchError(
            f"views of {tuple(views.shape)} are not the {len(cameras)} of {cameras.height} x {cameras.width} px"
        )
    per_unit = density * atlas.scale
    return _KEPT.of(atlas, per_unit, own).bake(views, power, winner)


class _Kept:
    """The last bakeries, which samples of several methods on one mesh share, as many as have MOST lookups together."""

    def __init__(self) -> None:
        self._made: OrderedDict[tuple[Atlas, float, str], Bakery] = OrderedDict()

    def of(self, atlas: Atlas, per_unit: float, own: bool) -> Bakery:
        mesh, cameras, _ = atlas.shape
        given = own and mesh.uv is not None and usable(mesh, per_unit)
        # atlases of one shape are equal, whatever coordinates their files have
        key = (atlas, per_unit, digest([mesh.uv]) if given else "")
        if key not in self._made:
            charts = own_charts(mesh, per_unit) if given else unwrap(mesh, per_unit, GUTTER)
            if charts.height * charts.width > PIXELS:
                raise SyncbenchError(
                    f"a texture of {charts.height:,} x {charts.width:,} texels is larger than the {PIXELS:,} that are "
                    "baked: lower the density"
                )
            self._made[key] = bakery(texels(mesh, charts.corners, charts.height, charts.width), cameras)
        self._made.move_to_end(key)
        while len(self._made) > 1 and sum(one.lookups for one in self._made.values()) > MOST:
            self._made.popitem(last=False)
        return self._made[key]


_KEPT = _Kept()


def _seen(mesh: Mesh, cameras: Cameras, number: int, face: Ids, points: Array) -> Seen:
    """Which points (c, 3) of faces (c,) camera `number` sees."""
    high, wide = cameras.height, cameras.width
    pixels, depth = cameras.project(number, points)
    near = np.flatnonzero((depth > 0) & (pixels >= 0.5).all(1) & (pixels <= [wide - 0.5, high - 0.5]).all(1))
    origin, directions = cameras.rays(number, pixels[near])
    cosine = facing(mesh, cameras, number, face[near], directions)[1]
    _, along = mesh.first(origin, directions)
    hidden = (depth[near] - along) * np.linalg.norm(directions, axis=1) > 1e-3 * mesh.sphere[1]
    kept = ~hidden & (cosine >= SLANTED)
    near, cosine = near[kept], cosine[kept]
    around, shares = _bilinear(mesh, cameras, number, face[near], points[near], pixels[near])
    total = shares.sum(1)
    own = total >= OWN
    shares = (shares[own] / total[own, None]).astype(np.float32)
    return Seen(near[own], around[own], shares, cosine[own].astype(np.float32))


def _bilinear(mesh: Mesh, cameras: Cameras, number: int, face: Ids, points: Array, pixels: Array) -> tuple[Ids, Array]:
    """Flat numbers (c, 4) of the pixels around `pixels` (c, 2) and their bilinear weights, 0 off each point's plane."""
    high, wide = cameras.height, cameras.width
    seen = cast(mesh, cameras, number)
    place = np.full((high * wide, 3), np.inf)
    place[seen.hit] = seen.points
    size = np.zeros(high * wide)
    size[seen.hit] = (1.0 if cameras.orthographic else seen.depth) / cameras.intrinsics[number, 0, 0]
    left, top = np.floor(pixels - 0.5).astype(np.int64).T
    across, down = (pixels - 0.5 - np.stack([left, top], 1)).T
    around, shares = np.zeros((len(points), 4), np.int64), np.zeros((len(points), 4))
    for corner, (right, below) in enumerate(((0, 0), (1, 0), (0, 1), (1, 1))):
        at = np.minimum(top + below, high - 1) * wide + np.minimum(left + right, wide - 1)
        on = np.isfinite(place[at, 0])
        away = np.zeros(len(points))
        away[on] = np.abs(np.einsum("ij,ij->i", place[at[on]] - points[on], mesh.normals[face[on]]))
        around[:, corner] = at
        weight = (across if right else 1 - across) * (down if below else 1 - down)
        shares[:, corner] = weight * (on & (away <= 2 * size[at]))
    return around, shares
