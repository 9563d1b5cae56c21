"""Triangle meshes: reading and checking a user's own, and exact first hits of rays through trimesh and Embree."""

import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import trimesh
from trimesh.ray.ray_pyembree import RayMeshIntersector

from ..catalogue.content import digest
from ..errors import SyncbenchError, quoted
from ..files.reading import is_file, read_bytes
from .beside import BUFFERS, Beside
from .camera import Array
from .scene_files import SCENES, load_scene

Ids = npt.NDArray[np.int64]
MAX_FACES = 200_000
"""Largest number of faces of a mesh; unwrapping more takes xatlas longer than sampling a whole suite takes."""
FORMATS = (".obj", ".ply", ".stl", ".off", ".glb", ".gltf")
"""Endings of names of mesh files. Archives are not among them, because a small one may unpack to any size."""
ELEMENTS = 2**25
"""Largest number of vertices, faces and other elements that a file may declare."""
VERTEX_ZERO = re.compile(rb"^[ \t]*f[ \t](?:[^\r\n]*[ \t])?[+-]?0+(?=[/\s]|$)[^\r\n]*", re.MULTILINE)
"""A face of an OBJ file that names vertex 0."""


@dataclass(frozen=True, eq=False)
class Mesh:
    """Vertices (n, 3) and triangles (m, 3), counter-clockwise seen from outside."""

    vertices: Array
    faces: Ids
    corner_normals: Array | None = None
    """Unit normals (m, 3, 3) at the corners of every face, where the mesh approximates a smooth surface."""
    uv: Array | None = None
    """The file's own texture coordinates (m, 3, 2) of the faces' corners, to the right and up, 1 a side; None without.

    They are no part of the `digest`, because nothing is looked up by them unless they are asked for."""
    trusted: bool = False
    """Whether the mesh is one of the package's own, on which xatlas is known not to crash."""

    @cached_property
    def digest(self) -> str:
        """12 hex digits of the vertices and faces."""
        return digest([self.vertices, self.faces])

    @cached_property
    def triangles(self) -> Array:
        """Corners (m, 3, 3) of every triangle."""
        return self.vertices[self.faces]

    @cached_property
    def normals(self) -> Array:
        """Unit normals (m, 3) of the faces; 0 for a face without area."""
        corner = self.triangles
        cross = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
        return cross / np.maximum(np.linalg.norm(cross, axis=1, keepdims=True), 1e-300)

    def normals_at(self, face: Ids, points: Array) -> Array:
        """Unit normals (n, 3) at `points` (n, 3) of `face` (n,): the face's own, or blended from `corner_normals`."""
        if self.corner_normals is None:
            return self.normals[face]
        blend = np.einsum("ni,nij->nj", self.barycentric(face, points), self.corner_normals[face])
        return blend / np.linalg.norm(blend, axis=1, keepdims=True)

    @cached_property
    def sphere(self) -> tuple[Array, float]:
        """Centre (3,) and radius of a ball around the mesh."""
        low, high = self.vertices.min(0), self.vertices.max(0)
        centre = (low + high) / 2
        return centre, float(np.linalg.norm(self.vertices - centre, axis=1).max())

    @cached_property
    def _embree(self) -> Any:
        return RayMeshIntersector(trimesh.Trimesh(self.vertices, self.faces, process=False))

    def first(self, origins: Array, directions: Array) -> tuple[Ids, Array]:
        """First face (n,) that each ray hits, -1 for none, and the ray's parameter there (n,), inf for none.

        Rays are those of `hits`.
        """
        ray, found, there = self.hits(origins, directions)
        face, along = np.full(len(directions), -1, np.int64), np.full(len(directions), np.inf)
        face[ray], along[ray] = found, there
        return face, along

    def hits(self, origins: Array, directions: Array) -> tuple[Ids, Ids, Array]:
        """Numbers (k,) of the rays that hit the mesh, in order, their first faces (k,), and the rays' parameters there.

        `origins` are (n, 3) or (3,), `directions` (n, 3) of any length. Embree finds the face in single precision. The
        point where the ray meets that face's plane is computed in double precision, so neighbouring pixels lie on one
        plane exactly.
        """
        ray = np.flatnonzero(_meets(self.sphere, origins, directions))
        if not len(ray):
            return ray, ray, np.zeros(0)
        some = directions.take(ray, 0)
        start = origins if origins.ndim == 1 else origins.take(ray, 0)
        found = self._embree.intersects_first(np.broadcast_to(start, some.shape), some)
        there = np.flatnonzero(found >= 0)
        ray, face, some = ray[there], found[there].astype(np.int64), some.take(there, 0)
        start = start if start.ndim == 1 else start.take(there, 0)
        normal = self.normals.take(face, 0)
        toward = np.einsum("ij,ij->i", some, normal)
        gap = np.einsum("ij,ij->i", self._corner.take(face, 0) - start, normal)
        grazing = np.abs(toward) < 1e-9 * np.sqrt(np.einsum("ij,ij->i", some, some))
        if grazing.any():
            ray, face, gap, toward = (part[~grazing] for part in (ray, face, gap, toward))
        return ray, face, gap / toward

    @cached_property
    def _corner(self) -> Array:
        """First corners (m, 3) of the faces."""
        return self.vertices.take(self.faces[:, 0], 0)

    @cached_property
    def gradients(self) -> Array:
        """Gradients (2, 3, m) of the barycentric weights of each face's second and third corner, along its plane."""
        a, b = ((self.vertices.take(self.faces[:, corner], 0) - self._corner).T for corner in (1, 2))
        aa, ab, bb = (np.einsum("im,im->m", u, v) for u, v in ((a, a), (a, b), (b, b)))
        with np.errstate(over="ignore", invalid="ignore"):  # faces without area, which no ray hits
            made = np.stack([bb * a - ab * b, aa * b - ab * a]) / np.maximum(aa * bb - ab * ab, 1e-300)
        return np.ascontiguousarray(made)

    def barycentric(self, face: Ids, points: Array) -> Array:
        """Weights (n, 3) of the corners of `face` (n,) at `points` (n, 3) in its plane."""
        weights = np.empty((3, len(face)))
        offset = (points - self._corner.take(face, 0)).T
        np.einsum("abn,bn->an", self.gradients.take(face, 2), offset, out=weights[1:])
        weights[0] = 1 - weights[1] - weights[2]
        return weights.T


def _meets(sphere: tuple[Array, float], origins: Array, directions: Array) -> npt.NDArray[np.bool_]:
    """Whether each ray (n,) passes through the ball (centre, radius): a cheap test that spares Embree the sky."""
    centre, radius = sphere
    to = centre - origins
    along = directions @ to if to.ndim == 1 else np.einsum("ij,ij->i", to, directions)
    square = np.einsum("...j,...j->...", to, to)
    length = np.einsum("ij,ij->i", directions, directions)
    return (along * along >= (square - (radius * 1.0001) ** 2) * length) & ((along > 0) | (square <= radius**2))


def read_mesh(path: str | Path, up: str = "y") -> Mesh:
    """The mesh in a user's file, turned upright (`up` names the file's axis that points up) and standing on z = 0.

    The mesh is scaled to fit a ball of diameter 1.2 (as large as the world's own objects) and centred over the origin.
    All parts are merged; faces without area are left out. Texture coordinates are kept (`Mesh.uv`). Of the files that
    the mesh names only a glTF's buffers are read.
    Raises SyncbenchError for a file that cannot be read, has no faces, vertices that are not finite, no extent, or more
    than MAX_FACES faces.
    """
    name = quoted(path)
    return checked_mesh(joined_parts(mesh_parts(Path(path), Beside(Path(path), BUFFERS))), name, up)


@dataclass(frozen=True, eq=False)
class Part:
    """One part of a mesh file, in the file's space."""

    vertices: Array
    """(n, 3), as the scene places them."""
    faces: Ids
    """(m, 3), counter-clockwise seen from outside."""
    visual: Any
    """Trimesh's object for the colours of its vertices or its texture."""


def mesh_parts(file: Path, beside: Beside) -> list[Part]:
    """The parts of a mesh file that have faces, in its order; other files that it names come from `beside`.

    Raises SyncbenchError for a file that cannot be read, and for more than MAX_FACES faces.
    """
    name = quoted(file)
    if not is_file(file):
        raise SyncbenchError(f"no mesh file '{name}'")
    check_declared(file, name)
    try:
        scene = load_scene(file, beside)
        nodes = [scene.graph.get(node) for node in scene.graph.nodes_geometry]
        many = sum(len(getattr(scene.geometry[part], "faces", ())) for _, part in nodes)
        solid = [(place, scene.geometry[part]) for place, part in nodes if hasattr(scene.geometry[part], "faces")]
        parts = [_placed(geometry, place) for place, geometry in solid] if many <= MAX_FACES else []
    except Exception as error:  # every format has its own
        cause = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise SyncbenchError(f"{name}: trimesh cannot read this mesh ({quoted(cause)})") from error
    if many > MAX_FACES:
        raise _too_many(name, many)
    return parts


def _placed(geometry: Any, place: Array) -> Part:
    """A part where `place` (4, 4) puts it; a mirrored one keeps its outside."""
    vertices, faces = np.asarray(geometry.vertices, np.float64), np.asarray(geometry.faces, np.int64)
    if not np.array_equal(place, np.eye(4)):
        vertices = vertices @ place[:3, :3].T + place[:3, 3]
        faces = faces[:, ::-1] if np.linalg.det(place[:3, :3]) < 0 else faces
    return Part(vertices, faces, geometry.visual)


def joined_parts(parts: list[Part]) -> Mesh:
    """One mesh of all parts, vertices and faces in their order; without parts it has none.

    It has texture coordinates where all parts have some, finite ones.
    """
    starts = np.cumsum([0, *(len(part.vertices) for part in parts)])
    faces = [part.faces + start for part, start in zip(parts, starts, strict=False)]
    uv = [own[part.faces] for part in parts if (own := _coordinates(part)) is not None]
    return Mesh(
        np.concatenate([np.zeros((0, 3)), *(part.vertices for part in parts)]),
        np.concatenate([np.zeros((0, 3), np.int64), *faces]),
        uv=np.concatenate(uv) if uv and len(uv) == len(parts) else None,
    )


def _coordinates(part: Part) -> Array | None:
    """The finite texture coordinates (n, 2) of a part's vertices; None where it has none."""
    uv = getattr(part.visual, "uv", None)
    if uv is None or np.ndim(uv) != 2 or len(uv) != len(part.vertices) or not np.isfinite(uv).all():
        return None
    return np.asarray(uv, float)[:, :2]


def check_declared(file: Path, name: str) -> None:
    """Raises SyncbenchError for a file of another format, that declares more than ELEMENTS, or an OBJ with vertex 0.

    A small file could fill the memory by what it declares, and trimesh reads vertex 0 as another one. `name` is the
    file's name in messages.
    """
    kind = file.suffix.lower()
    if kind not in FORMATS:
        raise SyncbenchError(f"{name}: a mesh file ends in {', '.join(FORMATS)}: unpack an archive, convert the rest")
    data = read_bytes(file)
    zero = VERTEX_ZERO.search(data) if kind == ".obj" else None
    if zero is not None:
        raise SyncbenchError(
            f"{name}: a face names vertex 0 ({quoted(zero[0].decode(errors='replace').strip(), 60)}), but OBJ counts "
            "vertices from 1; export the mesh again"
        )
    counts: list[int] = []
    if kind == ".ply":
        head = data[: data.find(b"end_header")]
        counts = [int(match[1]) for match in re.finditer(rb"^element\s+\S+\s+(\d{1,18})", head, re.MULTILINE)]
    elif kind in SCENES:
        size = int.from_bytes(data[12:16], "little")
        try:
            content = json.loads(data[20 : 20 + size] if kind == ".glb" else data)
            counts = [int(accessor["count"]) for accessor in content.get("accessors", ())]
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise SyncbenchError(f"{name}: this is no glTF ({type(error).__name__})") from error
    if sum(counts) > ELEMENTS:
        raise SyncbenchError(f"{name}: it declares {sum(counts):,} elements, and at most {ELEMENTS:,} are read")


def _too_many(name: str, faces: int) -> SyncbenchError:
    return SyncbenchError(
        f"{name}: {faces:,} faces are more than the {MAX_FACES:,} that can be unwrapped in reasonable time; "
        "simplify the mesh first (Blender: Decimate)"
    )


TURNS = {"z": (0, 1, 2), "y": (2, 0, 1), "x": (1, 2, 0)}
"""For each `up` axis: which axes of the file become x (front), y and z (up); cyclic, so that nothing is mirrored."""


def checked_mesh(mesh: Mesh, name: str, up: str = "z") -> Mesh:
    """The mesh upright, at the world's size and without unused vertices.

    `name` is its name in messages. Raises SyncbenchError for a mesh that cannot be textured (see `read_mesh`).
    """
    return fitted_mesh(mesh, name, up)[0]


def fitted_mesh(mesh: Mesh, name: str, up: str) -> tuple[Mesh, npt.NDArray[np.bool_]]:
    """`checked_mesh`, and which of the given faces (m,) it has: those with an area."""
    vertices, faces = mesh.vertices, mesh.faces
    if up not in TURNS:
        raise SyncbenchError(f"a mesh's up axis is x, y or z, not '{up}'")
    if not len(faces):
        raise SyncbenchError(f"{name}: this mesh has no faces; a point cloud cannot be textured")
    if faces.ndim != 2 or faces.shape[1] != 3 or vertices.ndim != 2 or vertices.shape[1] != 3:
        raise SyncbenchError(
            f"{name}: faces of {faces.shape} and vertices of {vertices.shape} are no triangles in space"
        )
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise SyncbenchError(f"{name}: a face names vertex {faces.max()} of {len(vertices)}; the file is damaged")
    if len(faces) > MAX_FACES:
        raise _too_many(name, len(faces))
    used, where = np.unique(faces, return_inverse=True)
    vertices, faces = vertices[used], where.reshape(faces.shape).astype(np.int64)
    bad = int((~(np.abs(vertices) < 1e100).all(1)).sum())
    if bad:
        raise SyncbenchError(
            f"{name}: {bad:,} vertices are not finite numbers (NaN, infinite or next to it); repair the mesh"
        )
    vertices = vertices[:, TURNS[up]]
    centre, radius = Mesh(vertices, faces).sphere
    if radius <= 0:
        raise SyncbenchError(f"{name}: all vertices are one point, so there is nothing to see")
    vertices = (vertices - centre) * (0.6 / radius)
    vertices[:, 2] -= vertices[:, 2].min()
    corner = vertices[faces]
    area = np.linalg.norm(np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]), axis=1)
    if not (area > 1e-12).any():
        raise SyncbenchError(f"{name}: no face has an area, so there is nothing to see")
    kept = area > 1e-12
    return Mesh(vertices, faces[kept], uv=None if mesh.uv is None else mesh.uv[kept]), kept
