"""Which output is of which item: names, seeds, channels, manifests; what fits none is listed or refused in one line."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from syncbench.bench.errors import SyncbenchError
from syncbench.bench.outputs.leaves import find_leaves
from syncbench.bench.outputs.manifest import match_rows, read_manifest
from syncbench.bench.outputs.match import Matched, match_names
from syncbench.bench.surfaces.shared import Apart, Shared
from syncbench.bench.types import Item


def item(id: str, prompt: str = "a cat", names: tuple[str, ...] = ()) -> Item:
    surface = Shared(names, 8, 8) if names else Apart(3, 8, 8)
    return Item(id=id, family="channels" if names else "frames", prompts=(prompt,), surface=surface)


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return root


def shown(matched: Matched) -> dict[tuple[str, int], str]:
    return {at: output.name for at, output in matched.outputs.items()}


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        (["run.mp4", "walk.gif"], {("run", 0): "run.mp4", ("walk-0a1b2c", 0): "walk.gif"}),
        (["0/run.mp4", "1/run.mp4"], {("run", 0): "0/run.mp4", ("run", 1): "1/run.mp4"}),
        (["run/seed-3.mp4", "run/seed-4.mp4"], {("run", 3): "run/seed-3.mp4", ("run", 4): "run/seed-4.mp4"}),
        (["run/seed3/1.png", "run/seed3/2.png"], {("run", 3): "run/seed3/"}),
        (["run/00.png", "run/01.png"], {("run", 0): "run/"}),
        (["a/b/run/1.png", "a/b/walk-0a1b2c/1.png"], {("run", 0): "a/b/run/", ("walk-0a1b2c", 0): "a/b/walk-0a1b2c/"}),
        (["DAVIS_480p/hike/style/0.jpg", "DAVIS_480p/hike/style/1.jpg"], {("hike-style", 0): "DAVIS_480p/hike/style/"}),
        (["hike/style.mp4"], {("hike-style", 0): "hike/style.mp4"}),
        (["run/out.mp4"], {("run", 0): "run/"}),
        (["run/model.obj", "run/model.mtl", "run/texture.png"], {("run", 0): "run/"}),
        (["run.obj", "run.mtl", "texture.png"], {("run", 0): "run.obj"}),
    ],
)
def test_layouts(files: list[str], wanted: dict[Any, str], tmp_path: Path) -> None:
    items = [item("run"), item("walk-0a1b2c"), item("hike-style")]
    matched = match_names(find_leaves(touch(tmp_path, *files)), items)
    assert shown(matched) == wanted
    assert matched.unmatched == []
    assert matched.extra == []


def test_frames_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    names = [f"run/frame_{n}.png" for n in (10, 2, 1, 9)]
    [output] = match_names(find_leaves(touch(tmp_path, *names)), [item("run")]).outputs.values()
    assert [path.stem for path in output.files] == ["frame_1", "frame_2", "frame_9", "frame_10"]


@pytest.mark.parametrize(
    "files",
    [
        ["a/albedo.png", "a/normals.png", "a/shading.exr"],
        ["a_albedo.png", "a_normal_opencv.png", "a_shading.png"],
        ["albedo/a.png", "normals/a.png", "pred_shading/a.png"],
        ["2/a_albedo.png", "2/a_normal.png", "2/a_shading.png"],
    ],
)
def test_channels_are_told_by_their_names(files: list[str], tmp_path: Path) -> None:
    channels = item("a", names=("normal", "albedo", "shading"))
    matched = match_names(find_leaves(touch(tmp_path, *files)), [channels])
    [((_, seed), output)] = matched.outputs.items()
    assert seed == (2 if files[0].startswith("2/") else 0)
    assert [next(n for n in channels.surface.names if n in str(p)) for p in output.files] == [  # type: ignore[attr-defined]
        *channels.surface.names  # type: ignore[attr-defined]
    ]


def test_what_is_left_over_is_listed(tmp_path: Path) -> None:
    touch(tmp_path, "run.mp4", "other.mp4", "more/0.png", "more/1.png", "log.txt", ".hidden")
    matched = match_names(find_leaves(tmp_path), [item("run"), item("walk")])
    assert (matched.missing, matched.unmatched, matched.extra) == (["walk"], ["other.mp4", "more/"], ["log.txt"])


def test_two_outputs_of_one_item_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "run.mp4", "run/0.png")
    with pytest.raises(SyncbenchError, match="both outputs of item 'run'"):
        match_names(find_leaves(tmp_path), [item("run")])
    touch(tmp_path / "b", "a_albedo.png", "a_normal.png")
    with pytest.raises(SyncbenchError, match="no picture of its shading"):
        match_names(find_leaves(tmp_path / "b"), [item("a", names=("albedo", "normal", "shading"))])


MANIFESTS = {
    "own.csv": "item,path,seed\nhike-b,x/clip1.mp4,5\n",
    "own.jsonl": '{"id": "hike-b", "output": "x/clip1.mp4", "seed": 5}\n',
    "ive.json": json.dumps(
        [{"id": 3, "src_video_name": "hike.mp4", "source_prompt": "s", "edit_prompt": "e", "target_prompt": "in snow"}]
    ),
    "tgve.csv": "Video name,Our GT caption,Style Change Caption,Object Change Caption\nhike,a,in oil,in snow\n",
    "tgve.yaml": "train_data: {video_path: ./data/480p_frames/hike, prompt: a}\n"
    "validation_data: {prompts: {style: in oil, object: in snow}}\n",
    "v2v.yaml": "data:\n- video_id: hike\n  edit:\n  - prompt: in oil\n  - prompt: in snow\n",
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_manifests_of_other_benchmarks(name: str, tmp_path: Path) -> None:
    outputs = touch(
        tmp_path / "o", "x/clip1.mp4", "hike/0.mp4", "hike/1.mp4", "sub/hike/style/0.jpg", "sub/hike/object/0.jpg"
    )
    if name == "ive.json":
        outputs = touch(tmp_path / "p", "hike/00001.png", "hike/00002.png")
    path = tmp_path / name
    path.write_text(MANIFESTS[name])
    items = [item("hike-a", "in oil"), item("hike-b", "in snow"), item("walk-b", "in snow")]
    matched = match_rows(read_manifest(path), find_leaves(outputs), items)
    wanted = {
        "own": {("hike-b", 5): "x/clip1.mp4"},
        "ive": {("hike-b", 0): "hike/"},
        "tgve": {("hike-a", 0): "sub/hike/style/", ("hike-b", 0): "sub/hike/object/"},
        "v2v": {("hike-a", 0): "hike/0.mp4", ("hike-b", 0): "hike/1.mp4"},
    }
    assert shown(matched) == wanted[name.partition(".")[0]]
    assert "walk-b" in " ".join(matched.missing)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.txt", "", "a manifest ends in"),
        ("a.csv", "what,where\n1,2\n", "a row needs 'item' and 'path'"),
        ("a.csv", 'item,path\n"run,1\n', "cannot be read as csv"),
        ("a.json", "{", "cannot be read as json"),
        ("a.json", "[1]", "expected an object"),
        ("a.jsonl", "", "no rows"),
        ("a.yaml", "a: [", "cannot be read as yaml"),
        ("a.yaml", "!!python/object/apply:os.mkdir [evil]", "cannot be read as yaml"),
        ("a.jsonl", '{"item": "run", "path": "../run.mp4"}', "leads out of the folder"),
        ("a.jsonl", '{"item": "run", "path": "/etc/run.mp4"}', "leads out of the folder"),
        ("a.jsonl", '{"item": "run", "path": "run.mp4", "seed": -1}', "no whole number"),
        ("a.jsonl", '{"item": ["run"], "path": "run.mp4"}', "'item' must be text"),
    ],
)
def test_broken_manifests(name: str, text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    found = find_leaves(touch(tmp_path / "o", "run.mp4"))
    with pytest.raises(SyncbenchError, match=said) as error:
        match_rows(read_manifest(tmp_path / name), found, [item("run")])
    assert "\n" not in str(error.value)
    assert not (tmp_path / "evil").exists()


def test_a_folder_that_is_a_link_is_not_entered(tmp_path: Path) -> None:
    touch(tmp_path / "o" / "sub", "run.mp4")
    (tmp_path / "o" / "loop").symlink_to(tmp_path / "o")
    assert [leaf.name for leaf in find_leaves(tmp_path / "o").leaves] == ["sub/run.mp4", "sub/"]


def test_one_file_is_one_output(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((8, 24, 3), np.uint8)).save(tmp_path / "run.png")
    assert shown(match_names(find_leaves(tmp_path / "run.png"), [item("run")])) == {("run", 0): "run.png"}
