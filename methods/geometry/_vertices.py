"""Maps of features that views have, gathered onto the vertices of the mesh that they show; and features as colours."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.sparse import csr_array
from scipy.spatial import KDTree
from torch import Tensor
from torch.nn import functional as F

from ...bench.surfaces.buffers import Cast, cast
from ...bench.surfaces.camera import Array, Cameras
from ...bench.surfaces.mesh import Mesh


@dataclass(frozen=True)
class Gathered:
    """What the views of a mesh say of its vertices: a ball query around each vertex in each view."""

    mesh: Mesh
    cameras: Cameras
    """In the mesh's coordinates."""
    radius: float
    """Of the ball, as a fraction of the diagonal of the mesh's box."""
    neighbours: int
    """Largest number of pixels in a ball, the nearest ones."""

    def __call__(self, *kinds: Float[Tensor, "views _ _ _"]) -> tuple[Float[Tensor, "vertices d"], int]:
        """Unit features of all vertices, and the number of vertices that no view sees.

        `kinds` are maps (views, c, h, w) of unlike features over whole views, which count equally. A vertex has the
        mean over views of the mean over the pixels in its ball; one in whose ball no view has a pixel has those of the
        nearest vertex (in space) that has some. Where no view sees any vertex, features are 0.
        """
        sums = [np.zeros((len(self.mesh.vertices), maps.shape[1]), np.float32) for maps in kinds]
        views = np.zeros(len(self.mesh.vertices))
        for number in range(len(self.cameras)):
            seen = cast(self.mesh, self.cameras, number)
            if not len(seen.hit):
                continue
            near = self._near(seen)
            views += np.asarray(near.sum(1)) > 0
            for total, maps in zip(sums, kinds, strict=True):
                cells = maps[number].flatten(1).T.float().cpu().numpy()
                total += near @ self._between(seen, *maps.shape[-2:]) @ cells
        known = views > 0
        means = [F.normalize(torch.from_numpy(total), dim=1) for total in sums]  # the sum has the mean's direction
        found = F.normalize(torch.cat(means, 1), dim=1)
        if known.any() and not known.all():
            _, nearest = KDTree(self.mesh.vertices[known]).query(self.mesh.vertices[~known])
            found[torch.from_numpy(~known)] = found[torch.from_numpy(np.flatnonzero(known)[nearest])]
        return found, int((~known).sum())

    def _near(self, seen: Cast) -> csr_array:
        """Weights (vertices, pixels that show the mesh) of the mean over each vertex's ball; rows of 0 where empty."""
        vertices = self.mesh.vertices
        reach = self.radius * float(np.linalg.norm(vertices.max(0) - vertices.min(0)))
        most = min(self.neighbours, len(seen.hit))
        distance, pixel = KDTree(seen.points).query(vertices, most, distance_upper_bound=reach)
        inside = np.isfinite(distance.reshape(len(vertices), most))
        count = inside.sum(1)
        row = np.repeat(np.arange(len(vertices)), count)
        parts = (1 / np.maximum(count, 1))[row].astype(np.float32)
        return csr_array((parts, (row, pixel.reshape(inside.shape)[inside])), (len(vertices), len(seen.hit)))

    def _between(self, seen: Cast, height: int, width: int) -> csr_array:
        """Weights (pixels that show the mesh, cells) by which a pixel lies between the cells of a map."""
        row, column = np.divmod(seen.hit, self.cameras.width)
        across = np.clip((column + 0.5) * width / self.cameras.width - 0.5, 0, width - 1)
        down = np.clip((row + 0.5) * height / self.cameras.height - 0.5, 0, height - 1)
        left, top = np.floor(across).astype(int), np.floor(down).astype(int)
        right, low = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
        x, y = across - left, down - top
        cells = np.concatenate([top * width + left, top * width + right, low * width + left, low * width + right])
        parts = np.concatenate([(1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y]).astype(np.float32)
        return csr_array((parts, (np.tile(np.arange(len(row)), 4), cells)), (len(row), height * width))


def colours_of(features: Float[Tensor, "vertices d"]) -> Float[Tensor, "vertices 3"]:
    """Features as colours in [0, 1]: their three principal components, each from its 1st to its 99th percentile.

    Components have the sign in which their largest loading is positive, so that like features of two meshes have like
    colours where their components are alike.
    """
    centred = features.double() - features.double().mean(0)
    _, vectors = torch.linalg.eigh(centred.T @ centred)
    axes = vectors[:, -3:].flip(1)
    axes = axes * axes.gather(0, axes.abs().argmax(0, keepdim=True)).sign()
    found = F.pad(centred @ axes, (0, 3 - axes.shape[1]))
    low, high = torch.from_numpy(np.quantile(found.numpy(), [0.01, 0.99], axis=0))
    return ((found - low) / (high - low).clamp(min=1e-12)).clamp(0, 1).float()


def vertex_views(
    mesh: Mesh, cameras: Cameras, colours: Float[Tensor, "vertices 3"]
) -> Float[Tensor, "views 3 height width"]:
    """What the cameras (in the mesh's coordinates) see of a mesh whose vertices have these colours, unlit, on white."""
    own: Array = colours.double().numpy()
    views = torch.ones(len(cameras), 3, cameras.height * cameras.width)
    for number, view in enumerate(views):
        seen = cast(mesh, cameras, number)
        found = np.einsum("ni,nij->jn", seen.weights, own[mesh.faces[seen.face]])
        view[:, torch.from_numpy(seen.hit)] = torch.from_numpy(found).float().clamp(0, 1)
    return views.unflatten(2, (cameras.height, cameras.width))


def grey_views(mesh: Mesh, cameras: Cameras) -> Float[Tensor, "views 3 height width"]:
    """The mesh in grey before the cameras (in its coordinates), lit from where each camera is, on white."""
    views = torch.ones(len(cameras), cameras.height * cameras.width)
    for number, view in enumerate(views):
        seen = cast(mesh, cameras, number)
        view[torch.from_numpy(seen.hit)] = torch.from_numpy(0.8 * seen.cosine).float()
    return views.reshape(len(cameras), 1, cameras.height, cameras.width).expand(-1, 3, -1, -1)
