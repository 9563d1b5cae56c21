"""Textured meshes of other programs, drawn from an item's cameras."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image
from syncbench.bench.catalogue.registry import load
from syncbench.bench.errors import SyncbenchError
from syncbench.bench.outputs.importing import import_folder
from syncbench.bench.outputs.match import Output
from syncbench.bench.outputs.read import Reading, read_output
from syncbench.bench.run.execute import executor
from syncbench.bench.run.rescore import rescore
from syncbench.bench.store.folder import Store, load_records
from syncbench.bench.types import Artifact, Item

FIELDS: dict[str, Any] = {"prompt": "a stone", "size": 96, "views": 8, "held": 2}


@pytest.fixture
def ball(tmp_path: Path) -> tuple[Any, Item]:
    """A ball that is no sphere, and the item of its file, which is z up."""
    mesh = trimesh.creation.icosphere(subdivisions=3)
    mesh.vertices *= [1.0, 0.8, 0.6]
    mesh.export(tmp_path / "ball.obj")
    fields = {**FIELDS, "path": str(tmp_path / "ball.obj"), "up": "z"}
    return mesh, load("datasets", "meshes", fields).items()[0]


def read(path: Path, item: Item, up: str = "z") -> Artifact:
    return read_output(Output(path.name, "mesh", (path,)), item, Reading(up=up))


def linear(points: Any, size: Any) -> Any:
    """A colour that is linear in the place, so that interpolating it over a face is exact."""
    return 0.5 + points * [0.4, -0.35, 0.3] / size


def test_colours_at_the_corners_are_seen_where_the_points_are(ball: tuple[Any, Item], tmp_path: Path) -> None:
    mesh, item = ball
    shown, size = mesh.copy(), np.abs(mesh.vertices).max(0)
    shown.visual = trimesh.visual.ColorVisuals(
        shown, vertex_colors=(linear(mesh.vertices, size) * 255).round().astype(np.uint8)
    )
    shown.vertices = shown.vertices * 7 + [3, -2, 9]  # a program may move and scale the mesh
    shown.export(tmp_path / "coloured.ply")
    artifact = read(tmp_path / "coloured.ply", item)
    inside = item.truth["mask"][:, 0] > 0.5
    eroded = -torch.nn.functional.max_pool2d(-inside.float()[:, None], 3, 1, 1)[:, 0] > 0.5
    where = item.truth["position"].permute(0, 2, 3, 1)[eroded].double().numpy()
    radius = np.linalg.norm(mesh.vertices, axis=1).max()
    own = where * (radius / 0.6) + [
        0,
        0,
        mesh.vertices[:, 2].min(),
    ]  # the item's stands on the ground, in a ball of 0.6
    wanted = linear(own, size)
    seen = artifact.views.permute(0, 2, 3, 1)[eroded].numpy()
    assert len(seen) > 500
    assert np.abs(seen - wanted).max() < 0.02, "a level of rounding, and rays beside the pixel's centre"
    assert float(artifact.views.permute(0, 2, 3, 1)[~inside].mean()) > 0.95, "on white"
    assert artifact.extras["held_views"].shape == (2, 3, 96, 96)


def textured(mesh: Any, tmp_path: Path) -> None:
    """The same mesh as GLB and as OBJ with a texture file."""
    uv = np.stack([np.arctan2(mesh.vertices[:, 1], mesh.vertices[:, 0]) / 7 + 0.5, mesh.vertices[:, 2] / 2 + 0.5], 1)
    noise = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    image = Image.fromarray(noise).resize((64, 64), Image.Resampling.BICUBIC)
    shown = mesh.copy()
    material = trimesh.visual.material.PBRMaterial(baseColorTexture=image)
    shown.visual = trimesh.visual.TextureVisuals(uv=uv, material=material)
    shown.export(tmp_path / "a.glb")
    (tmp_path / "o").mkdir()
    shown.visual = trimesh.visual.TextureVisuals(uv=uv, image=image)
    shown.export(tmp_path / "o" / "a.obj")


def test_a_texture_is_one_in_every_format(ball: tuple[Any, Item], tmp_path: Path) -> None:
    textured(ball[0], tmp_path)
    glb, obj = read(tmp_path / "a.glb", ball[1]), read(tmp_path / "o" / "a.obj", ball[1])
    assert float((glb.views - obj.views).abs().mean()) < 0.01, "OBJ writes eight digits"
    assert float(glb.views.std()) > 0.1


def test_a_mesh_scores_as_the_pictures_that_it_gives(ball: tuple[Any, Item], tmp_path: Path) -> None:
    mesh, item = ball
    textured(mesh, tmp_path)
    (tmp_path / "glb").mkdir()
    (tmp_path / "a.glb").rename(tmp_path / "glb" / f"{item.id}.glb")
    fields = [f"meshes.{k}={v}" for k, v in {**FIELDS, "up": "z", "path": tmp_path / "ball.obj"}.items()]
    how: dict[str, Any] = {"overrides": fields, "metrics": ["texel_variance", "sharpness"]}
    done = import_folder(tmp_path / "glb", "meshes", tmp_path / "out", method="glb", up="z", **how)
    assert done.anchors == {"source": 1, "redrawn": 1, "shortcut@blur": 1}
    store = Store(tmp_path / "out")
    [key] = [key for key in store.finished() if store.job(key).header.method == "glb"]  # type: ignore[union-attr]
    shutil.copytree(store.folder(key) / "views", tmp_path / "views" / item.id)
    import_folder(tmp_path / "views", "meshes", tmp_path / "out", method="views", **how)
    with executor(1) as execute:
        assert rescore(tmp_path / "out", execute).errors == {}
    frame = load_records([tmp_path / "out"]).pivot_table(index="method", columns="metric", values="value")
    assert "texel_variance" in frame, set(load_records([tmp_path / "out"])["reason"])
    assert frame.loc["glb"].tolist() == frame.loc["views"].tolist()
    assert frame["texel_variance"].notna().all()
    assert frame.loc["source", "texel_variance"] < frame.loc["redrawn", "texel_variance"] / 4


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda mesh, path: mesh.export(path / "m.stl") and (path / "m.stl").rename(path / "m.obj"), "faces|colours"),
        (lambda mesh, path: (path / "m.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 0 1 2\n"), "vertex 0"),
        (lambda mesh, path: (path / "m.obj").write_text("v 0 0 0\n"), "no faces"),
        (lambda mesh, path: (path / "m.glb").write_bytes(b"glTF"), "no glTF"),
    ],
)  # fmt: skip
def test_broken_meshes_are_one_line(make: Any, said: str, ball: tuple[Any, Item], tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    make(ball[0], tmp_path / "sub")
    [path] = (tmp_path / "sub").iterdir()
    with pytest.raises(SyncbenchError, match=said) as error:
        read(path, ball[1])
    assert "\n" not in str(error.value)


def test_a_mesh_is_no_output_of_an_item_without_cameras(ball: tuple[Any, Item], tmp_path: Path) -> None:
    textured(ball[0], tmp_path)
    clip = load("datasets", "panoramas").items()[0]
    with pytest.raises(SyncbenchError, match="no cameras"):
        read(tmp_path / "a.glb", clip)
