"""The training stream: random stages seen by a rig of cameras, as small arrays; 50 to 70 pictures a second on one core.

The stream is a pure function of its arguments, so workers may make any part of it, in any order, on any machine.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..surfaces.camera import Cameras, closeness, orbit
from ..surfaces.network_rigs import PUBLISHED
from ..surfaces.shared import SHADING_MAX
from .grammar import Slots
from .materials import to_srgb
from .scene import sample_slots
from .stage import OBJECT, TARGET, Stage, object_pose, sample_stage, world_cameras
from .trace import Take, trace

RIGS = ("single", "orbit4", "grid6", "clip")
VIEWS = {"single": 1, "orbit4": 4, "grid6": 7, "clip": 8}
"""Number of pictures of one scene under each rig; for a clip, the default number of frames."""
GRID = PUBLISHED["zero123plus-v1.2"]
"""Poses of the views that the bundled grid makes."""


@dataclass(frozen=True)
class Shots:
    """Pictures of n scenes of V views each. Images are uint8 (n, V, size, size, 3), sRGB unless they are normals."""

    captions: list[str]
    """Caption of each scene."""
    rgb: np.ndarray
    albedo: np.ndarray
    normal: np.ndarray
    """Unit vectors u in camera axes, stored as (u + 1) / 2; 128 at the sky."""
    shading: np.ndarray
    """sRGB encoding of shading / SHADING_MAX, uint8 (n, V, size, size, 1)."""
    depth: np.ndarray
    """Normalised inverse depth, float16 (n, V, size, size): 1 at the nearest surface, 0 at the sky."""
    mask: np.ndarray
    """Whether a pixel shows the object, bool (n, V, size, size)."""
    camera: np.ndarray
    """Camera to world, float32 (n, V, 4, 4)."""


def random_azimuth(word: str, rng: np.random.Generator) -> float:
    """A random azimuth, in degrees, from which the shape `word` is easily recognised."""
    if word in ("star", "ring"):
        return float(rng.choice([0, 180]) + rng.uniform(-52, 52))
    if word == "cube":
        return float(90 * rng.integers(4) + 45 + rng.uniform(-30, 30))
    return float(rng.uniform(0, 360))


def random_take(
    rng: np.random.Generator, rig: str, size: int = 128, frames: int = 8, slots: Slots | None = None
) -> Take:
    """A random stage (of `slots`, if given) under one of RIGS. Raises ValueError for any other rig.

    single   one view, the object off the middle by up to an eighth of the picture
    orbit4   four views a quarter turn apart, from a random azimuth, at one elevation of 2 to 20 degrees
    grid6    an input view, then the six of Zero123++
    clip     `frames` views: the camera circles, or the object turns or slides, or camera and object both move
    """
    slots = slots or sample_slots(rng, "object")
    word, seed = slots.parts[0][2], int(rng.integers(2**31))
    azimuth = float(rng.uniform(0, 360)) if rig == "orbit4" else random_azimuth(word, rng)
    stage = sample_stage(slots, seed, azimuth)
    radius = rng.uniform(1.88, 2.15)
    still = object_pose(stretch=stage.stretch)
    if rig == "single":
        eyes = _orbit(azimuth, rng.uniform(0, 20), radius, size, rng.uniform(-0.23, 0.23), rng.uniform(-0.04, 0.06))
        return Take(stage, eyes, still[None])
    if rig == "orbit4":
        eyes = _orbit(azimuth + 90 * np.arange(4), rng.uniform(2, 20), radius, size)
        return Take(stage, eyes, np.tile(still, (4, 1, 1)))
    if rig == "grid6":
        turn = azimuth + np.array([0, *GRID.azimuth])
        eyes = _orbit(turn, [rng.uniform(0, 20), *GRID.elevation], radius, size)
        return Take(stage, eyes, np.tile(still, (7, 1, 1)))
    if rig == "clip":
        return Take(stage, *_clip(rng, stage, azimuth, radius, size, frames))
    raise ValueError(f"unknown rig {rig!r}: known are {', '.join(RIGS)}")


def _orbit(
    azimuth: ArrayLike, elevation: ArrayLike, radius: ArrayLike, size: int, aside: float = 0.0, lift: float = 0.0
) -> Cameras:
    """Cameras around a target that is moved `aside` to the right, as the first camera sees it, and up by `lift`."""
    first = np.radians(np.ravel(azimuth)[0])
    target = np.array(TARGET) + np.array([-aside * np.sin(first), aside * np.cos(first), lift])
    return world_cameras(orbit(azimuth, elevation, radius, target), size)


def _clip(rng: np.random.Generator, stage: Stage, azimuth: float, radius: float, size: int, frames: int):
    """Cameras and poses (frames, 4, 4) of a clip in steady motion; an object that is alike all around is not turned."""
    still = stage.scene.part("pattern") is None and stage.shape.chart == "turned"
    time = np.linspace(-0.5, 0.5, frames)
    kind = rng.choice(["camera", "slide"] if still else ["camera", "turn", "slide", "both"])
    sign = rng.choice([-1, 1])
    circling = kind in ("camera", "both")
    sweep = sign * rng.uniform(15, 50) * time * circling
    climb = rng.uniform(4, 16) + rng.uniform(-6, 6) * time * circling
    near = radius + rng.uniform(-0.2, 0.2) * time * circling
    eyes = _orbit(azimuth + sweep, climb, near, size)
    yaw = rng.choice([-1, 1]) * rng.uniform(30, 100) * time * (kind in ("turn", "both"))
    path = rng.uniform(0.35, 0.75) * time * (kind == "slide")
    heading = np.radians(azimuth + 90 + rng.uniform(-25, 25)) + np.pi * (rng.random() < 0.5)
    steps = zip(yaw, path * np.cos(heading), path * np.sin(heading), strict=True)
    return eyes, np.stack([object_pose(a, x, y, stage.stretch) for a, x, y in steps])


def to_uint8(image: np.ndarray) -> np.ndarray:
    """A picture in [0, 1], which is clipped, as uint8, rounded to the nearest level."""
    return (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)


def shots(seed: int, n: int, rig: str, size: int = 128, frames: int | None = None) -> Shots:
    """Pictures of n random scenes under one of RIGS (see `random_take`). `frames` is for clips (default: VIEWS)."""
    rng = np.random.default_rng([seed, 3, RIGS.index(rig) if rig in RIGS else 0])
    captions: list[str] = []
    columns: list[tuple[np.ndarray, ...]] = []
    for _ in range(n):
        scene = random_take(rng, rig, size, frames or VIEWS["clip"])
        seen = trace(scene.stage, scene.cameras, scene.poses)
        captions.append(scene.stage.caption)
        columns.append(
            (
                to_uint8(to_srgb(seen.linear)),
                to_uint8(to_srgb(seen.albedo)),
                to_uint8((seen.normal + 1) / 2),
                to_uint8(to_srgb(seen.shading / SHADING_MAX))[..., None],
                closeness(seen.depth).astype(np.float16),
                seen.object == OBJECT,
                scene.cameras.to_world.astype(np.float32),
            )
        )
    return Shots(captions, *(np.stack(part) for part in zip(*columns, strict=True)))
