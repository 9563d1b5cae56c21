"""What views show of a mesh, and the cameras of published methods: against closed forms and differences."""

import numpy as np
import pytest
import torch
import trimesh
from syncbench.bench.canvas import Canvas
from syncbench.bench.surfaces.atlas import Atlas
from syncbench.bench.surfaces.buffers import cast, jacobian, surface_buffers
from syncbench.bench.surfaces.camera import Cameras, look_at, orbit, orthographic, pinhole
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


class Square:
    """A square face in the plane x = 0, one unit wide, with `texels` texels a side."""

    def __init__(self, texels: float) -> None:
        self.mesh = Mesh(np.array([[0, -0.5, -0.5], [0, 0.5, -0.5], [0, 0.5, 0.5], [0, -0.5, 0.5]]), self.faces)
        uv = np.array([[0, texels], [texels, texels], [texels, 0], [0, 0]], float)
        self.corners = uv[self.faces]
        self.side = int(texels)

    faces = np.array([[0, 1, 2], [0, 2, 3]])

    def texels(self, face: np.ndarray, weights: np.ndarray) -> np.ndarray:
        column, row = np.einsum("ni,nij->nj", weights, self.corners[face]).T
        return np.floor(row).astype(int) * self.side + np.floor(column).astype(int)


@pytest.mark.parametrize("tilt", [0.0, 60.0])
@pytest.mark.parametrize("kind", ["perspective", "orthographic"])
def test_the_jacobian_of_a_known_square(kind: str, tilt: float) -> None:
    """Seen straight on, texels a pixel are texels a unit over pixels a unit; at 60 degrees twice as many in one way."""
    square = Square(64)
    lens = pinhole(1, 40.0, (15.5, 15.5)) if kind == "perspective" else orthographic(1, 20.0, (15.5, 15.5))
    seen = surface_buffers(square.mesh, Cameras(orbit(tilt, 0, 2.0, (0, 0, 0)), lens, 31, 31), square)
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
    corners, step = atlas.unwrapped().corners, 1e-4
    for number in range(len(cameras)):
        here = cast(mesh, cameras, number)
        found = jacobian(mesh, cameras, number, here, corners)
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
    assert torch.equal(seen.visible, torch.from_numpy(atlas.looks(cameras)[0] >= 0))
    assert torch.equal(seen.texel, torch.from_numpy(atlas.looks(cameras)[0]))
    for number in range(len(cameras)):
        there = seen.visible[number]
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
    texels = atlas.unwrapped().height * atlas.unwrapped().width
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
