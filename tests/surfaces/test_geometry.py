"""Cameras, exact hits, flow, tracks, atlas, sphere, warping: against closed forms and each other."""

import math

import numpy as np
import pytest
import torch
import trimesh
from syncbench.bench.errors import SyncbenchError
from syncbench.bench.surfaces.atlas import Atlas, unwrap
from syncbench.bench.surfaces.camera import Cameras, closeness, look_at, orbit, pinhole
from syncbench.bench.surfaces.mesh import Mesh
from syncbench.bench.surfaces.shared import Apart, Shared
from syncbench.bench.surfaces.sphere import Sphere
from syncbench.bench.surfaces.tracks import Film, Tracks
from syncbench.bench.surfaces.warp import pixel_grid, project, sample
from syncbench.bench.types import Surface

from ..warping import backward_warp, gather, unproject, visible


def cameras(count: int = 4, size: int = 48, elevation: float = 20.0) -> Cameras:
    lens = pinhole(count, 1.1 * size, (size / 2, size / 2))
    return Cameras(orbit(np.arange(count) * 360 / count + 10, elevation, 2.0, (0, 0, 0)), lens, size, size)


def ball(subdivisions: int = 4) -> Mesh:
    made = trimesh.creation.icosphere(subdivisions=subdivisions, radius=0.5)
    return Mesh(np.array(made.vertices), np.array(made.faces))


def test_the_picture_of_the_convention_is_true() -> None:
    """A camera at azimuth 0 on +x: the world's y is to the image's right, z is up, the target in the middle."""
    views = Cameras(orbit(0, 0, 2.0, (0, 0, 0)), pinhole(1, 100, (64, 64)), 128, 128)
    np.testing.assert_allclose(views.centres, [[2, 0, 0]], atol=1e-12)
    pixels, depth = views.project(0, np.array([[0, 0, 0], [0, 0.5, 0], [0, 0, 0.5], [1.0, 0, 0]]))
    np.testing.assert_allclose(pixels, [[64, 64], [89, 64], [64, 39], [64, 64]], atol=1e-9)
    np.testing.assert_allclose(depth, [2, 2, 2, 1])
    for pose in orbit([0, 40, 200], [0, 30, -20], [1, 2, 3]):
        np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-12)
        assert np.linalg.det(pose[:3, :3]) == pytest.approx(1)
    above = look_at(np.array([[0.0, 0, 2]]), np.zeros((1, 3)))
    assert np.isfinite(above).all(), "looking straight down has no upright, but a camera all the same"


def test_rays_go_through_the_pixels_they_are_asked_for() -> None:
    views = cameras(3)
    for number in range(3):
        origin, directions = views.rays(number)
        pixels, depth = views.project(number, origin + 3.7 * directions)
        np.testing.assert_allclose(pixels, views.pixels, atol=1e-9)
        np.testing.assert_allclose(depth, 3.7, atol=1e-9)
    coarse = views.coarser(8)
    assert (coarse.height, coarse.width) == (6, 6)
    middle = views.project(0, np.add(*coarse.rays(0)))[0]
    np.testing.assert_allclose(middle, (coarse.pixels - 0.5) * 8 + 4, atol=1e-9)


def test_hits_are_those_of_every_triangle_tried() -> None:
    """Against Moeller-Trumbore over all triangles, in numpy."""
    rng = np.random.default_rng(0)
    vertices = rng.normal(size=(30, 3))
    mesh = Mesh(vertices, rng.integers(0, 30, (40, 3)))
    origins, directions = rng.normal(size=(300, 3)) * 4, rng.normal(size=(300, 3))
    directions -= 0.4 * origins
    face, along = mesh.first(origins, directions)
    a, b, c = (mesh.triangles[:, k] for k in range(3))
    best, which = np.full(300, np.inf), np.full(300, -1)
    for k in range(40):
        p = np.cross(directions, c[k] - a[k])
        scale = p @ (b[k] - a[k])
        with np.errstate(all="ignore"):
            s = (origins - a[k]) / scale[:, None]
            u, q = (s * p).sum(1), np.cross(s, b[k] - a[k])
            v, t = (q * directions).sum(1), q @ (c[k] - a[k])
        hit = (np.abs(scale) > 1e-12) & (u > 0) & (v > 0) & (u + v < 1) & (t > 0) & (t < best)
        best[hit], which[hit] = t[hit], k
    assert (which >= 0).sum() > 60
    assert (face == which).mean() > 0.98, "single precision may differ on an edge"
    same = (face == which) & (which >= 0)
    np.testing.assert_allclose(along[same], best[same], rtol=1e-9)
    points = origins + along[:, None] * directions
    weights = mesh.barycentric(face[same], points[same])
    np.testing.assert_allclose(weights.sum(1), 1)
    np.testing.assert_allclose(np.einsum("ni,nij->nj", weights, mesh.triangles[face[same]]), points[same], atol=1e-7)


def test_depth_of_a_ball_is_the_closed_form() -> None:
    views, mesh = cameras(2, 64), ball(5)
    origin, directions = views.rays(1)
    face, along = mesh.first(origin, directions.reshape(-1, 3))
    d = directions.reshape(-1, 3)
    b, c = d @ origin, origin @ origin - 0.25
    root = b * b - (d * d).sum(1) * c
    exact = (-b - np.sqrt(np.maximum(root, 0))) / (d * d).sum(1)
    inside = root > 0.05
    assert (face[inside] >= 0).all()
    assert (face[root < -0.01] == -1).all()
    np.testing.assert_allclose(along[inside], exact[inside], atol=2e-3)
    assert closeness(np.array([[0.0, 2, 4]])).tolist() == [[0, 1, 0.5]]


def film(turn: float, aside: float = 0.0, size: int = 48) -> tuple[Film, Mesh]:
    """A cube, turned and moved between two frames, before a wall; both frames from one camera."""
    made = trimesh.creation.box((0.8, 0.8, 0.8))
    mesh = Mesh(np.array(made.vertices), np.array(made.faces))
    poses = np.tile(np.eye(4), (2, 1, 1))
    c, s = math.cos(turn), math.sin(turn)
    poses[1, :2, :2], poses[1, 1, 3] = [[c, -s], [s, c]], aside
    views = cameras(1, size, 15)
    views = Cameras(np.repeat(views.extrinsics, 2, 0), np.repeat(views.intrinsics, 2, 0), size, size)

    def cast(frame: int, origin: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        back = np.linalg.inv(poses[frame])
        face, along = mesh.first(origin @ back[:3, :3].T + back[:3, 3], directions @ back[:3, :3].T)
        return np.where(face >= 0, 1, -1), along

    return Film(views, {1: poses}, cast, "cube"), mesh


def test_flow_of_a_known_motion() -> None:
    """A cube pushed aside: its points move by focal x shift / depth; what it uncovers was not seen before."""
    moving, _ = film(0.0, aside=0.25)
    flow, seen = moving.flow(0, 1)
    which, points = moving.hits(0)
    depth = moving.cameras.project(0, points)[1]
    pose, focal = moving.cameras.extrinsics[0], moving.cameras.intrinsics[0, 0, 0]
    shift = pose[:3, :3] @ [0, 0.25, 0]
    thing = which == 1
    there = depth + shift[2]
    exact = focal * shift[0] / there + (moving.cameras.pixels[..., 0] - 24) * (depth / there - 1)
    np.testing.assert_allclose(flow[0].numpy()[thing], exact[thing], atol=1e-4)
    assert seen[0].bool().numpy()[thing].mean() > 0.9
    assert float(flow[:, torch.from_numpy(~thing)].abs().max()) < 1e-6, "the sky stands still before a still camera"
    covered = ~thing & (moving.hits(1)[0] == 1)
    assert covered.sum() > 20
    assert not seen[0].bool().numpy()[covered].any(), "sky that the cube moves in front of is not seen"


def test_flow_there_and_back_is_no_flow() -> None:
    moving, _ = film(0.5, 0.1)
    forward, seen = moving.flow(0, 1)
    back = moving.flow(1, 0)[0]
    round_trip = forward + backward_warp(back[None], forward[None])[0]
    which = torch.from_numpy(moving.hits(0)[0])
    inner = (seen[0] > 0) & (which == 1)
    assert int(inner.sum()) > 100
    assert float(round_trip.norm(dim=0)[inner].median()) < 0.02
    turned, _ = film(-1.6)
    front = turned.hits(0)[0] == 1
    assert turned.flow(0, 1)[1][0].numpy()[front].mean() < 0.5, "the front turns away and is lost, the top stays"


@pytest.mark.parametrize("factor", [1, 8])
def test_tracks_hold_points_together(factor: int) -> None:
    moving, _ = film(0.4, 0.1)
    surface = Tracks.of(moving)
    assert isinstance(surface, Surface)
    canvas = surface.canvas(factor)
    z = torch.randn(4, *canvas.shape)
    torch.testing.assert_close(canvas.paint(canvas.look(z)), z)
    assert int(canvas.index.min()) == 0
    assert canvas.cells == int(canvas.index.max()) + 1
    # two pixels of one cell are one point: it projects to within a pixel of the other
    coarse = moving.coarser(factor)
    (which, points), (before, _) = coarse.hits(1), coarse.hits(0)
    pixels, _ = coarse.carry(which, points, 1, 0)
    first, second = canvas.index.flatten(1).tolist()
    cells = {cell: k for k, cell in enumerate(first)}
    shared = [(k, cells[cell]) for k, cell in enumerate(second) if cell in cells]
    assert len(shared) > 0.7 * which.size
    for here, there in shared:
        row, column = divmod(there, coarse.cameras.width)
        assert before[row, column] == which.flat[here]
        assert np.abs(pixels.reshape(-1, 2)[here] - [column + 0.5, row + 0.5]).max() <= 0.5 + 1e-9


def test_tracks_are_told_apart_by_their_motion() -> None:
    assert Tracks.of(film(0.4)[0]) == Tracks.of(film(0.4)[0])
    assert Tracks.of(film(0.4)[0]) != Tracks.of(film(0.5)[0])
    with pytest.raises(SyncbenchError, match="no multiple"):
        Tracks.of(film(0.4, size=42)[0]).canvas(8)


@pytest.mark.parametrize("factor", [1, 4])
def test_texels_are_places_on_the_surface(factor: int) -> None:
    """All points that look at one texel lie within it: no chart overlaps another, in any view."""
    mesh, views = ball(3), cameras(6)
    atlas = Atlas.of(mesh, views)
    assert isinstance(atlas, Surface)
    canvas = atlas.canvas(factor)
    z = torch.randn(3, *canvas.shape)
    covered = canvas.mass > 0
    torch.testing.assert_close(canvas.paint(canvas.look(z))[:, covered], z[:, covered])
    assert float(canvas.weight.min()) > 0
    again = atlas.canvas(factor)
    again.weight.zero_()
    again.index.zero_()
    assert torch.equal(atlas.canvas(factor).index, canvas.index), "who changes a canvas changes no other"
    assert torch.equal(atlas.canvas(factor).weight, canvas.weight)
    index, cosine = atlas.buffers(factor).texel.numpy(), atlas.buffers(factor).cosine.numpy()
    coarse = views.coarser(factor)
    places: dict[int, list[np.ndarray]] = {}
    for number in range(len(views)):
        origin, directions = coarse.rays(number)
        face, along = mesh.first(origin, directions.reshape(-1, 3))
        hit = np.flatnonzero(face >= 0)
        assert (np.flatnonzero(index[number].ravel() >= 0) == hit).all()
        for k in hit:
            places.setdefault(int(index[number].flat[k]), []).append(origin + along[k] * directions.reshape(-1, 3)[k])
    spread = [np.ptp(np.array(found), 0).max() for found in places.values() if len(found) > 1]
    texel = factor * 2.0 / (1.1 * 48)
    assert len(spread) > 20
    assert max(spread) < 2.2 * texel, "a texel is a square of that side, its diagonal half as long again"
    assert (cosine[index >= 0] > 0).all()
    background = canvas.index[torch.from_numpy(index) < 0]
    assert len(background.unique()) == len(background), "every background pixel has a cell of its own"


def test_an_atlas_is_known_by_mesh_and_cameras() -> None:
    one = Atlas.of(ball(2), cameras())
    assert one == Atlas.of(ball(2), cameras())
    assert one != Atlas.of(ball(2), cameras(elevation=21))
    assert one != Atlas.of(ball(3), cameras())
    assert unwrap(ball(2), 20.0) is unwrap(ball(2), 20.0), "kept by content"
    moved = np.eye(4)
    moved[0, 3] = 0.1
    assert one != Atlas.of(ball(2), cameras(), moved)


def test_a_pose_moves_the_mesh_not_its_texture() -> None:
    mesh, views = ball(3), cameras(2)
    pose = np.eye(4)
    pose[:2, :2] = [[0, -1], [1, 0]]
    turned = Mesh(mesh.vertices @ pose[:3, :3].T, mesh.faces)
    here = Atlas.of(mesh, views, pose).buffers().texel.numpy()
    mask = np.stack([turned.first(o, d.reshape(-1, 3))[0].reshape(48, 48) >= 0 for o, d in map(views.rays, (0, 1))])
    assert ((here >= 0) == mask).all()


def test_a_pose_that_stretches_the_mesh_turns_its_normals() -> None:
    """Cosines are those of the mesh as it stands, not as it was before it was stretched."""
    mesh, views, pose = ball(3), cameras(), np.diag([1.4, 0.7, 1.1, 1.0])
    stretched = Mesh(mesh.vertices @ pose[:3, :3], mesh.faces, trusted=True)
    there = Atlas.of(stretched, views).buffers().cosine
    here = Atlas.of(mesh, views, pose).buffers().cosine
    assert there.max() > 0.9
    assert (here - there).abs().max() < 1e-5
    rigid = Atlas.of(mesh, views, np.eye(4)).buffers().cosine
    assert (rigid - there).abs().max() > 0.1


def test_shared_and_separate_pixels() -> None:
    shared, apart = Shared(("a", "b", "c"), 16, 24), Apart(3, 16, 24)
    for surface in (shared, apart):
        assert isinstance(surface, Surface)
        assert surface.window == (16, 24)
        canvas = surface.canvas(8)
        z = torch.randn(2, *canvas.shape)
        torch.testing.assert_close(canvas.paint(canvas.look(z)), z)
        assert canvas.index.shape == (3, 2, 3)
        with pytest.raises(SyncbenchError, match="no multiple"):
            surface.canvas(5)
    views = torch.rand(3, 2, 16, 24)
    torch.testing.assert_close(shared.canvas().paint(views), views.mean(0))
    torch.testing.assert_close(apart.canvas().look(apart.canvas().paint(views)), views)


def test_a_sphere_of_six_faces_is_covered_once() -> None:
    faces = ((0.0, 0.0), (90.0, 0.0), (180.0, 0.0), (270.0, 0.0), (0.0, 90.0), (0.0, -90.0))
    surface = Sphere(32, 32, 90.0, faces)
    assert isinstance(surface, Surface)
    canvas = surface.canvas()
    z = torch.randn(2, *canvas.shape)
    covered = canvas.count > 0
    torch.testing.assert_close(canvas.paint(canvas.look(z))[:, covered], z[:, covered])
    assert canvas.shape == (50, 100)
    equator = slice(15, 35)
    assert covered[equator].float().mean() > 0.9
    assert canvas.count[equator].float().mean() < 2
    row, column = canvas.index // 100, canvas.index % 100
    assert int(row[4].max()) <= 15, "the view straight up sees the top rows"
    assert abs(int(column[1, 16, 16]) - 25) <= 1, "a quarter turn is a quarter of the width"
    overlapping = Sphere(32, 32, 90.0, ((0.0, 0.0), (45.0, 0.0))).canvas()
    assert int((overlapping.count > 1).sum()) > 200
    with pytest.raises(SyncbenchError, match="between 0 and 180"):
        Sphere(32, 32, 200.0, faces)


def test_sampling_and_warping_of_a_ramp_are_exact() -> None:
    """Bilinear lookups reproduce linear functions."""
    grid = pixel_grid(20, 30)
    ramp = (2 * grid[..., 0] - 3 * grid[..., 1])[None, None]
    at = torch.rand(1, 7, 9, 2) * torch.tensor([28.0, 18.0]) + 1
    torch.testing.assert_close(sample(ramp, at)[0, 0], 2 * at[0, ..., 0] - 3 * at[0, ..., 1])
    flow = torch.tensor([1.5, -2.0])[None, :, None, None].expand(1, 2, 20, 30)
    warped = backward_warp(ramp, flow)
    torch.testing.assert_close(warped[..., 3:, :-3], (ramp + 9)[..., 3:, :-3])
    torch.testing.assert_close(sample(ramp, grid[None]), ramp)


def test_project_undoes_unproject() -> None:
    views = cameras(3)
    extrinsics = torch.from_numpy(views.extrinsics).float()
    intrinsics = torch.from_numpy(views.intrinsics).float()
    depth = 1.5 + torch.rand(3, 1, 48, 48)
    depth[:, :, :4] = 0
    points = unproject(depth, extrinsics, intrinsics)
    assert (points[:, :, :4] == 0).all()
    for number in range(3):
        pixels, there = project(points[number], extrinsics[number : number + 1], intrinsics[number : number + 1])
        torch.testing.assert_close(pixels[0, 4:], pixel_grid(48, 48)[4:], atol=1e-3, rtol=0)
        torch.testing.assert_close(there[0, :, 4:], depth[number, :, 4:], atol=1e-5, rtol=0)


def test_visibility_agrees_with_rays() -> None:
    """Depth-map visibility against a ray to every point: no hidden one passes, few seen ones are turned down."""
    mesh, views = film(0.0)[1], cameras(4, 96)
    extrinsics, intrinsics = (torch.from_numpy(x).float() for x in (views.extrinsics, views.intrinsics))
    hits = [mesh.first(origin, d.reshape(-1, 3)) for origin, d in (views.rays(k) for k in range(4))]
    depth = torch.stack([torch.from_numpy(np.where(f >= 0, a, 0)).float().reshape(1, 96, 96) for f, a in hits])
    points = unproject(depth, extrinsics, intrinsics)
    seen, total = 0, 0
    for start in range(4):
        thing = depth[start, 0] > 0
        pixels, there = project(points[start], extrinsics, intrinsics)
        passed = visible(pixels, there, depth)[:, 0] > 0
        for end in range(4):
            origin = views.centres[end]
            target = points[start].permute(1, 2, 0)[thing].double().numpy()
            along = mesh.first(origin, target - origin)[1]
            assert not (passed[end][thing].numpy() & (along < 0.988)).any(), "hidden by more than the tolerance"
            open_ = along > 1 - 1e-3
            seen, total = seen + int(passed[end][thing].sum()), total + int(open_.sum())
    assert 0.7 < seen / total <= 1, seen / total
    colours, mask = gather(points, depth, extrinsics, intrinsics, points[0])
    error = (colours - points[0]).norm(dim=1, keepdim=True)
    assert float(error[(mask > 0) & (depth[0] > 0)].max()) < 0.02, "the surface's own coordinates come back"
