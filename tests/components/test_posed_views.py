"""Captures of NeRF, COLMAP, CO3D, NAVI and SyncDreamer, against projections worked out from the files' numbers."""

import gzip
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.spatial.transform import Rotation
from syncbench.bench.catalogue.content import content_of
from syncbench.bench.errors import SyncbenchError
from syncbench.bench.surfaces.camera import Cameras, orbit
from syncbench.bench.types import Artifact, Item
from syncbench.datasets._maps import depth_of_distance
from syncbench.datasets.layouts.capture_rows import found_captures
from syncbench.datasets.layouts.captures import Shot
from syncbench.datasets.posed_views import PosedViews
from syncbench.datasets.world_views import WorldViews
from syncbench.metrics.reprojection import Reprojection
from syncbench.metrics.sharpness import Sharpness
from syncbench.metrics.texel_variance import TexelVariance

SIZE = 64
POINTS = np.random.default_rng(0).normal(0, 0.4, (20, 3))
"""World points near the origin."""


def items(path: Path, **fields: Any) -> list[Item]:
    return PosedViews(**{"path": str(path), "prompt": "a toy", "size": SIZE, **fields}).items()


def refused(path: Path, **fields: Any) -> str:
    with pytest.raises(SyncbenchError) as caught:
        items(path, **fields)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def shots(path: Path) -> tuple[Shot, ...]:
    [(capture, _)] = found_captures(str(path), "a toy")
    return capture.shots


def seen_by(shot: Shot, points: np.ndarray = POINTS) -> np.ndarray:
    """Pixels (n, 2) of points, by this package's convention."""
    high, wide = shot.size
    return Cameras(shot.extrinsics[None], shot.intrinsics[None], high, wide).project(0, points)[0]


def picture(path: Path, number: int, high: int = 48, wide: int = 80) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (wide, high), (10 * number, 100, 200)).save(path)
    return path


def opengl_poses(count: int) -> np.ndarray:
    """Camera-to-world matrices with OpenGL's axes, made by its own `look at`: eye, forward, side, up."""
    poses: list[np.ndarray] = []
    for number in range(count):
        angle = 2 * np.pi * number / count
        eye = np.array([3 * np.cos(angle), 3 * np.sin(angle), 1.0])
        forward = -eye / np.linalg.norm(eye)
        side = np.cross(forward, [0, 0, 1])
        side /= np.linalg.norm(side)
        pose = np.eye(4)
        pose[:3, :4] = np.stack([side, np.cross(side, forward), -forward, eye], 1)
        poses.append(pose)
    return np.stack(poses)


def opengl_pixels(pose: np.ndarray, angle: float, high: int, wide: int) -> np.ndarray:
    """Pixels by OpenGL's pipeline: model view, projection matrix, clip, normalised device coordinates, viewport."""
    across = 1 / np.tan(angle / 2)
    near, far = 0.1, 100.0
    projection = np.array(
        [
            [across, 0, 0, 0],
            [0, across * wide / high, 0, 0],
            [0, 0, (far + near) / (near - far), 2 * far * near / (near - far)],
            [0, 0, -1, 0],
        ]
    )
    clip = np.concatenate([POINTS, np.ones((len(POINTS), 1))], 1) @ np.linalg.inv(pose).T @ projection.T
    device = clip[:, :2] / clip[:, 3:]
    return np.stack([(device[:, 0] + 1) / 2 * wide, (1 - device[:, 1]) / 2 * high], 1)


def nerf(folder: Path, count: int = 8, **changes: Any) -> Path:
    """Blender's synthetic layout."""
    rows = []
    for number, pose in enumerate(opengl_poses(count)):
        picture(folder / "train" / f"r_{number}.png", number)
        rows.append({"file_path": f"./train/r_{number}", "rotation": 0.01, "transform_matrix": pose.tolist()})
    path = folder / "transforms_train.json"
    path.write_text(json.dumps({"camera_angle_x": 0.69, "frames": rows, **changes}))
    return path


def test_nerfs_cameras_are_opengls(tmp_path: Path) -> None:
    for shot, pose in zip(shots(nerf(tmp_path)), opengl_poses(8), strict=True):
        np.testing.assert_allclose(seen_by(shot), opengl_pixels(pose, 0.69, 48, 80), atol=1e-9)
    focal = 40 / np.tan(0.345)
    given = nerf(tmp_path, camera_angle_x=0, fl_x=2 * focal, fl_y=2 * focal, w=160, h=96)
    assert shots(given)[0].size == (96, 160)
    np.testing.assert_allclose(seen_by(shots(given)[0]) / 2, opengl_pixels(opengl_poses(8)[0], 0.69, 48, 80), atol=1e-9)


def test_pictures_are_cut_where_their_cameras_are(tmp_path: Path) -> None:
    """A dot painted where a point is seen is found in the square picture where the item's camera sees that point."""
    path = nerf(tmp_path, 4)
    for number, pose in enumerate(opengl_poses(4)):
        levels = np.zeros((48, 80, 3), np.uint8)
        column, row = opengl_pixels(pose, 0.69, 48, 80)[0]
        levels[int(row), int(column)] = 255
        Image.fromarray(levels).save(tmp_path / "train" / f"r_{number}.png")
    [item] = items(path, held=1)
    truth = item.truth
    assert item.id == tmp_path.name
    eyes = Cameras(truth["extrinsics"].double().numpy(), truth["intrinsics"].double().numpy(), SIZE, SIZE)
    places = eyes.centres - np.array([0, 0, 0.5])
    np.testing.assert_allclose(np.linalg.norm(places, axis=1), 2, atol=1e-5)
    scale = 2 / np.linalg.norm([3, 0, 1])
    moved = POINTS[0] * scale + np.array([0, 0, 0.5])
    for number, view in enumerate(truth["views"].mean(1).numpy()):
        xy, depth = eyes.project(number, moved)
        weights = view / view.sum()
        row, column = np.mgrid[:SIZE, :SIZE] + 0.5
        assert abs((weights * column).sum() - xy[0]) < 1.4, "a pixel of the photograph is 1.3 pixels wide"
        assert abs((weights * row).sum() - xy[1]) < 1.4
        assert depth > 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"frames": []}, "no list 'frames'"),
        ({"frames": [{"file_path": "train/r_0"}]}, "frame 0: a camera's pose is a matrix"),
        ({"frames": [{"file_path": "../x"}]}, "leads out of this file's folder"),
        ({"frames": [{"file_path": "train/gone", "transform_matrix": np.eye(4).tolist()}]}, "no picture"),
        ({"frames": [{"file_path": "train/r_0", "transform_matrix": [[1, 2], [3]]}]}, "a matrix of 4 x 4 numbers"),
        (
            {"frames": [{"file_path": "train/r_0", "transform_matrix": (2 * np.eye(4)).tolist()}]},
            "scales, shears or mirrors",
        ),
        ({"camera_angle_x": 9}, "neither fl_x nor camera_angle_x"),
        ({"fl_x": -1}, "focal lengths are positive"),
        ({"fl_x": 1e400}, "cannot be read as JSON"),
        ({"k1": "x"}, "lens distortion is given by numbers"),
        ({"k3": 0.1}, "undistort the pictures first"),
        ({"camera_model": "OPENCV_FISHEYE"}, "a fisheye is no pinhole"),
        ({"fl_x": 60, "w": 48, "h": 80}, "its camera is of 48 x 80 px"),
    ],
    ids=lambda value: None if isinstance(value, dict) else value[:20],
)
def test_broken_transforms_are_one_line(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    assert words in refused(nerf(tmp_path, 4, **changes))


def test_few_pictures_and_no_prompt_are_one_line(tmp_path: Path) -> None:
    path = nerf(tmp_path, 3)
    assert "has 3 pictures, fewer than 4" in refused(path)
    assert "needs a prompt" in refused(path, prompt="")
    assert "no captures here" in refused(tmp_path / "train")
    assert "no views here" in refused(tmp_path / "train" / "r_0.png")
    with pytest.raises(SyncbenchError, match=r"add --set posed_views\.path=FILE"):
        PosedViews().items()


def binary(model: Path, cameras: list[tuple[Any, ...]], images: list[tuple[Any, ...]]) -> None:
    data = struct.pack("<Q", len(cameras))
    for id, number, wide, high, *parameters in cameras:
        data += struct.pack(f"<iiQQ{len(parameters)}d", id, number, wide, high, *parameters)
    (model / "cameras.bin").write_bytes(data)
    data = struct.pack("<Q", len(images))
    for id, turn, moved, camera, name in images:
        data += struct.pack("<i7di", id, *turn, *moved, camera) + name.encode() + b"\0"
        data += struct.pack("<Q", 2) + struct.pack("<ddqddq", 1, 2, -1, 3, 4, 7)
    (model / "images.bin").write_bytes(data)


def text(model: Path, cameras: list[tuple[Any, ...]], images: list[tuple[Any, ...]]) -> None:
    names = ["SIMPLE_PINHOLE", "PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV", "OPENCV_FISHEYE"]
    lines = [f"{id} {names[number]} {' '.join(map(str, rest))}" for id, number, *rest in cameras]
    (model / "cameras.txt").write_text("# Camera list\n" + "\n".join(lines) + "\n")
    lines = [f"{id} {' '.join(map(repr, map(float, [*q, *t])))} {c} {n}\n1 2 -1 3 4 7" for id, q, t, c, n in images]
    lines[-1] = lines[-1].partition("\n")[0] + "\n"  # an image without points has an empty line
    (model / "images.txt").write_text("# Image list\n" + "\n".join(lines) + "\n")


def colmap(
    root: Path, write: Callable[..., None], model: tuple[Any, ...] = (1, 80, 48, 60.0, 62.0, 41.0, 23.0)
) -> Path:
    rows = []
    for number in range(5):
        picture(root / "images" / f"{number:03d}.jpg", number)
        turn = Rotation.from_euler("yxz", [70 * number, 20, 5], degrees=True)
        x, y, z, w = turn.as_quat()
        rows.append((number + 1, (w, x, y, z), (0.1, -0.2, 3.0 + 0.1 * number), 1, f"{number:03d}.jpg"))
    (root / "sparse" / "0").mkdir(parents=True, exist_ok=True)
    write(root / "sparse" / "0", [(1, *model)], rows)
    return root


@pytest.mark.parametrize("write", [binary, text])
def test_colmap_is_read_in_text_and_binary(tmp_path: Path, write: Callable[..., None]) -> None:
    found = shots(colmap(tmp_path / "a", write))
    assert [shot.image.name for shot in found] == [f"{number:03d}.jpg" for number in range(5)]
    for number, shot in enumerate(found):
        turn = Rotation.from_euler("yxz", [70 * number, 20, 5], degrees=True)
        x, y, z = (turn.apply(POINTS) + np.array([0.1, -0.2, 3.0 + 0.1 * number])).T
        np.testing.assert_allclose(seen_by(shot), np.stack([60 * x / z + 41, 62 * y / z + 23], 1), atol=1e-9)
    [item] = items(tmp_path / "a")
    assert {"views", "held_views", "extrinsics"} <= set(item.truth)
    assert "mask" not in item.truth
    assert item.truth["held_views"].shape == (1, 3, SIZE, SIZE)
    score = TexelVariance()(Artifact(views=item.truth["views"]), item)
    assert score.value is None
    assert "no depth" in str(score.reason)


def test_mvimgnets_folders_are_found(tmp_path: Path) -> None:
    for name in ("12/0a", "12/0b", "7/0c"):
        colmap(tmp_path / name, binary)
    assert [item.id for item in items(tmp_path)] == ["0a", "0b", "0c"]


def test_lens_distortion_is_undone(tmp_path: Path) -> None:
    """Dots painted where OpenCV's formula bends points to are found where a pinhole sees them."""
    k1, k2, p1, p2 = -0.2, 0.03, 0.004, -0.003
    root = colmap(tmp_path, text, (4, 80, 80, 70.0, 70.0, 40.0, 40.0, k1, k2, p1, p2))
    shot_files = sorted((root / "images").iterdir())
    for file in shot_files:
        Image.new("RGB", (80, 80)).save(file.with_suffix(".png"))
        file.unlink()
    rows = (root / "sparse" / "0" / "images.txt").read_text().replace(".jpg", ".png")
    (root / "sparse" / "0" / "images.txt").write_text(rows)
    x, y = 0.3, -0.25
    square = x * x + y * y
    radial = 1 + k1 * square + k2 * square**2
    u = 70 * (x * radial + 2 * p1 * x * y + p2 * (square + 2 * x * x)) + 40
    v = 70 * (y * radial + p1 * (square + 2 * y * y) + 2 * p2 * x * y) + 40
    row, column = np.mgrid[:80, :80] + 0.5
    blob = 255 * np.exp(-((column - u) ** 2 + (row - v) ** 2) / 4)
    Image.fromarray(np.repeat(blob[..., None].round().astype(np.uint8), 3, 2)).save(root / "images" / "000.png")
    [item] = items(root, size=80)
    view = item.truth["views"][0, 0].numpy()
    centre = [(view * axis).sum() / view.sum() for axis in (column, row)]
    np.testing.assert_allclose(centre, [70 * x + 40, 70 * y + 40], atol=0.15)
    assert abs(u - (70 * x + 40)) > 0.5


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ((5, 80, 48, 60.0, 60.0, 40.0, 24.0, 0, 0, 0, 0), "run COLMAP's image_undistorter first"),
        ((1, 80, 48, -60.0, 62.0, 41.0, 23.0), "focal lengths are positive"),
        ((1, 80, 48, float("nan"), 62.0, 41.0, 23.0), "focal lengths are positive"),
    ],
)
@pytest.mark.parametrize("write", [binary, text])
def test_broken_cameras_of_colmap_are_one_line(
    tmp_path: Path, write: Callable[..., None], model: tuple[Any, ...], words: str
) -> None:
    assert words in refused(colmap(tmp_path, write, model))


def test_damaged_files_of_colmap_are_one_line(tmp_path: Path) -> None:
    root = colmap(tmp_path, binary)
    images = root / "sparse" / "0" / "images.bin"
    whole = images.read_bytes()
    for data in (b"", whole[:50], struct.pack("<Q", 2**60), whole.replace(b"000.jpg", b"\xff\xff\xff.jpg")):
        images.write_bytes(data)
        assert "damaged or cut off" in refused(root)
    images.write_bytes(whole.replace(b"000.jpg", b"../x.jp"))
    assert "leads out" in refused(root)
    (root / "sparse" / "0" / "cameras.bin").write_bytes(struct.pack("<Q", 0))
    images.write_bytes(whole)
    assert "camera 1 is not in cameras.bin" in refused(root)


def half(path: Path, depth: np.ndarray) -> None:
    """Depth as CO3D keeps it: the bits of half floats in a PNG of 16 bits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(depth.astype(np.float16).view(np.uint16)).save(path)


def co3d(root: Path, world: Item, kind: str = "ndc_isotropic", scale: float = 2.0, **changes: Any) -> Path:
    """All views of an item of the world as one sequence of the category `toytruck`."""
    truth, rows = world.truth, []
    for number in range(8):
        of, at = ("", number) if number % 2 == 0 else ("held_", number)
        at = at // 2
        base = root / "toytruck" / "12_34"
        name = f"frame{number + 1:06d}"
        image = (truth[f"{of}views"][at].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
        (base / "images").mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(base / "images" / f"{name}.png")
        (base / "masks").mkdir(exist_ok=True)
        mask = (truth[f"{of}mask"][at, 0].numpy() * 255).astype(np.uint8)
        Image.fromarray(mask).save(base / "masks" / f"{name}.png")
        half(base / "depths" / f"{name}.jpg.geometric.png", truth[f"{of}depth"][at, 0].numpy() / scale)
        pose, lens = truth[f"{of}extrinsics"][at].double().numpy(), truth[f"{of}intrinsics"][at].double().numpy()
        flip = np.diag([-1.0, -1.0, 1.0])
        row = {
            "sequence_name": "12_34",
            "frame_number": number,
            "image": {"path": f"toytruck/12_34/images/{name}.png", "size": [SIZE, SIZE]},
            "depth": {
                "path": f"toytruck/12_34/depths/{name}.jpg.geometric.png",
                "scale_adjustment": scale,
                "mask_path": None,
            },
            "mask": {"path": f"toytruck/12_34/masks/{name}.png", "mass": 1.0},
            "viewpoint": {
                "R": (flip @ pose[:3, :3]).T.tolist(),
                "T": (flip @ pose[:3, 3]).tolist(),
                "focal_length": [2 * lens[0, 0] / SIZE, 2 * lens[1, 1] / SIZE],
                "principal_point": [1 - 2 * lens[0, 2] / SIZE, 1 - 2 * lens[1, 2] / SIZE],
                "intrinsics_format": kind,
            },
        }
        rows.append({**row, **changes})
    path = root / "toytruck" / "frame_annotations.jgz"
    path.write_bytes(gzip.compress(json.dumps(rows).encode()))
    return path


@pytest.fixture(scope="module")
def world() -> Item:
    return WorldViews(views=4, held=4, size=SIZE).items()[0]


def test_co3ds_geometry_is_the_worlds(tmp_path: Path, world: Item) -> None:
    """A capture of the exact world, written with PyTorch3D's cameras and half floats, has the world's own numbers."""
    path = co3d(tmp_path, world)
    [item] = items(tmp_path, prompt="", views=4, held=4)
    assert (item.id, item.prompts) == ("toytruck-12_34", ("toytruck",))
    assert item.world is False
    truth, exact = item.truth, world.truth
    np.testing.assert_allclose(truth["intrinsics"], exact["intrinsics"], atol=1e-4)
    scale = float(truth["depth"].sum() / exact["depth"].sum())
    solid = exact["depth"] > 0
    torch.testing.assert_close(truth["depth"][solid], exact["depth"][solid] * scale, rtol=2e-3, atol=0)
    distance = {name: (at["position"][0] - at["position"][1]).norm(dim=0) for name, at in
                (("made", truth), ("true", exact))}  # fmt: skip
    both = (solid[0] & solid[1])[0]
    torch.testing.assert_close(distance["made"][both], distance["true"][both] * scale, rtol=2e-2, atol=5e-3)
    inner = torch.nn.functional.avg_pool2d((exact["face"] == exact["face"]).float() * solid.float(), 5, 1, 2) > 0.999
    cosine = (truth["normal"] * exact["normal"]).sum(1, keepdim=True)[inner & (exact["mask"] > 0.5)]
    assert float(cosine.median()) > 0.99, "normals by differences"
    assert sorted(items(path, prompt="x")[0].truth) == sorted(truth)
    for metric in (TexelVariance(), TexelVariance(region="surface"), Reprojection(), Sharpness()):
        views = world.truth["views"]
        made, true = metric(Artifact(views=views), item), metric(Artifact(views=views), world)
        assert made.value is not None, made.reason
        assert made.value == pytest.approx(true.value, rel=0.25), metric.fingerprint()


def test_pytorch3ds_viewpoints_by_its_own_formulas(tmp_path: Path, world: Item) -> None:
    """x_cam = x R + T, x_ndc = f x / z + p, and the screen is u = w/2 - s x_ndc with s half the shorter side."""
    rng = np.random.default_rng(1)
    turn, moved = Rotation.random(random_state=1).as_matrix(), np.array([0.1, 0.2, 4.0])
    for kind, across, down in (("ndc_isotropic", 24, 24), ("ndc_norm_image_bounds", 40, 24)):
        focal, point = rng.uniform(2, 3, 2), rng.uniform(-0.1, 0.1, 2)
        view = {"R": turn.tolist(), "T": moved.tolist(), "focal_length": focal.tolist(),
                "principal_point": point.tolist(), "intrinsics_format": kind}  # fmt: skip
        image = {"path": "toytruck/12_34/images/frame000001.png", "size": [48, 80]}
        shot = shots(co3d(tmp_path, world, viewpoint=view, image=image))[0]
        x, y, z = (POINTS @ turn + moved).T
        u = 40 - across * (focal[0] * x / z + point[0])
        v = 24 - down * (focal[1] * y / z + point[1])
        np.testing.assert_allclose(seen_by(shot), np.stack([u, v], 1), atol=1e-9)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sequence_name": None}, "has no sequence_name"),
        ({"image": {"path": "toytruck/12_34/images/gone.png", "size": [64, 64]}}, "no picture"),
        ({"image": {"path": "../../x.png", "size": [64, 64]}}, "leads out"),
        ({"image": {"path": "a.png", "size": "big"}}, "image.size is a height and a width"),
        ({"viewpoint": {"R": [1]}}, "a viewpoint has R, T"),
        ({"viewpoint": {"intrinsics_format": "screen"}}, "is none of ndc_isotropic"),
        ({"depth": {"path": "toytruck/12_34/depths/gone.png"}}, "cannot read"),
    ],
    ids=lambda value: None if isinstance(value, dict) else value[:20],
)
def test_broken_annotations_of_co3d_are_one_line(
    tmp_path: Path, world: Item, changes: dict[str, Any], words: str
) -> None:
    assert words in refused(co3d(tmp_path, world, **changes))


def test_hostile_annotations_of_co3d_are_bounded(tmp_path: Path) -> None:
    path = tmp_path / "toytruck" / "frame_annotations.jgz"
    path.parent.mkdir()
    for data, words in (
        (b"none", "no gzip file"),
        (gzip.compress(b"{}"), "no list of frames"),
        (gzip.compress(b"[" * 100_000), "cannot be read as JSON"),
        (gzip.compress(b"[1]"), "frame 0 has no sequence_name"),
    ):
        path.write_bytes(data)
        assert words in refused(path)


def test_navis_poses_take_the_object_to_the_camera(tmp_path: Path) -> None:
    folder, rows = tmp_path / "wooden_duck" / "multiview-00-pixel_5", []
    for number in range(4):
        picture(folder / "images" / f"{number:03d}.jpg", number)
        Image.new("L", (80, 48), 255).save(picture(folder / "masks" / f"{number:03d}.png", number))
        turn = Rotation.from_euler("yx", [80 * number, 20], degrees=True)
        x, y, z, w = turn.as_quat()
        camera = {"q": [w, x, y, z], "t": [0.1, 0.0, 3.0], "focal_length": 90.0, "camera_model": "pixel_5"}
        rows.append({"object_id": "wooden_duck", "camera": camera, "filename": f"{number:03d}.jpg",
                     "image_size": [48, 80], "split": "train", "occluded": False})  # fmt: skip
    path = folder / "annotations.json"
    path.write_text(json.dumps(rows))
    for number, shot in enumerate(shots(tmp_path)):
        turn = Rotation.from_euler("yx", [80 * number, 20], degrees=True)
        x, y, z = (turn.apply(POINTS) + np.array([0.1, 0.0, 3.0])).T
        np.testing.assert_allclose(seen_by(shot), np.stack([40 + 90 * x / z, 24 + 90 * y / z], 1), atol=1e-9)
    [item] = items(tmp_path, prompt="")
    assert item.prompts == ("wooden duck",)
    assert bool(item.truth["mask"].all())
    assert "depth" not in item.truth
    (folder / "depth").mkdir()
    for number in range(4):
        levels = np.full((48, 80), 655350 // 3, np.uint32).clip(max=65535).astype(np.uint16)
        levels[:, :40] = 0
        Image.fromarray(levels).save(folder / "depth" / f"{number:03d}.png")
    depth = shots(tmp_path)[0]
    assert depth.depth is not None
    assert depth.depth_file is not None
    assert depth.depth(depth.depth_file)[5, [3, 60]].tolist() == [0, 10]
    assert items(tmp_path)[0].truth["position"].shape == (4, 3, SIZE, SIZE)
    for change, words in (
        ({"camera": 1}, "no camera or no filename"),
        ({"image_size": [1]}, "image_size is a height"),
        ({"camera": {**rows[0]["camera"], "q": [0, 0, 0, 0]}}, "not all 0"),
        ({"camera": {**rows[0]["camera"], "focal_length": None}}, "are numbers"),
        ({"filename": "../x.jpg"}, "leads out"),
    ):
        path.write_text(json.dumps([{**rows[0], **change}, *rows[1:]]))
        assert words in refused(path)


def test_syncdreamers_renders_have_the_published_rig(tmp_path: Path) -> None:
    folder = tmp_path / "school_bus1-gt"
    folder.mkdir()
    for number in range(16):
        levels = np.zeros((32, 32, 4), np.uint8)
        levels[8:24, 8:24] = [255, 0, 0, 255]
        Image.fromarray(levels).save(folder / f"{number:03d}.png")
    [item] = items(tmp_path, prompt="", size=32)
    assert (item.id, item.prompts) == ("school_bus1", ("school bus1",))
    assert float(item.truth["mask"].mean()) == 0.25
    assert float(item.truth["views"][0, :, 0, 0].min()) == 1.0, "transparent pixels are white"
    found = shots(tmp_path)
    np.testing.assert_allclose(found[4].extrinsics, orbit(90, 30, 1.5, (0, 0, 0))[0], atol=1e-12)
    centres = [np.linalg.inv(shot.extrinsics)[:3, 3] for shot in found]
    np.testing.assert_allclose(np.linalg.norm(centres, axis=1), 1.5)
    (folder / "003.png").unlink()
    assert "003.png" in refused(tmp_path)


def test_a_list_names_captures_with_prompts(tmp_path: Path) -> None:
    nerf(tmp_path / "lego")
    colmap(tmp_path / "duck", text)
    rows = [
        {"cameras": "lego/transforms_train.json", "prompt": "a digger", "id": "l"},
        {"cameras": "duck", "prompt": "a duck"},
    ]
    index = tmp_path / "index.jsonl"
    index.write_text("\n".join(map(json.dumps, rows)))
    found = items(index, prompt="")
    assert [(item.id, item.prompts[0]) for item in found] == [("l", "a digger"), ("line-0002", "a duck")]
    index.write_text(json.dumps({"cameras": "../a", "prompt": "x"}))
    assert "leads out" in refused(index)
    index.write_text(json.dumps({"cameras": "gone", "prompt": "x"}))
    assert "no views here" in refused(index)


def test_another_picture_or_camera_is_another_item(tmp_path: Path) -> None:
    one = content_of(items(nerf(tmp_path))[0])
    two = content_of(items(nerf(tmp_path, camera_angle_x=0.7))[0])
    picture(tmp_path / "train" / "r_0.png", 9)
    three = content_of(items(nerf(tmp_path))[0])
    Image.new("RGB", (80, 48), (1, 2, 3)).save(tmp_path / "train" / "r_0.png")
    four = content_of(items(tmp_path / "transforms_train.json")[0])
    assert one == three
    assert len({one, two, four}) == 3


def test_depth_of_nerfstudio_is_in_millimetres_and_of_hypersim_a_distance(tmp_path: Path) -> None:
    path = nerf(tmp_path, 4)
    content = json.loads(path.read_text())
    for number, row in enumerate(content["frames"]):
        row["depth_file_path"] = f"depth/{number}.png"
        (tmp_path / "depth").mkdir(exist_ok=True)
        Image.fromarray(np.full((48, 80), 3162, np.uint16)).save(tmp_path / "depth" / f"{number}.png")
    path.write_text(json.dumps(content))
    depth = items(path)[0].truth["depth"]
    torch.testing.assert_close(depth, torch.full((4, 1, SIZE, SIZE), 2 * 3.162 / 10**0.5))
    row, column = np.mgrid[:768, :1024] + 0.5
    z = np.random.default_rng(0).uniform(1, 9, (768, 1024))
    distance = z * np.linalg.norm(np.stack([(column - 512) / 886.81, (row - 384) / 886.81, np.ones_like(row)]), axis=0)
    np.testing.assert_allclose(depth_of_distance(distance, 886.81), z, rtol=1e-6)
