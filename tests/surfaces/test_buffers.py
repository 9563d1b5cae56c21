"""What views show of a mesh, and the cameras of published methods: against closed forms and differences."""

import numpy as np
import pytest
import torch
import trimesh
from syncbench.bench.canvas import Canvas
from syncbench.bench.surfaces.atlas import Atlas
from syncbench.bench.surfaces.buffers import cast, jacobian, surface_buffers
from syncbench.bench.surfaces.camera import Cameras, look_at, orbit, orthographic, pinhole
from syncbench.bench.surfaces.charts import Unwrapped
from syncbench.bench.surfaces.mesh import Mesh
from syncbench.bench.surfaces.rigs import RIGS, RigName, published_cameras
from syncbench.bench.surfaces.warp import project


def own(shape: trimesh.Trimesh) -> Mesh:
    return Mesh(np.array(shape.vertices, float), np.array(shape.faces), trusted=True)


def views(kind: str, size: int = 40, count: int = 3) -> Cameras:
    poses = orbit(np.arange(count) * 50 + 10, 25, 2.0, (0, 0, 0))
    centre = (size / 2, size / 2)
    lens = pinhole(count, 1.3 * size, centre) if kind == "perspective" else orthographic(count, 0.6 * size, centre)
    return Cameras(poses, lens, size, size)


def square(texels: int) -> tuple[Mesh, Unwrapped]:
    """A square face in the plane x = 0, one unit wide, with `texels` texels a side."""
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    uv = np.array([[0, texels], [texels, texels], [texels, 0], [0, 0]], float)
    mesh = Mesh(np.array([[0, -0.5, -0.5], [0, 0.5, -0.5], [0, 0.5, 0.5], [0, -0.5, 0.5]]), faces)
    return mesh, Unwrapped(uv[faces], texels, texels)


@pytest.mark.parametrize("tilt", [0.0, 60.0])
@pytest.mark.parametrize("kind", ["perspective", "orthographic"])
def test_the_jacobian_of_a_known_square(kind: str, tilt: float) -> None:
    """Seen straight on, texels a pixel are texels a unit over pixels a unit; at 60 degrees twice as many in one way."""
    lens = pinhole(1, 40.0, (15.5, 15.5)) if kind == "perspective" else orthographic(1, 20.0, (15.5, 15.5))
    mesh, charts = square(64)
    seen = surface_buffers(mesh, Cameras(orbit(tilt, 0, 2.0, (0, 0, 0)), lens, 31, 31), charts)
    there = seen.jacobian[0, :, :, 15, 15]
    torch.testing.assert_close(there.abs(), torch.tensor([[3.2 / np.cos(np.radians(tilt)), 0], [0, 3.2]]).float())
    assert float(seen.footprint[0, 15, 15]) == pytest.approx(3.2**2 / np.cos(np.radians(tilt)), rel=1e-5)
    assert float(seen.depth[0, 15, 15]) == pytest.approx(2)
    assert float(seen.cosine[0, 15, 15]) == pytest.approx(np.cos(np.radians(tilt)))
    torch.testing.assert_close(seen.at[0, :, 15, 15], torch.tensor([32.0, 32.0]))


@pytest.mark.parametrize("kind", ["perspective", "orthographic"])
def test_the_jacobian_is_the_difference_of_texture_coordinates(kind: str) -> None:
    mesh, cameras = own(trimesh.creation.box((0.8, 0.7, 0.6))), views(kind)
    atlas = Atlas.of(mesh, cameras)
    charts, step = atlas.unwrapped(), 1e-4
    corners, slopes = charts.corners, charts.slopes(mesh)
    for number in range(len(cameras)):
        here = cast(mesh, cameras, number)
        found = jacobian(here, slopes)
        for axis, shift in enumerate([(step, 0.0), (0.0, step)]):
            there = cast(mesh, cameras, number, shift)
            both, a, b = np.intersect1d(here.hit, there.hit, return_indices=True)
            same = here.face[a] == there.face[b]
            assert same.sum() > 0.95 * len(both) > 100
            at = [np.einsum("ni,nij->nj", s.weights, corners[s.face]) for s in (here, there)]
            slope = (at[1][b] - at[0][a])[same] / step
            np.testing.assert_allclose(found[a][same, :, axis], slope, atol=1e-2, rtol=1e-3)


@pytest.mark.parametrize("kind", ["perspective", "orthographic"])
def test_points_of_the_buffers_project_to_their_pixels(kind: str) -> None:
    mesh, cameras = own(trimesh.creation.icosphere(subdivisions=3, radius=0.5)), views(kind)
    atlas = Atlas.of(mesh, cameras)
    seen = atlas.buffers()
    assert seen is atlas.buffers(), "kept"
    index, texels = atlas.canvas().index, atlas.unwrapped().height * atlas.unwrapped().width
    torch.testing.assert_close(torch.where(index < texels, index, -1), seen.texel)
    for number in range(len(cameras)):
        here, there = cast(mesh, cameras, number), seen.visible[number]
        assert torch.equal(there.flatten().nonzero()[:, 0], torch.from_numpy(here.hit))
        assert seen.texel[number][there].tolist() == atlas.unwrapped().texels(here.face, here.weights).tolist()
        pixels, depth = project(
            seen.position[number].double(),
            torch.from_numpy(cameras.extrinsics[number : number + 1]),
            torch.from_numpy(cameras.intrinsics[number : number + 1]),
        )
        torch.testing.assert_close(pixels[0][there], torch.from_numpy(cameras.pixels)[there], atol=2e-4, rtol=0)
        torch.testing.assert_close(depth[0, 0][there].float(), seen.depth[number][there])
        torch.testing.assert_close(seen.normal[number].norm(dim=0)[there], torch.ones(int(there.sum())))
        assert (seen.normal[number, 2][there] < 0.35).all(), "normals face the camera"
        vertices = torch.from_numpy(mesh.triangles)[seen.face[number][there]].float()
        weights = seen.weights[number][:, there].T
        torch.testing.assert_close(
            torch.einsum("ni,nij->nj", weights, vertices), seen.position[number][:, there].T, atol=1e-5, rtol=0
        )
    assert seen.seen_texels(texels).sum(1).tolist() == [len(v[v >= 0].unique()) for v in seen.texel]


def test_orthographic_sizes_do_not_depend_on_depth() -> None:
    cameras = Cameras(look_at(np.array([[3.0, 0, 0]]), np.zeros((1, 3))), orthographic(1, 10.0, (16, 16)), 32, 32)
    pixels, depth = cameras.project(0, np.array([[0, 0.5, 0.5], [2, 0.5, 0.5], [-9, 0.5, 0.5]]))
    np.testing.assert_allclose(pixels, [[21, 11]] * 3)
    np.testing.assert_allclose(depth, [3, 1, 12])
    origin, direction = cameras.rays(0)
    np.testing.assert_allclose(cameras.project(0, origin + 2.5 * direction)[0], cameras.pixels, atol=1e-12)
    coarse = cameras.coarser(4)
    assert coarse.orthographic
    np.testing.assert_allclose(coarse.project(0, np.array([0, 0.5, 0.5]))[0], [21 / 4, 11 / 4])


@pytest.mark.parametrize("name", sorted(RIGS))
def test_published_cameras_see_the_whole_mesh_from_their_angles(name: RigName) -> None:
    vertices = np.array(trimesh.creation.box((0.4, 1.1, 0.9)).vertices) + np.array([0, 0, 0.45])
    shown, held = published_cameras(name, 4, vertices, 64)
    rig, middle = RIGS[name], np.array([0, 0, 0.45])
    assert len(shown) == len(rig.azimuth) == len(rig.elevation)
    assert len(held) == 4
    for cameras in (shown, held):
        for number in range(len(cameras)):
            pixels, depth = cameras.project(number, vertices)
            assert (depth > 0).all()
            assert pixels.min() >= 0
            assert pixels.max() <= 64
    away = shown.centres - middle
    a, e = np.radians(rig.azimuth), np.radians(rig.elevation)
    towards = np.stack([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)], 1)
    np.testing.assert_allclose(away / np.linalg.norm(away, axis=1, keepdims=True), towards, atol=1e-9)
    _, many = published_cameras(name, 16, vertices, 64)
    apart = many.centres - middle
    apart = apart / np.linalg.norm(apart, axis=1, keepdims=True)
    assert np.degrees(np.arccos((apart @ towards.T).max())) > 4, "no camera is held out from where a view is shown"
    assert {"texture": 10, "syncmvd": 10, "texpainter": 8, "diff3f": 100}.get(name, len(shown)) == len(shown)


def test_weights_to_a_power_and_winners() -> None:
    index = torch.tensor([[[0, 1, -1]], [[0, 1, 2]]])
    canvas = Canvas(index, torch.tensor([[[0.5, 0.3, 1.0]], [[0.25, 0.3, 0.2]]]), (4,))
    x = torch.tensor([[[[1.0, 2.0, 9.0]]], [[[5.0, 6.0, 7.0]]]])
    torch.testing.assert_close(canvas.raised(0).paint(x), torch.tensor([[3.0, 4.0, 7.0, 0.0]]))
    torch.testing.assert_close(canvas.raised(2).paint(x), torch.tensor([[(4 * 1 + 5) / 5, 4.0, 7.0, 0.0]]))
    torch.testing.assert_close(canvas.winners().paint(x), torch.tensor([[1.0, 2.0, 7.0, 0.0]]))
    assert canvas.winners().weight.tolist() == [[[1, 1, 0]], [[0, 0, 1]]]
    assert canvas.raised(1) is canvas


SIGHTS = {
    "all of it": (2.0, 40.0, 0.0),
    "from inside its ball": (0.45, 40.0, 0.0),
    "partly out of the picture": (2.0, 40.0, 22.0),
    "out of the picture": (2.0, 40.0, 400.0),
}


@pytest.mark.parametrize("stretch", [1.0, 1.7])
@pytest.mark.parametrize("kind", ["perspective", "orthographic"])
@pytest.mark.parametrize("sight", SIGHTS)
def test_only_rays_that_miss_are_left_out(sight: str, kind: str, stretch: float) -> None:
    """A cast looks at the part of the picture around the mesh; it finds what rays through all pixels find."""
    away, focal, aside = SIGHTS[sight]
    mesh = own(trimesh.creation.icosphere(subdivisions=2, radius=0.5).apply_translation((0.3, -0.1, 0.2)))
    poses = orbit([20, 130], 35, away, (0.3, -0.1, 0.2)) @ np.diag([stretch, 1, 1, 1.0])
    centre = (24 + aside, 20 - aside / 2)
    lens = pinhole(2, focal, centre) if kind == "perspective" else orthographic(2, focal, centre)
    lens[:, 0, 1] = 3 if kind == "perspective" else 0  # pixels need not be rectangles
    cameras = Cameras(poses, lens, 40, 48)
    count = 0
    for number in range(2):
        for shift in ((0.0, 0.0), (0.4, -0.3)):
            origins, directions = cameras.rays(number, cameras.pixels.reshape(-1, 2) + shift)
            face, depth = mesh.first(origins, directions)
            seen = cast(mesh, cameras, number, shift)
            np.testing.assert_array_equal(seen.hit, np.flatnonzero(face >= 0))
            np.testing.assert_array_equal(seen.face, face[seen.hit])
            np.testing.assert_allclose(seen.depth, depth[seen.hit], rtol=1e-12)
            count += len(seen.hit)
    assert (count == 0) == (sight == "out of the picture")


def test_buffers_are_made_when_they_are_read_and_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    mesh, cameras = own(trimesh.creation.box((0.8, 0.7, 0.6))), views("perspective")
    charts = Atlas.of(mesh, cameras).unwrapped()
    whole = surface_buffers(mesh, cameras, charts)
    assert not {"face", "depth", "jacobian"} & set(vars(whole))
    assert whole.depth is whole.depth
    assert "jacobian" not in vars(whole)
    monkeypatch.setattr("syncbench.bench.surfaces.buffers.BAND", 100)
    parts = surface_buffers(mesh, cameras, charts)
    assert len(parts.casts) > len(whole.casts) == 3
    for name in ("face", "weights", "texel", "at", "depth", "position", "normal", "cosine", "jacobian"):
        torch.testing.assert_close(getattr(parts, name), getattr(whole, name), rtol=0, atol=0)


def test_buffers_of_cameras_that_see_nothing() -> None:
    mesh, cameras = own(trimesh.creation.box((0.8, 0.7, 0.6))), views("perspective")
    away = Cameras(look_at(np.full((3, 3), 2.0), np.full((3, 3), 9.0)), cameras.intrinsics, 40, 40)
    seen = surface_buffers(mesh, away, Atlas.of(mesh, cameras).unwrapped())
    assert not seen.visible.any()
    assert (seen.texel == -1).all()
    assert seen.jacobian.shape == (3, 2, 2, 40, 40)
    assert not seen.jacobian.any()
