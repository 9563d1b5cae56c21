"""A texture atlas: the surface of a mesh unwrapped by xatlas, and the views that look at it.

Any mesh can be used. Texture coordinates of the mesh file are ignored unless they are asked for (see `charts`), so
they may be missing or overlap; xatlas unwraps non-manifold parts too.
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
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..canvas import Canvas
from ..catalogue.content import digest as content_digest
from ..errors import SyncbenchError
from ..limits import check_factor, check_size
from . import atlas_cache
from .buffers import SurfaceBuffers, cast, surface_buffers
from .camera import Array, Cameras
from .charts import Unwrapped, own_charts, usable
from .mesh import Mesh
from .unwrap import GUTTER, unwrapped_charts

MESH_ADVICE = "clean it up or simplify it first (Blender: Merge by Distance, Decimate)"

WHOLE = 20_000
"""Faces of the largest mesh that is unwrapped in one piece; larger ones are cut up first, which is much faster."""
PATIENCE = 3600
"""Seconds after which unwrapping is stopped, with an error."""
FAINTEST = 0.05
"""Smallest weight of a pixel, at a grazing angle."""
_KEPT: OrderedDict[tuple[str, float, int], "Unwrapped"] = OrderedDict()


def unwrap(mesh: Mesh, density: float, gutter: int = GUTTER) -> Unwrapped:
    """The mesh unwrapped into a texture with `density` texels per world unit and `gutter` empty ones around charts.

    The last 32 results are kept in memory.

    A mesh of up to WHOLE faces is unwrapped in one piece; it is cut up first if it has more, or if xatlas crashes on
    the whole. A mesh that is not `trusted` is unwrapped in another process, because xatlas may crash it, and the result
    is kept in the user's cache folder (see `atlas_cache`). Raises SyncbenchError where unwrapping fails or takes longer
    than PATIENCE.
    """
    key = (mesh.digest, round(density, 6), gutter)
    if key in _KEPT:
        _KEPT.move_to_end(key)
        return _KEPT[key]
    if mesh.trusted:
        unwrapped = Unwrapped(*unwrapped_charts(mesh.vertices, mesh.faces, density, False, gutter))
    else:
        unwrapped = Unwrapped(*_untrusted_charts(mesh, *key))
    _KEPT[key] = unwrapped
    if len(_KEPT) > 32:
        _KEPT.popitem(last=False)
    return unwrapped


def _untrusted_charts(mesh: Mesh, content: str, density: float, gutter: int) -> atlas_cache.Charts:
    """Charts of a mesh on which xatlas may crash, from the cache or from another process.

    Raises SyncbenchError where xatlas fails.
    """
    rules = [content, density, WHOLE, gutter, version("xatlas")]
    name, faces = content_digest(rules), len(mesh.faces)
    charts = atlas_cache.read(name, faces)
    if charts is not None:
        return charts
    for cut in (False, True)[faces > WHOLE :]:
        charts = charts or _charts_of_process(mesh, density, cut, gutter)
    if charts is None or not min(charts[1:]):
        raise SyncbenchError(f"xatlas cannot unwrap this mesh of {faces:,} faces; {MESH_ADVICE}")
    atlas_cache.write(name, charts)
    return charts


def _charts_of_process(mesh: Mesh, density: float, cut: bool, gutter: int) -> atlas_cache.Charts | None:
    """Charts made by another process; None where xatlas crashes on this mesh.

    Raises SyncbenchError where the process is killed or takes longer than PATIENCE.
    """
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder, "in.npz"), Path(folder, "out.npz")
        np.savez(given, vertices=mesh.vertices, faces=mesh.faces, density=density, cut=cut, gutter=gutter)
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
    pose: InitVar[Array | None] = None
    """Where the mesh stands in the world (4, 4); None: as it is."""
    own: InitVar[bool] = False
    """Whether the file's own texture coordinates are used, where they can be (see `charts`)."""

    def __post_init__(self, mesh: Mesh, cameras: Cameras, pose: Array | None, own: bool) -> None:
        check_size("an item", self.views, self.height, self.width)
        for name, value in (("_mesh", mesh), ("_cameras", cameras), ("_pose", pose), ("_own", own)):
            object.__setattr__(self, name, value)

    @staticmethod
    def of(mesh: Mesh, cameras: Cameras, pose: Array | None = None, density: float = 1.0, own: bool = False) -> "Atlas":
        """The atlas of a mesh that stands at `pose` (4, 4; None: as it is) before the cameras.

        With `own` the texture is that of the file, where its coordinates can be used.
        """
        if pose is not None:
            cameras = Cameras(cameras.extrinsics @ pose, cameras.intrinsics, cameras.height, cameras.width)
        digest = f"{mesh.digest}-{cameras.digest}"
        if own and mesh.uv is not None and usable(mesh, density * scale_of(mesh, cameras)):
            digest += f"-{content_digest([mesh.uv])}"
        else:
            own = False
        return Atlas(len(cameras), cameras.height, cameras.width, density, digest, mesh, cameras, pose, own)

    @property
    def shape(self) -> tuple[Mesh, Cameras, Array]:
        """The mesh, the cameras in the mesh's own coordinates, and the pose (4, 4) of the mesh in the world."""
        pose = self.__dict__["_pose"]
        return *self._parts(), np.eye(4) if pose is None else pose

    @property
    def window(self) -> tuple[int, int]:
        """Height and width of one view in pixels."""
        return self.height, self.width

    @property
    def slow(self) -> bool:
        """Whether unwrapping may take long the first time on a machine, so that it gets a progress phase of its own."""
        mesh = self._parts()[0]
        return not mesh.trusted and not self.__dict__["_own"] and len(mesh.faces) > 5000

    @property
    def scale(self) -> float:
        """Pixels per world unit at the middle of the mesh, as the cameras see it on average."""
        return scale_of(*self._parts())

    def unwrapped(self, factor: int = 1) -> Unwrapped:
        """The unwrapped mesh for views with `factor` pixels to a side of a cell."""
        mesh, per_unit = self._parts()[0], float(self.density * self.scale / factor)
        return own_charts(mesh, per_unit) if self.__dict__["_own"] else unwrap(mesh, per_unit)

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
        """The canvas of the views, weighted by the cosine of the viewing angle; `stride` is ignored.

        What the last two canvases look at is kept, and each call gives tensors of its own.
        """
        self.check(factor)
        index, weight, cells = _looked_at(self, factor)
        return Canvas(index.clone(), weight.clone(), (cells,))

    def check(self, factor: int = 1, stride: float | None = None) -> int:
        """The number of views. Raises SyncbenchError where `canvas` would."""
        check_factor("views", self.height, self.width, factor)
        return self.views

    def _parts(self) -> tuple[Mesh, Cameras]:
        return self.__dict__["_mesh"], self.__dict__["_cameras"]


def scale_of(mesh: Mesh, cameras: Cameras) -> float:
    """Pixels per unit of the mesh's coordinates at its middle, as the cameras see it on average."""
    middle = np.append(mesh.sphere[0], 1.0)
    depth = 1.0 if cameras.orthographic else (cameras.extrinsics @ middle)[:, 2].mean()
    return float(cameras.intrinsics[:, 0, 0].mean() / depth)


@lru_cache(maxsize=2)
def _buffers(atlas: Atlas, factor: int) -> SurfaceBuffers:
    mesh, cameras, _ = atlas.shape
    return surface_buffers(mesh, cameras.coarser(factor), atlas.unwrapped(factor))


@lru_cache(maxsize=2)
def _looked_at(atlas: Atlas, factor: int) -> tuple[Int[Tensor, "n h w"], Float[Tensor, "n h w"], int]:
    """The cells that the views look at, with which weights, and the number of cells."""
    mesh, cameras, _ = atlas.shape
    cameras, charts = cameras.coarser(factor), atlas.unwrapped(factor)
    shape = (len(cameras), cameras.height, cameras.width)
    index, weight = np.full(shape, -1, np.int64), np.ones(shape, np.float32)
    for number in range(len(cameras)):
        seen = cast(mesh, cameras, number)
        index[number].reshape(-1)[seen.hit] = charts.texels(seen.face, seen.weights)
        weight[number].reshape(-1)[seen.hit] = np.maximum(seen.cosine, FAINTEST)
    behind = index < 0
    texels, count = charts.height * charts.width, int(behind.sum())
    index[behind] = texels + np.arange(count)
    return torch.from_numpy(index), torch.from_numpy(weight), texels + count
