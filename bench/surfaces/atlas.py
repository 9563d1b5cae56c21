"""A texture atlas: the surface of a mesh unwrapped by xatlas, and the views that look at it.

Any mesh can be used. Texture coordinates of the mesh file are ignored, so they may be missing or overlap; xatlas
unwraps non-manifold parts too.
"""

import subprocess
import sys
import tempfile
from collections import OrderedDict
from dataclasses import InitVar, dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from signal import SIGKILL

import numpy as np
import numpy.typing as npt
import torch

from ..canvas import Canvas
from ..catalogue.content import digest
from ..errors import SyncbenchError
from ..limits import check_factor, check_size
from . import atlas_cache
from .buffers import SurfaceBuffers, cast, surface_buffers
from .camera import Array, Cameras
from .mesh import Ids, Mesh
from .unwrap import GUTTER, unwrapped_charts

MESH_ADVICE = "clean it up or simplify it first (Blender: Merge by Distance, Decimate)"

WHOLE = 20_000
"""Faces of the largest mesh that is unwrapped in one piece; larger ones are cut up first, which is much faster."""
PATIENCE = 3600
"""Seconds after which unwrapping is stopped, with an error."""
FAINTEST = 0.05
"""Smallest weight of a pixel, at a grazing angle."""
_KEPT: OrderedDict[tuple[str, float], "Unwrapped"] = OrderedDict()


@dataclass(frozen=True, eq=False)
class Unwrapped:
    """A mesh with a texture of (height, width) texels."""

    corners: Array
    """Texture coordinates (m, 3, 2) of each face's corners in texels: column, row from the top left."""
    height: int
    width: int

    def texels(self, face: Ids, weights: Array) -> Ids:
        """Flat texel numbers (n,) at barycentric `weights` (n, 3) of faces (n,)."""
        at = np.einsum("ni,nij->nj", weights, self.corners[face])
        column = np.clip(np.floor(at[:, 0]), 0, self.width - 1).astype(np.int64)
        return np.clip(np.floor(at[:, 1]), 0, self.height - 1).astype(np.int64) * self.width + column


def unwrap(mesh: Mesh, density: float) -> Unwrapped:
    """The mesh unwrapped into a texture with `density` texels per world unit. The last 32 results are kept in memory.

    A mesh of up to WHOLE faces is unwrapped in one piece; it is cut up first if it has more, or if xatlas crashes on
    the whole. A mesh that is not `trusted` is unwrapped in another process, because xatlas may crash it, and the result
    is kept in the user's cache folder (see `atlas_cache`). Raises SyncbenchError where unwrapping fails or takes longer
    than PATIENCE.
    """
    key = (mesh.digest, round(density, 6))
    if key in _KEPT:
        _KEPT.move_to_end(key)
        return _KEPT[key]
    if mesh.trusted:
        unwrapped = Unwrapped(*unwrapped_charts(mesh.vertices, mesh.faces, density, False))
    else:
        unwrapped = Unwrapped(*_untrusted_charts(mesh, *key))
    _KEPT[key] = unwrapped
    if len(_KEPT) > 32:
        _KEPT.popitem(last=False)
    return unwrapped


def _untrusted_charts(mesh: Mesh, content: str, density: float) -> atlas_cache.Charts:
    """Charts of a mesh on which xatlas may crash, from the cache or from another process.

    Raises SyncbenchError where xatlas fails.
    """
    rules = [content, density, WHOLE, GUTTER, version("xatlas")]
    name, faces = digest(rules), len(mesh.faces)
    charts = atlas_cache.read(name, faces)
    if charts is not None:
        return charts
    for cut in (False, True)[faces > WHOLE :]:
        charts = charts or _charts_of_process(mesh, density, cut)
    if charts is None or not min(charts[1:]):
        raise SyncbenchError(f"xatlas cannot unwrap this mesh of {faces:,} faces; {MESH_ADVICE}")
    atlas_cache.write(name, charts)
    return charts


def _charts_of_process(mesh: Mesh, density: float, cut: bool) -> atlas_cache.Charts | None:
    """Charts made by another process; None where xatlas crashes on this mesh.

    Raises SyncbenchError where the process is killed or takes longer than PATIENCE.
    """
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder, "in.npz"), Path(folder, "out.npz")
        np.savez(given, vertices=mesh.vertices, faces=mesh.faces, density=density, cut=cut)
        command = [sys.executable, str(Path(__file__).with_name("unwrap.py")), str(given), str(made)]
        try:
            done = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False)
        except subprocess.TimeoutExpired:
            message = f"xatlas was still at this mesh of {len(mesh.faces):,} faces after {PATIENCE:,} s; {MESH_ADVICE}"
            raise SyncbenchError(message) from None
        if done.returncode == -SIGKILL:
            raise SyncbenchError(f"the process that unwrapped this mesh was killed (out of memory?); {MESH_ADVICE}")
        if done.returncode or not made.is_file():
            return None
        with np.load(made) as charts:
            return charts["corners"], int(charts["size"][0]), int(charts["size"][1])


@dataclass(frozen=True)
class Atlas:
    """Views of a mesh that look at its texture. Cells are the texels, then one cell for each background pixel."""

    views: int
    height: int
    width: int
    density: float
    """Texels per pixel along an edge, at the middle of the mesh, whatever the `factor`."""
    digest: str
    """Hash of mesh and cameras; two atlases are equal if their fields are."""
    mesh: InitVar[Mesh]
    cameras: InitVar[Cameras]
    """The cameras of the views, in the mesh's own coordinates."""

    def __post_init__(self, mesh: Mesh, cameras: Cameras) -> None:
        check_size("an item", self.views, self.height, self.width)
        object.__setattr__(self, "_mesh", mesh)
        object.__setattr__(self, "_cameras", cameras)

    @staticmethod
    def of(mesh: Mesh, cameras: Cameras, pose: Array | None = None, density: float = 1.0) -> "Atlas":
        """The atlas of a mesh that stands at `pose` (4, 4; None: as it is) before the cameras."""
        if pose is not None:
            cameras = Cameras(cameras.extrinsics @ pose, cameras.intrinsics, cameras.height, cameras.width)
        digest = f"{mesh.digest}-{cameras.digest}"
        return Atlas(len(cameras), cameras.height, cameras.width, density, digest, mesh, cameras)

    @property
    def window(self) -> tuple[int, int]:
        """Height and width of one view in pixels."""
        return self.height, self.width

    @property
    def slow(self) -> bool:
        """Whether unwrapping may take long the first time on a machine, so that it gets a progress phase of its own."""
        mesh = self._parts()[0]
        return not mesh.trusted and len(mesh.faces) > 5000

    def unwrapped(self, factor: int = 1) -> Unwrapped:
        """The unwrapped mesh for views with `factor` pixels to a side of a cell."""
        mesh, cameras = self._parts()
        middle = np.append(mesh.sphere[0], 1.0)
        depth = 1.0 if cameras.orthographic else (cameras.extrinsics @ middle)[:, 2].mean()
        scale = cameras.intrinsics[:, 0, 0].mean() / depth
        return unwrap(mesh, float(self.density * scale / factor))

    def looks(self, cameras: Cameras, factor: int = 1) -> tuple[Ids, npt.NDArray[np.float32]]:
        """Texels (n, h, w), -1 off the mesh, and cosines of the viewing angle (n, h, w), as any cameras see them.

        Cameras are in the mesh's own coordinates. The number of a texel does not depend on the cameras.
        """
        mesh, atlas = self._parts()[0], self.unwrapped(factor)
        cameras = cameras.coarser(factor)
        shape = (len(cameras), cameras.height, cameras.width)
        index, cosine = np.full(shape, -1, np.int64), np.zeros(shape, np.float32)
        for number in range(len(cameras)):
            seen = cast(mesh, cameras, number)
            index[number].reshape(-1)[seen.hit] = atlas.texels(seen.face, seen.weights)
            cosine[number].reshape(-1)[seen.hit] = seen.cosine
        return index, cosine

    def buffers(self, factor: int = 1) -> SurfaceBuffers:
        """What the views show of the mesh, with `factor` pixels to a side of a cell. The last two results are kept.

        Positions are in the mesh's own coordinates, normals in camera axes. Raises SyncbenchError where `canvas` would.
        """
        self.check(factor)
        return _buffers(self, factor)

    @property
    def picture(self) -> bool:
        """False: the views are the result, and the texture is a set of charts that no model draws."""
        return False

    def canvas(self, factor: int = 1, stride: float | None = None) -> Canvas:
        """The canvas of the views, weighted by the cosine of the viewing angle; `stride` is ignored."""
        self.check(factor)
        atlas = self.unwrapped(factor)
        index, cosine = self.looks(self._parts()[1], factor)
        behind = index < 0
        texels, count = atlas.height * atlas.width, int(behind.sum())
        index[behind] = texels + np.arange(count)
        weight = np.where(behind, 1, np.maximum(cosine, FAINTEST)).astype(np.float32)
        return Canvas(torch.as_tensor(index), torch.as_tensor(weight), (texels + count,))

    def check(self, factor: int = 1, stride: float | None = None) -> int:
        """The number of views. Raises SyncbenchError where `canvas` would."""
        check_factor("views", self.height, self.width, factor)
        return self.views

    def _parts(self) -> tuple[Mesh, Cameras]:
        return self.__dict__["_mesh"], self.__dict__["_cameras"]


@lru_cache(maxsize=2)
def _buffers(atlas: Atlas, factor: int) -> SurfaceBuffers:
    mesh, cameras = atlas._parts()
    return surface_buffers(mesh, cameras.coarser(factor), atlas.unwrapped(factor))
