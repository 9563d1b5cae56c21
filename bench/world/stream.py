"""The training stream: stages seen by a rig of cameras, as small arrays. 50 to 70 pictures a second on one core.

A pure function of its arguments: workers may make any chunk of it, in any order, anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..surfaces.camera import Cameras, closeness, orbit
from ..surfaces.shared import SHADING_MAX
from .grammar import Slots
from .materials import srgb
from .scene import sample_slots
from .stage import OBJECT, TARGET, Stage, cameras, placed, sample_stage
from .trace import Take, trace

RIGS = ("single", "orbit4", "grid6", "clip")
VIEWS = {"single": 1, "orbit4": 4, "grid6": 7, "clip": 8}
"""Pictures of one scene under each rig; a clip's are its frames, as many as asked for (here: unasked)."""
GRID_AZIMUTH, GRID_ELEVATION = (30, 90, 150, 210, 270, 330), (20, -10, 20, -10, 20, -10)
"""Zero123++ v1.2: azimuth relative to the input view, absolute elevation, degrees."""


@dataclass(frozen=True)
class Shots:
    """n scenes of V views each. Pictures are uint8 sRGB (n, V, size, size, 3)."""

    captions: list[str]
    """One a scene."""
    rgb: np.ndarray
    albedo: np.ndarray
    normal: np.ndarray
    """(n + 1) / 2 of unit vectors in camera axes; 128 at the sky."""
    shading: np.ndarray
    """sRGB encoding of shading / SHADING_MAX, (n, V, size, size, 1)."""
    depth: np.ndarray
    """float16 (n, V, size, size): normalised inverse depth, 1 nearest, 0 at the sky."""
    mask: np.ndarray
    """bool (n, V, size, size): on the object."""
    camera: np.ndarray
    """float32 (n, V, 4, 4): camera to world."""


def facing(word: str, rng: np.random.Generator) -> float:
    """A random azimuth (degrees) from which that shape is told at a glance."""
    if word in ("star", "ring"):
        return float(rng.choice([0, 180]) + rng.uniform(-52, 52))
    if word == "cube":
        return float(90 * rng.integers(4) + 45 + rng.uniform(-30, 30))
    return float(rng.uniform(0, 360))


def take(rng: np.random.Generator, rig: str, size: int = 128, frames: int = 8, slots: Slots | None = None) -> Take:
    """A random stage (of `slots`, if given) under one of RIGS.

    single   one view, the object off the middle by up to an eighth of the picture
    orbit4   four views a quarter turn apart, from a random azimuth, at one elevation of 2 to 20 degrees
    grid6    an input view, then the six of Zero123++
    clip     `frames` views: the camera circles, or the object turns or slides, or camera and object both move
    """
    slots = slots or sample_slots(rng, "object")
    word, seed = slots.parts[0][2], int(rng.integers(2**31))
    azimuth = float(rng.uniform(0, 360)) if rig == "orbit4" else facing(word, rng)
    made = sample_stage(slots, seed, azimuth)
    radius = rng.uniform(1.88, 2.15)
    still = placed(stretch=made.stretch)
    if rig == "single":
        eyes = _orbit(azimuth, rng.uniform(0, 20), radius, size, rng.uniform(-0.23, 0.23), rng.uniform(-0.04, 0.06))
        return Take(made, eyes, still[None])
    if rig == "orbit4":
        eyes = _orbit(azimuth + 90 * np.arange(4), rng.uniform(2, 20), radius, size)
        return Take(made, eyes, np.tile(still, (4, 1, 1)))
    if rig == "grid6":
        turn = azimuth + np.array([0, *GRID_AZIMUTH])
        return Take(made, _orbit(turn, [rng.uniform(0, 20), *GRID_ELEVATION], radius, size), np.tile(still, (7, 1, 1)))
    if rig == "clip":
        return Take(made, *_clip(rng, made, azimuth, radius, size, frames))
    raise ValueError(f"unknown rig {rig!r}: known are {', '.join(RIGS)}")


def _orbit(
    azimuth: ArrayLike, elevation: ArrayLike, radius: ArrayLike, size: int, aside: float = 0.0, lift: float = 0.0
) -> Cameras:
    """Cameras around a target moved `aside` to the right of the first one, and up, in world units."""
    first = np.radians(np.ravel(azimuth)[0])
    target = np.array(TARGET) + np.array([-aside * np.sin(first), aside * np.cos(first), lift])
    return cameras(orbit(azimuth, elevation, radius, target), size)


def _clip(rng: np.random.Generator, made: Stage, azimuth: float, radius: float, size: int, frames: int):
    """Cameras and poses of a clip in steady motion; what looks the same from every side is not turned."""
    still = made.scene.part("pattern") is None and made.shape.chart == "turned"
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
    return eyes, np.stack([placed(a, x, y, made.stretch) for a, x, y in steps])


def byte(image: np.ndarray) -> np.ndarray:
    """uint8 of a picture in [0, 1], rounded to the nearest."""
    return (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)


def shots(seed: int, n: int, rig: str, size: int = 128, frames: int | None = None) -> Shots:
    """n random scenes under one of RIGS; see `take`. `frames` (default: `VIEWS`) is for clips only."""
    rng = np.random.default_rng([seed, 3, RIGS.index(rig) if rig in RIGS else 0])
    captions: list[str] = []
    columns: list[tuple[np.ndarray, ...]] = []
    for _ in range(n):
        scene = take(rng, rig, size, frames or VIEWS["clip"])
        seen = trace(scene.stage, scene.cameras, scene.poses)
        captions.append(scene.stage.caption)
        columns.append(
            (
                byte(srgb(seen.linear)),
                byte(srgb(seen.albedo)),
                byte((seen.normal + 1) / 2),
                byte(srgb(seen.shading / SHADING_MAX))[..., None],
                closeness(seen.depth).astype(np.float16),
                seen.object == OBJECT,
                scene.cameras.to_world.astype(np.float32),
            )
        )
    return Shots(captions, *(np.stack(part) for part in zip(*columns, strict=True)))
