"""Photographs with what is known of them: IIW, MIT, InteriorVerse, Hypersim, and an index for the rest."""

import json
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import av
import h5py
import numpy as np
import pytest
import torch
from PIL import Image
from syncbench.bench.catalogue.content import content_of
from syncbench.bench.catalogue.registry import load
from syncbench.bench.errors import SyncbenchError
from syncbench.bench.surfaces.shared import SHADING_MAX
from syncbench.bench.types import Artifact, Item
from syncbench.datasets._channels import exposure, read_judgements
from syncbench.datasets._maps import half_depth, read_map
from syncbench.datasets.photos import Photos
from syncbench.metrics.albedo_error import AlbedoError
from syncbench.metrics.normal_error import NormalError

HIGH, WIDE = 32, 48


def items(path: Path, **fields: Any) -> list[Item]:
    return Photos(**{"path": str(path), "size": WIDE, **fields}).items()


def refused(path: Path, *names: str, **fields: Any) -> str:
    """The sentence by which a path, or the tensors `names` of its first item, are refused."""
    with pytest.raises(SyncbenchError) as caught:
        [item.truth[name] for item in items(path, **fields)[:1] for name in names]
    assert "\n" not in str(caught.value)
    return str(caught.value)


def exr(path: Path, levels: np.ndarray, layout: str = "") -> Path:
    """An EXR of floats (h, w, 3) or (h, w)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    layout = layout or ("gbrpf32le" if levels.ndim == 3 else "grayf32le")
    high, wide = levels.shape[:2]
    planes = [levels[..., channel] for channel in (1, 2, 0)] if levels.ndim == 3 else [levels]
    with av.open(str(path), "w", format="image2") as out:
        stream = out.add_stream("exr", rate=1)
        stream.width, stream.height, stream.pix_fmt = wide, high, layout
        stream.options = {"format": "float"}
        frame = av.VideoFrame(wide, high, layout)
        for plane, values in zip(frame.planes, planes, strict=True):
            rows = np.zeros((high, plane.line_size // 4), np.float32)
            rows[:, :wide] = values
            plane.update(rows.tobytes())
        out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


def deep(path: Path, levels: np.ndarray) -> Path:
    """A PNG of 16 bits from shares of 1."""
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = (levels * 65535).round().astype(np.uint16)
    if levels.ndim == 2:
        Image.fromarray(whole).save(path)
        return path
    with av.open(str(path), "w", format="image2") as out:
        stream = out.add_stream("png", rate=1)
        stream.height, stream.width, stream.pix_fmt = *levels.shape[:2], "rgb48be"
        out.mux(stream.encode(av.VideoFrame.from_ndarray(whole, format="rgb48be")))
        out.mux(stream.encode())
    return path


def smooth(seed: int, channels: int = 3) -> np.ndarray:
    """Numbers (HIGH, WIDE, channels) from 0.2 to 0.9."""
    coarse = np.random.default_rng(seed).uniform(0.2, 0.9, (4, 6, channels)).astype(np.float32)
    planes = [Image.fromarray(coarse[..., c]).resize((WIDE, HIGH), Image.Resampling.BILINEAR) for c in range(channels)]
    return np.stack([np.asarray(plane) for plane in planes], -1)


def srgb(light: np.ndarray) -> np.ndarray:
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.clip(light, 0.003, None) ** (1 / 2.4) - 0.055)


def save(path: Path, light: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((srgb(np.clip(light, 0, 1)) * 255).round().astype(np.uint8)).save(path)
    return path


def planes(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array)).float().permute(2, 0, 1)[None]


def mit(root: Path) -> Path:
    """One object of the MIT intrinsic images: 16 bits, linear light."""
    albedo, shading = smooth(1), smooth(2, 1)
    mask = np.zeros((HIGH, WIDE), np.uint8)
    mask[4:-4, 4:-4] = 255
    folder = root / "data" / "frog2"
    deep(folder / "diffuse.png", albedo * shading)
    deep(folder / "reflectance.png", albedo)
    deep(folder / "shading.png", shading[..., 0])
    Image.fromarray(mask).save(folder / "mask.png")
    deep(folder / "original.png", albedo * shading)
    return root / "data"


def test_mit_images_are_linear_and_their_own_ceiling(tmp_path: Path) -> None:
    [item] = items(mit(tmp_path), channels=("albedo", "shading"))
    assert item.id.startswith("frog2-")
    truth = item.truth
    torch.testing.assert_close(truth["albedo"], planes(smooth(1)), atol=1e-4, rtol=0)
    torch.testing.assert_close(truth["reflectance"], truth["albedo"])
    torch.testing.assert_close(truth["shading"], planes(smooth(2, 1)), atol=1e-4, rtol=0)
    assert float(truth["surface"].mean()) == (HIGH - 8) * (WIDE - 8) / (HIGH * WIDE)
    expected = planes(srgb(smooth(1) * smooth(2, 1)))
    torch.testing.assert_close(item.conditions["image"], expected, atol=1e-3, rtol=0)
    views = truth["views"]
    torch.testing.assert_close(
        views[1], planes(np.repeat(srgb(smooth(2, 1) / SHADING_MAX), 3, 2))[0], atol=1e-3, rtol=0
    )
    assert load("methods", "truth").lacks(item) is None
    ceiling, grey = (AlbedoError()(Artifact(views=made), item).value for made in (views, torch.full_like(views, 0.5)))
    assert ceiling is not None
    assert grey is not None
    assert ceiling < 0.001 < grey
    assert item.surface.window == (HIGH, WIDE)


def test_an_unfinished_object_is_one_line(tmp_path: Path) -> None:
    root = mit(tmp_path)
    (root / "frog2" / "reflectance.png").write_bytes(b"\x89PNG")
    assert "this is not a PNG, it is damaged" in refused(root, "albedo")
    deep(root / "frog2" / "reflectance.png", smooth(1)[:, : WIDE // 2])
    assert "another shape than the photograph's" in refused(root, "albedo")
    (root / "frog2" / "reflectance.png").unlink()
    assert "no pictures" in refused(root)


IIW = {
    "intrinsic_points": [
        {"id": 1, "x": 0.1, "y": 0.2, "opaque": True},
        {"id": 2, "x": 0.9, "y": 0.4, "opaque": True},
        {"id": 3, "x": 0.5, "y": 0.5, "opaque": False},
    ],
    "intrinsic_comparisons": [
        {"point1": 1, "point2": 2, "darker": "1", "darker_score": 1.5},
        {"point1": 2, "point2": 1, "darker": "2", "darker_score": 0.5},
        {"point1": 1, "point2": 2, "darker": "E", "darker_score": 0.25},
        {"point1": 1, "point2": 2, "darker": "1", "darker_score": 0},
        {"point1": 1, "point2": 2, "darker": "1", "darker_score": None},
        {"point1": 1, "point2": 3, "darker": "1", "darker_score": 1},
        {"point1": 1, "point2": 2, "darker": None, "darker_score": 1},
    ],
}


def test_iiws_judgements_stand_beside_the_photograph(tmp_path: Path) -> None:
    save(tmp_path / "100020.png", smooth(1))
    (tmp_path / "100020.json").write_text(json.dumps({**IIW, "intrinsic_comparisons": IIW["intrinsic_comparisons"]}))
    save(tmp_path / "other.png", smooth(2))
    (tmp_path / "other.json").write_text('{"caption": "a frog"}')
    judged, other = items(tmp_path)
    expected = [[0.1, 0.2, 0.9, 0.4, 1], [0.9, 0.4, 0.1, 0.2, 2], [0.1, 0.2, 0.9, 0.4, 0]]
    torch.testing.assert_close(judged.truth["judgements"], torch.tensor(expected))
    assert judged.truth["judgement_weights"].tolist() == [1.5, 0.5, 0.25]
    assert not other.truth, "a file of the same name may be anything"
    (tmp_path / "list.txt").write_text("100020.png")
    for path in (tmp_path / "100020.png", tmp_path / "list.txt"):
        [item] = items(path)
        assert content_of(item) == content_of(judged), "one picture, or one of a list, has them too"


@pytest.mark.parametrize(
    "change",
    [
        {"intrinsic_points": [{"id": 1, "x": 2, "y": 0}]},
        {"intrinsic_points": [{"id": 1, "x": "a", "y": 0}]},
        {"intrinsic_points": [3]},
        {"intrinsic_points": {}},
        {"intrinsic_comparisons": [{"point1": 9, "point2": 1, "darker": "1", "darker_score": 1}]},
        {"intrinsic_comparisons": [7]},
    ],
)
def test_broken_judgements_are_one_line(tmp_path: Path, change: dict[str, Any]) -> None:
    save(tmp_path / "a.png", smooth(1))
    (tmp_path / "a.json").write_text(json.dumps({**IIW, **change}))
    assert "IIW" in refused(tmp_path, "judgements")


def test_no_judgement_that_counts_is_an_empty_table(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({**IIW, "intrinsic_comparisons": []}))
    assert read_judgements(tmp_path / "a.json").shape == (0, 6)


def test_interiorverse_is_exr_with_infinite_depth(tmp_path: Path) -> None:
    folder = tmp_path / "L3D124S8ENDIDSWAIQUI5NYALUF3P3XA888"
    albedo, depth = smooth(1), np.full((HIGH, WIDE), 1500, np.float32)
    albedo[:4], depth[:, :8] = 0, np.inf
    normal = np.zeros((HIGH, WIDE, 3), np.float32)
    normal[..., 1] = 1.0  # up, in OpenGL's axes
    normal[:4] = 0
    exr(folder / "000_im.exr", np.concatenate([albedo[:, :-8], np.full((HIGH, 8, 3), 40, np.float32)], 1))
    exr(folder / "000_albedo.exr", albedo)
    exr(folder / "000_normal.exr", normal)
    exr(folder / "000_depth.exr", depth)
    exr(folder / "000_mask.exr", np.ones((HIGH, WIDE, 3), np.float32))
    [item] = items(tmp_path, channels=("albedo", "normal"))
    assert item.id.startswith("L3D124S8ENDIDSWAIQUI5NYALUF3P3XA888-000-")
    truth = item.truth
    assert truth["depth"][0, 0, 8, [4, 20]].tolist() == [0.0, pytest.approx(1.5)]
    assert truth["normal"][0, :, 20, 20].tolist() == [0, -1, 0], "up is against y here"
    assert truth["normal"][0, :, 0, 0].tolist() == [0, 0, 0]
    assert truth["surface"][0, 0, :, 5].tolist() == [0.0] * 4 + [1.0] * (HIGH - 4)
    torch.testing.assert_close(truth["albedo"], planes(albedo), atol=1e-6, rtol=0)
    assert float(item.conditions["image"][0, :, 9, -1].min()) == pytest.approx(1), "what is overexposed is white"
    score = NormalError()(Artifact(views=truth["views"]), item)
    assert score.value == pytest.approx(0, abs=1)
    assert score.coverage == pytest.approx(1 - 4 / HIGH)


def hypersim(root: Path) -> Path:
    folder = root / "train" / "ai_001_010"
    albedo, shading, residual = smooth(1), 3 * smooth(2), 0.1 * smooth(3)
    save(folder / "rgb_cam_00_fr0000.png", np.clip(albedo * shading / 3 + residual, 0, 1))
    for name, array in (("albedo", albedo), ("shading", shading), ("residual", residual)):
        np.save(folder / f"{name}_cam_00_fr0000.npy", array)
    Image.fromarray(np.full((HIGH, WIDE), 2500, np.uint16)).save(folder / "depth_plane_cam_00_fr0000.png")
    (folder / "shading_stats_cam_00_fr0000.json").write_text("{}")
    return root / "train"


def test_hypersim_as_marigold_has_it(tmp_path: Path) -> None:
    root = hypersim(tmp_path)
    names = ("albedo", "shading", "residual")
    listed = root / "split.txt"
    stem = "ai_001_010/{}_cam_00_fr0000.{}"
    line = [
        stem.format("rgb", "png"),
        *(stem.format(name, "npy") for name in names),
        stem.format("shading_stats", "json"),
    ]
    listed.write_text(" ".join(line) + "\n")
    [one], [two] = items(root), items(listed)
    assert one.id == two.id
    cut = max(np.quantile(3 * smooth(2), 0.98), np.quantile(0.1 * smooth(3), 0.98))
    for item in (one, two):
        torch.testing.assert_close(item.truth["albedo"], planes(smooth(1)), atol=1e-6, rtol=0)
        expected = planes(np.clip(3 * smooth(2) / cut, 0, 1))
        torch.testing.assert_close(item.truth["shading"], expected.mean(1, keepdim=True), atol=1e-5, rtol=0)
        torch.testing.assert_close(item.truth["residual"], planes(0.1 * smooth(3) / cut), atol=1e-5, rtol=0)
    assert float(one.truth["depth"].unique()) == pytest.approx(2.5)
    assert content_of(items(root / "ai_001_010" / "rgb_cam_00_fr0000.png")[0]) == content_of(one)
    listed.write_text(listed.read_text().replace("albedo", "../albedo"))
    assert "leads out" in refused(listed)


def render(root: Path) -> Path:
    """One render of Hypersim as published, brighter than 1, showing nothing in its first columns."""
    images = root / "ai_001_010" / "images"
    albedo, shading, residual = smooth(1), 5 * smooth(2), 0.1 * smooth(3)
    color = albedo * shading + residual
    color[:, :6] = 50
    entities = np.full((HIGH, WIDE), 7, np.int16)
    entities[:, :6] = -1
    facing = np.tile(np.array([0, 0, 1], np.float32), (HIGH, WIDE, 1))
    facing[0] = np.nan
    up = np.roll(facing, 2, axis=2)
    final = {"color": color, "diffuse_reflectance": albedo, "diffuse_illumination": shading, "residual": residual}
    shape = {"depth_meters": np.full((HIGH, WIDE), 2.0), "render_entity_id": entities}
    shape |= {"normal_cam": facing, "normal_bump_cam": up}
    for kind, arrays in (("final", final), ("geometry", shape)):
        folder = images / f"scene_cam_00_{kind}_hdf5"
        folder.mkdir(parents=True)
        for name, array in arrays.items():
            with h5py.File(folder / f"frame.0012.{name}.hdf5", "w") as file:
                file["dataset"] = array if array.dtype.kind == "i" else array.astype(np.float16)
    return root


def test_hypersim_as_published(tmp_path: Path) -> None:
    """The photograph is exposed so that the 90 % quantile of what it shows is 0.8; its axes are OpenGL's."""
    root = render(tmp_path)
    color = root / "ai_001_010/images/scene_cam_00_final_hdf5/frame.0012.color.hdf5"
    found = [items(path) for path in (root, root / "ai_001_010", color)]
    assert [[item.id.rpartition("-")[0] for item in one] for one in found] == [["ai_001_010-cam_00-0012"]] * 3
    item = found[0][0]
    picture = item.conditions["image"]
    luma = (picture**2.2 * torch.tensor([0.3, 0.59, 0.11])[:, None, None]).sum(1)
    assert float(luma[..., 6:].quantile(0.9)) ** (1 / 2.2) == pytest.approx(0.8, abs=1e-3)
    assert float(picture[..., :6].min()) == 1, "what shows nothing has no say in the exposure"
    linear = planes(smooth(1) * 5 * smooth(2) + 0.1 * smooth(3))[..., 6:]
    shown = picture[..., 6:] ** 2.2
    inside = shown < 1
    ratio = (shown / linear)[inside]
    assert float(ratio.max() / ratio.min()) == pytest.approx(1, abs=5e-3), "light is kept up to a factor"
    torch.testing.assert_close(item.truth["albedo"], planes(smooth(1)), atol=1e-3, rtol=0)
    assert item.truth["normal"][0, :, 5, 5].tolist() == [0, -1, 0], "normals with bumps, where there are some"
    assert item.truth["normal"][0, :, 0, 5].tolist() == [0, 0, 0]
    assert float(item.truth["depth"][0, 0, HIGH // 2, WIDE // 2]) == pytest.approx(2, abs=1e-3)
    assert float(item.truth["depth"][0, 0, 0, 0]) < 1.7, "a distance, not z"
    before = content_of(item)
    geometry = root / "ai_001_010/images/scene_cam_00_geometry_hdf5"
    (geometry / "frame.0012.normal_bump_cam.hdf5").unlink()
    assert items(root)[0].truth["normal"][0, :, 5, 5].tolist() == [0, 0, -1]
    (geometry / "frame.0012.render_entity_id.hdf5").unlink()
    dark = items(root)[0]
    assert float(dark.conditions["image"].median()) < 0.5 * float(picture.median())
    assert content_of(dark) != before
    with h5py.File(geometry / "frame.0012.render_entity_id.hdf5", "w") as file:
        file["dataset"] = np.full((HIGH, WIDE // 2), 1)
    with pytest.raises(SyncbenchError, match=r"render_entity_id.hdf5: .*, and its render"):
        items(root)[0].conditions["image"]


def published(root: Path) -> tuple[Path, Path]:
    """The folders of the pictures and of the geometry of `render`."""
    images = render(root) / "ai_001_010" / "images"
    return images / "scene_cam_00_final_hdf5", images / "scene_cam_00_geometry_hdf5"


def test_a_render_is_the_same_from_every_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the folders above it, from inside of them, and from a list, which may leave out what lies beside it."""
    final, geometry = published(tmp_path)
    (tmp_path / "list.txt").write_text(str((final / "frame.0012.color.hdf5").relative_to(tmp_path)))
    [whole] = items(tmp_path)
    for path in (final, final.parent, tmp_path / "list.txt"):
        [item] = items(path)
        assert content_of(item) == content_of(whole)
        torch.testing.assert_close(item.conditions["image"], whole.conditions["image"], rtol=0, atol=0)
        assert item.id == whole.id or path.suffix == ".txt"
    for folder, names in ((final, ("frame.0012.color.hdf5", ".", "..", "../..")), (geometry, ("..",))):
        monkeypatch.chdir(folder)
        for name in names:
            [item] = items(Path(name))
            assert (item.id, content_of(item)) == (whole.id, content_of(whole)), name
            assert float(item.truth["normal"].abs().max()) == 1


def test_a_list_names_what_it_wants_of_a_render(tmp_path: Path) -> None:
    final, geometry = published(tmp_path)
    names = (final / "frame.0012.color.hdf5", geometry / "frame.0012.normal_cam.hdf5")
    photo, normal = (str(name.relative_to(tmp_path)) for name in names)
    np.save(tmp_path / "z.npy", np.full((HIGH, WIDE), 3, np.float32))
    index = tmp_path / "index.jsonl"
    index.write_text(json.dumps({"photo": photo, "id": "a", "normal": normal, "depth": "z.npy"}))
    [item] = items(index)
    assert item.id.startswith("a-")
    assert item.truth["normal"][0, :, 5, 5].tolist() == [0, 0, 1], "axes of normals of one's own are photos.axes"
    assert float(item.truth["depth"].min()) == float(item.truth["depth"].max()) == 3, "camera z of one's own"
    index.write_text(json.dumps({"photo": photo, "distance": "z.npy", "depth": "z.npy"}))
    assert float(items(index)[0].truth["depth"].min()) == 3, "depth is no distance"
    assert items(index)[0].truth["normal"][0, :, 5, 5].tolist() == [0, -1, 0]


def test_renders_come_camera_by_camera(tmp_path: Path) -> None:
    images = published(tmp_path)[0].parent
    for camera in ("10", "02"):
        folder = images / f"scene_cam_{camera}_final_hdf5"
        folder.mkdir()
        for frame in ("0100", "0001"):
            with h5py.File(folder / f"frame.{frame}.color.hdf5", "w") as file:
                file["dataset"] = smooth(int(camera) + int(frame)).astype(np.float16)
    (images / "scene_cam_02_final_hdf5" / "frame.0001.gamma.hdf5").write_bytes(b"")
    (images / "scene_cam_00_final_preview").mkdir()
    save(images / "scene_cam_00_final_preview" / "frame.0012.color.png", smooth(1))
    found = [item.id.split("_", 3)[3].rpartition("-")[0] for item in items(tmp_path)]
    assert found == ["00-0012", "02-0001", "02-0100", "10-0001", "10-0100"]


def test_infinite_light_is_white(tmp_path: Path) -> None:
    """Half floats above 65504, and what is overexposed in an EXR or an array."""
    light = smooth(1)
    light[5, 5] = np.inf
    light[6, 6] = np.nan
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["dataset"] = light.astype(np.float16)
    exr(tmp_path / "b.exr", light)
    (tmp_path / "list.txt").write_text("c.npy")
    np.save(tmp_path / "c.npy", light)
    for path in (tmp_path / "a.h5", tmp_path / "b.exr", tmp_path / "list.txt"):
        picture = items(path)[0].conditions["image"][0]
        assert picture[:, 5, 5].tolist() == pytest.approx([1, 1, 1]), path
        assert picture[:, 6, 6].tolist() == [0, 0, 0]


def test_pictures_that_are_only_called_rgb_are_pictures(tmp_path: Path) -> None:
    for name in ("rgb_left.png", "other.png", "rgb_a copy.png"):
        save(tmp_path / name, smooth(len(name)))
    assert [item.id.rpartition("-")[0] for item in items(tmp_path)] == ["other", "rgb_a copy", "rgb_left"]
    (tmp_path / "list.txt").write_text("rgb_a copy.png\n")
    assert len(items(tmp_path / "list.txt")) == 1


@pytest.mark.parametrize(("level", "expected"), [(0.0, 0.0), (5e-5, 0.0), (2.0, 0.8**2.2 / 2)])
def test_exposure_of_flat_light(level: float, expected: float) -> None:
    light = torch.full((3, 4, 4), level)
    assert exposure(light) == pytest.approx(expected)
    assert exposure(light, torch.zeros(4, 4, dtype=torch.bool)) == 1


def test_an_index_serves_the_rest(tmp_path: Path) -> None:
    """Distances as Hypersim keeps them, normals as pictures, albedo in sRGB, a mask."""
    save(tmp_path / "photo.png", smooth(1))
    save(tmp_path / "albedo.png", smooth(2))
    np.save(tmp_path / "distance.npy", np.full((768, 1024), 2.0, np.float32))
    facing = np.tile(np.array([128, 128, 0], np.uint8), (HIGH, WIDE, 1))
    Image.fromarray(facing).save(tmp_path / "normal.png")
    row = {"photo": "photo.png", "albedo": "albedo.png", "normal": "normal.png"}
    index = tmp_path / "index.jsonl"
    index.write_text(json.dumps(row))
    [item] = items(index)
    torch.testing.assert_close(item.truth["albedo"], planes(smooth(2)), atol=0.01, rtol=0)
    torch.testing.assert_close(item.truth["normal"][0, :, 5, 5], torch.tensor([0.0, 0, -1]), atol=0.01, rtol=0)
    assert "views" not in item.truth, "no shading is known"
    [other] = items(index, axes="opengl")
    assert float(other.truth["normal"][0, 2, 5, 5]) == pytest.approx(1, abs=0.01)
    assert content_of(item) != content_of(other)
    Image.new("RGB", (1024, 768)).save(tmp_path / "wide.png")
    index.write_text(json.dumps({"photo": "wide.png", "distance": "distance.npy"}))
    depth = items(index, size=1024)[0].truth["depth"][0, 0]
    assert float(depth[384, 512]) == pytest.approx(2, abs=1e-4)
    assert float(depth[0, 0]) == pytest.approx(2 / np.sqrt(1 + (511.5 / 886.81) ** 2 + (383.5 / 886.81) ** 2), abs=1e-5)
    for change, words in (
        ({"albedo": "../x.png"}, "leads out"),
        ({"albedo": "gone.png"}, "cannot read"),
        ({"albedo": "index.jsonl"}, "a map of numbers ends in"),
        ({"normal": "distance.npy"}, "normals have three channels"),
        ({"mask": "photo.jpg"}, "cannot read"),
    ):
        index.write_text(json.dumps({**row, **change}))
        assert words in refused(index, "albedo", "normal")


def test_maps_that_are_none_are_one_line(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((2, 3, 4, 5)))
    np.save(tmp_path / "b.npy", np.array([["x"]]))
    np.save(tmp_path / "c.npy", np.array([[{}]], dtype=object), allow_pickle=True)
    (tmp_path / "d.npy").write_bytes(
        b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (9999999, 9999999), }"
    )
    (tmp_path / "e.exr").write_bytes(b"v/1\x01 no more")
    exr(tmp_path / "f.exr", smooth(1))
    (tmp_path / "f.exr").write_bytes((tmp_path / "f.exr").read_bytes()[:300])
    (tmp_path / "g.png").write_bytes(b"")
    (tmp_path / "h.hdf5").write_bytes(b"no")
    np.save(tmp_path / "i.npy", np.zeros((0, 3)))
    head = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 16, 2, 0, 0, 0)
    whole = struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))
    (tmp_path / "j.png").write_bytes(b"\x89PNG\r\n\x1a\n" + whole + (tmp_path / "f.exr").read_bytes())
    for file in sorted(tmp_path.iterdir()):
        with pytest.raises(SyncbenchError) as caught:
            read_map(file)
        assert file.name in str(caught.value)
        assert "\n" not in str(caught.value)


def test_maps_are_read_as_they_are_stored(tmp_path: Path) -> None:
    levels = smooth(1) * 100 - 30
    levels[0, 0] = np.inf
    np.testing.assert_array_equal(read_map(exr(tmp_path / "a.exr", levels)), levels)
    np.testing.assert_array_equal(read_map(exr(tmp_path / "b.exr", levels[..., 0]))[..., 0], levels[..., 0])
    np.testing.assert_allclose(read_map(deep(tmp_path / "c.png", smooth(1))) / 65535, smooth(1), atol=1e-5)
    np.save(tmp_path / "d.npy", levels.transpose(2, 0, 1).astype(np.float64))
    np.testing.assert_array_equal(read_map(tmp_path / "d.npy"), levels)


def test_hdf5_is_read(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file["dataset"] = smooth(1).astype(np.float16)
    with h5py.File(tmp_path / "b.hdf5", "w") as file:
        file.create_group("dataset")
    np.testing.assert_allclose(read_map(tmp_path / "a.hdf5"), smooth(1), atol=1e-3)
    with h5py.File(tmp_path / "c.hdf5", "w") as file:
        file["dataset"] = h5py.Empty("f4")
    for name in ("b.hdf5", "c.hdf5"):
        with pytest.raises(SyncbenchError, match=rf"{name}: no HDF5 file with numbers called 'dataset'"):
            read_map(tmp_path / name)
    with h5py.File(tmp_path / "d.hdf5", "w") as file:
        file.create_dataset("dataset", (2**28, 4), "f4", chunks=(2**20, 4))
    with pytest.raises(SyncbenchError, match="'dataset' is no map of up to"):
        read_map(tmp_path / "d.hdf5")
    (tmp_path / "raw").write_bytes(bytes(24))
    with h5py.File(tmp_path / "e.hdf5", "w") as file:
        file.create_dataset("dataset", (2, 3), "f4", external=[(str(tmp_path / "raw"), 0, 24)])
    layout = h5py.VirtualLayout((HIGH, WIDE, 3), "f2")
    layout[:] = h5py.VirtualSource(str(tmp_path / "a.hdf5"), "dataset", (HIGH, WIDE, 3))
    with h5py.File(tmp_path / "f.hdf5", "w") as file:
        file.create_virtual_dataset("dataset", layout)
    for name in ("e.hdf5", "f.hdf5"):
        with pytest.raises(SyncbenchError, match=rf"{name}: its numbers are kept in another file"):
            read_map(tmp_path / name)


def test_numbers_beyond_float32_are_infinite(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    np.save(tmp_path / "a.npy", np.full((2, 2), 1e300))
    assert np.isinf(read_map(tmp_path / "a.npy")).all()
    assert not recwarn.list


def test_hdf5_without_h5py_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    render(tmp_path)
    monkeypatch.setitem(sys.modules, "h5py", None)
    assert refused(tmp_path).endswith("HDF5 needs h5py: pip install h5py, or convert the map to NPY")


def test_half_floats_in_sixteen_bits() -> None:
    """Worked out by hand: sign, five bits of exponent less 15, ten of fraction."""
    bits = np.array([[0x0000, 0x3C00, 0x3E00, 0x4248, 0x7BFF, 0x7C00, 0x7E00]], np.uint16)
    expected = [[0.0, 1.0, 1.5, 3.140625, 65504.0, 0.0, 0.0]]
    np.testing.assert_array_equal(half_depth(bits), expected)


def test_sides_are_multiples_of_what_a_model_reads(tmp_path: Path) -> None:
    Image.new("RGB", (100, 60)).save(tmp_path / "a.png")
    for multiple, high in ((8, 80), ("64", 64)):
        fields = {"path": str(tmp_path), "size": 128, "multiple": multiple}
        [item] = load("datasets", "photos", fields).items()
        assert item.surface.window == (high, 128)
        assert item.conditions["image"].shape == (1, 3, high, 128)
    assert "use 64 or more" in refused(tmp_path, size=48, multiple=64)
