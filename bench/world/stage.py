"""A stage: one object on a ground plane under a sky, lit by a sun, whose views have an exact truth.

Caption, colours, light and grounds are those of the flat object scenes (`scene.object_scene`); the object is a mesh one
unit high. Shading is grey, because the light's tint is part of the albedo. Shadows are soft and fall on the ground
only. The sky is infinitely far; its albedo is its colour and its shading is 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike
from scipy.ndimage import gaussian_filter, map_coordinates

from ..surfaces.camera import Cameras, orbit, pinhole
from . import materials
from .grammar import Slots
from .layers import SOFT
from .render import lit
from .scene import Scene, object_scene
from .solids import COMPOSED, Solid, solid

FOCAL, CENTRE = 140 / 128, (64 / 128, 72 / 128)
"""Focal length and principal point of every camera of the world, in units of the picture's height (49 degrees)."""
TARGET = (0.0, 0.0, 0.5)
"""Point at which cameras on an orbit look: the middle of the object."""
FAR = 100.0
"""Distance along the ground at which it ends and the sky begins; the sky's edge has the ground's colour."""
GROUND, OBJECT, SKY = 0, 1, -1
"""Ids of what a ray hits."""
AMBIENT, SUN = 0.5, 0.62
"""Shading by the light of the sky and by the sun at a right angle; together 0.3 in deep shadow to 1.1."""


def world_cameras(extrinsics: np.ndarray, size: int = 128) -> Cameras:
    """The world's cameras, `size` pixels square, at the poses `extrinsics` (n, 4, 4)."""
    lens = pinhole(len(extrinsics), FOCAL * size, (CENTRE[0] * size, CENTRE[1] * size))
    return Cameras(np.asarray(extrinsics, float), lens, size, size)


def orbit_cameras(azimuth: ArrayLike, elevation: ArrayLike, radius: ArrayLike = 2.0, size: int = 128) -> Cameras:
    """The world's cameras on an orbit around the object; angles in degrees, `size` in pixels; arguments broadcast."""
    return world_cameras(orbit(azimuth, elevation, radius, TARGET), size)


def object_pose(yaw: float = 0.0, x: float = 0.0, y: float = 0.0, stretch: float = 1.0) -> np.ndarray:
    """Pose (4, 4), object to world, of an object stretched sideways, turned by `yaw` degrees and moved to (x, y)."""
    c, s = np.cos(np.radians(yaw)), np.sin(np.radians(yaw))
    pose = np.eye(4)
    pose[:2, :2] = np.array([[c, -s], [s, c]]) * stretch
    pose[:2, 3] = x, y
    return pose


@dataclass(frozen=True)
class Stage:
    """A scene in three dimensions. What its caption leaves open is drawn from a seed, by `stage` or `sample_stage`."""

    scene: Scene
    solid: str
    """Name of the mesh: one of `solids.SOLIDS` whose word the caption names, or a mesh file."""
    sun: tuple[float, float, float]
    """Unit vector towards the sun."""
    stretch: float
    """Factor by which the object is wider than its mesh."""
    offset: tuple[float, float]
    """Place of the stage on the endless ground, in world units."""
    phase: tuple[float, float] = (0.0, 0.0)
    """Where the object's pattern begins, in periods; captions do not say it. See `materials.pattern_share`."""

    @property
    def caption(self) -> str:
        """The scene's caption."""
        return self.scene.caption

    @cached_property
    def shape(self) -> Solid:
        """The object's mesh and how patterns are laid on it."""
        return solid(self.solid)

    @cached_property
    def paint(self) -> dict[str, np.ndarray]:
        """sRGB colour (3,) of each role under the light's tint; `pale` is that of the sky at the horizon."""
        light = np.array(self.scene.light)
        colours = {part.role: np.clip(np.array(part.rgb) * light, 0, 1) for part in self.scene.parts}
        warm = np.array([0.98, 0.95, 0.90]) * light
        colours["pale"] = colours["sky"] + self.scene.glow * (warm - colours["sky"])
        return colours

    @cached_property
    def crest(self) -> np.ndarray:
        """Elevation of the ground's far edge over the horizon at 1024 azimuths, as its tangent."""
        word, seed = self._ground, self.scene.seed
        at = np.arange(1024) / 1024
        if word == "meadow":
            return (1.5 + 1.7 * materials.periodic_noise(at * 96, np.full(1024, seed % 29 + 0.5))) / 140
        if word == "sea":
            return np.zeros(1024)
        some = np.random.default_rng([seed, 25]).random((15, 3))
        middle = (np.arange(15) + 0.5 + 0.6 * (some[:, 0] - 0.5)) / 15
        dx = ((at - middle[:, None] + 0.5) % 1 - 0.5) * 15 * 58
        width = np.where(dx < 0, 48 + 10 * some[:, 1:2], 22 + 6 * some[:, 1:2])
        return np.maximum((4.5 + 4 * some[:, 2:]) * (1 - np.abs(dx) / width), 0).max(0) / 140

    @property
    def _ground(self) -> str:
        part = self.scene.part("ground")
        assert part is not None
        return part.word

    def surface(self, points: np.ndarray, normals: np.ndarray) -> np.ndarray:
        """sRGB albedo (n, 3) of the object at points and normals (n, 3) in its own coordinates."""
        base, second = self.paint["object"], self.scene.part("pattern")
        if second is None:
            return np.broadcast_to(base, points.shape)
        part = materials.pattern_share(second.word, self.shape, points, normals, self.scene.tilt, self.phase)
        return base + part[:, None] * (self.paint["pattern"] - base)

    def ground(self, points: np.ndarray) -> np.ndarray:
        """sRGB albedo (n, 3) of the ground at `points` (n, 2)."""
        shade, mirror = materials.ground_shade(self._ground, points, np.array(self.offset))
        colour = lit(self.paint["ground"], shade)
        return np.clip(colour + mirror[:, None] * (np.minimum(self.paint["pale"] * 0.5 + 0.5, 1) - colour), 0, 1)

    def sky(self, directions: np.ndarray) -> np.ndarray:
        """sRGB colour (n, 3) of the sky, and of the ground's far edge, in `directions` (n, 3)."""
        rise = directions[:, 2] / np.hypot(directions[:, 0], directions[:, 1])
        turn = np.arctan2(directions[:, 1], directions[:, 0]) / (2 * np.pi) % 1
        t = np.clip(1 - rise / 0.5, 0, 1)[:, None] ** 1.6
        sky, pale = self.paint["sky"], self.paint["pale"]
        colour = sky * (0.90 + 0.10 * t) + t * (pale - sky)
        if self.scene.cloudy:
            lift = self.scene.seed % 31
            puff = materials.periodic_noise(turn * 32, rise / 0.079 + lift) + 0.5 * materials.periodic_noise(
                turn * 64, rise / 0.043 + lift
            )
            fade = np.clip((rise * 140 - 8) / 25, 0, 1)
            cloud = np.array([0.70, 0.71, 0.74] if self.paint["sky"].min() > 0.8 else [0.97, 0.96, 0.95])
            colour = colour + (0.75 * np.clip(puff * 0.9 - 0.1, 0, 1) * fade)[:, None] * (cloud - colour)
        edge = map_coordinates(self.crest, [turn * 1024], order=1, mode="grid-wrap")
        cover = np.clip((edge - rise) * (140 / SOFT) + 0.5, 0, 1)[:, None]
        far = self.ground(np.array([[0.0, FAR]]) - self.offset)
        return colour + cover * (far - colour)

    def shadow(self, pose: np.ndarray) -> Shadow:
        """The soft shadow of the object standing at `pose` (4, 4)."""
        return Shadow(self, pose)


class Shadow:
    """The soft shadow of an object on the ground: a small map of which rays to the sun the object blocks, blurred."""

    CELLS = 48

    def __init__(self, stage: Stage, pose: np.ndarray) -> None:
        sun, mesh = np.array(stage.sun), stage.shape.mesh
        centre, radius = mesh.sphere
        self.foot = pose[:2, 3]
        at = centre @ pose[:3, :3].T + pose[:3, 3]
        middle = at[:2] - sun[:2] / sun[2] * at[2]
        reach = radius * 1.12 / sun[2] + 0.1
        self._low, self._step = middle - reach, 2 * reach / self.CELLS
        cell = (np.arange(self.CELLS) + 0.5) * self._step
        x, y = np.meshgrid(self._low[0] + cell, self._low[1] + cell)
        back = np.linalg.inv(pose)
        points = np.stack([x.ravel(), y.ravel(), np.full(x.size, 1e-3)], 1) @ back[:3, :3].T + back[:3, 3]
        rays = np.broadcast_to(sun @ back[:3, :3].T, points.shape)
        blocked = (mesh.first(points, rays)[0] >= 0).reshape(x.shape).astype(np.float32)
        self._map = gaussian_filter(blocked, 0.035 / self._step, mode="constant")

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Share (n,) of the sun that is blocked at ground points (n, 2)."""
        at = (points - self._low) / self._step - 0.5
        return map_coordinates(self._map, [at[:, 1], at[:, 0]], order=1, mode="constant")

    def closed(self, points: np.ndarray) -> np.ndarray:
        """Share (n,) of the sky that the object hides from ground points (n, 2), largest under the object."""
        square = ((points - self.foot) ** 2).sum(1)
        return 0.45 * np.exp(-((square / 0.2) ** 2) * 0.7)


def stage(caption: str, seed: int, name: str | None = None, azimuth: float = 0.0) -> Stage:
    """A stage of that caption. `name` is one of the meshes that the caption's shape describes, or a mesh file.

    `azimuth` (degrees) is that of the first camera, from about behind which the sun shines. Raises ValueError for a
    text that is no caption of an object, or a mesh of another shape.
    """
    return _set(object_scene(caption, seed), name, azimuth)


def sample_stage(slots: Slots, seed: int, azimuth: float = 0.0) -> Stage:
    """A stage of those slots; 15 % of cubes, cones and balls are compositions of several (tower, fir, snowman)."""
    scene = object_scene(slots.caption, seed)
    part = scene.part("object")
    assert part is not None
    composed = [name for name, word in COMPOSED.items() if word == part.word]
    name = composed[0] if composed and np.random.default_rng([seed, 31]).random() < 0.15 else None
    return _set(scene, name, azimuth)


def _set(scene: Scene, name: str | None, azimuth: float) -> Stage:
    part = scene.part("object")
    assert part is not None
    name = name or part.word
    if solid(name).word not in (part.word, ""):
        raise ValueError(f"mesh {name!r} is no {part.word} as caption {scene.caption!r} asks for")
    rng = np.random.default_rng([scene.seed, 33])
    side = rng.choice([-1, 1]) * rng.uniform(20, 65)
    turn, height = np.radians(azimuth + side), np.radians(rng.uniform(42, 62))
    level = float(np.cos(height))
    sun = (level * float(np.cos(turn)), level * float(np.sin(turn)), float(np.sin(height)))
    offset = (float(rng.uniform(-50, 50)), float(rng.uniform(-50, 50)))
    stretch = 1.0 if part.word == "ball" else float(rng.uniform(0.94, 1.07))
    begin = np.random.default_rng([scene.seed, 35]).random(2)
    return Stage(scene, name, sun, stretch, offset, (float(begin[0]), float(begin[1])))
