"""Baking and texels: a planted texture comes back, fill follows the surface, files are read as they were written."""

from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from scipy.sparse.csgraph import dijkstra
from syncbench.bench.errors import SyncbenchError
from syncbench.bench.surfaces.atlas import Atlas, unwrap
from syncbench.bench.surfaces.bake import bake_views, bakery
from syncbench.bench.surfaces.camera import Cameras, orbit, orthographic, pinhole
from syncbench.bench.surfaces.charts import WIDEST, Unwrapped, own_charts, usable
from syncbench.bench.surfaces.mesh import Mesh, read_mesh
from syncbench.bench.surfaces.paint import painted_views
from syncbench.bench.surfaces.texels import Texels, shared_edges, texels
from syncbench.bench.surfaces.textured_files import texture_paint, write_textured
from syncbench.datasets.meshes import Meshes


def own(shape: trimesh.Trimesh) -> Mesh:
    return Mesh(np.array(shape.vertices, float), np.array(shape.faces), trusted=True)


def around(size: int = 96, flat: bool = False, count: int = 8) -> Cameras:
    poses = orbit(np.arange(count) * 360 / count, np.where(np.arange(count) % 2, 40, -40), 2.0, (0, 0, 0))
    centre = (size / 2, size / 2)
    lens = orthographic(count, 0.75 * size, centre) if flat else pinhole(count, 1.4 * size, centre)
    return Cameras(poses, lens, size, size)


def planted(points: torch.Tensor) -> torch.Tensor:
    """Smooth colours (..., 3) of points (..., 3)."""
    return 0.5 + 0.45 * torch.sin(7 * points + torch.tensor([0.0, 1.0, 2.0], dtype=points.dtype))


def seen(mesh: Mesh, cameras: Cameras) -> torch.Tensor:
    """What cameras see of the planted colours; the background is red, which may bleed nowhere."""
    buffers = Atlas.of(mesh, cameras).buffers()
    colours = planted(buffers.position.movedim(1, -1)).movedim(-1, 1)
    red = torch.tensor([1.0, 0, 0])[:, None, None]
    return torch.where(buffers.visible[:, None], colours, red)


def charted(mesh: Mesh, density: float = 120.0) -> Texels:
    charts = unwrap(mesh, density, 4)
    return texels(mesh, charts.corners, charts.height, charts.width)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(-10 * np.log10(np.square(a - b).mean()))


SHAPES = {
    "ball": trimesh.creation.icosphere(subdivisions=3, radius=0.5),
    "box": trimesh.creation.box((0.7, 0.6, 0.5)),
    "ring": trimesh.creation.torus(0.4, 0.16),
}


@pytest.mark.parametrize(
    ("shape", "flat", "winner"),
    [("ball", False, False), ("box", True, False), ("box", False, True), ("ring", True, True)],
)
def test_a_planted_texture_comes_back(shape: str, flat: bool, winner: bool) -> None:
    """On what views see, within what bilinear lookup loses: 40 dB, worst texel below 0.1. Nothing red bleeds in."""
    mesh, cameras = own(SHAPES[shape]), around(flat=flat)
    made = bakery(charted(mesh), cameras).bake(seen(mesh, cameras), winner=winner)
    true = planted(torch.from_numpy(made.texels.points)).numpy()
    coloured, covered = made.seen[made.texels.covered], made.texels.covered
    got = made.texture[covered]
    assert coloured.mean() > 0.93
    assert made.unseen == pytest.approx(1 - coloured.mean())
    assert psnr(got[coloured], true[coloured]) > 40
    assert np.abs(got[coloured] - true[coloured]).max() < 0.1
    assert not np.isnan(made.texture).any()


def test_views_of_the_baked_texture_are_the_views(tmp_path: Path) -> None:
    mesh, cameras = own(SHAPES["box"]), around()
    views = seen(mesh, cameras)
    made = bakery(charted(mesh, 240.0), cameras).bake(views)
    drawn = painted_views(mesh, texture_paint(made.texels.corners, made.texture), cameras)
    inside = Atlas.of(mesh, cameras).buffers().visible
    inside = torch.nn.functional.avg_pool2d(inside.float(), 3, 1, 1) == 1
    error = (drawn - views).movedim(1, -1)[inside]
    assert psnr(error.numpy(), np.zeros(1)) > 38


def test_weights_are_cosines_to_the_power_and_winners_are_the_least_slanted() -> None:
    """A square seen by two cameras that show one colour each: the mean is (cos^p a + cos^p b) weighted."""
    square = Mesh(
        np.array([[0, -0.5, -0.5], [0, 0.5, -0.5], [0, 0.5, 0.5], [0, -0.5, 0.5]]), np.array([[0, 1, 2], [0, 2, 3]])
    )
    lens = orthographic(2, 24.0, (20, 20))
    cameras = Cameras(orbit([0, 60], 0, 3, (0, 0, 0)), lens, 40, 40)
    views = torch.tensor([1.0, 0.0])[:, None, None, None].expand(2, 3, 40, 40)
    corners = np.array([[0, 8], [8, 8], [8, 0], [0, 0]], float)[square.faces]
    table = texels(square, corners, 8, 8)
    assert table.covered.all()
    for power in (1.0, 6.0):
        made = bakery(table, cameras).bake(views, power=power)
        np.testing.assert_allclose(made.texture[4, 4], 1 / (1 + 0.5**power), rtol=1e-5)
    np.testing.assert_allclose(bakery(table, cameras).bake(views, winner=True).texture[4, 4], 1)
    backwards = bakery(table, cameras[1:2]).bake(views[1:])
    np.testing.assert_allclose(backwards.texture, 0)
    off = Cameras(cameras.extrinsics[:1], lens[:1] - [[[0, 0, 900], [0, 0, 0], [0, 0, 0]]], 40, 40)
    assert bakery(table, off).bake(views[:1]).unseen == 1, "a mesh beside the picture is not seen"


def folded(gap: float = 0.02, wide: int = 4, long: int = 30) -> Mesh:
    """A strip that goes out along x and comes back above itself at a distance of `gap`."""
    out = np.stack(np.meshgrid(np.linspace(0, 1, long), np.linspace(0, 0.2, wide), indexing="ij"), -1)
    lower = np.concatenate([out, np.zeros((long, wide, 1))], -1)
    upper = np.concatenate([out[::-1], np.full((long, wide, 1), gap)], -1)
    grid = np.concatenate([lower, upper]).reshape(-1, 3)
    row, column = (x.ravel() for x in np.meshgrid(np.arange(2 * long - 1), np.arange(wide - 1), indexing="ij"))
    a = row * wide + column
    faces = np.concatenate([np.stack([a, a + wide, a + 1], 1), np.stack([a + 1, a + wide, a + wide + 1], 1)])
    return Mesh(grid, faces, trusted=True)


@pytest.mark.parametrize("cut", [False, True])
def test_unseen_texels_follow_the_surface_not_space(cut: bool) -> None:
    """The lower half of a folded strip is painted at its start: the upper half's nearest is the fold, not below it.

    With `cut` the strip is two charts, far apart in the picture, joined at the fold alone.
    """
    mesh = folded()
    length = np.arange(60) / 60 * 48 + 1
    uv = np.stack(np.meshgrid(length, [1, 4, 7, 10.0], indexing="ij"), -1).reshape(-1, 2)
    corners = uv[mesh.faces]
    if cut:
        second = mesh.faces.min(1) >= 30 * 4
        corners[second] = corners[second] * [1, 1] + [0, 20]
    table = texels(mesh, corners, 34, 52)
    at = table.points
    painted = np.zeros_like(table.covered)
    lower, upper = at[:, 2] < 0.005, at[:, 2] > 0.015
    painted[table.covered] = lower
    nearest = table.nearest(painted)
    assert (nearest[lower] == np.flatnonzero(lower)).all()
    assert lower.sum() > 100 < upper.sum()
    assert (at[nearest[upper], 0] > 0.9).all(), "the fold is at x = 1"
    assert np.abs(at[nearest[upper], 1] - at[upper, 1]).max() < 0.12, "straight along the strip, within a few texels"
    straight = ((at[upper][:, None, :] - at[lower][None]) ** 2).sum(-1).argmin(1)
    assert (at[np.flatnonzero(lower)[straight], 0] < 0.9).mean() > 0.5, "in space the nearest lies below"


def test_the_nearest_texel_is_that_of_all_walks() -> None:
    """Against Dijkstra's distances from every painted texel on the whole graph."""
    table = charted(own(SHAPES["box"]), 16.0)
    rng = np.random.default_rng(0)
    done = rng.random(int(table.covered.sum())) < 0.02
    painted = np.zeros_like(table.covered)
    painted[table.covered] = done
    one, two, length = table._links()
    from scipy.sparse import coo_array

    whole = dijkstra(
        coo_array((length, (one, two)), (len(done),) * 2).tocsr(), directed=False, indices=np.flatnonzero(done)
    )
    assert np.isfinite(whole).all(), "a box is one piece, whatever its charts"
    nearest = table.nearest(painted)
    rank = np.cumsum(done) - 1
    np.testing.assert_allclose(whole[rank[nearest], np.arange(len(done))], whole.min(0))


def test_what_is_in_no_painted_piece_takes_the_nearest_in_space() -> None:
    two = trimesh.util.concatenate(
        [trimesh.creation.box((0.2, 0.2, 0.2)).apply_translation([x, 0, 0]) for x in (-0.3, 0.3)]
    )
    table = charted(own(two), 40.0)
    painted = table.covered.copy()
    painted[table.covered] = table.points[:, 0] < 0
    nearest = table.nearest(painted)
    right = table.points[:, 0] > 0
    assert (table.points[nearest[right], 0] > -0.21).all()
    assert (table.nearest(np.zeros_like(painted)) == -1).all()


def test_seams_are_where_charts_meet() -> None:
    mesh = own(SHAPES["box"])
    charts = unwrap(mesh, 40.0)
    edges = shared_edges(mesh, charts.corners)
    assert len(edges.faces) == 18, "a box of 12 triangles has 18 edges"
    number = edges.charts(12)
    assert len(set(number)) == 6
    assert edges.seam.sum() == 12
    one, two = edges.faces.T
    assert ((number[one] != number[two]) == edges.seam).all()
    assert len({int(number[f]) for f in range(0, 12)}) == 6
    for face in range(12):
        flat = np.abs(mesh.normals @ mesh.normals[face] - 1) < 1e-9
        assert len(set(number[flat])) == 1, "both triangles of a side are one chart"


def test_files_are_read_as_they_were_written(tmp_path: Path) -> None:
    mesh, cameras = own(SHAPES["box"]), around(64)
    made = bakery(charted(mesh), cameras).bake(seen(mesh, cameras))
    pose = np.eye(4)
    pose[:2, :2] *= 1.2
    paths = write_textured(mesh, pose, made.texels.corners, made.texture, tmp_path / "deep" / "a box")
    assert [path.name for path in paths] == ["a box.glb", "a box.obj", "a box.mtl", "a box.png"]
    looks = []
    for path in paths[:2]:
        scene: trimesh.Trimesh = trimesh.load(path, force="mesh")
        np.testing.assert_allclose(sorted(scene.extents), sorted([0.84, 0.72, 0.5]), atol=1e-5)
        assert scene.extents[1] == pytest.approx(0.5, abs=1e-5), "y is up"
        assert usable(read_mesh(path), 60.0)
        item = Meshes(path=str(path), prompt="a box", size=64, uv="own").items()[0]
        looks.append(item.truth["views"])
        canvas = item.surface.canvas(1)
        z = torch.randn(2, *canvas.shape)
        torch.testing.assert_close(canvas.paint(canvas.look(z))[:, canvas.mass > 0], z[:, canvas.mass > 0])
        assert item.surface != Meshes(path=str(path), prompt="a box", size=64).items()[0].surface
    torch.testing.assert_close(*looks, atol=2e-4, rtol=0)
    assert float(looks[0].std()) > 0.1


def test_a_files_own_coordinates_serve_only_where_each_point_has_its_own_texel(tmp_path: Path) -> None:
    mesh = own(SHAPES["box"])
    charts = unwrap(mesh, 60.0)
    uv = charts.corners / [charts.width, charts.height]
    at = {"whole": uv, "mirrored": np.where(np.arange(12)[:, None, None] < 6, uv, np.roll(uv, 6, 0)), "out": uv * 1.5}
    at["pointed"] = np.where(np.arange(12)[:, None, None] < 6, uv, 0.5)
    assert {name: usable(Mesh(mesh.vertices, mesh.faces, uv=one), 60.0) for name, one in at.items()} == {
        "whole": True, "mirrored": False, "out": False, "pointed": False
    }  # fmt: skip
    assert not usable(mesh, 60.0)
    views = around(32)
    plain, other = Atlas.of(mesh, views), Atlas.of(Mesh(mesh.vertices, mesh.faces, uv=at["mirrored"]), views, own=True)
    assert plain == other, "xatlas unwraps what has no usable coordinates"


def test_islands_in_a_corner_of_a_files_texture_have_the_density_that_is_asked_for() -> None:
    mesh = own(SHAPES["box"])
    charts = unwrap(mesh, 60.0)
    uv = 0.5 + charts.corners / max(charts.width, charts.height) / 1000
    small = Mesh(mesh.vertices, mesh.faces, uv=np.stack([uv[..., 0], 1 - uv[..., 1]], -1))
    made = own_charts(small, 60.0)
    assert max(made.width, made.height) < 1.5 * max(charts.width, charts.height) + 20
    edges = made.corners[:, 1] - made.corners[:, 0]
    solid = small.triangles[:, 1] - small.triangles[:, 0]
    np.testing.assert_allclose(np.linalg.norm(edges, axis=1), 60 * np.linalg.norm(solid, axis=1), rtol=0.02)
    assert made.corners.min() >= 4
    assert not usable(small, 60.0 * WIDEST), "wider than the widest texture: xatlas unwraps it"
    apart = Mesh(mesh.vertices, mesh.faces, uv=np.where(np.arange(12)[:, None, None] < 6, small.uv, small.uv - 0.49))
    assert not usable(apart, 60.0), "tiny islands far apart"


def test_a_texture_too_large_is_refused_before_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    mesh, cameras = own(SHAPES["box"]), around(8)
    wide = Unwrapped(np.zeros((12, 3, 2)), 9000, 9000)
    monkeypatch.setattr("syncbench.bench.surfaces.bake.unwrap", lambda *_: wide)
    monkeypatch.setattr("syncbench.bench.surfaces.bake.texels", lambda *_: pytest.fail("gigabytes"))
    with pytest.raises(SyncbenchError, match=r"9,000 x 9,000 texels is larger .* lower the density"):
        bake_views(Atlas.of(mesh, cameras), torch.zeros(8, 3, 8, 8))
