"""Geometry at the size of real texturing, against plain loops over views that make the same.

Buffers of 8 views of 512 px of a mesh of 80,000 faces, against a loop over the cameras that asks trimesh; looking at a
texture and painting it, against a loop that writes every view into a whole texture. Times are of calls in turn, of the
process alone, so that other work on the machine slows both.
"""

from collections.abc import Callable
from statistics import median
from time import process_time
from typing import Any

import numpy as np
import pytest
import torch
import trimesh
from syncbench.bench.canvas import Canvas
from syncbench.bench.surfaces.buffers import SurfaceBuffers, surface_buffers
from syncbench.bench.surfaces.camera import Cameras, orbit, pinhole
from syncbench.bench.surfaces.charts import Unwrapped
from syncbench.bench.surfaces.mesh import Mesh

VIEWS, SIZE, SIDE = 8, 512, 1024
NAMES = ("face", "weights", "texel", "at", "depth", "position", "normal", "cosine", "jacobian")
STEP = 1e-4
"""Pixels of the differences by which the loop finds derivatives."""
WANTED = 2.0


def shape() -> Mesh:
    """A bumpy ball of 81,920 faces."""
    ball = trimesh.creation.icosphere(subdivisions=6)
    x, y, _ = (points := np.array(ball.vertices)).T
    return Mesh(points * (0.5 + 0.05 * np.sin(9 * x) * np.cos(7 * y))[:, None], np.array(ball.faces))


def charts(mesh: Mesh) -> Unwrapped:
    """A texture by longitude and latitude; it need not be a good one."""
    x, y, z = mesh.triangles.transpose(2, 0, 1)
    return Unwrapped(np.stack([np.arctan2(y, x) / np.pi + 1, z + 1], -1) * (SIDE / 2 - 1), SIDE, SIDE)


def cameras() -> Cameras:
    lens = pinhole(VIEWS, 1.15 * SIZE, (SIZE / 2, SIZE / 2))
    return Cameras(orbit(45 * np.arange(VIEWS), 20, 2.0, (0, 0, 0)), lens, SIZE, SIZE)


def buffers(mesh: Mesh, views: Cameras, unwrapped: Unwrapped) -> dict[str, torch.Tensor]:
    seen: SurfaceBuffers = surface_buffers(mesh, views, unwrapped)
    return {name: getattr(seen, name) for name in NAMES}


def looped(mesh: Mesh, views: Cameras, unwrapped: Unwrapped) -> dict[str, torch.Tensor]:
    """The same by trimesh, camera by camera, as its examples do it."""
    solid = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    made: dict[str, list[np.ndarray]] = {name: [] for name in NAMES}
    for number in range(len(views)):
        turn, place = views.extrinsics[number, :3, :3], views.extrinsics[number, :3, 3]
        eye = -turn.T @ place
        way = np.pad(views.pixels.reshape(-1, 2), ((0, 0), (0, 1)), constant_values=1)
        way = way @ np.linalg.inv(views.intrinsics[number]).T @ turn
        start = np.tile(eye, (len(way), 1))
        points, ray, face = solid.ray.intersects_location(start, way, multiple_hits=False)
        corners, uv, normal = solid.triangles[face], unwrapped.corners[face], solid.face_normals[face]
        weights = trimesh.triangles.points_to_barycentric(corners, points)
        at = np.einsum("ni,nij->nj", weights, uv)
        slopes: list[np.ndarray] = []
        for aside in (way[1] - way[0], way[SIZE] - way[0]):
            moved = way[ray] + STEP * aside
            there, valid = trimesh.intersections.planes_lines(corners[:, 0], normal, start[ray], moved)
            assert valid.all()
            beside = np.einsum("ni,nij->nj", trimesh.triangles.points_to_barycentric(corners, there), uv)
            slopes.append((beside - at) / STEP)
        cosine = np.einsum("ij,ij->i", trimesh.unitize(way[ray]), normal)
        facing = np.where(cosine > 0, -1, 1)[:, None] * (normal @ turn.T)
        texel = np.floor(at[:, 1]).astype(int) * SIDE + np.floor(at[:, 0]).astype(int)
        depth = (points @ turn.T + place)[:, 2]
        found = (face, weights, texel, at, depth, points, facing, np.abs(cosine), np.stack(slopes, 2))
        for name, values in zip(NAMES, found, strict=True):
            whole = values.dtype.kind == "i"
            image = np.full((SIZE * SIZE, *values.shape[1:]), -1 if whole else 0, np.int64 if whole else np.float32)
            image[ray] = values
            made[name].append(np.moveaxis(image.reshape(SIZE, SIZE, *values.shape[1:]), (0, 1), (-2, -1)))
    return {name: torch.from_numpy(np.stack(images)) for name, images in made.items()}


def canvas(seen: SurfaceBuffers) -> Canvas:
    """The texture that the views look at, as an atlas has it: cells of texels, then one for each background pixel."""
    behind = seen.texel < 0
    index = seen.texel.clone()
    index[behind] = SIDE * SIDE + torch.arange(int(behind.sum()))
    weight = torch.where(behind, 1.0, seen.cosine.clamp(min=0.05))
    return Canvas(index, weight, (SIDE * SIDE + int(behind.sum()),))


def look_looped(canvas: Canvas, z: torch.Tensor) -> torch.Tensor:
    """Views of a texture, one by one."""
    return torch.stack([z[:, index] for index in canvas.index])


def paint_looped(canvas: Canvas, x: torch.Tensor) -> torch.Tensor:
    """Each view painted on a whole texture of its own; then their weighted mean."""
    total, mass = torch.zeros(x.shape[1], canvas.cells), torch.zeros(canvas.cells)
    for view, index, weight in zip(x, canvas.index, canvas.weight, strict=True):
        own, part = torch.zeros_like(total), torch.zeros_like(mass)
        own.index_add_(1, index.flatten(), (view * weight).flatten(1))
        part.index_add_(0, index.flatten(), weight.flatten())
        total, mass = total + own, mass + part
    return total / mass.clamp(min=1e-12)


def seconds(call: Callable[[], Any]) -> float:
    start = process_time()
    call()
    return process_time() - start


def ratio(benchmark: Any, ours: Callable[[], Any], loop: Callable[[], Any]) -> float:
    """How many times as long as ours the loop takes, the median of rounds that call both in turn."""
    ratios: list[float] = []

    def both() -> None:
        before, between, after = seconds(ours), seconds(loop), seconds(ours)
        ratios.append(2 * between / (before + after))

    benchmark.pedantic(both, rounds=3)
    return median(ratios)


def test_buffers(benchmark: Any, capsys: pytest.CaptureFixture[str]) -> None:
    mesh, views = shape(), cameras()
    unwrapped = charts(mesh)
    ours, loop = buffers(mesh, views, unwrapped), looped(mesh, views, unwrapped)
    for name in NAMES:
        assert ours[name].shape == loop[name].shape
        close = torch.isclose(ours[name].double(), loop[name].double(), rtol=1e-3, atol=1e-3)
        assert float(close.double().mean()) > 0.9999, f"{name}: the two make something else"
    found = ratio(benchmark, lambda: buffers(mesh, views, unwrapped), lambda: looped(mesh, views, unwrapped))
    benchmark.extra_info.update(ratio=found, faces=len(mesh.faces))
    with capsys.disabled():
        print(f"\nbuffers of {VIEWS} x {SIZE} px, {len(mesh.faces):,} faces: {found:.2f} times as fast as the loop")
    assert found >= WANTED


@pytest.mark.parametrize("verb", ["look", "paint"])
def test_texture(benchmark: Any, verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    mesh = shape()
    surface = canvas(surface_buffers(mesh, cameras(), charts(mesh)))
    draw = torch.Generator().manual_seed(0)
    given = torch.randn(3, surface.cells, generator=draw)
    if verb == "paint":
        given = torch.randn(VIEWS, 3, SIZE, SIZE, generator=draw)
    ours, loop = getattr(surface, verb), {"look": look_looped, "paint": paint_looped}[verb]
    torch.testing.assert_close(ours(given), loop(surface, given), rtol=1e-5, atol=1e-5)
    found = ratio(benchmark, lambda: ours(given), lambda: loop(surface, given))
    benchmark.extra_info.update(ratio=found, cells=surface.cells)
    with capsys.disabled():
        print(f"\n{verb} of {VIEWS} x {SIZE} px, {surface.cells:,} cells: {found:.2f} times as fast as the loop")
    assert found > 1
