"""Lengths on and of a mesh: shortest ways along its edges, its area, its diameter."""

import numpy as np
import numpy.typing as npt
from jaxtyping import Float, Int
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import ConvexHull
from scipy.spatial.distance import cdist
from torch import Tensor

AT_ONCE = 64
"""Vertices from which ways are searched at once, and rows of distances that are held."""
Array = npt.NDArray[np.float64]


def geodesic_distances(
    vertices: Float[Tensor, "n 3"], faces: Int[Tensor, "m 3"], start: Int[Tensor, " k"], end: Int[Tensor, " k"]
) -> Array:
    """Lengths (k,) of the shortest ways along edges, by Dijkstra's algorithm; the straight distance between parts that
    no edge joins.

    A way along edges is longer than the one across faces, by up to a sixth on an even mesh however fine. Vertices at
    one place count as one.
    """
    places, where = np.unique(vertices.double().numpy(), axis=0, return_inverse=True)
    where = where.reshape(-1)
    corner = where[faces.numpy()]
    edges = np.unique(np.sort(np.concatenate([corner[:, [0, 1]], corner[:, [1, 2]], corner[:, [2, 0]]]), 1), axis=0)
    edges = edges[edges[:, 0] != edges[:, 1]]
    length = np.linalg.norm(places[edges[:, 0]] - places[edges[:, 1]], axis=1)
    graph = csr_array((length, (edges[:, 0], edges[:, 1])), (len(places), len(places)))
    first, last = where[start.numpy()], where[end.numpy()]
    found = np.zeros(len(first))
    sources, row = np.unique(first, return_inverse=True)
    for low in range(0, len(sources), AT_ONCE):
        mine = np.flatnonzero((row >= low) & (row < low + AT_ONCE))
        ways = dijkstra(graph, directed=False, indices=sources[low : low + AT_ONCE])
        found[mine] = ways[row[mine] - low, last[mine]]
    straight = np.linalg.norm(places[first] - places[last], axis=1)
    return np.where(np.isfinite(found), found, straight)


def area(vertices: Float[Tensor, "n 3"], faces: Int[Tensor, "m 3"]) -> float:
    """The area of a mesh."""
    corner = vertices.double()[faces]
    return float((corner[:, 1] - corner[:, 0]).cross(corner[:, 2] - corner[:, 0], dim=1).norm(dim=1).sum()) / 2


def diameter(vertices: Float[Tensor, "n 3"]) -> float:
    """The largest distance between two vertices."""
    points = vertices.double().numpy()
    if len(points) > 4:
        points = points[ConvexHull(points, qhull_options="QJ").vertices]  # QJ: flat meshes have a hull, too
    return max(float(cdist(points[low : low + AT_ONCE], points).max()) for low in range(0, len(points), AT_ONCE))
