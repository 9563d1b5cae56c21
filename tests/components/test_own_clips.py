"""Clips in the layouts of DAVIS, TGVE and V2VBench, masks, shapes, rates and depths of levels."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from PIL import Image
from syncbench.bench.catalogue.content import content_of
from syncbench.bench.errors import SyncbenchError
from syncbench.bench.types import Item
from syncbench.datasets.videos import Videos


def items(path: Path, **fields: Any) -> list[Item]:
    return Videos(**{"path": str(path), "prompt": "a robot", "frames": 3, "size": 32, **fields}).items()


def refused(path: Path, **fields: Any) -> str:
    with pytest.raises(SyncbenchError) as caught:
        items(path, **fields)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def frames(
    folder: Path, count: int = 5, start: int = 0, name: str = "{:05d}.jpg", high: int = 48, wide: int = 64
) -> Path:
    """Grey frames whose level rises by 20."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        Image.new("RGB", (wide, high), (20 * number,) * 3).save(folder / name.format(number + start))
    return folder


def levels(item: Item) -> list[float]:
    return [round(level) for level in (item.conditions["video"].mean((1, 2, 3)) * 255).tolist()]


def palette(path: Path, high: int = 48, wide: int = 64) -> Path:
    """An indexed mask as DAVIS has it: object 1 on the left, 2 in the middle, void on the right of the top half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ids = np.zeros((high, wide), np.uint8)
    ids[: high // 2] = np.repeat([1, 2, 255], [wide // 2, wide // 4, wide // 4])
    image = Image.fromarray(ids, "L").convert("P")
    image.putdata(ids.ravel().tolist())
    image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0] + [224, 224, 192] * 253)
    image.save(path)
    return path


def davis(root: Path) -> Path:
    for name in ("bear", "blackswan"):
        frames(root / "JPEGImages" / "480p" / name)
        for number in range(5):
            palette(root / "Annotations" / "480p" / name / f"{number:05d}.png")
    split = root / "ImageSets" / "2017" / "val.txt"
    split.parent.mkdir(parents=True)
    split.write_text("blackswan\n")
    return root


def test_davis_is_read_whole_by_split_and_by_sequence(tmp_path: Path) -> None:
    root = davis(tmp_path / "DAVIS")
    assert [item.id.rpartition("-")[0] for item in items(root)] == ["bear", "blackswan"]
    [one] = items(root / "ImageSets" / "2017" / "val.txt")
    assert one.id.startswith("blackswan-")
    [same] = items(root / "JPEGImages" / "480p" / "blackswan", every=2)
    assert levels(one) == [0, 20, 40]
    assert levels(same) == [0, 40, 80]
    mask = one.conditions["mask"]
    assert mask.shape == (3, 1, 32, 32)
    assert torch.equal(mask, one.truth["mask"])
    assert mask[0, 0, 4].tolist() == [1.0] * 27 + [0.0] * 5, "numbers are objects, void is none, whatever the palette"
    assert not mask[:, :, 20:].any()


def test_broken_davis_is_one_line(tmp_path: Path) -> None:
    root = davis(tmp_path / "DAVIS")
    split = root / "ImageSets" / "2017" / "val.txt"
    for text, words in (("gone\n", "no folder JPEGImages/480p/gone"), ("../x\n", "leads out"), ("", "no clips here")):
        split.write_text(text)
        assert words in refused(split)
    (root / "Annotations" / "480p" / "bear" / "00001.png").write_bytes(b"\x89PNG\r\n\x1a\n no more")
    assert "no picture that can be read" in refused(root / "JPEGImages" / "480p" / "bear")
    (root / "Annotations" / "480p" / "bear" / "00001.png").unlink()
    for number in (3, 4):
        (root / "Annotations" / "480p" / "bear" / f"0000{number}.png").unlink()
    assert "2 masks for the 3 frames" in refused(root / "JPEGImages" / "480p" / "bear")
    assert "needs a prompt" in refused(root, prompt="")


TGVE = """
train_data:
  video_path: "./data/loveu-tgve-2023/DAVIS_480p/480p_frames/blackswan"
  prompt: "A black swan swims in a river."
  num_frames: 32
  height: 480
validation_data:
  prompts:
    style: "A black swan swims in a river, oil painting."
    object: "A white duck swims in a river."
"""


def tgve(root: Path, text: str = TGVE) -> Path:
    config = root / "configs" / "loveu-tgve-2023" / "DAVIS_480p" / "blackswan.yaml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(text)
    frames(root / "data" / "loveu-tgve-2023" / "DAVIS_480p" / "480p_frames" / "blackswan")
    return config


def test_tgve_is_an_item_for_each_prompt(tmp_path: Path) -> None:
    config = tgve(tmp_path)
    for path in (tmp_path, config, config.parent):
        one, two = items(path, prompt="")
        assert [item.id.rpartition("-")[0] for item in (one, two)] == ["blackswan-style", "blackswan-object"]
        assert two.prompts == ("A white duck swims in a river.",)
        assert two.source == "A black swan swims in a river."
        assert levels(one) == [0, 20, 40]
    assert content_of(one) != content_of(two)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            TGVE.replace("blackswan", "gone"),
            "no 'data/loveu-tgve-2023/DAVIS_480p/480p_frames/gone' in any folder above",
        ),
        (TGVE.replace("./data", "../../../etc"), "leads out of this file's folder"),
        (TGVE.replace("prompts:", "words:"), "no texts validation_data.prompts"),
        (TGVE.replace('"A white duck swims in a river."', "[1]"), "no texts validation_data.prompts"),
        ("a: [", "blackswan.yaml:1: not YAML"),
        ("!!python/object/apply:os.system ['true']", "not YAML"),
        ("[" * 5_000, "not YAML"),
        ("a: 1", "neither the keys of LOVEU-TGVE-2023"),
        ("", "neither the keys of LOVEU-TGVE-2023"),
    ],
    ids=lambda text: None if len(text) < 50 else "long",
)
def test_broken_configurations_are_one_line(tmp_path: Path, text: str, words: str) -> None:
    assert words in refused(tgve(tmp_path, text))


def video(path: Path, pictures: list[np.ndarray], times: list[int] | None = None, **how: Any) -> Path:
    """A clip of RGB or 16-bit frames, `times` in eighths of a second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as out:
        stream = out.add_stream(how.pop("codec", "ffv1"), rate=Fraction(8))
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = how.pop("layout", "bgr0")
        for name, value in how.items():
            setattr(stream.codec_context, name, value)
        for number, picture in enumerate(pictures):
            deep = picture.dtype == np.uint16
            frame = av.VideoFrame.from_ndarray(picture, format="rgb48le" if deep else "rgb24")
            frame.pts, frame.time_base = times[number] if times else number, Fraction(1, 8)
            for name, value in how.items():
                setattr(frame, name, value)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


def greys(count: int, high: int = 48, wide: int = 64) -> list[np.ndarray]:
    return [np.full((high, wide, 3), 20 * number, np.uint8) for number in range(count)]


V2V = "data:\n- video_id: hike\n  edit:\n  - prompt: a fox hikes\n  - prompt: a hike in winter\n"


def test_v2vbench_is_an_item_for_each_edit(tmp_path: Path) -> None:
    video(tmp_path / "hike.mkv", greys(4))
    index = tmp_path / "index.yaml"
    index.write_text(V2V)
    found = items(index, prompt="")
    assert [(item.id.rpartition("-")[0], item.prompts[0]) for item in found] == [
        ("hike-0", "a fox hikes"),
        ("hike-1", "a hike in winter"),
    ]
    for text, words in (
        (V2V.replace("hike\n  edit", "walk\n  edit"), "no clip 'walk.*' beside"),
        (V2V.replace("edit", "edits"), "no video_id or no list edit"),
        (V2V.replace("prompt: a fox hikes", "text: x"), "has no prompt"),
    ):
        index.write_text(text)
        assert words in refused(index)


def test_an_index_serves_any_other_layout(tmp_path: Path) -> None:
    """FiVE's frames are numbered from 1 and its masks are JPEG."""
    frames(tmp_path / "images" / "0001_bus", start=1)
    for number in range(1, 6):
        half = np.zeros((48, 64), np.uint8)
        half[:, :32] = 255
        (tmp_path / "bmasks" / "0001_bus").mkdir(parents=True, exist_ok=True)
        Image.fromarray(half).save(tmp_path / "bmasks" / "0001_bus" / f"{number:05d}.jpg")
    row = {
        "video": "images/0001_bus",
        "mask": "bmasks/0001_bus",
        "prompt": "a red bus",
        "source": "a bus",
        "target": "red",
    }
    index = tmp_path / "five.jsonl"
    index.write_text(json.dumps({**row, "start": 1, "every": "2"}))
    [item] = items(index)
    assert levels(item) == [20, 60]
    assert (item.source, item.target) == ("a bus", "red")
    assert item.conditions["mask"].mean((1, 2, 3)).tolist() == pytest.approx([0.5, 0.5], abs=0.04)
    for change, words in (
        ({"mask": "../x"}, "leads out"),
        ({"mask": "images"}, "0 masks for the"),
        ({"start": "-1"}, "start is a number of frames, not '-1'"),
        ({"video": "gone"}, "no video file"),
    ):
        index.write_text(json.dumps({**row, **change}))
        assert words in refused(index)


def test_frames_are_ordered_by_their_numbers(tmp_path: Path) -> None:
    frames(tmp_path / "a", 12, name="frame{}.png")
    assert levels(items(tmp_path / "a", frames=12)[0]) == [20 * number for number in range(12)]
    assert levels(items(tmp_path / "a", frames=12, start=2, stop=9, every=3)[0]) == [40, 100, 160]
    Image.new("RGB", (8, 8)).save(tmp_path / "a" / "frame1.png")
    assert "frame1.png: 8 x 8 px, but the first frame was 64 x 48" in refused(tmp_path / "a")
    assert "pictures have no clock" in refused(tmp_path / "a", fps=8)
    assert "only one frame is there, one in 99; a clip" in refused(tmp_path / "a", every=99)


def test_a_folder_of_clips_and_a_folder_of_nothing(tmp_path: Path) -> None:
    video(tmp_path / "b.mkv", greys(4))
    frames(tmp_path / "a")
    (tmp_path / "notes.txt").write_text("nothing")
    assert [item.id.rpartition("-")[0] for item in items(tmp_path)] == ["a", "b"]
    (tmp_path / "empty").mkdir()
    assert "no clips here; videos.path is" in refused(tmp_path / "empty")


def test_every_shape_can_be_cropped_letterboxed_or_kept(tmp_path: Path) -> None:
    """A white frame with a grey left quarter."""
    picture = np.full((48, 96, 3), 255, np.uint8)
    picture[:, :24] = 128
    path = video(tmp_path / "a.mkv", [picture] * 2)
    crop, box, keep = (items(path, frames=2, fit=fit)[0] for fit in ("crop", "letterbox", "keep"))
    assert [item.surface.window for item in (crop, box, keep)] == [(32, 32), (32, 32), (32, 64)]
    assert float(crop.conditions["video"].min()) > 0.9, "the middle square does not show the grey quarter"
    clip = box.conditions["video"]
    assert not clip[:, :, :8].any()
    assert not clip[:, :, 24:].any()
    torch.testing.assert_close(clip[0, 0, 16, [2, 12, 28]], torch.tensor([128 / 255, 1, 1]), atol=0.02, rtol=0)
    torch.testing.assert_close(
        keep.conditions["video"][0, 0, 16, [4, 60]], torch.tensor([128 / 255, 1]), atol=0.02, rtol=0
    )
    assert len({content_of(item) for item in (crop, box, keep)}) == 3


def test_a_variable_rate_keeps_its_speed(tmp_path: Path) -> None:
    """Frames at 0, 1, 2, 6 and 8 eighths of a second; four a second are those shown at 0, 2, 4, 6 and 8."""
    path = video(tmp_path / "a.mkv", greys(5), [0, 1, 2, 6, 8])
    assert levels(items(path, frames=9, fps=4)[0]) == [0, 40, 40, 60, 80]
    assert levels(items(path, frames=9)[0]) == [0, 20, 40, 60, 80]
    assert levels(items(path, frames=9, fps=4, start=2)[0]) == [40, 40, 60, 80]
    assert "not by both" in refused(path, fps=4, every=2)


def test_deep_levels_become_eight_bits_and_high_dynamic_range_is_refused(tmp_path: Path) -> None:
    deep = [np.full((48, 64, 3), level, np.uint16) for level in (0, 32_896, 65_535)]
    path = video(tmp_path / "a.mkv", deep, layout="yuv420p10le")
    np.testing.assert_allclose(levels(items(path)[0]), [0, 128, 255], atol=2)
    bright = video(tmp_path / "b.mkv", deep, layout="yuv420p10le", color_trc=16)
    assert "high dynamic range (PQ); tone-map it" in refused(bright)


@pytest.mark.parametrize("fit", ["crop", "letterbox", "keep"])
def test_masks_have_the_shape_of_their_clip(tmp_path: Path, fit: str):
    """A mask of another shape would lie on other things than it was drawn for; another size is no fault."""
    frames(tmp_path / "clip", high=48, wide=85)
    listed = tmp_path / "clips.jsonl"
    listed.write_text(json.dumps({"video": "clip", "prompt": "a robot", "mask": "mask.png"}))
    Image.new("L", (192, 108), 255).save(tmp_path / "mask.png")
    (item,) = items(listed, fit=fit)
    assert item.conditions["mask"].shape[2:] == item.conditions["video"].shape[2:]
    for wide, high in ((96, 24), (48, 85)):
        Image.new("L", (wide, high), 255).save(tmp_path / "mask.png")
        assert f"a mask of {wide} x {high} px does not fit a clip of 85 x 48 px" in refused(listed, fit=fit)


def test_a_folder_of_masks_has_no_clock(tmp_path: Path):
    """Masks by number beside frames by time would belong to other moments."""
    with av.open(str(tmp_path / "clip.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height = 64, 48
        for number in range(10):
            grey = np.full((48, 64, 3), 20 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        container.mux(stream.encode())
    frames(tmp_path / "masks", count=10)
    listed = tmp_path / "clips.jsonl"
    listed.write_text(json.dumps({"video": "clip.mp4", "prompt": "a robot", "mask": "masks"}))
    assert items(listed)[0].conditions["mask"].shape == (3, 1, 32, 32)
    assert "masks: pictures have no clock" in refused(listed, fps=5)
