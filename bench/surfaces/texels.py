"""Texels of a mesh: where each lies on the surface, where charts meet, and which texel is nearest on the surface.

Neighbours in the texture's picture are neighbours on the surface only inside one chart. Here charts are joined along
the edges that their faces share, so that distances are those of walks on the surface, also over folds and seams.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import distance_transform_edt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components, dijkstra
from scipy.spatial import KDTree

from .camera import Array
from .mesh import Ids, Mesh

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Edges:
    """The e edges that two faces share, by the positions of their ends."""

    faces: Ids
    """The two faces (e, 2)."""
    ends: Array
    """The two ends (e, 2, 3)."""
    at: Array
    """Texture coordinates (e, 2, 2, 2) by face, end, and column and row."""

    @property
    def seam(self) -> Mask:
        """Whether the edge (e,) is one of the texture's seams: the faces have other texture coordinates at it."""
        return np.abs(self.at[:, 0] - self.at[:, 1]).max((1, 2)) > 1e-3

    def charts(self, faces: int) -> Ids:
        """The chart of each of `faces` faces; faces are of one chart if edges without a seam join them."""
        one, two = self.faces[~self.seam].T
        return np.asarray(connected_components(coo_array((np.ones(len(one)), (one, two)), (faces, faces)))[1], np.int64)


def shared_edges(mesh: Mesh, corners: Array) -> Edges:
    """The edges that faces share, with the faces' texture coordinates `corners` (m, 3, 2) in texels at them.

    Vertices in one place count as one, so that files that split them at seams are joined. An edge of more than two
    faces pairs the first with each other.
    """
    _, number = np.unique(np.round(mesh.vertices, 9), axis=0, return_inverse=True)
    faces = number.reshape(-1)[mesh.faces]
    start, end = faces.reshape(-1), np.roll(faces, -1, 1).reshape(-1)
    places = [mesh.triangles, np.roll(mesh.triangles, -1, 1)], [corners, np.roll(corners, -1, 1)]
    point, at = (np.stack([one.reshape(-1, one.shape[-1]) for one in pair], 1) for pair in places)
    turned = start > end
    point[turned], at[turned] = point[turned][:, ::-1], at[turned][:, ::-1]
    low, high = np.minimum(start, end), np.maximum(start, end)
    order = np.lexsort((high, low))
    first = np.r_[True, (np.diff(low[order]) != 0) | (np.diff(high[order]) != 0)]
    leader = order[np.maximum.accumulate(np.where(first, np.arange(len(order)), 0))]
    one, two = leader[~first], order[~first]
    return Edges(np.stack([one // 3, two // 3], 1), point[one], np.stack([at[one], at[two]], 1))


@dataclass(frozen=True, eq=False)
class Texels:
    """The texels of a texture of (height, width), and where on the surface they lie."""

    mesh: Mesh
    corners: Array
    """Texture coordinates (m, 3, 2) of each face's corners in texels."""
    face: Ids
    """The face (h, w) in which the texel's centre lies; -1 for none."""
    weights: Array
    """Barycentric weights (h, w, 3) of the face's corners at the centre."""

    @property
    def covered(self) -> Mask:
        """Whether the texel (h, w) lies on the surface."""
        return self.face >= 0

    @cached_property
    def points(self) -> Array:
        """Where each of the covered texels (c, 3), in order, lies in the mesh's coordinates."""
        inside = self.covered
        return np.einsum("ni,nij->nj", self.weights[inside], self.mesh.triangles[self.face[inside]])

    def padded(self, texture: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The texture (h, w, c) with every texel off the surface as the nearest one on it, so that seams show nothing.

        That is nearest in the picture: a bilinear lookup at the edge of a chart then finds the chart's own colours.
        """
        if not self.covered.any():
            return texture
        row, column = _nearest_in_picture(self.covered)
        return texture[row, column]

    def nearest(self, painted: Mask) -> Ids:
        """For each covered texel (c,), the place in that order of the nearest painted one, on the surface.

        `painted` (h, w) says which texels have colours. Parts of the surface without any take the nearest in space.
        The answer is -1 throughout if nothing is painted.
        """
        done = painted[self.covered]
        found = np.where(done, np.arange(len(done)), -1)
        if not done.any() or done.all():
            return found
        one, two, length = self._links()
        # A way from a texel to the nearest painted one meets no other: only the painted ones at the brink are needed.
        open_end = ~(done[one] & done[two])
        one, two, length = one[open_end], two[open_end], length[open_end]
        brink = np.zeros(len(done), bool)
        brink[one], brink[two] = True, True
        used = np.flatnonzero(brink | ~done)
        place = np.full(len(done), -1)
        place[used] = np.arange(len(used))
        graph = coo_array((length, (place[one], place[two])), (len(used), len(used))).tocsr()
        sources = np.flatnonzero(done[used])
        if len(sources):
            _, _, source = dijkstra(graph, directed=False, indices=sources, return_predecessors=True, min_only=True)
            reached = source >= 0
            found[used[reached]] = used[source[reached]]
        left = np.flatnonzero(found < 0)
        if len(left):
            solid = np.flatnonzero(done)
            found[left] = solid[KDTree(self.points[solid]).query(self.points[left])[1]]
        return found

    def _links(self) -> tuple[Ids, Ids, Array]:
        """Pairs of covered texels that touch on the surface, and their distances."""
        inside = self.covered
        height, width = inside.shape
        place = np.full(inside.shape, -1, np.int64)
        place[inside] = np.arange(int(inside.sum()))
        one: list[Ids] = []
        two: list[Ids] = []
        for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
            here = place[: height - down, max(0, -right) : width - max(0, right)]
            there = place[down:, max(0, right) : width + min(0, right)]
            both = (here >= 0) & (there >= 0)
            one.append(here[both])
            two.append(there[both])
        edges = shared_edges(self.mesh, self.corners)
        chart = edges.charts(len(self.mesh.faces))[self.face[inside]]
        first, second = np.concatenate(one), np.concatenate(two)
        same = chart[first] == chart[second]  # charts of a file's own texture may touch in the picture
        over = self._over_seams(edges, place)
        first, second = np.concatenate([first[same], over[0]]), np.concatenate([second[same], over[1]])
        length = np.linalg.norm(self.points[first] - self.points[second], axis=1)
        return first, second, np.maximum(length, 1e-12)

    def _over_seams(self, edges: Edges, place: Ids) -> tuple[Ids, Ids]:
        """Pairs of texels on both sides of the seams, at least one for each texel along them."""
        at = edges.at[edges.seam]
        if not len(at):
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        near = _nearest_in_picture(place >= 0)
        long = np.linalg.norm(at[:, :, 1] - at[:, :, 0], axis=-1).max(1)
        steps = np.ceil(long).astype(np.int64) + 1
        edge = np.repeat(np.arange(len(at)), steps)
        along = (np.arange(len(edge)) - np.repeat(np.cumsum(steps) - steps, steps) + 0.5) / steps[edge]
        sides: list[Ids] = []
        for side in range(2):
            start, end = at[edge, side, 0], at[edge, side, 1]
            middle = self.corners[edges.faces[edges.seam][edge, side]].mean(1)
            spot = start + along[:, None] * (end - start)
            inward = middle - spot
            spot = spot + inward * np.minimum(0.5 / np.maximum(np.linalg.norm(inward, axis=1, keepdims=True), 1e-9), 1)
            column = np.clip(np.floor(spot[:, 0]), 0, place.shape[1] - 1).astype(np.int64)
            row = np.clip(np.floor(spot[:, 1]), 0, place.shape[0] - 1).astype(np.int64)
            sides.append(place[near[0][row, column], near[1][row, column]])
        apart = sides[0] != sides[1]
        return sides[0][apart], sides[1][apart]


def texels(mesh: Mesh, corners: Array, height: int, width: int) -> Texels:
    """The texels of a texture of (height, width) in which the faces' corners lie at `corners` (m, 3, 2) texels.

    Where faces overlap in the texture, a texel is of any one of them.
    """
    flat = Mesh(np.pad(corners.reshape(-1, 2), ((0, 0), (0, 1))), np.arange(3 * len(corners)).reshape(-1, 3))
    column, row = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    centre: Array = np.stack([column.ravel(), row.ravel(), np.ones(height * width)], 1).astype(np.float64)
    face, _ = flat.first(centre, np.broadcast_to([0.0, 0.0, -1.0], centre.shape))
    weights = np.zeros((len(face), 3))
    hit = face >= 0
    weights[hit] = flat.barycentric(face[hit], centre[hit] - [0, 0, 1])
    return Texels(mesh, corners, face.reshape(height, width), weights.reshape(height, width, 3))


def _nearest_in_picture(mask: Mask) -> tuple[Ids, Ids]:
    """Row and column (h, w) of the nearest texel in the mask, which has some."""
    found: Any = distance_transform_edt(~mask, return_distances=False, return_indices=True)
    return found[0], found[1]
