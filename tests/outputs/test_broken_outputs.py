"""Outputs that cannot be read or do not fit: one clear line, exit code 2, and nothing written."""

import io
import json
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from syncbench.bench.cli.main import app
from syncbench.bench.outputs import importing
from typer.testing import CliRunner

FRAMES = ["--dataset", "world_videos", "--set=world_videos.frames=4", "--set=world_videos.size=32", "--limit", "2"]
STRIPS = [
    "--dataset",
    "panoramas",
    "--set=panoramas.width=96",
    "--set=panoramas.height=32",
    "--set=panoramas.window=32",
]
CLIP, STRIP = "00-circle-cube", "00-green-meadow"


def call(*arguments: object) -> Any:
    """A command of the command line, which must not end in a traceback."""
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), (arguments, repr(done.exception))
    return done


def picture(path: Path, wide: int = 32, high: int = 32, **how: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(len(path.name)).integers(0, 256, (high, wide, 3), np.uint8)
    Image.fromarray(noise).save(path, **how)


def frames(root: Path, count: int = 4, wide: int = 32, high: int = 32) -> None:
    for number in range(count):
        picture(root / CLIP / f"{number:05d}.png", wide, high)


def cut(root: Path) -> None:
    frames(root)
    path = root / CLIP / "00002.png"
    path.write_bytes(path.read_bytes()[:200])


def text(root: Path) -> None:
    root.mkdir(parents=True)
    (root / f"{CLIP}.mp4").write_text("<html>404</html>")


def bomb(root: Path) -> None:
    """A PNG of 60,000 x 60,000 px in a few bytes."""
    root.mkdir(parents=True)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    data = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    (root / f"{STRIP}.png").write_bytes(data)


def playlist(root: Path) -> None:
    root.mkdir(parents=True)
    (root / f"{CLIP}.mp4").write_text("#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n")


def pipe(root: Path) -> None:
    root.mkdir(parents=True)
    os.mkfifo(root / f"{CLIP}.mp4")


def point(root: Path) -> None:
    root.mkdir(parents=True)
    (root / f"{CLIP}.obj").write_text("v 0 0 0\n")


def mixed(root: Path) -> None:
    frames(root, 3)
    picture(root / CLIP / "00003.png", 16, 16)


def animation(root: Path, count: int) -> None:
    root.mkdir(parents=True)
    shots = [Image.new("RGB", (32, 32), (40 * n, 0, 0)) for n in range(count)]
    shots[0].save(root / f"{CLIP}.gif", save_all=True, append_images=shots[1:])


BROKEN: dict[str, tuple[Callable[[Path], None], list[str], str]] = {
    "no folder": (lambda root: None, FRAMES, "no folder of outputs"),
    "empty": (lambda root: root.mkdir(), FRAMES, "nothing in .* is named like an item"),
    "other names": (lambda root: picture(root / "x.png"), FRAMES, r"there are 'x.png', and the items are '00-cir"),
    "too few frames": (lambda root: frames(root, 3), FRAMES, "it has 3 pictures, and the item has 4 views"),
    "too many frames": (lambda root: frames(root, 6), FRAMES, "it has 6 pictures, and the item has 4 views"),
    "long clip": (lambda root: animation(root, 9), FRAMES, "it has more than 4 frames"),
    "other size": (lambda root: frames(root, 4, 64, 48), FRAMES, "64 x 48 px, and the item asks for 32 x 32 px: add"),
    "unlike sizes": (mixed, FRAMES, "16 x 16 px, and the item asks for 32 x 32 px"),
    "cut off": (cut, FRAMES, "this file is damaged"),
    "no clip": (text, FRAMES, "this file is damaged"),
    "playlist": (playlist, FRAMES, "this file is damaged"),
    "pipe": (pipe, FRAMES, "no clip"),
    "bomb": (bomb, STRIPS, "px are more than|no picture that can be read"),
    "no grid": (lambda root: picture(root / f"{CLIP}.png", 65, 65), FRAMES, "no grid of 4 views of 32 x 32 px"),
    "wrong grid": (lambda root: picture(root / f"{CLIP}.png", 64, 64), [*FRAMES, "--grid", "3x2"], "3 x 2 equal cells"),
    "grid in words": (lambda root: frames(root), [*FRAMES, "--grid", "two"], "write rows x columns"),
    "strip": (lambda root: picture(root / f"{STRIP}.png", 95, 32), STRIPS, "95 x 32 px, and the item asks for 96 x"),
    "family": (lambda root: frames(root), [*FRAMES, "--family", "prior"], "is of the family frames"),
    "no family": (lambda root: frames(root), [*FRAMES, "--family", "film"], "there are channels, overlap"),
    "fit": (lambda root: frames(root), [*FRAMES, "--fit", "pad"], "choose none, resize, crop"),
    "taken name": (lambda root: frames(root), [*FRAMES, "--method", "multidiffusion"], "a method of that name"),
    "empty name": (lambda root: frames(root), [*FRAMES, "--method", " "], "a name of 1 to 200 characters"),
    "data set": (lambda root: frames(root), ["--dataset", "world_video"], "did you mean"),
    "metric": (lambda root: frames(root), [*FRAMES, "--metrics", "sharpnes"], "did you mean"),
    "manifest": (lambda root: frames(root), [*FRAMES, "--manifest", "no.csv"], "cannot read no.csv"),
    "mesh": (point, FRAMES, "no faces|cameras"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_one_clear_line_and_nothing_written(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lay_out, how, said = BROKEN[case]
    lay_out(tmp_path / "theirs")
    named = [] if "--method" in how else ["--method", "theirs"]
    done = call("import", tmp_path / "theirs", *named, "--out", tmp_path / "results" / "out", *how)
    assert done.exit_code == 2, done.output
    [line] = [one for one in done.stderr.splitlines() if one.startswith("error: ")]
    import re

    assert re.search(said, line), line
    assert len(line) < 600
    left = list((tmp_path / "results").rglob("*")) if (tmp_path / "results").exists() else []
    assert left == [], "no results folder, no temporary one"


def test_one_broken_output_of_many_stops_the_import(tmp_path: Path) -> None:
    cut(tmp_path / "theirs")
    for number in range(4):
        picture(tmp_path / "theirs" / "01-turn-star" / f"{number}.png")
    done = call("import", tmp_path / "theirs", *FRAMES, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert "00002.png" in done.stderr
    assert not (tmp_path / "out").exists()


def test_an_interrupted_import_leaves_no_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames(tmp_path / "theirs")

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(importing, "publish", stop)
    done = CliRunner().invoke(app, ["import", str(tmp_path / "theirs"), *FRAMES, "--out", str(tmp_path / "out")])
    assert done.exit_code == 130
    assert sorted(path.name for path in tmp_path.iterdir()) == ["theirs"]


def test_an_interrupted_replacement_keeps_the_earlier_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames(tmp_path / "theirs")
    call("import", tmp_path / "theirs", *FRAMES, "--out", tmp_path / "out")
    before = sorted(path.name for path in (tmp_path / "out" / "jobs").iterdir())
    changed = next((tmp_path / "theirs").rglob("*.png"))
    Image.new("RGB", (32, 32), "red").save(changed)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(importing, "publish", stop)
        done = CliRunner().invoke(app, ["import", str(tmp_path / "theirs"), *FRAMES, "--out", str(tmp_path / "out")])
    assert done.exit_code == 130
    assert sorted(path.name for path in (tmp_path / "out" / "jobs").iterdir()) == before
    call("import", tmp_path / "theirs", *FRAMES, "--out", tmp_path / "out")
    after = sorted(path.name for path in (tmp_path / "out" / "jobs").iterdir())
    assert len(after) == len(before)
    assert after != before


def test_a_dry_run_writes_nothing_and_lists_what_is_left_over(tmp_path: Path) -> None:
    frames(tmp_path / "theirs")
    picture(tmp_path / "theirs" / "stranger.png")
    (tmp_path / "theirs" / "log.txt").write_text("")
    done = call("import", tmp_path / "theirs", *FRAMES, "--out", tmp_path / "out", "--dry-run", "--json")
    said = json.loads(done.stdout)
    assert done.exit_code == 0, done.output
    assert (said["outputs"], said["missing"]) == ([f"{CLIP}/"], ["01-turn-star"])
    assert (said["unmatched"], said["extra"]) == (["stranger.png"], ["log.txt"])
    assert not (tmp_path / "out").exists()
    told = call("import", tmp_path / "theirs", *FRAMES, "--out", tmp_path / "out")
    assert "no output for item: 01-turn-star" in told.stderr
    assert "of no item: stranger.png" in told.stderr


@pytest.mark.parametrize(("fit", "wide", "high"), [("resize", 64, 48), ("crop", 48, 64), ("resize", 16, 16)])
def test_a_declared_fit_is_recorded(fit: str, wide: int, high: int, tmp_path: Path) -> None:
    frames(tmp_path / "theirs", 4, wide, high)
    out = tmp_path / "out"
    done = call("import", tmp_path / "theirs", *FRAMES, "--out", out, "--fit", fit, "--no-anchors")
    assert done.exit_code == 0, done.output
    from syncbench.bench.store.folder import Store

    store = Store(out)
    [job] = [store.job(key) for key in store.finished()]
    assert job is not None
    assert job.header.params["fit"] == fit
    assert job.notes["imported"]["fit"] == fit
    assert tuple(store.artifact(job.key).views.shape) == (4, 3, 32, 32)


def test_a_folder_that_is_no_results_folder_is_left_alone(tmp_path: Path) -> None:
    frames(tmp_path / "theirs")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("x")
    done = call("import", tmp_path / "theirs", *FRAMES, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert "is not a results folder" in done.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.tex"]


def test_transparent_grey_and_turned_pictures_are_read_as_shown(tmp_path: Path) -> None:
    from syncbench.bench.outputs.pictures import read_picture

    clear = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    clear.save(tmp_path / "clear.png")
    assert float(read_picture(tmp_path / "clear.png").image.min()) == 1
    Image.fromarray(np.full((4, 4), 65535 // 5, np.uint16)).save(tmp_path / "deep.png")
    deep = read_picture(tmp_path / "deep.png").image
    assert deep.shape == (3, 4, 4)
    assert float(deep.max()) == pytest.approx(0.2, abs=1e-5)
    turned = Image.new("RGB", (6, 4))
    tags = Image.Exif()
    tags[0x0112] = 6
    turned.save(tmp_path / "turned.jpg", exif=tags)
    assert read_picture(tmp_path / "turned.jpg").image.shape == (3, 6, 4)
    data = io.BytesIO()
    clear.save(data, "PNG")
    assert len(data.getvalue()) < 1000
