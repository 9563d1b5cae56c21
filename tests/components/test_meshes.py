"""A user's own meshes and clips: what is strange is handled, what is broken is refused in one line."""

import json
import subprocess
from collections import OrderedDict
from fractions import Fraction
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import av
import numpy as np
import pytest
import torch
import trimesh
from PIL import Image
from syncbench.bench.errors import SyncbenchError
from syncbench.bench.run.sweep import run
from syncbench.bench.surfaces import atlas, atlas_cache
from syncbench.bench.surfaces.atlas import Unwrapped, unwrap
from syncbench.bench.surfaces.mesh import Mesh, read_mesh
from syncbench.bench.world.stage import OBJECT, orbit_cameras, stage
from syncbench.bench.world.trace import trace
from syncbench.datasets.meshes import Meshes
from syncbench.datasets.videos import Videos

BOX = """
v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nv 0 0 1\nv 1 0 1\nv 1 1 1\nv 0 1 1
f 1 4 3 2\nf 5 6 7 8\nf 1 2 6 5\nf 2 3 7 6\nf 3 4 8 7\nf 4 1 5 8
"""


def write(folder: Path, text: str, name: str = "a.obj") -> str:
    (folder / name).write_text(text)
    return str(folder / name)


def items(path: str, **fields: object) -> list:
    return Meshes(**{"path": path, "prompt": "a golden thing", "size": 64, **fields}).items()


def test_a_mesh_stands_upright_at_the_worlds_size(tmp_path: Path) -> None:
    tall = BOX.replace("v 0 1", "v 0 3").replace("v 1 1", "v 1 3")
    mesh = read_mesh(write(tmp_path, tall))
    low, high = mesh.vertices.min(0), mesh.vertices.max(0)
    assert low[2] == 0
    np.testing.assert_allclose((low + high)[:2], 0, atol=1e-12)
    size = high - low
    assert size[2] == pytest.approx(3 * size[0])
    assert np.linalg.norm(size) == pytest.approx(1.2)
    assert trimesh.Trimesh(mesh.vertices, mesh.faces).volume > 0, "turning it up mirrors nothing"
    flat = read_mesh(write(tmp_path, tall), up="z")
    assert flat.vertices[:, 2].max() == pytest.approx(size[0])


def test_an_item_of_a_mesh_without_coordinates_works(tmp_path: Path) -> None:
    item = items(write(tmp_path, BOX))[0]
    assert (item.id, item.prompts) == ("a", ("a golden thing",))
    truth = item.truth
    assert truth["mask"].shape == (8, 1, 64, 64)
    assert truth["held_position"].shape == (4, 3, 64, 64)
    assert 0.1 < float(truth["mask"].mean()) < 0.6
    assert not truth["mask"][..., 0, :].any(), "the whole mesh is in the picture"
    for factor in (1, 8):
        canvas = item.surface.canvas(factor)
        z = torch.randn(2, *canvas.shape)
        covered = canvas.mass > 0
        torch.testing.assert_close(canvas.paint(canvas.look(z))[:, covered], z[:, covered])
        assert int((canvas.count > 1).sum()) > 4
    assert item.conditions["depth"].shape == (8, 1, 64, 64)
    assert item.conditions["camera"].shape == (8, 16)
    assert item.surface == items(write(tmp_path, BOX))[0].surface


@pytest.mark.parametrize(
    "text",
    [
        "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nv 0 -1 0\nf 1 2 3\nf 1 2 4\nf 1 2 5\n",  # three faces on one edge
        BOX + "v 5 5 5\n",  # a vertex of no face
        BOX + "f 1 1 2\nf 1 2 2\n",  # faces without area
        BOX.replace("f 1 4 3 2", "f 1 2 3 4"),  # a face turned inside out
        "v 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 0 1\nv 0 0 1\nf 1/1 2/2 3/3\nf 1/1 2/2 4/3\n",  # overlapping UVs
        BOX + "v nan 0 0\n",  # an unused NaN
    ],
    ids=["non-manifold", "loose vertex", "no area", "inside out", "overlapping coordinates", "unused NaN"],
)
def test_strange_meshes_are_handled(tmp_path: Path, text: str) -> None:
    item = items(write(tmp_path, text))[0]
    assert bool((item.truth["mask"] > 0).any())
    canvas = item.surface.canvas(1)
    seen = item.surface.buffers().visible
    assert (seen[:, None] == (item.truth["mask"] > 0)).all()
    assert int((canvas.count > 1).sum()) > 0
    normal, position = item.truth["normal"], item.truth["position"]
    assert bool(torch.isfinite(normal).all())
    assert bool(torch.isfinite(position).all())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("v 0 0 0\nv 1 0 0\nv 0 1 0\n", "no faces"),
        (BOX.replace("v 1 1 1", "v nan 1 1"), "1 vertices are not finite"),
        (BOX.replace("v 1 1 1", "v 1 inf 1"), "1 vertices are not finite"),
        ("v 1 1 1\nv 1 1 1\nv 1 1 1\nf 1 2 3\n", "one point"),
        ("v 0 0 0\nv 1 0 0\nv 2 0 0\nf 1 2 3\n", "no face has an area"),
        ("this is no mesh", "no faces"),
    ],
)
def test_broken_meshes_are_refused_in_one_line(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(SyncbenchError) as caught:
        items(write(tmp_path, text))
    assert words in str(caught.value)
    assert "a.obj" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_million_faces_are_refused_at_once(tmp_path: Path) -> None:
    side = 710
    row, column = np.meshgrid(np.arange(side - 1), np.arange(side - 1))
    corner = (row * side + column).ravel()
    faces = np.concatenate([corner[:, None] + [0, 1, side], corner[:, None] + [1, side + 1, side]])
    plane = np.stack([*np.meshgrid(np.arange(side), np.arange(side)), np.zeros((side, side))], -1).reshape(-1, 3)
    trimesh.Trimesh(plane, faces, process=False).export(tmp_path / "big.ply")
    with pytest.raises(SyncbenchError, match=r"1,005,362 faces are more than the 200,000 .* simplify"):
        items(str(tmp_path / "big.ply"))


def test_a_mesh_that_crashes_xatlas_is_cut_up() -> None:
    """A finely divided ball takes xatlas 0.0.11 down with its process; that must not be this one."""
    ball = trimesh.creation.icosphere(subdivisions=6, radius=0.5)
    mesh = Mesh(np.array(ball.vertices), np.array(ball.faces))
    found = unwrap(mesh, 30.0)
    assert found.corners.shape == (81920, 3, 2)
    assert (found.corners >= 0).all()
    a, b = found.corners[:, 1] - found.corners[:, 0], found.corners[:, 2] - found.corners[:, 0]
    area = np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum() / 2
    assert 0.5 < area / (np.pi * 30**2) < 1.1, "texels to a unit, somewhat less where it is foreshortened"


def own(shape: trimesh.Trimesh) -> Mesh:
    return Mesh(np.array(shape.vertices), np.array(shape.faces))


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and nothing in memory."""
    monkeypatch.setenv("SYNCBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(atlas, "_KEPT", OrderedDict())
    return tmp_path / "cache"


def test_what_cannot_be_unwrapped_is_one_sentence(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atlas, "PATIENCE", 0.01)
    with pytest.raises(SyncbenchError, match="still at this mesh of 12 faces") as caught:
        unwrap(own(trimesh.creation.box()), 3.21)
    assert "\n" not in str(caught.value)
    monkeypatch.setattr(atlas, "_charts_of_process", lambda *given: None)
    with pytest.raises(SyncbenchError, match="cannot unwrap this mesh of 12 faces") as caught:
        unwrap(own(trimesh.creation.box()), 3.21)
    assert "\n" not in str(caught.value)
    assert not fresh.exists()


def test_the_mesh_alone_decides_how_it_is_unwrapped(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never the clock: what takes too long, or is killed, is an error and no other atlas."""
    asked: list[tuple[int, bool]] = []
    real = atlas._charts_of_process

    def apart(mesh: Mesh, density: float, cut: bool, gutter: int) -> Any:
        asked.append((len(mesh.faces), cut))
        return real(mesh, density, cut, gutter)

    monkeypatch.setattr(atlas, "_charts_of_process", apart)
    monkeypatch.setattr(atlas, "WHOLE", 100)
    for divisions in (1, 2):
        unwrap(own(trimesh.creation.icosphere(subdivisions=divisions)), 9.0)
    assert asked == [(80, False), (320, True)]
    slow: dict[str, Any] = {"side_effect": subprocess.TimeoutExpired("xatlas", 1)}
    killed: dict[str, Any] = {"return_value": subprocess.CompletedProcess([], -9)}
    for fault, words in ((slow, "still at this mesh"), (killed, "was killed")):
        asked.clear()
        monkeypatch.setattr(atlas.subprocess, "run", Mock(**fault))
        with pytest.raises(SyncbenchError, match=words):
            unwrap(own(trimesh.creation.icosphere(subdivisions=1)), 8.0)
        assert asked == [(80, False)]


def test_an_unwrapping_is_kept_on_disk_by_the_meshs_content(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mesh = own(trimesh.creation.icosphere(subdivisions=1))
    first = unwrap(mesh, 9.0)
    [file] = (fresh / "atlases").iterdir()
    whole = file.read_bytes()

    def again(changed: Mesh = mesh, density: float = 9.0) -> Unwrapped:
        monkeypatch.setattr(atlas, "_KEPT", OrderedDict())
        return unwrap(changed, density)

    with monkeypatch.context() as patch:
        patch.setattr(atlas, "_charts_of_process", Mock(side_effect=AssertionError("unwrapped again")))
        found = again()
        assert np.array_equal(found.corners, first.corners)
        assert (found.height, found.width) == (first.height, first.width)
        for other in ((mesh, 10.0), (own(trimesh.creation.icosphere(subdivisions=1, radius=1.001)), 9.0)):
            with pytest.raises(AssertionError, match="unwrapped again"):
                again(*other)
    for damaged in (b"", whole[:-9], whole[:-9] + b"\x01" + whole[-8:], b"\x80\x04." + whole, whole[:40] + whole):
        file.write_bytes(damaged)
        assert np.array_equal(again().corners, first.corners)
        assert atlas_cache.read(file.stem, 80) is not None, "what is not sound is made again"
    monkeypatch.setenv("SYNCBENCH_CACHE", "/proc/nowhere")
    assert np.array_equal(again().corners, first.corners), "a cache that cannot be written is done without"


def test_a_sweep_tells_that_it_unwraps(fresh: Path, tmp_path: Path, tiny_suite: dict[str, Any], results: Path) -> None:
    ball: Any = trimesh.creation.icosphere(subdivisions=4)
    ball.export(tmp_path / "ball.obj")
    data = {"id": "meshes", "path": str(tmp_path / "ball.obj"), "prompt": "a ball", "views": 2, "held": 1, "size": 16}
    told: list[tuple[str, int, str]] = []
    made = run(
        {**tiny_suite, "datasets": [data], "seeds": [0]},
        results,
        progress=lambda event: told.append((event.phase, event.done, event.text)),
    )
    assert set(made["status"]) == {"ok"}
    assert [one for one in told if one[0] == "unwrap"] == [("unwrap", 0, ""), ("unwrap", 1, "ball")]
    assert told.index(("unwrap", 1, "ball")) < next(n for n, one in enumerate(told) if one[0] == "sample")
    assert len(list((fresh / "atlases").iterdir())) == 1


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"path": ""}, "no mesh given"),
        ({"path": "none.obj"}, "no mesh file 'none.obj'"),
        ({"path": "none.jsonl"}, "cannot read none.jsonl"),
        ({"prompt": " "}, "needs a prompt"),
        ({"up": "w"}, "up axis"),
        ({"views": 0}, "at least one view"),
    ],
)
def test_wrong_options_are_refused(tmp_path: Path, fields: dict[str, object], words: str) -> None:
    with pytest.raises(SyncbenchError, match=words):
        items(**{"path": write(tmp_path, BOX), **fields})


def test_a_mesh_of_your_own_stands_on_the_worlds_stage(tmp_path: Path) -> None:
    """In the world's colours and light, with the same exactness."""
    made = stage("a red cube with white dots on a green sea under a blue sky", 1, write(tmp_path, BOX))
    view = trace(made, orbit_cameras([30.0], 10, size=64))
    thing = view.object[0] == OBJECT
    assert thing.mean() > 0.08
    np.testing.assert_allclose(view.linear, view.albedo * view.shading[..., None], atol=1e-12)
    red = view.albedo[0][thing]
    assert red[:, 0].mean() > 1.5 * red[:, 1].mean()
    assert set(np.unique(view.face[0][thing])) <= set(range(12)), "the file's own faces"


def test_a_file_of_meshes_and_prompts(tmp_path: Path) -> None:
    write(tmp_path, BOX)
    rows = [{"mesh": "a.obj", "prompt": "gold", "id": "one", "up": "z"}, {"mesh": "a.obj", "prompt": "wood"}]
    found = items(write(tmp_path, "\n".join(map(json.dumps, rows)), "list.jsonl"))
    assert [(item.id, item.prompts[0]) for item in found] == [("one", "gold"), ("line-0002", "wood")]
    table = write(tmp_path, "mesh,prompt,negative\na.obj,gold,blur\n", "list.csv")
    assert items(table)[0].protocol.negative == "blur"
    for bad, words in (
        ('{"prompt": "x"}', r"list.jsonl:1: no 'mesh'"),
        ('{"mesh": "a.obj"}', r"list.jsonl:1: no 'prompt'"),
        ("", "no prompts in this file"),
        ('{"mesh": "a.obj", "prompt": "x", "id": "i"}\n' * 2, "id 'i' is already used in line 1"),
    ):
        with pytest.raises(SyncbenchError, match=words):
            items(write(tmp_path, bad, "list.jsonl"))


def clip(path: Path, frames: int, high: int = 48, wide: int = 64, codec: str = "ffv1") -> str:
    """A video of grey levels that rise by 20 a frame."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=Fraction(8))
        stream.height, stream.width, stream.pix_fmt = high, wide, "bgr0"
        for number in range(frames):
            picture = np.full((high, wide, 3), 20 * number, np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode())
    return str(path)


def test_a_clip_is_read_scaled_and_cropped(tmp_path: Path) -> None:
    for high, wide in ((48, 64), (53, 37), (32, 32)):
        path = clip(tmp_path / f"{high}.mkv", 7, high, wide)
        item = Videos(path=path, prompt="a robot", frames=3, every=2, size=32).items()[0]
        video = item.conditions["video"]
        assert video.shape == (3, 3, 32, 32)
        torch.testing.assert_close(video.mean((1, 2, 3)) * 255, torch.tensor([0.0, 40, 80]), atol=1.0, rtol=0)
        assert item.surface.canvas(8).index.shape == (3, 4, 4)
        assert item.id.startswith(f"{high}-")
    longer = Videos(path=path, prompt="a robot", frames=30, size=32).items()[0]
    assert len(longer.conditions["video"]) == 7, "as many frames as there are"
    assert longer.id != item.id, "another clip is another item"


def test_broken_clips_are_refused_in_one_line(tmp_path: Path) -> None:
    single = clip(tmp_path / "one.mkv", 1)
    (tmp_path / "text.mp4").write_text("no video")
    frames = []
    for size in ((64, 48), (64, 48), (32, 48)):
        Image.new("RGB", size).save(tmp_path / "frame.jpg")
        frames.append((tmp_path / "frame.jpg").read_bytes())
    (tmp_path / "changing.mjpeg").write_bytes(b"".join(frames))
    for path, words in (
        (single, "only one frame is there; a clip needs at least two"),
        (str(tmp_path / "text.mp4"), "FFmpeg cannot read this video"),
        (str(tmp_path / "changing.mjpeg"), "frame 2 is 32 x 48 px, but the first was 64 x 48"),
        (str(tmp_path / "none.mp4"), "no video file"),
    ):
        with pytest.raises(SyncbenchError) as caught:
            Videos(path=path, prompt="a robot", size=32).items()
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)
