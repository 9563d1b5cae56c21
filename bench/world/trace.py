"""Views of a stage by ray casting: one ray for each pixel for the geometry, nine along edges for the colours.

Geometry (depth, normal, position, ids) is what the ray through a pixel's centre hits. Where an edge crosses a pixel,
colours are averaged over the pixel in linear light: `linear` is the mean of albedo times shading, `shading` the mean
shading and `albedo` their ratio, the mean albedo weighted by light. So linear = albedo x shading holds exactly.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import lru_cache

import numpy as np

from ..catalogue.content import digest
from ..surfaces.camera import Cameras
from ..surfaces.tracks import Film
from .materials import to_linear
from .solids import Solid, solid
from .stage import AMBIENT, FAR, GROUND, OBJECT, SKY, SUN, Shadow, Stage, object_pose

_GRID = (np.stack(np.meshgrid(np.arange(3), np.arange(3)), -1).reshape(-1, 2) - 1) / 3
"""Offsets (9, 2), in pixels, of the rays through a pixel that an edge crosses."""


@dataclass(frozen=True)
class Buffers:
    """Images of n views as NumPy arrays (n, h, w) or (n, h, w, 3), in linear light."""

    linear: np.ndarray
    albedo: np.ndarray
    shading: np.ndarray
    normal: np.ndarray
    """Unit normals in camera axes; 0 at the sky."""
    depth: np.ndarray
    """Camera z in world units; 0 at the sky."""
    position: np.ndarray
    """World coordinates of the points; 0 at the sky."""
    object: np.ndarray
    """Id of what is seen, int64: -1 sky, 0 ground, 1 the object."""
    face: np.ndarray
    """Number of the object's face, int64; -1 elsewhere."""


@dataclass(frozen=True)
class Hits:
    """What n rays hit first, each (n,) or (n, 3), in world coordinates."""

    object: np.ndarray
    face: np.ndarray
    along: np.ndarray
    """The ray's parameter at the hit; infinite at the sky."""
    position: np.ndarray
    normal: np.ndarray


@dataclass(frozen=True)
class View:
    """The geometry that one camera sees: what rays hit through pixel centres, and more rays through pixels at edges."""

    directions: np.ndarray
    """Directions (h * w, 3) through pixel centres."""
    hits: Hits
    edge: np.ndarray
    """Flat numbers of the pixels at edges."""
    fine: np.ndarray
    """Directions (edges * 9, 3) through the pixels at edges."""
    fine_hits: Hits


def cast_rays(shape: Solid, pose: np.ndarray, origin: np.ndarray, directions: np.ndarray) -> Hits:
    """First hits of rays from `origin` (3,) or (n, 3) along `directions` (n, 3); the object stands at `pose` (4, 4)."""
    back = np.linalg.inv(pose)
    mesh = shape.mesh
    face, along = mesh.first(origin @ back[:3, :3].T + back[:3, 3], directions @ back[:3, :3].T)
    with np.errstate(divide="ignore", invalid="ignore"):
        down = np.where(directions[:, 2] < 0, -origin[..., 2] / directions[:, 2], np.inf)
        reach = down * np.hypot(directions[:, 0], directions[:, 1])
    floor = (reach < FAR) & (down < along) & (down > 0)
    hit = np.where(floor, GROUND, np.where(face >= 0, OBJECT, SKY)).astype(np.int64)
    along = np.where(floor, down, along)
    face = np.where(hit == OBJECT, face, -1)
    position = np.where(hit[:, None] == SKY, 0, origin + np.where(hit == SKY, 0, along)[:, None] * directions)
    position[floor, 2] = 0.0
    normal = np.zeros_like(directions)
    normal[floor] = 0.0, 0.0, 1.0
    own = position[hit == OBJECT] @ back[:3, :3].T + back[:3, 3]
    turned = mesh.normals_at(face[hit == OBJECT], own) @ back[:3, :3]
    normal[hit == OBJECT] = turned / np.linalg.norm(turned, axis=1, keepdims=True)
    return Hits(hit, face, along, position, normal)


def _colours(stage: Stage, pose: np.ndarray, shadow: Shadow, directions: np.ndarray, hits: Hits):
    """Albedo (n, 3) and shading (n,), in linear light, of what rays hit."""
    albedo, shading = np.empty(directions.shape), np.ones(len(directions))
    sky, floor, thing = (np.flatnonzero(hits.object == which) for which in (SKY, GROUND, OBJECT))
    albedo[sky] = stage.sky(directions[sky])
    at = hits.position[floor, :2]
    albedo[floor] = stage.ground(at)
    shading[floor] = AMBIENT * (1 - shadow.closed(at)) + SUN * stage.sun[2] * (1 - shadow(at))
    back = np.linalg.inv(pose)
    own = hits.position[thing] @ back[:3, :3].T + back[:3, 3]
    albedo[thing] = stage.surface(own, stage.shape.mesh.normals[hits.face[thing]])
    normal = hits.normal[thing]
    shading[thing] = AMBIENT * (0.86 + 0.14 * normal[:, 2]) + SUN * np.maximum(normal @ np.array(stage.sun), 0)
    return to_linear(albedo), shading


def _edges(hits: Hits, height: int, width: int) -> np.ndarray:
    """Flat numbers of the pixels next to an outline or a crease of the object."""
    which, normal = hits.object.reshape(height, width), hits.normal.reshape(height, width, 3)
    thing = which == OBJECT
    edge = np.zeros((height, width), bool)
    for axis in (0, 1):
        a = (slice(None, -1), slice(None)) if axis == 0 else (slice(None), slice(None, -1))
        b = (slice(1, None), slice(None)) if axis == 0 else (slice(None), slice(1, None))
        bend = (normal[a] * normal[b]).sum(-1) < 0.9
        differ = (thing[a] != thing[b]) | (thing[a] & thing[b] & bend)
        edge[a] |= differ
        edge[b] |= differ
    return np.flatnonzero(edge)


def _view(shape: Solid, pose: np.ndarray, camera: Cameras) -> View:
    origin, directions = camera.rays(0)
    directions, origin = directions.reshape(-1, 3), origin.reshape(-1, 3) if origin.ndim > 1 else origin
    hits = cast_rays(shape, pose, origin, directions)
    edge = _edges(hits, camera.height, camera.width)
    centre = np.stack([edge % camera.width, edge // camera.width], 1) + 0.5
    origin, fine = camera.rays(0, (centre[:, None] + _GRID).reshape(-1, 2))
    return View(directions, hits, edge, fine, cast_rays(shape, pose, origin, fine))


@lru_cache(maxsize=24)
def _cached_view(name: str, pose: bytes, extrinsics: bytes, intrinsics: bytes, height: int, width: int) -> View:
    """The view of a solid by one camera; the last 24 are kept, for items that differ in colours only."""
    poses = np.frombuffer(extrinsics).reshape(1, 4, 4), np.frombuffer(intrinsics).reshape(1, 3, 3)
    return _view(solid(name), np.frombuffer(pose).reshape(4, 4), Cameras(*poses, height, width))


def trace(stage: Stage, cameras: Cameras, poses: np.ndarray | None = None, keep: bool = False) -> Buffers:
    """Images of all views of a stage. `poses` (n, 4, 4) move the object in each view (None: it stands at the origin).

    With `keep`, the geometry of the last 24 views is kept, for stages that differ in colours only.
    """
    if poses is None:
        poses = np.tile(object_pose(stretch=stage.stretch), (len(cameras), 1, 1))
    rows = []
    shadow, last = None, None
    for number, pose in enumerate(poses):
        if shadow is None or last is None or not np.array_equal(pose, last):
            shadow, last = stage.shadow(pose), pose
        camera = cameras[number : number + 1]
        if keep:
            parts = (part.astype(float).tobytes() for part in (pose, camera.extrinsics, camera.intrinsics))
            view = _cached_view(stage.solid, *parts, camera.height, camera.width)
        else:
            view = _view(stage.shape, pose, camera)
        hits, edge = view.hits, view.edge
        albedo, shading = _colours(stage, pose, shadow, view.directions, hits)
        light = albedo * shading[:, None]
        some, lit = _colours(stage, pose, shadow, view.fine, view.fine_hits)
        grid = (len(edge), len(_GRID))
        light[edge] = (some * lit[:, None]).reshape(*grid, 3).mean(1)
        shading[edge] = lit.reshape(grid).mean(1)
        albedo[edge] = light[edge] / shading[edge, None]
        turn = camera.extrinsics[0, :3, :3]
        depth = np.where(hits.object == SKY, 0, hits.along)
        rows.append((light, albedo, shading, hits.normal @ turn.T, depth, hits.position, hits.object, hits.face))
    size = (len(cameras), cameras.height, cameras.width)
    stacked = (np.stack(column) for column in zip(*rows, strict=True))
    return Buffers(*(part.reshape(*size, *part.shape[2:]) for part in stacked))


@dataclass(frozen=True, eq=False)
class Take:
    """One stage with its cameras and the object's pose in each view: all that determines the pictures."""

    stage: Stage
    cameras: Cameras
    poses: np.ndarray
    """Pose (n, 4, 4), object to world, in each view."""

    @property
    def digest(self) -> str:
        """12 hex digits of everything that determines what the views see."""
        stage = self.stage
        facts = [stage.sun, stage.stretch, stage.offset, stage.solid, stage.shape.mesh.digest]
        return digest([asdict(stage.scene), *facts, self.cameras.digest, self.poses])

    @property
    def film(self) -> Film:
        """The take as frames of moving objects, for exact flow."""

        def hit(frame: int, origin: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            hits = cast_rays(self.stage.shape, self.poses[frame], origin, directions)
            return hits.object, hits.along

        content = f"{self.stage.solid} {self.stage.shape.mesh.digest} on the ground"
        return Film(self.cameras, {OBJECT: self.poses}, hit, content)


@lru_cache(maxsize=4)
def buffers(take: Take) -> Buffers:
    """Images of all views of a take; those of the last four takes are kept."""
    return trace(take.stage, take.cameras, take.poses, keep=True)
