"""Meshes whose files say what they look like, and the folders of Scanned Objects, Text2Tex and Objaverse."""

import gzip
import json
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image
from syncbench.bench.catalogue.registry import load
from syncbench.bench.errors import SyncbenchError
from syncbench.bench.outputs.textured import read_textured
from syncbench.bench.surfaces.camera import Cameras, orbit, pinhole
from syncbench.bench.surfaces.mesh import read_mesh
from syncbench.bench.surfaces.paint import painted_views, read_painted
from syncbench.bench.types import Artifact, Item
from syncbench.datasets.meshes import Meshes
from syncbench.metrics.texel_variance import TexelVariance

UID = "00a6f3b1c2d3e4f5a6b7c8d9e0f10203"
PLATE = "v 0 -1 -1\nv 0 1 -1\nv 0 1 1\nv 0 -1 1\n"
"""A square that faces +x, the front."""
TURNED = PLATE + "vt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\nusemtl one\nf 1/1 2/2 3/3 4/4\n"
CORNERS = {(0, 0): (255, 0, 0), (0, 1): (0, 255, 0), (1, 0): (0, 0, 255), (1, 1): (255, 255, 0)}
"""Colours of the quarters of a texture by row and column, from the top left."""


def quarters(path: Path, side: int = 64) -> Path:
    picture = np.zeros((side, side, 3), np.uint8)
    half = side // 2
    for (row, column), colour in CORNERS.items():
        picture[row * half :][:half, column * half :][:, :half] = colour
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)
    return path


def plate(folder: Path, mtl: str = "newmtl one\nKd 0.2 0.2 0.2\nmap_Kd quarters.png\n", obj: str = TURNED) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "a.mtl").write_text(mtl)
    (folder / "a.obj").write_text("mtllib a.mtl\n" + obj)
    return folder / "a.obj"


def front(path: Path, up: str = "z", size: int = 64) -> np.ndarray:
    """What a camera before the plate sees, (h, w, 3) from 0 to 255."""
    mesh, paint = read_painted(path, up)
    assert paint is not None
    middle = (0.0, 0.0, float(mesh.sphere[0][2]))
    eye = Cameras(orbit(0, 0, 2.0, middle), pinhole(1, 1.5 * size, (size / 2, size / 2)), size, size)
    return (painted_views(mesh, paint, eye)[0].permute(1, 2, 0).numpy() * 255).round()


def test_a_texture_is_seen_where_its_coordinates_say(tmp_path: Path) -> None:
    quarters(tmp_path / "quarters.png")
    view = front(plate(tmp_path))
    for (row, column), colour in CORNERS.items():
        np.testing.assert_allclose(view[24 + 16 * row, 24 + 16 * column], colour, atol=1)
    np.testing.assert_array_equal(view[2, 2], [255, 255, 255])


def test_renders_equal_an_independent_lookup(tmp_path: Path) -> None:
    """Against Pillow's own affine resampling of the texture, through the pinhole projection worked out by hand."""
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    big = Image.fromarray(noise).resize((256, 256), Image.Resampling.BICUBIC)
    big.save(tmp_path / "quarters.png")
    size = 96
    view = front(plate(tmp_path), size=size)
    side = 1.2 / np.sqrt(2) / 2 * 1.5 * size  # the plate fits a ball of diameter 1.2; seen from 2 at focal 1.5
    left = (size - side) / 2
    scale = 256 / side
    expected = np.asarray(
        big.transform((size, size), Image.Transform.AFFINE, (scale, 0, -left * scale, 0, scale, -left * scale)),
        float,
    )
    blurred = np.asarray(Image.fromarray(view.astype(np.uint8)), float)
    inner = slice(int(left) + 4, int(left + side) - 4)
    assert np.abs(blurred - expected)[inner, inner].mean() < 4
    assert np.abs(blurred[:, ::-1] - expected)[inner, inner].mean() > 20, "a mirrored texture is another one"


def test_a_glb_of_parts_keeps_each_parts_place_and_material(tmp_path: Path) -> None:
    """A red and a green box; the green one is moved by its node, and mirrored."""
    scene = trimesh.Scene()
    for number, colour in enumerate(([255, 0, 0, 255], [0, 255, 0, 255])):
        box = trimesh.creation.box()
        material = trimesh.visual.material.PBRMaterial(baseColorFactor=colour)
        box.visual = trimesh.visual.TextureVisuals(uv=np.zeros((len(box.vertices), 2)), material=material)
        place = np.diag([-1.0 if number else 1.0, 1, 1, 1])
        place[0, 3] = 2.0 * number
        scene.add_geometry(box, transform=place)
    scene.export(tmp_path / "two.glb")
    mesh, paint = read_painted(tmp_path / "two.glb")
    assert paint is not None
    assert trimesh.Trimesh(mesh.vertices, mesh.faces).volume > 0, "the mirrored box keeps its outside"
    green = paint.corners[:, 0, 1] > 0.5
    assert green.sum() == 12
    assert mesh.triangles[green].mean((0, 1))[1] != pytest.approx(mesh.triangles[~green].mean((0, 1))[1])
    assert mesh.digest == read_mesh(tmp_path / "two.glb").digest, "colours change no geometry"


def test_factors_of_gltf_are_linear_and_material_colours_of_obj_are_srgb(tmp_path: Path) -> None:
    two = TURNED + "usemtl other\nf 1/1 3/3 2/2\n"
    _, paint = read_painted(plate(tmp_path, "newmtl one\nKd 0.5 0.5 0.5\nnewmtl other\nKd 1 1 1\n", two))
    assert paint is not None
    assert paint.corners.min() == pytest.approx(0.214, abs=0.002)
    box = trimesh.creation.box()
    box.visual = trimesh.visual.ColorVisuals(box, vertex_colors=np.tile([[128, 128, 128, 255]], (8, 1)))
    box.visual.vertex_colors[0] = [255, 0, 0, 255]
    for name, level in (("a.ply", 0.216), ("a.glb", 0.502)):
        box.export(tmp_path / name)
        _, paint = read_painted(tmp_path / name)
        assert paint is not None
        assert np.median(paint.corners) == pytest.approx(level, abs=0.002)


def test_diffuse_colours_are_base_colours_and_are_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Materials of specular colours (an older extension of glTF) are not blended, for which trimesh takes gigabytes."""
    uv = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], float)
    image = Image.open(quarters(tmp_path / "quarters.png"))
    material = trimesh.visual.material.PBRMaterial(baseColorTexture=image, baseColorFactor=[255, 255, 255, 255])
    corners = [[0, -1, -1], [0, 1, -1], [0, 1, 1], [0, -1, 1]]
    visual = trimesh.visual.TextureVisuals(uv=uv, material=material)
    trimesh.Trimesh(corners, [[0, 1, 2], [0, 2, 3]], visual=visual, process=False).export(tmp_path / "plain.glb")
    data = (tmp_path / "plain.glb").read_bytes()
    size = int.from_bytes(data[12:16], "little")
    content = json.loads(data[20 : 20 + size])
    base = content["materials"][0].pop("pbrMetallicRoughness")
    gloss = {"diffuseTexture": base["baseColorTexture"], "specularGlossinessTexture": base["baseColorTexture"]}
    content["materials"][0]["extensions"] = {"KHR_materials_pbrSpecularGlossiness": gloss}
    text = json.dumps(content).encode()
    text += b" " * (-len(text) % 4)
    rest = data[20 + size :]
    lengths = (20 + len(text) + len(rest)).to_bytes(4, "little") + len(text).to_bytes(4, "little")
    (tmp_path / "glossy.glb").write_bytes(data[:8] + lengths + b"JSON" + text + rest)
    monkeypatch.setattr("trimesh.visual.gloss.specular_to_pbr", blended := Mock(return_value={}))
    mesh, same = read_mesh(tmp_path / "glossy.glb"), read_mesh(tmp_path / "plain.glb")
    np.testing.assert_array_equal(mesh.uv, same.uv)
    np.testing.assert_array_equal(front(tmp_path / "glossy.glb"), front(tmp_path / "plain.glb"))
    assert read_textured(tmp_path / "glossy.glb").textures[0] is not None
    assert not blended.called


def items(path: Path, **fields: object) -> list[Item]:
    return Meshes(**{"path": str(path), "size": 64, **fields}).items()


def test_a_textured_scan_is_its_own_ceiling(tmp_path: Path) -> None:
    ball = trimesh.creation.icosphere(3)
    smooth = Image.fromarray(np.random.default_rng(1).integers(0, 256, (8, 8, 3), np.uint8)).resize((256, 256))
    uv = np.stack([np.arctan2(ball.vertices[:, 1], ball.vertices[:, 0]) / (2 * np.pi), ball.vertices[:, 2] / 2], 1)
    ball.visual = trimesh.visual.TextureVisuals(uv=np.abs(uv), image=smooth)
    ball.export(tmp_path / "ball.obj")
    [item] = items(tmp_path / "ball.obj", prompt="a ball")
    views = item.truth["views"]
    assert views.shape == (8, 3, 64, 64)
    assert item.truth["held_views"].shape == (4, 3, 64, 64)
    off = (item.truth["mask"] < 0.5).expand_as(views)
    outside = torch.nn.functional.max_pool2d(1 - off.float(), 3, 1, 1) < 0.5
    assert float(views[outside].min()) == pytest.approx(1.0)
    assert load("methods", "truth").lacks(item) is None
    random = torch.rand(views.shape, generator=torch.Generator().manual_seed(0))
    ceiling, floor = (TexelVariance()(Artifact(views=made), item).value for made in (views, random))
    assert ceiling is not None
    assert floor is not None
    assert ceiling < 0.3 * floor
    assert load("methods", "truth").lacks(items(tmp_path / "ball.obj", prompt="a ball", colours=False)[0])


def test_another_texture_is_another_item(tmp_path: Path) -> None:
    quarters(tmp_path / "quarters.png")
    one = items(plate(tmp_path), prompt="a plate")[0].content
    quarters(tmp_path / "quarters.png", 32)
    assert items(plate(tmp_path), prompt="a plate")[0].content != one


@pytest.mark.parametrize("mtl", ["newmtl one\nKd 0.8 0.8 0.8\n", "", None])
def test_one_colour_or_none_is_no_truth(tmp_path: Path, mtl: str | None) -> None:
    path = plate(tmp_path, mtl or "")
    if mtl is None:
        (tmp_path / "a.mtl").unlink()
    assert "views" not in items(path, prompt="a plate")[0].truth


@pytest.mark.parametrize(
    ("mtl", "content", "words"),
    [
        ("newmtl one\nmap_Kd gone.png\n", None, "names the picture 'gone.png', which is not beside it"),
        ("newmtl one\nmap_Kd ../../secret.png\n", None, "names the picture '../../secret.png', which is not beside it"),
        ("newmtl one\nmap_Kd /etc/hostname\n", None, "which is not beside it or is no picture"),
        ("newmtl one\nmap_Kd quarters.png\n", b"\x89PNG\r\n\x1a\n", "names the picture 'quarters.png'"),
        ("newmtl one\nmap_Kd quarters.png\n", "half", "a texture is damaged"),
    ],
)
def test_missing_and_damaged_textures_are_one_line(
    tmp_path: Path, mtl: str, content: bytes | str | None, words: str
) -> None:
    whole = quarters(tmp_path / "quarters.png", 512).read_bytes()
    quarters(tmp_path / "secret.png")
    path = plate(tmp_path / "a" / "b", mtl)
    if content is not None:
        data = whole[: len(whole) // 2] if isinstance(content, str) else content
        (path.parent / "quarters.png").write_bytes(data)
    with pytest.raises(SyncbenchError) as caught:
        items(path, prompt="a plate")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert items(path, prompt="a plate", colours=False)


def test_scanned_objects_find_their_texture_in_the_other_folder(tmp_path: Path) -> None:
    for name in ("Red_Teapot", "Ace_Coffee_Mug"):
        plate(tmp_path / name / "meshes", "newmtl one\nmap_Kd texture.png\n").rename(
            tmp_path / name / "meshes" / "model.obj"
        )
        quarters(tmp_path / name / "materials" / "textures" / "texture.png")
    found = items(tmp_path)
    assert [(item.id, item.prompts[0]) for item in found] == [
        ("Ace_Coffee_Mug", "Ace Coffee Mug"),
        ("Red_Teapot", "Red Teapot"),
    ]
    assert all("views" in item.truth for item in found)
    np.testing.assert_allclose(front(tmp_path / "Red_Teapot" / "meshes" / "model.obj")[24, 24], CORNERS[0, 0], atol=1)
    assert items(tmp_path / "Red_Teapot", prompt="gold")[0].prompts == ("gold",)


def test_text2texs_list_names_meshes_by_category_and_id(tmp_path: Path) -> None:
    (tmp_path / "objaverse_subset.txt").write_text(f"CD_player_{UID}\n")
    quarters(tmp_path / "objaverse" / UID / "quarters.png")
    plate(tmp_path / "objaverse" / UID).rename(tmp_path / "objaverse" / UID / "mesh.obj")
    for path in (tmp_path, tmp_path / "objaverse_subset.txt"):
        [item] = items(path)
        assert (item.id, item.prompts) == (f"CD_player_{UID}", ("CD player",))
    for line, words in (
        ("CD_player", "objaverse_subset.txt:1: 'CD_player' is no category"),
        ("a_" + "0" * 32, "0/mesh.obj"),
    ):
        (tmp_path / "objaverse_subset.txt").write_text(line + "\n")
        with pytest.raises(SyncbenchError, match=words):
            items(tmp_path)


def test_objaverse_has_prompts_by_category(tmp_path: Path) -> None:
    glb = tmp_path / "hf-objaverse-v1" / "glbs" / "000-023" / f"{UID}.glb"
    glb.parent.mkdir(parents=True)
    trimesh.creation.box().export(glb)
    with pytest.raises(SyncbenchError, match="a mesh needs a prompt"):
        items(tmp_path)
    listed = tmp_path / "hf-objaverse-v1" / "lvis-annotations.json.gz"
    listed.write_bytes(gzip.compress(json.dumps({"coffee_maker": [UID]}).encode()))
    [item] = items(tmp_path)
    assert (item.id, item.prompts) == (UID, ("coffee maker",))
    for bad in (b"no gzip", gzip.compress(b"[1]"), gzip.compress(bytes(2**27)), listed.read_bytes()[:20]):
        listed.write_bytes(bad)
        with pytest.raises(SyncbenchError, match="no gzipped JSON object"):
            items(tmp_path)


def test_a_folder_of_meshes_and_folders_without(tmp_path: Path) -> None:
    for name in ("b.obj", "a.ply", "a.stl"):
        trimesh.creation.box().export(tmp_path / name)
    assert [item.id for item in items(tmp_path, prompt="gold")] == ["a.ply", "a.stl", "b"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(SyncbenchError, match="no meshes in this folder"):
        items(tmp_path / "empty", prompt="gold")


@pytest.mark.parametrize("place", ["../a.obj", "/etc/a.obj", "C:\\a.obj", "..\\a.obj", "~/a.obj"])
def test_paths_of_an_index_stay_in_its_folder(tmp_path: Path, place: str) -> None:
    index = tmp_path / "index.jsonl"
    index.write_text(json.dumps({"mesh": place, "prompt": "gold"}))
    with pytest.raises(SyncbenchError, match="leads out of this file's folder"):
        items(index)
