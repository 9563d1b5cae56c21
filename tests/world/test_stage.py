"""Views of a stage are exact: light is albedo times shading, geometry is the mesh's, views agree with each other."""

import dataclasses

import numpy as np
import pytest
import torch
import trimesh
from scipy.ndimage import maximum_filter, minimum_filter
from syncbench.bench.surfaces.shared import SHADING_MAX
from syncbench.bench.surfaces.warp import project, sample
from syncbench.bench.world import grammar, stream
from syncbench.bench.world.materials import to_linear, to_srgb
from syncbench.bench.world.scene import _RANGES
from syncbench.bench.world.solids import SOLIDS, solid
from syncbench.bench.world.stage import GROUND, OBJECT, SKY, Stage, object_pose, orbit_cameras, stage
from syncbench.bench.world.trace import Buffers, Take, buffers, trace
from syncbench.bench.world.truth import truth

from ..warping import backward_warp, visible

PATTERNED = "a red {} with white checks on a blue meadow under a cloudy yellow sky"


def seen(name: str, azimuth: object = (20.0,), size: int = 128) -> tuple[Stage, Buffers]:
    made = stage(PATTERNED.format(solid(name).word), 5, name)
    return made, trace(made, orbit_cameras(azimuth, 12, 2.0, size))


@pytest.mark.parametrize("name", SOLIDS)
def test_solids_stand_on_the_ground_and_face_outwards(name: str) -> None:
    mesh = solid(name).mesh
    whole = trimesh.Trimesh(mesh.vertices, mesh.faces)
    assert whole.is_watertight
    assert whole.volume > 0.04
    assert mesh.vertices[:, 2].min() == pytest.approx(0, abs=1e-9)
    assert 0.65 < mesh.vertices[:, 2].max() < 1.05
    assert np.abs(mesh.vertices[:, :2]).max() < 0.56
    for spots in solid(name).spots:
        gaps = np.linalg.norm(spots[:, None] - spots[None], axis=-1)[~np.eye(len(spots), dtype=bool)]
        assert gaps.min() > 0.2, "dots do not touch"


@pytest.mark.parametrize("name", SOLIDS)
def test_light_is_albedo_times_shading(name: str) -> None:
    """At every pixel, edges included: the albedo of a mixed pixel is weighted by light."""
    _, view = seen(name)
    np.testing.assert_allclose(view.albedo * view.shading[..., None], view.linear, rtol=1e-12, atol=1e-12)
    assert view.albedo.min() >= 0
    assert view.albedo.max() <= 1 + 1e-9
    assert view.shading.min() > 0.2
    assert view.shading.max() <= SHADING_MAX


def test_edges_are_smooth_in_light_and_sharp_in_geometry() -> None:
    _, view = seen("ball")
    mask = view.object[0] == OBJECT
    fine = trace(stage(PATTERNED.format("ball"), 5), orbit_cameras([20.0], 12, 2.0, 128 * 4))
    average = fine.linear[0].reshape(128, 4, 128, 4, 3).mean((1, 3))
    outline = maximum_filter(mask, 3) & ~minimum_filter(mask, 3)
    error = np.abs(view.linear[0] - average)[outline].mean()
    assert error < 0.02, "as if every pixel were the mean of many"
    assert error < 0.5 * np.abs(fine.linear[0, 2::4, 2::4] - average)[outline].mean(), "much nearer than one ray"
    assert set(np.unique(view.object)) == {SKY, GROUND, OBJECT}


@pytest.mark.parametrize("name", ["cube", "star", "tower"])
def test_ids_are_those_of_direct_hits(name: str) -> None:
    """Against three equations a triangle, solved for the mesh moved into the world, without Embree."""
    made, cameras = stage(PATTERNED.format(solid(name).word), 5, name), orbit_cameras([75.0], 14)
    pose = object_pose(yaw=33.0, x=0.1, y=-0.05, stretch=made.stretch)
    view = trace(made, cameras, pose[None])
    corners = made.shape.mesh.triangles @ pose[:3, :3].T + pose[:3, 3]
    rng = np.random.default_rng(0)
    at = rng.integers(0, 128, (400, 2))
    origin, directions = cameras.rays(0, at[:, ::-1] + 0.5)
    face, nearest = np.full(400, -1), np.full(400, np.inf)
    for number, (a, b, c) in enumerate(corners):
        sides = np.broadcast_to(np.stack([b - a, c - a], 1), (400, 3, 2))
        t, u, v = np.linalg.solve(np.concatenate([-directions[..., None], sides], 2), origin - a).T
        hit = (u >= 0) & (v >= 0) & (u + v <= 1) & (t > 0) & (t < nearest)
        face[hit], nearest[hit] = number, t[hit]
    reach = np.hypot(*directions[:, :2].T) * origin[2] / -directions[:, 2]
    floor = (face < 0) & (reach > 0) & (reach < 100)
    expected = np.where(face >= 0, OBJECT, np.where(floor, GROUND, SKY))
    found = view.object[0][at[:, 0], at[:, 1]]
    assert (found == expected).all()
    same = (face == view.face[0][at[:, 0], at[:, 1]])[face >= 0]
    assert (face >= 0).sum() > 30
    assert same.mean() > 0.98, "but for rays along an edge"


@pytest.mark.parametrize("name", SOLIDS)
def test_normals_agree_with_depth(name: str) -> None:
    """Cross products of neighbouring points: exact on planes, within the bend of a pixel on round shapes."""
    _, view = seen(name, size=256)
    points, normal, which, face = view.position[0], view.normal[0], view.object[0], view.face[0]
    right, down = points[1:-1, 2:] - points[1:-1, :-2], points[2:, 1:-1] - points[:-2, 1:-1]
    cross = np.cross(down, right)
    turn = orbit_cameras([20.0], 12).extrinsics[0, :3, :3]
    cross = cross @ turn.T / np.linalg.norm(cross, axis=-1, keepdims=True).clip(1e-12)
    angle = np.degrees(np.arccos((cross * normal[1:-1, 1:-1]).sum(-1).clip(-1, 1)))
    ground = minimum_filter(which == GROUND, 3)[1:-1, 1:-1]
    assert angle[ground].max() < 0.1
    inside = minimum_filter(which == OBJECT, 5)[1:-1, 1:-1]
    if solid(name).chart == "box":
        inside &= (maximum_filter(face, 3) == minimum_filter(face, 3))[1:-1, 1:-1]
        assert angle[inside].max() < 0.1
    assert np.median(angle[inside]) < 1.5
    assert np.quantile(angle[inside], 0.95) < 6
    rays = orbit_cameras([20.0], 12, size=256).rays(0)[1] @ turn.T
    rays = rays / np.linalg.norm(rays, axis=-1, keepdims=True)
    assert (normal * rays).sum(-1)[which == OBJECT].max() < 0.06, "visible surfaces face the camera"
    np.testing.assert_allclose(np.linalg.norm(normal[which != SKY], axis=1), 1, atol=1e-9)
    assert not normal[which == SKY].any()


def plain(view: torch.Tensor) -> torch.Tensor:
    """Where all of the 5 x 5 neighbours show the same object: away from outlines."""
    pool = torch.nn.functional.max_pool2d
    number = view.float()
    return pool(number, 5, 1, 2) == -pool(-number, 5, 1, 2)


def bound(image: torch.Tensor) -> torch.Tensor:
    """The resampling bound: how far the 3 x 3 neighbours of a pixel differ."""
    pool = torch.nn.functional.max_pool2d
    return pool(image, 3, 1, 1) + pool(-image, 3, 1, 1)


@pytest.mark.parametrize("name", SOLIDS)
def test_reprojection_reproduces_albedo(name: str) -> None:
    """Through depth and camera, albedo comes back: within what a pixel's neighbours differ by, where both see it."""
    made = stage(PATTERNED.format(solid(name).word), 5, name)
    take = Take(made, orbit_cameras([20.0, 32.0], [12, 9]), np.tile(object_pose(stretch=made.stretch), (2, 1, 1)))
    t = truth(take)
    pixels, depth = project(t["position"][0], t["extrinsics"][1:], t["intrinsics"][1:])
    there = sample(t["albedo"][1:], pixels)
    error = (there - t["albedo"][:1]).abs()
    allowed = sample(bound(t["albedo"][1:]), pixels) + 0.005
    good = (visible(pixels, depth, t["depth"][1:]) > 0) & plain(t["object"][:1])
    good &= (sample(plain(t["object"][1:]).float(), pixels) > 0.999) & (t["surface"][:1] > 0)
    thing = good & (t["mask"][:1] > 0)
    assert int(thing.sum()) > (300 if name in ("star", "ring", "fir") else 900)
    for part in (good, thing):
        inside = (error <= allowed).all(1, keepdim=True)[part].float().mean()
        assert inside > 0.995
        assert float(error.mean(1, keepdim=True)[part].mean()) < 0.02
    away = (t["albedo"][1:] - t["albedo"][:1]).abs().mean(1, keepdim=True)
    assert float(away[thing].mean()) > 3 * float(error.mean(1, keepdim=True)[thing].mean()), "the views do differ"


@pytest.mark.parametrize("name", ["ball", "cube", "ring"])
def test_flow_reproduces_albedo(name: str) -> None:
    """A turning, sliding object before a moving camera; forward and backward, object, ground and sky."""
    made = stage(PATTERNED.format(solid(name).word), 5, name)
    poses = np.stack([object_pose(yaw, 0.05 * k, 0.1 * k, made.stretch) for k, yaw in enumerate((0.0, 11.0))])
    t = truth(Take(made, orbit_cameras([20.0, 24.0], [12, 13]), poses), moving=True)
    for flow, seen_, start, end in (("flow", "visible", 0, 1), ("backward", "visible_backward", 1, 0)):
        here, there = t["albedo"][start : start + 1], t["albedo"][end : end + 1]
        error = (backward_warp(there, t[flow]) - here).abs()
        allowed = backward_warp(bound(there), t[flow]) + 0.005
        good = (t[seen_] > 0) & plain(t["object"][start : start + 1])
        good &= backward_warp(plain(t["object"][end : end + 1]).float(), t[flow]) > 0.999
        thing = good & (t["mask"][start : start + 1] > 0)
        assert int(thing.sum()) > 500
        for part in (good, thing):
            assert (error <= allowed).all(1, keepdim=True)[part].float().mean() > 0.995
            assert float(error.mean(1, keepdim=True)[part].mean()) < 0.02
        hidden = (t[seen_] == 0).float().mean()
        assert 0.005 < hidden < 0.3, "some points are covered or leave the picture"


@pytest.mark.parametrize("colour", grammar.COLOURS)
def test_an_object_has_its_colour(colour: str) -> None:
    """The object's own sRGB is nearest to the middle of the named colour's range."""
    import colorsys

    other = "white" if colour != "white" else "grey"
    made = stage(f"a {colour} ball on a {other} meadow under a {other} sky".replace("a orange", "an orange"), 1)
    found = np.median(
        to_srgb(buffers(Take(made, orbit_cameras([0.0], 10), object_pose()[None])).albedo[0])[50:90, 50:78], (0, 1)
    )
    middle = {
        name: colorsys.hsv_to_rgb(np.mean(h) / 360 % 1, np.mean(s), np.mean(v)) for name, (h, s, v) in _RANGES.items()
    }
    assert min(middle, key=lambda name: np.abs(np.array(middle[name]) - found).sum()) == colour


@pytest.mark.parametrize("pattern", grammar.PATTERNS)
@pytest.mark.parametrize("name", SOLIDS)
def test_a_pattern_shows_from_every_side(name: str, pattern: str) -> None:
    made = stage(f"a red {solid(name).word} with white {pattern} on a blue meadow under a green sky", 2, name)
    view = trace(made, orbit_cameras([10.0, 130.0, 250.0], 10))
    for k in range(3):
        albedo = to_srgb(view.albedo[k])[view.object[k] == OBJECT]
        white = (albedo.min(1) > 0.7).mean()
        assert 0.1 < white < 0.75, f"{white:.2f} of view {k} is white"


def test_srgb_and_linear_are_inverse() -> None:
    ramp = np.linspace(0, 1, 1001)
    np.testing.assert_allclose(to_srgb(to_linear(ramp)), ramp, atol=1e-6)
    assert to_linear(np.array(0.5)) == pytest.approx(0.21404, abs=1e-5)


def test_a_mesh_of_another_word_is_refused() -> None:
    with pytest.raises(ValueError, match="'tower' is no ball"):
        stage(PATTERNED.format("ball"), 0, "tower")
    with pytest.raises(ValueError, match="expected 'object'"):
        stage("a landscape of green sea and red hills under a blue sky", 0)


@pytest.mark.parametrize("rig", stream.RIGS)
def test_shots_are_a_function_of_their_arguments(rig: str) -> None:
    first, again, other = stream.shots(3, 2, rig), stream.shots(3, 2, rig), stream.shots(4, 2, rig)
    views = {"single": 1, "orbit4": 4, "grid6": 7, "clip": 8}[rig]
    shapes = {"rgb": (3,), "albedo": (3,), "normal": (3,), "shading": (1,), "depth": (), "mask": ()}
    for field in dataclasses.fields(first):
        a, b = getattr(first, field.name), getattr(again, field.name)
        if field.name == "captions":
            assert a == b != other.captions
            continue
        assert a.tobytes() == b.tobytes()
        assert a.shape == ((2, views, 4, 4) if field.name == "camera" else (2, views, 128, 128, *shapes[field.name]))
    kinds = {"depth": np.float16, "mask": bool, "camera": np.float32}
    assert all(getattr(first, name).dtype == kinds.get(name, np.uint8) for name in (*shapes, "camera"))
    assert first.rgb.tobytes() != other.rgb.tobytes()
    assert all(grammar.parse(caption).caption == caption for caption in first.captions)


def test_shots_say_the_same_in_every_picture() -> None:
    """Bytes of the light against bytes of albedo and shading, depth against mask and camera."""
    shot = stream.shots(11, 4, "orbit4")
    light = to_linear(shot.albedo / 255) * to_linear(shot.shading / 255) * SHADING_MAX
    assert np.abs(to_srgb(light) * 255 - shot.rgb).max() < 4
    assert shot.mask.any((2, 3)).all()
    heights = shot.mask.any(3).sum(2)
    assert (heights > 45).all()
    assert (heights < 100).all()
    assert ((shot.depth > 0).mean((2, 3)) < 0.96).all(), "every view shows some of the sky its caption names"
    assert ((shot.depth == 0) <= (shot.normal == 128).all(-1)).all(), "no depth, no normal"
    assert shot.depth.max() == 1
    centres = shot.camera[..., :3, 3]
    middle = centres.mean(1)
    np.testing.assert_allclose(middle[:, :2], 0, atol=1e-5)
    steps = np.einsum("nvi,nvi->nv", centres[..., :2], np.roll(centres, 1, 1)[..., :2])
    np.testing.assert_allclose(steps, 0, atol=1e-5)


def test_the_grid_is_that_of_zero123plus() -> None:
    shot = stream.shots(2, 3, "grid6")
    offset = shot.camera[..., :3, 3] - np.array([0, 0, 0.5])
    azimuth = np.degrees(np.arctan2(offset[..., 1], offset[..., 0]))
    elevation = np.degrees(np.arcsin(offset[..., 2] / np.linalg.norm(offset, axis=-1)))
    turn = (azimuth[:, 1:] - azimuth[:, :1]) % 360
    np.testing.assert_allclose(turn, [[30, 90, 150, 210, 270, 330]] * 3, atol=1e-3)
    np.testing.assert_allclose(elevation[:, 1:], [[20, -10, 20, -10, 20, -10]] * 3, atol=1e-3)
    assert (shot.camera[..., 2, 3] > 0.05).all(), "no camera is under the ground"


def test_something_moves_in_every_clip() -> None:
    shot = stream.shots(9, 8, "clip", 64, frames=3)
    assert shot.rgb.shape == (8, 3, 64, 64, 3)
    change = np.abs(shot.rgb[:, 1:].astype(int) - shot.rgb[:, :-1]).mean((1, 2, 3, 4))
    assert (change > 0.3).all()


def test_an_unknown_rig_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown rig 'orbit5'"):
        stream.shots(0, 1, "orbit5")
