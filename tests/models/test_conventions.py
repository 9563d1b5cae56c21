"""Camera conventions of every multi-view recipe, checked with a planted object that looks different from every side.

The object is a cube around the point that cameras look at: its front (+x) is red, its +y side green, its back blue, its
-y side yellow. What a camera sees of it is found by intersecting rays, independently of the world's renderer.
"""

from collections.abc import Callable
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from syncbench.bench.models.parts.cameras import orbit_numbers
from syncbench.bench.models.parts.levels import levels_of
from syncbench.bench.models.parts.mv_adapter import ray_numbers
from syncbench.bench.surfaces.camera import Cameras
from syncbench.bench.surfaces.network_rigs import PUBLISHED, NetworkRig
from syncbench.bench.world.stage import orbit_cameras
from syncbench.datasets.world_views import WorldViews

from .. import coupled_replicas as replicas

SIDES = {(0, 1): "red", (1, 1): "green", (0, -1): "blue", (1, -1): "yellow", (2, 1): "top", (2, -1): "bottom"}
HALF = 0.3


def seen(cameras: Cameras, number: int, across: float = 0.0) -> str:
    """The side of the cube that is hit by the ray `across` half widths of the cube right of the optical axis."""
    middle = cameras.intrinsics[number, :2, 2]
    focal = cameras.intrinsics[number, 0, 0]
    at = middle + np.array([across * HALF / 2.0 * focal, 0.0])
    origin, ray = cameras.rays(number, at[None])
    place, way = origin - np.array([0, 0, 0.5]), ray[0]
    with np.errstate(divide="ignore"):
        near, far = (-HALF - place) / way, (HALF - place) / way
    enter = np.minimum(near, far)
    axis = int(enter.argmax())
    assert enter[axis] < np.maximum(near, far).min(), "the ray hits the cube"
    return SIDES[axis, -1 if way[axis] > 0 else 1]


def rig_cameras(rig: NetworkRig) -> Cameras:
    return orbit_cameras(np.array(rig.azimuth), np.array(rig.elevation), 2.0)


WANTED = {
    "mvdream": ["red", "green", "blue", "yellow"],
    "imagedream": ["red", "green", "blue", "yellow"],
    "mvadapter": ["red", None, "green", "blue", "yellow", None],
    "zero123plus-v1.1": ["red", "green", "blue", "blue", "yellow", "red"],
    "zero123plus-v1.2": ["red", "green", "blue", "blue", "yellow", "red"],
}
"""The side in the middle of every view; None where an edge is."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_rig_goes_around_the_object_from_its_front_counter_clockwise(name: str) -> None:
    cameras = rig_cameras(PUBLISHED[name])
    for number, side in enumerate(WANTED[name]):
        if side is not None:
            assert seen(cameras, number) == side, (name, number)


def test_the_next_side_is_on_the_right() -> None:
    """Handedness: at azimuth 40 the front is on the left of the picture and the +y side on its right."""
    cameras = orbit_cameras(np.array([40.0]), 0.0, 2.0)
    assert seen(cameras, 0, -0.9) == "red"
    assert seen(cameras, 0, 0.9) == "green"
    mirrored = Cameras(cameras.extrinsics * np.array([1, -1, 1, 1])[None, None], cameras.intrinsics, 128, 128)
    assert seen(mirrored, 0, 0.9) == "yellow", "the object betrays a mirrored world"


def mvdream_side(numbers: np.ndarray) -> str:
    """The side that MVDream's camera sees, by its own convention: the front is at its azimuth 90.

    Its 16 numbers are camera-to-world by rows, camera axes of OpenGL, world axes of Blender.
    """
    pose = numbers.reshape(4, 4)
    back = pose[:3, 2]
    assert np.allclose(back, pose[:3, 3], atol=1e-5), "it looks at the origin, from distance 1"
    azimuth = np.degrees(np.arctan2(pose[1, 3], pose[0, 3])) % 360
    return ["red", "green", "blue", "yellow"][round(azimuth / 90) % 4]


def mvadapter_side(numbers: np.ndarray) -> str:
    """The side that MV-Adapter's camera sees: its front is at -y, its azimuth counts from there."""
    assert np.allclose(numbers[:3], -numbers[3:], atol=1e-5), "it looks at the centre"
    azimuth = np.degrees(np.arctan2(numbers[4], numbers[3])) + 90
    return ["red", "green", "blue", "yellow"][round(azimuth / 90) % 4]


READ: dict[str, tuple[Callable[[Any], Any], Callable[[np.ndarray], str]]] = {
    "mvdream": (orbit_numbers, mvdream_side),
    "imagedream": (orbit_numbers, mvdream_side),
    "mvadapter": (ray_numbers, mvadapter_side),
}
"""What a network reads of cameras, and the side that it takes them to see."""


@pytest.mark.parametrize("name", READ)
def test_networks_take_a_camera_to_see_the_side_that_it_sees(name: str) -> None:
    numbers, side_of = READ[name]
    cameras = rig_cameras(PUBLISHED[name])
    read = numbers(torch.from_numpy(cameras.to_world).float().reshape(-1, 16)).numpy()
    for number, side in enumerate(WANTED[name]):
        if side is not None:
            assert side_of(read[number]) == seen(cameras, number) == side


def test_a_camera_that_turns_the_other_way_is_caught() -> None:
    """The test above fails for a rig that goes clockwise."""
    clockwise = orbit_cameras(-90.0 * np.arange(4), 15.0, 2.0)
    assert [seen(clockwise, n) for n in range(4)] != WANTED["mvdream"]
    read = orbit_numbers(torch.from_numpy(clockwise.to_world).float().reshape(-1, 16)).numpy()
    assert [mvdream_side(one) for one in read] != WANTED["mvdream"]


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_worlds_views_are_those_of_the_rig(name: str) -> None:
    """Turned by the object's own azimuth, which an item draws; a picture is given where the network reads one."""
    item = WorldViews(rig=name).items()[0]  # type: ignore[arg-type]
    rig = PUBLISHED[name]
    pose = item.conditions["camera"].reshape(-1, 4, 4).double().numpy()
    offset = pose[:, :3, 3] - np.array([0, 0, 0.5])
    azimuth = np.degrees(np.arctan2(offset[:, 1], offset[:, 0]))
    elevation = np.degrees(np.arcsin(offset[:, 2] / np.linalg.norm(offset, axis=1)))
    first = azimuth[0] - rig.azimuth[0]
    np.testing.assert_allclose((azimuth - first - np.array(rig.azimuth) + 180) % 360 - 180, 0, atol=1e-3)
    np.testing.assert_allclose(elevation, rig.elevation, atol=1e-3)
    assert ("image" in item.conditions) == (rig.given is not None)
    assert len(item.surface.canvas().index) == len(rig.azimuth)


def test_zero123plus_ancestral_steps_are_those_of_the_protocol_with_eta_1() -> None:
    """Euler's ancestral step of sample / a equals DDIM's with eta = 1, but for the last, which ends without noise."""
    config = {key: value for key, value in replicas.ANCESTRAL.items() if key not in ("skip_prk_steps", "clip_sample")}
    scheduler = diffusers.EulerAncestralDiscreteScheduler.from_config({**config, "timestep_spacing": "trailing"})
    scheduler.set_timesteps(8)
    levels = list(levels_of(replicas.ANCESTRAL, {"timestep_spacing": "trailing"}).schedule(8))
    assert [round(float(t)) for t in scheduler.timesteps] == [level.t for level in levels]
    random = torch.Generator().manual_seed(0)

    def drawn() -> torch.Tensor:
        return torch.randn(1, 4, 8, 8, generator=random, dtype=torch.float64)

    x = drawn()
    for level, t in zip(levels[:-1], scheduler.timesteps, strict=False):
        v = drawn()
        state = random.get_state()
        theirs = scheduler.step(v, t, x / level.a, generator=random, return_dict=False)[0]
        random.set_state(state)
        x0, eps = level.split(x, v, "v")
        ours = level.move(x0, eps, 1.0, drawn)
        torch.testing.assert_close(ours, theirs * level.a_next, atol=1e-3, rtol=1e-3)
        x = ours
