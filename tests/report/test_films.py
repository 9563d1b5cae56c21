"""Films: clips move beside their source, every player decodes them, and what does not fit is said."""

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from PIL import Image
from syncbench.bench.report import films
from syncbench.bench.report.films import Clip, Layout, Scene, film
from syncbench.bench.report.sheets import show
from syncbench.bench.run.sweep import run
from syncbench.bench.types import SyncbenchError

RED, GREEN, BLUE = (200, 30, 30), (30, 160, 60), (40, 60, 190)
PAPER_GREY = 230


def clip(label: str, *colours: tuple[int, int, int]) -> Clip:
    return Clip(label, [Image.new("RGB", (200, 120), colour) for colour in colours])


def decoded(path: Path) -> tuple[Any, list[np.ndarray]]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        facts = (container.format.name, stream.codec_context.name, stream.codec_context.pix_fmt, stream.average_rate)
    return facts, frames


def test_the_source_is_at_the_left_and_methods_follow() -> None:
    scenes = [Scene("one: a red ball", clip("input", RED, BLUE), [clip("a", GREEN, GREEN), Clip("b", (), "failed")])]
    pictures = [np.asarray(picture) for picture in film(scenes, "title", 1.0)]
    assert len(pictures) == 2
    row = pictures[0][-60]
    places = [int((row == colour).all(-1).argmax()) for colour in (RED, GREEN, films.EMPTY)]
    assert places == sorted(places), "source, then the methods in their order, then the one that failed"
    assert places[0] > 0
    assert (pictures[1][-60, places[0] + 5] == BLUE).all(), "the source moves"


def test_an_mp4_is_read_back_as_it_was_drawn(tmp_path: Path) -> None:
    """H.264, even sizes, the pixel format of all players; colours survive."""
    path, levels = tmp_path / "draft", np.full((121, 177, 3), PAPER_GREY, np.uint8)
    shown = []
    for colour in (RED, GREEN, BLUE):
        levels[20:100, 40:140] = colour
        shown.append(levels.copy())
    films.write_mp4(path, shown, 8)
    facts, frames = decoded(path)
    assert facts == ("mov,mp4,m4a,3gp,3g2,mj2", "h264", "yuv420p", 8)
    assert len(frames) == 3
    assert frames[0].shape == (122, 178, 3), "odd sides are a pixel longer"
    for found, wanted in zip(frames, shown, strict=True):
        for y, x in ((60, 90), (5, 5)):
            assert np.abs(found[y, x].astype(int) - wanted[y, x]).max() <= 4
    again = tmp_path / "again"
    films.write_mp4(again, shown, 8)
    assert again.read_bytes() == path.read_bytes()


def test_what_does_not_fit_is_said_or_smaller() -> None:
    scenes = [Scene(f"item {n}", clip("input", RED), [clip(f"m{k}", GREEN) for k in range(9)]) for n in range(30)]
    [picture] = film(scenes, "title", 1.0)
    assert picture.width <= films.WIDE
    assert picture.height <= films.HIGH
    assert 1 <= Layout.of(scenes, 1.0).most < 30
    large = [Image.new("RGB", (1500, 1400))]
    many = [Scene("item", Clip("input", large), [Clip(f"m{k}", large) for k in range(20)])]
    [picture] = film(many, "title", 1.0)
    assert picture.width <= films.WIDE
    assert picture.height <= films.HIGH
    with pytest.raises(SyncbenchError, match="nothing of title moves"):
        next(film([Scene("item", None, [Clip("a", (), "failed")])], "title", 1.0))


def test_without_an_encoder_clips_are_webp(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert films.chosen(None) == "mp4"
    monkeypatch.setattr(films, "ENCODERS", ("libnothing",))
    assert films.chosen(None) == "webp"
    with pytest.raises(SyncbenchError, match="choose --format webp"):
        films.write_mp4(tmp_path / "film", [np.zeros((8, 8, 3), np.uint8)], 8)
    with pytest.raises(SyncbenchError, match="--format gif: choose mp4 or webp"):
        films.chosen("gif")


def test_clips_of_a_run_move(results: Path) -> None:
    """World clips, their source and two anchors: as many frames in the film as in the clips."""
    run(
        {
            "model": "gauss",
            "datasets": [{"id": "world_videos", "frames": 3, "size": 64}],
            "methods": ["truth", "independent"],
            "metrics": ["network_evaluations"],
            "seeds": [0],
            "limit": 1,
            "protocol": {"steps": 1, "guidance": 1.0},
        },
        results,
    )
    sheet, moving = show(results)
    assert (sheet.suffix, moving.suffix) == (".png", ".mp4")
    _, frames = decoded(moving)
    assert len(frames) == 3
    assert torch.tensor(frames[0]).float().std() > 10
    for wrong in (moving, results / "sheet", results / "sheet.jpg"):
        with pytest.raises(SyncbenchError, match=rf"end '{wrong.name}' in \.png"):
            show(results, wrong)
    [_, moving] = show(results, format="webp")
    assert Image.open(moving).n_frames == 3  # type: ignore[attr-defined]
