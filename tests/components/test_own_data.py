"""One's own prompts, meshes, clips and photos: what is read as it stands, what is refused, and the guide's suite."""

import json
import os
import re
import zipfile
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from PIL import Image
from syncbench import run
from syncbench.bench.catalogue.registry import load
from syncbench.bench.cli.main import app
from syncbench.bench.errors import SyncbenchError
from syncbench.bench.models.tiny import Tiny
from syncbench.bench.run.job import dataset_fields
from syncbench.bench.store.folder import load_records
from syncbench.bench.surfaces.strip import Strip
from syncbench.bench.types import Artifact, Item, Sampling
from syncbench.datasets.meshes import Meshes
from syncbench.datasets.photos import Photos
from syncbench.datasets.prompts import Prompts
from syncbench.datasets.videos import Videos
from syncbench.methods.independent import Independent
from syncbench.metrics.clip_text import ClipText
from typer.testing import CliRunner

GUIDE = (Path(__file__).parents[2] / "docs" / "own-data.md").read_text(encoding="utf-8")
BOX = """
v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nv 0 0 1\nv 1 0 1\nv 1 1 1\nv 0 1 1
f 1 4 3 2\nf 5 6 7 8\nf 1 2 6 5\nf 2 3 7 6\nf 3 4 8 7\nf 4 1 5 8
"""


def prompts(folder: Path, name: str, content: str | bytes) -> list[Item]:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
    return Prompts(path=str(path), width=128, window=64).items()


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.txt", "a cat\x85a dog\u2028a bird\x0ba fox\n", [("line-0001", "a cat\x85a dog\u2028a bird\x0ba fox")]),
        ("a.txt", "a\r\nb\rc", [("line-0001", "a"), ("line-0002", "b"), ("line-0003", "c")]),
        ("a.txt", "a cat\nA cat\n", [("line-0001", "a cat"), ("line-0002", "A cat")]),
        ("a.jsonl", '{"id": "a", "prompt": "a cat\u2028on a mat"}\n', [("a", "a cat\u2028on a mat")]),
        ("a.jsonl", '{"id": 17, "prompt": "a cat"}\n', [("17", "a cat")]),
        ("a.jsonl", '{"caption": "a cat"}\n{"caption": "a dog"}\n', [("line-0001", "a cat"), ("line-0002", "a dog")]),
        ("a.csv", 'caption,id\n"a\u2028b\nc",x\n', [("x", "a\u2028b\nc")]),
        ("a.json", '["a cat", {"prompt": "a dog", "id": "d"}]', [("entry-0001", "a cat"), ("d", "a dog")]),
        ("a.json", '{"annotations": [{"id": 3, "image_id": 9, "caption": "a cat"}]}', [("3", "a cat")]),
        ("a.txt", "a clock (time 12:30), ((best)), (a:b)\n", [("line-0001", "a clock (time 12:30), ((best)), (a:b)")]),
        ("a.txt", "\ufeffa cat\n", [("line-0001", "a cat")]),
    ],
)
def test_rows_are_read_as_they_are_written(
    tmp_path: Path, name: str, content: str, expected: list[tuple[str, str]]
) -> None:
    assert [(item.id, item.prompts[0]) for item in prompts(tmp_path, name, content)] == expected


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.txt", "a cat\n\na cat \n", "a.txt:3: the same as line 1"),
        ("a.jsonl", '{"prompt": "a", "id": "x"}\n{"prompt": "a", "id": "y"}\n', "a.jsonl:2: the same as line 1"),
        ("a.txt", "(masterpiece:1.3), a house\n", "a.txt:1: '(masterpiece:1.3)' would be read as words"),
        ("a.txt", "a house <lora:style:0.8>\n", "'<lora:style:0.8>' would be read as words"),
        ("a.txt", "x" * 20_000, "20,000 characters is longer than 10,000"),
        ("a.jsonl", '{"prompt": "a", "id": "../../evil"}\n', "leave out slashes and commas"),
        ("a.jsonl", '{"prompt": "a", "id": "a/b"}\n', "leave out slashes and commas"),
        ("a.jsonl", '{"prompt": "a", "id": "x,y"}\n', "leave out slashes and commas"),
        ("a.jsonl", '{"prompt": "a", "id": "a\\u001b[31m"}\n', "can be no id"),
        ("a.jsonl", '{"prompt": "a", "id": "' + "x" * 300 + '"}\n', "can be no id"),
        ("a.jsonl", '{"prompt": "a", "id": true}\n', "'id' must be text"),
        ("a.jsonl", '{"prompt": "a", "id": 1.5}\n', "'id' must be text"),
        ("a.jsonl", '{"prompt": "\\ud800"}\n', "lone surrogate"),
        ("a.jsonl", "[" * 100_000, "a.jsonl:1: nested too deeply"),
        ("a.jsonl", '{"prompt": "a", "id": ' + "9" * 5_000 + "}", "a number is too long"),
        ("a.json", "[" * 100_000, "nested too deeply"),
        ("a.json", '["a", 3]', "entry 2: expected an object"),
        ("a.json", '{"a": 1}', "expected a list of prompts"),
        ("a.txt", "\n".join(f"prompt {number}" for number in range(100_001)), "more than 100,000 rows"),
        ("a.txt", "a cat".encode("utf-16"), "a.txt:1: not UTF-8"),
    ],
    ids=lambda value: None if len(str(value)) < 60 else "long",
)
def test_rows_that_cannot_be_used_are_one_line(tmp_path: Path, name: str, content: str | bytes, words: str) -> None:
    with pytest.raises(SyncbenchError) as caught:
        prompts(tmp_path, name, content)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def meshes(folder: Path, text: str, name: str = "a.obj", **fields: Any) -> list[Item]:
    (folder / name).write_text(text)
    return Meshes(path=str(folder / name), prompt="a golden thing", size=64, **fields).items()


@pytest.mark.parametrize("far", [30, 1_000, 100_000])
def test_a_stray_vertex_far_away_is_refused(tmp_path: Path, far: float) -> None:
    with pytest.raises(SyncbenchError, match=r"a.obj: the mesh fills 0\.\d\d% of its views"):
        meshes(tmp_path, BOX + f"v {far} 0.5 0.5\nf 1 2 9\n")


def test_a_pole_and_a_vertex_nearby_are_not(tmp_path: Path) -> None:
    pole = BOX.replace("v 1 ", "v 0.01 ").replace(" 1 0\n", " 0.01 0\n").replace(" 1 1\n", " 0.01 1\n")
    assert meshes(tmp_path, pole)
    assert meshes(tmp_path, BOX + "v 4 0.5 0.5\nf 1 2 9\n")


@pytest.mark.parametrize("face", ["f 0 1 2", "f 1 2 0", "f 1/1 0/1 2/1", "f 1//1 2//1 0//1"])
def test_obj_counts_from_one(tmp_path: Path, face: str) -> None:
    with pytest.raises(SyncbenchError, match="a face names vertex 0"):
        meshes(tmp_path, BOX + face + "\n")
    assert meshes(tmp_path, BOX + "vt 0 0\nf 1/1 2/1 3/1\nf -1 -2 -3\nf 10 1 2\n".replace("10", "1"))


def test_archives_and_devices_are_no_meshes(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.obj", BOX)
    os.symlink("/dev/zero", tmp_path / "zero.obj")
    for name, words in (
        ("a.zip", "an archive"),
        ("zero.obj", "no mesh file"),
        ("x" * 300 + ".obj", "no mesh file"),
    ):
        with pytest.raises(SyncbenchError, match=words):
            Meshes(path=str(tmp_path / name), prompt="a thing").items()


@pytest.mark.parametrize("fields", [{"views": 100_000}, {"size": 10**6}])
def test_sizes_of_own_data_are_bounded(fields: dict[str, int]) -> None:
    with pytest.raises(SyncbenchError, match="larger than the 67,108,864 pixels"):
        Meshes(path="a.obj", prompt="x", **fields).items()
    with pytest.raises(SyncbenchError, match="must be less than or equal to"):
        load("datasets", "meshes", fields)


def write_any(path: Path) -> Path:
    path.write_text(BOX)
    return path


@pytest.mark.parametrize(("owner", "what"), [("meshes", "mesh"), ("videos", "video")])
def test_hints_name_the_field_to_set(tmp_path: Path, owner: str, what: str) -> None:
    with pytest.raises(SyncbenchError, match=rf"no {what} given: add --set {owner}\.path=FILE"):
        load("datasets", owner).items()
    with pytest.raises(SyncbenchError, match=rf"add --set {owner}\.prompt='\.\.\.'"):
        load("datasets", owner, {"path": str(write_any(tmp_path / "a.obj"))}).items()


def clip(path: Path, frames: list[np.ndarray], codec: str = "ffv1", layout: str = "bgr0", pixel: Any = None) -> str:
    """A lossless clip of RGB or RGBA frames (h, w, c)."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=Fraction(8))
        stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], layout
        if pixel is not None:
            stream.codec_context.sample_aspect_ratio = pixel
        for frame in frames:
            kind = "rgba" if frame.shape[2] == 4 else "rgb24"
            out.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format=kind)))
        out.mux(stream.encode())
    return str(path)


def corner(high: int = 48, wide: int = 96) -> np.ndarray:
    """Black, with a white square in the top left corner."""
    picture = np.zeros((high, wide, 3), np.uint8)
    picture[: high // 4, : wide // 4] = 255
    return picture


def turned(path: Path, matrix: list[int]) -> str:
    """A clip of corners whose header turns it by `matrix` (a, b, c, d)."""
    clip(path, [corner(48, 48)] * 2, "mpeg4", "yuv420p")
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd") + 4 + 40  # a version-0 track header: 40 bytes, then the matrix in 16.16 and 2.30
    a, b, c, d = (value << 16 for value in matrix)
    data[start : start + 36] = np.array([a, b, 0, c, d, 0, 0, 0, 1 << 30], ">i4").tobytes()
    path.write_bytes(data)
    return str(path)


@pytest.mark.parametrize(
    ("matrix", "place"),
    [
        ([1, 0, 0, 1], (0, 0)),
        ([0, 1, -1, 0], (0, 1)),  # a quarter turn clockwise takes the top left corner to the top right
        ([-1, 0, 0, -1], (1, 1)),
        ([0, -1, 1, 0], (1, 0)),
        ([-1, 0, 0, 1], (0, 1)),  # mirrored
        ([0, 1, 1, 0], (0, 0)),  # transposed
    ],
)
def test_clips_are_turned_as_their_header_says(tmp_path: Path, matrix: list[int], place: tuple[int, int]) -> None:
    path = turned(tmp_path / "a.mp4", matrix)
    [item] = Videos(path=path, prompt="a robot", frames=2, size=32).items()
    picture = item.conditions["video"][0].mean(0)
    corners = {(row, column): float(picture[-row][-column]) for row in (0, 1) for column in (0, 1)}
    assert max(corners, key=lambda spot: corners[spot]) == place
    assert sorted(corners.values())[-2] < 0.3 < 0.7 < corners[place]


def test_a_clip_turned_by_an_odd_angle_is_refused(tmp_path: Path) -> None:
    path = turned(tmp_path / "a.mp4", [1, 1, -1, 1])
    with pytest.raises(SyncbenchError, match="no multiple of 90 degrees"):
        Videos(path=path, prompt="a robot", frames=2, size=32).items()


def test_pixels_that_are_not_square_are_made_so(tmp_path: Path) -> None:
    """A disc that a recorder squeezed to half its width is round again."""
    row, column = np.mgrid[0:96, 0:48]
    disc = (((row - 48) ** 2 + (2 * column - 48) ** 2) < 32**2).astype(np.uint8) * 255
    frames = [np.repeat(disc[..., None], 3, 2)] * 2
    path = clip(tmp_path / "a.mp4", frames, "mpeg4", "yuv420p", Fraction(2, 1))
    [item] = Videos(path=path, prompt="a robot", frames=2, size=96).items()
    seen = item.conditions["video"][0].mean(0) > 0.5
    high, wide = int(seen.any(1).sum()), int(seen.any(0).sum())
    assert abs(high - wide) <= 2
    assert abs(high - 64) <= 2


def test_what_is_transparent_lies_on_white(tmp_path: Path) -> None:
    picture = np.zeros((32, 32, 4), np.uint8)
    picture[:, :16, 3], picture[:, 16:, 3] = 255, 0
    path = clip(tmp_path / "a.mkv", [picture] * 2, layout="bgra")
    [item] = Videos(path=path, prompt="a robot", frames=2, size=32).items()
    columns = item.conditions["video"][0].mean((0, 1))
    torch.testing.assert_close(columns, torch.cat([torch.zeros(16), torch.ones(16)]))


def test_playlists_open_no_other_file(tmp_path: Path) -> None:
    clip(tmp_path / "a.mkv", [corner()] * 2)
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n#EXTINF:1,\na.mkv\n#EXT-X-ENDLIST\n")
    (tmp_path / "list.ffconcat").write_text("ffconcat version 1.0\nfile a.mkv\n")
    for name in ("list.m3u8", "list.ffconcat"):
        with pytest.raises(SyncbenchError, match="FFmpeg cannot read this video"):
            Videos(path=str(tmp_path / name), prompt="a robot", frames=2, size=32).items()


def test_a_sliver_is_no_frame(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mkv", [np.zeros((4, 128, 3), np.uint8)] * 2)
    with pytest.raises(SyncbenchError, match="too narrow for a square"):
        Videos(path=path, prompt="a robot", frames=2, size=32).items()


def photo(path: Path, high: int = 48, wide: int = 96, **how: Any) -> Path:
    """Black, with a white square in the top left corner."""
    Image.fromarray(corner(high, wide)).save(path, **how)
    return path


def test_a_folder_of_photos_is_read_in_the_order_of_names(tmp_path: Path) -> None:
    photo(tmp_path / "b.png")
    photo(tmp_path / "a, b.jpg", 96, 48)
    (tmp_path / "notes.md").write_text("no picture")
    (tmp_path / "c.PNG").mkdir()
    items = Photos(path=str(tmp_path), size=64, channels=("albedo", "shading")).items()
    assert len(items) == 2
    assert [item.id.rpartition("-")[0] for item in items] == ["a_ b", "b"]
    assert [item.surface.window for item in items] == [(64, 32), (32, 64)]
    for item in items:
        assert re.fullmatch("[0-9a-f]{6}", item.id.rpartition("-")[2])
        image = item.conditions["image"]
        assert image.shape == (1, 3, *item.surface.window)
        assert float(image[0, 0, 1, 1]) > 0.95 > 0.05 > float(image[0, 0, -1, -1])
        assert not item.truth
        assert item.surface.canvas(8).views == 2


def test_photos_are_told_apart_by_their_content_and_not_by_their_place(tmp_path: Path) -> None:
    found: list[Item] = []
    for name, wide in (("one", 96), ("two", 96), ("three", 90)):
        (tmp_path / name).mkdir()
        found += Photos(path=str(photo(tmp_path / name / "a.png", 48, wide)), size=64).items()
    assert found[0].id == found[1].id != found[2].id
    assert dataset_fields(Photos(path="a.png")) == dataset_fields(Photos(path="b.png"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", "x.png\n# not this\nsub/y.png\n"),
        ("a.jsonl", '{"photo": "x.png", "prompt": "a room"}\n{"photo": "sub/y.png"}\n'),
        ("a.csv", "photo\nx.png\nsub/y.png\n"),
        ("a.json", '["x.png", {"photo": "sub/y.png", "id": "y"}]'),
    ],
)
def test_lists_of_photos_need_no_prompts(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / "sub").mkdir()
    photo(tmp_path / "x.png")
    photo(tmp_path / "sub" / "y.png", 64, 64)
    (tmp_path / name).write_text(content)
    items = Photos(path=str(tmp_path / name), prompt="a garden").items()
    assert [item.surface.window for item in items] == [(384, 768), (768, 768)]
    assert [item.prompts for item in items] == [("a room" if "room" in content else "a garden",), ("a garden",)]


def test_photos_are_turned_and_laid_on_white(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn clockwise: the top left corner goes to the top right
    [item] = Photos(path=str(photo(tmp_path / "a.jpg", exif=exif)), size=64).items()
    image = item.conditions["image"][0].mean(0)
    assert image.shape == (64, 32)
    assert float(image[1, -2]) > 0.9 > 0.1 > float(image[1, 1])
    Image.fromarray(np.zeros((32, 32, 4), np.uint8)).save(tmp_path / "b.png")
    [item] = Photos(path=str(tmp_path / "b.png"), size=32).items()
    assert float(item.conditions["image"].min()) == 1
    Image.fromarray(corner(32, 32)).convert("P").save(tmp_path / "c.png")
    Image.fromarray(corner(32, 32)).convert("CMYK").save(tmp_path / "d.jpg")
    for name in ("c.png", "d.jpg"):
        [item] = Photos(path=str(tmp_path / name), size=32).items()
        assert float(item.conditions["image"][0, :, 1, 1].min()) > 0.9


def test_files_that_are_no_photos_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.png").write_text("no picture")
    Image.fromarray(np.zeros((16, 16), np.uint16)).save(tmp_path / "deep.png")
    (tmp_path / "list.csv").write_text("picture\na.png\n")
    for path, words in (
        ("", "photos needs pictures: add --set photos.path=FOLDER"),
        ("nowhere.png", "no picture '"),
        ("empty", "no pictures .* in this folder"),
        ("text.png", "this is no picture that can be read"),
        ("deep.png", "more than 8 bits"),
        ("list.csv", "has no 'photo' column"),
    ):
        with pytest.raises(SyncbenchError, match=words):
            Photos(path=str(tmp_path / path) if path else "").items()
    whole = photo(tmp_path / "cut.png", 512, 512)
    whole.write_bytes(whole.read_bytes()[:300])
    with pytest.raises(SyncbenchError, match="this picture is damaged"):
        _ = Photos(path=str(whole)).items()[0].conditions["image"]


def test_what_is_not_read_of_a_prompt_is_said() -> None:
    """By the sample's note, as far as the model goes; by the coverage, as far as the judge does."""
    short, long = "a red ball", "a landscape of red meadow and " * 20
    model = Tiny(device="cpu")
    strip = Strip(64, 128, 64)
    item = Item(id="a", family="overlap", prompts=(short,), world=True, surface=strip, protocol=Sampling(steps=1))
    longer = replace(item, id="b", prompts=(long,))
    assert "unread" not in Independent()(item, model, 0).notes
    made = Independent()(longer, model, 0)
    tokens = len(long.replace(" ", ""))  # a tokenizer without merges: a token a letter
    assert made.notes["unread"] == pytest.approx(1 - 75 / tokens, abs=0.001)
    pictures = Artifact(views=made.views, canvas=torch.rand(3, 64, 128))
    scores = [ClipText(backbone="reference")(pictures, one) for one in (item, longer)]
    assert scores[0].coverage == 1.0
    assert 0.1 < scores[1].coverage < 0.3, "24 places, 20 x 6 words"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files of the guide's first example, where its reader stands."""
    blocks = re.findall(r"```(\w*)\n(.*?)```", GUIDE, re.DOTALL)
    files = {"toml": "mine.toml", "": "prompts.txt", "json": "clips.jsonl"}
    for kind, text in reversed(blocks):
        if kind in files:
            (tmp_path / files[kind]).write_text(text.replace("steps = 16", "steps = 2"))
    (tmp_path / "teapot.obj").write_text(BOX)
    (tmp_path / "photos").mkdir()
    photo(tmp_path / "photos" / "wall.jpg")
    clip(tmp_path / "walk.mp4", [corner()] * 8, "mpeg4", "yuv420p")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.slow
def test_the_guides_suite_works_and_is_scored_from_anywhere(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL)[0].splitlines()
    for command in commands:
        done = call(*command.split()[1:])
        assert done.exit_code == 0, (command, done.output)
    root = place / "results" / "runs" / "mine"
    frame = load_records([root])
    assert set(frame["family"]) == {"overlap", "geometry", "frames", "channels"}
    assert set(frame["status"]) == {"ok"}
    for job in root.glob("jobs/*"):
        (job / "scores.json").unlink()
    (place / "elsewhere").mkdir()
    monkeypatch.chdir(place / "elsewhere")
    again = call("score", root)
    assert again.exit_code == 0, again.output
    assert set(load_records([root])["status"]) == {"ok"}
    for job in root.glob("jobs/*/job.json"):
        path = json.loads(job.read_text())["dataset"]["overrides"]["path"]
        assert Path(path).is_absolute()


def test_the_truth_of_a_mesh_that_has_none_is_null_and_not_an_error(place: Path) -> None:
    fields = [
        "meshes.path=teapot.obj",
        "meshes.prompt=a red ball on a green meadow under a blue sky",
        "meshes.size=64",
        "protocol.steps=1",
    ]
    sets = [word for field in fields for word in ("--set", field)]
    chosen = ["--methods", "independent,truth", "--metrics", "network_evaluations", "--out", "out"]
    done = call("run", "quick", "--datasets", "meshes", *sets, *chosen)
    assert done.exit_code == 0, done.output
    frame = load_records([place / "out"])
    assert set(frame[frame["method"] == "truth"]["reason"]) == {"the dataset knows no true picture of this item"}


def test_a_sphere_of_overlapping_views_is_sampled_and_judged(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text("a lake\nmountains at dawn\n")
    data = {"id": "spheres", "path": str(tmp_path / "p.txt"), "views": 6, "elevations": [0.0, 45.0], "size": 16}
    items = load("datasets", "spheres", {name: value for name, value in data.items() if name != "id"}).items()
    assert [item.surface.views for item in items] == [12, 12]
    canvas = items[0].surface.canvas()
    assert int((canvas.count > 1).sum()) > 50, "neighbours see the same cells"
    frame = run(
        {
            "model": "gauss",
            "datasets": [data],
            "methods": ["independent", "multidiffusion", "batch_attention"],
            "metrics": ["disagreement", "seam_ratio", "sharpness"],
            "limit": 1,
            "protocol": {"steps": 3, "guidance": 1.0},
        },
        tmp_path / "out",
    )
    value = {(row.method, row.metric): row for row in frame.itertuples()}
    assert value["multidiffusion", "sharpness"].value > 0
    assert value["independent", "seam_ratio"].reason, "the views are no one wide picture"
    assert set(frame["status"]) <= {"ok", "unsupported"}
