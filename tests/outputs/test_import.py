"""Outputs laid out as other programs leave them score as the same artifacts sampled here, to the last digit."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import syncbench
from PIL import Image
from syncbench.bench.catalogue.registry import load
from syncbench.bench.cli.main import app
from syncbench.bench.files.writing import unseal
from syncbench.bench.outputs.importing import import_folder
from syncbench.bench.run.execute import executor
from syncbench.bench.run.rescore import rescore
from syncbench.bench.store.folder import Store, load_records
from syncbench.bench.world.materials import to_linear
from typer.testing import CliRunner

SETS: dict[str, dict[str, Any]] = {
    "world_videos": {"frames": 4, "size": 32},
    "world_views": {"size": 32},
    "world_channels": {"count": 2, "size": 32},
    "panoramas": {"width": 96, "height": 32, "window": 32},
}
METRICS = {
    "world_videos": ["warping_error", "warping_error@relative", "frame_clip", "edit_strength", "variety", "sharpness"],
    "world_views": ["texel_variance", "texel_variance@surface", "clip_text", "variety", "sharpness"],
    "world_channels": ["albedo_error", "channel_reconstruction", "normal_error", "edge_alignment", "sharpness"],
    "panoramas": ["seam_ratio", "seam_phase", "straddle_lpips", "intra_lpips", "clip_text", "variety", "sharpness"],
}


def call(*arguments: object) -> Any:
    """A command of the command line, which must not end in a traceback."""
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), (arguments, repr(done.exception))
    return done


def options(dataset: str, limit: int | None = 2) -> list[str]:
    fields = [f"--set={dataset}.{name}={value}" for name, value in SETS[dataset].items()]
    return ["--dataset", dataset, *fields, *([] if limit is None else ["--limit", str(limit)])]


@pytest.fixture(scope="module")
def sampled(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Results of a data set, sampled and scored by syncbench, made once."""
    made: dict[str, Path] = {}

    def results(dataset: str) -> Path:
        if dataset not in made:
            made[dataset] = tmp_path_factory.mktemp(dataset) / "results"
            method = "independent" if dataset == "panoramas" else "redrawn"
            model = {"id": "gauss", "device": "cpu"} if dataset == "panoramas" else "gauss"
            part = {
                "model": model,
                "datasets": [{"id": dataset, **SETS[dataset]}],
                "methods": [method],
                "metrics": METRICS[dataset],
                "seeds": [0, 1] if dataset == "panoramas" else [0],
                "limit": 2,
                "any_size": True,
                "protocol": {"steps": 3},
            }
            syncbench.run(part, made[dataset])
        return made[dataset]

    return results


def pictures(root: Path) -> dict[tuple[str, int], list[Path]]:
    """The stored pictures of each item and seed: the canvas where there is one, else the views."""
    store, found = Store(root), dict[tuple[str, int], list[Path]]()
    for key in store.finished():
        job = store.job(key)
        assert job is not None
        folder = store.folder(key)
        canvas = folder / "canvas.png"
        views = [canvas] if canvas.exists() else sorted((folder / "views").iterdir())
        found[job.header.item, job.header.seed] = views
    return found


def levels(paths: list[Path]) -> list[np.ndarray]:
    return [np.asarray(Image.open(path)) for path in paths]


def frames_folder(root: Path, of: dict[tuple[str, int], list[Path]]) -> None:
    """diffusers' `export` loop: a folder of a clip, %05d.png."""
    for (item, _), views in of.items():
        (root / item).mkdir(parents=True)
        for number, path in enumerate(views):
            shutil.copy(path, root / item / f"{number:05d}.png")


def clips(root: Path, of: dict[tuple[str, int], list[Path]], codec: str = "libx264rgb", **how: str) -> None:
    """A video a clip; lossless unless `how` says otherwise."""
    root.mkdir()
    for (item, _), views in of.items():
        with av.open(str(root / f"{item}.mp4"), "w") as file:
            stream = file.add_stream(codec, rate=8, options=how or {"qp": "0"})
            frames = levels(views)
            stream.width, stream.height = frames[0].shape[1], frames[0].shape[0]
            stream.pix_fmt = "rgb24" if codec == "libx264rgb" else "yuv420p"
            for frame in frames:
                for packet in stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")):
                    file.mux(packet)
            for packet in stream.encode():
                file.mux(packet)


def grids(root: Path, of: dict[tuple[str, int], list[Path]]) -> None:
    """Zero123++: one picture of all views, two columns."""
    root.mkdir()
    for (item, _), views in of.items():
        cells = levels(views)
        rows = [np.concatenate(cells[at : at + 2], 1) for at in range(0, len(cells), 2)]
        Image.fromarray(np.concatenate(rows)).save(root / f"{item}.png")


def sixteen_bit(root: Path, of: dict[tuple[str, int], list[Path]]) -> None:
    """RGB-to-X: `<item>_<channel>.png`, of 16 bits."""
    root.mkdir()
    for (item, _), views in of.items():
        for name, picture in zip(("albedo", "normal", "shading"), levels(views), strict=True):
            raw(root / f"{item}_{name}.png", picture.astype(np.uint16) * 257, "png", "rgb48le", "rgb48be")


def linear_light(root: Path, of: dict[tuple[str, int], list[Path]]) -> None:
    """Blender: a folder of an item with EXR files of albedo and shading in linear light, and unit normals."""
    for (item, _), views in of.items():
        (root / item).mkdir(parents=True)
        albedo, normal, shading = (picture.astype(np.float32) / 255 for picture in levels(views))
        numbers = {"albedo": to_linear(albedo), "Shading": to_linear(shading) * 1.25}
        for name, picture in numbers.items():
            raw(root / item / f"{name}.exr", picture.astype(np.float32), "exr", "gbrpf32le", "gbrpf32le")
        Image.fromarray((normal * 255).round().astype(np.uint8)).save(root / item / "normals.png")


def strips(root: Path, of: dict[tuple[str, int], list[Path]]) -> None:
    """MultiDiffusion's script called once a seed: `<seed>/<item>.png`."""
    for (item, seed), [canvas] in of.items():
        (root / f"seed_{seed}").mkdir(parents=True, exist_ok=True)
        shutil.copy(canvas, root / f"seed_{seed}" / f"{item}.png")


def raw(path: Path, array: np.ndarray, codec: str, given: str, kept: str) -> None:
    """A picture that Pillow cannot write."""
    with av.open(str(path), "w", format="image2") as file:
        stream = file.add_stream(codec, rate=1)
        stream.width, stream.height, stream.pix_fmt = array.shape[1], array.shape[0], kept
        for packet in [*stream.encode(av.VideoFrame.from_ndarray(array, format=given)), *stream.encode()]:
            file.mux(packet)


PROGRAMS = {
    "frames": ("world_videos", frames_folder),
    "clips": ("world_videos", clips),
    "grids": ("world_views", grids),
    "sixteen_bit": ("world_channels", sixteen_bit),
    "linear_light": ("world_channels", linear_light),
    "strips": ("panoramas", strips),
}


def values(root: Path, method: str) -> dict[tuple[str, int, str], Any]:
    frame = load_records([root])
    frame = frame[frame["method"] == method]
    rows = frame[["item", "seed", "metric", "value", "coverage", "reason"]].itertuples(index=False, name=None)
    return {row[:3]: [None if value != value else value for value in row[3:]] for row in rows}


def score(root: Path) -> None:
    with executor(1) as execute:
        done = rescore(root, execute)
    assert done.errors == {}


@pytest.mark.parametrize("program", PROGRAMS)
def test_outputs_score_as_if_sampled_here(program: str, sampled: Callable[[str], Path], tmp_path: Path) -> None:
    dataset, lay_out = PROGRAMS[program]
    here = sampled(dataset)
    of = pictures(here)
    lay_out(tmp_path / "outputs", of)
    out = tmp_path / "results"
    named = ",".join(METRICS[dataset])
    done = call(
        "import", tmp_path / "outputs", *options(dataset), "--method", "theirs", "--out", out, "--metrics", named
    )
    assert done.exit_code == 0, done.output
    assert f"{len(of)} outputs are now samples of theirs" in done.stdout
    score(out)
    own = values(here, "independent" if dataset == "panoramas" else "redrawn")
    assert len(own) == len(of) * len(METRICS[dataset])
    assert values(out, "theirs") == own, "to the last digit"
    assert sum(value[0] is not None for value in own.values()) > len(own) / 2, "numbers, not only reasons"


def test_a_lossy_clip_is_scored_within_a_tolerance(sampled: Callable[[str], Path], tmp_path: Path) -> None:
    here = sampled("world_videos")
    clips(tmp_path / "outputs", pictures(here), "libx264", crf="10")
    metrics = ["warping_error", "frame_clip"]
    import_folder(tmp_path / "outputs", "world_videos", tmp_path / "out", method="theirs", metrics=metrics,
                  overrides=[f"world_videos.{k}={v}" for k, v in SETS["world_videos"].items()], limit=2)  # fmt: skip
    score(tmp_path / "out")
    own, theirs = values(here, "redrawn"), values(tmp_path / "out", "theirs")
    for at, (value, *_) in theirs.items():
        # halved colour resolution smooths what differs between frames: measured 24 % of the error and 12 % of the
        # similarity at 32 px
        assert value == pytest.approx(own[at][0], rel=0.3 if at[2] == "warping_error" else 0.2), at
        assert value != own[at][0], "a lossy codec changes the last digits"


def test_a_board_has_the_import_between_anchors_of_the_same_items(
    sampled: Callable[[str], Path], tmp_path: Path
) -> None:
    frames_folder(tmp_path / "outputs", pictures(sampled("world_videos")))
    out, name = tmp_path / "results", "<b>My \x1b[31medit</b> | =1+1"
    told = ["--method", name, "--paper", "2302.08113", "--title", "A paper: of ours"]
    chosen = ["--out", out, "--metrics", "warping_error,sharpness", "--json"]
    done = call("import", tmp_path / "outputs", *options("world_videos"), *told, *chosen)
    said = json.loads(done.stdout)
    assert done.exit_code == 0, done.output
    assert said["anchors"] == dict.fromkeys(
        ("truth", "redrawn", "shortcut@blur", "shortcut@frozen", "shortcut@source"), 2
    )
    assert call("score", out).exit_code == 0
    records = load_records([out])
    assert set(records["door"]) == {"imported", "as_published"}
    assert set(records[records["anchor"].isna()]["method"]) == {name}
    assert len(set(records["protocol"].map(json.dumps))) == 1, "one leaderboard"
    assert records.loc[records["metric"] == "sharpness", "value"].notna().all()
    for command in (["report", out, "--span"], ["report", out, "--format", "md"], ["cite", out], ["show", out]):
        done = call(*command)
        assert done.exit_code == 0, done.output
        assert "\x1b[31m" not in done.stdout
    assert "eprint = {2302.08113}" in call("cite", out).stdout
    assert "A paper" in call("cite", out).stdout
    assert "§" in call("report", out).stdout
    page = call("board", out).stdout.strip()
    assert "<b>My" not in Path(page).read_text(encoding="utf-8")
    base = tmp_path / "base.parquet"
    assert call("gate", out, "--baseline", base, "--update").exit_code == 0
    assert call("gate", out, "--baseline", base, "--allow-undecided").exit_code == 0


def test_importing_again_finds_the_same_samples_and_replaces_changed_ones(
    sampled: Callable[[str], Path], tmp_path: Path
) -> None:
    source = tmp_path / "outputs"
    frames_folder(source, pictures(sampled("world_videos")))
    command = ["import", source, *options("world_videos"), "--out", tmp_path / "out", "--metrics", "sharpness,variety"]
    assert call(*command, "--method", "theirs").exit_code == 0
    score(tmp_path / "out")
    before = values(tmp_path / "out", "theirs")
    again = json.loads(call(*command, "--method", "theirs", "--json").stdout)
    assert (again["replaced"], values(tmp_path / "out", "theirs")) == (0, before), "scores are kept"
    item = sorted(path.name for path in source.iterdir())[0]
    for path in (source / item).iterdir():
        Image.open(path).transpose(Image.Transpose.ROTATE_180).save(path)
    changed = json.loads(call(*command, "--method", "theirs", "--json").stdout)
    assert changed["replaced"] == 1
    assert call(*command, "--method", "others").exit_code == 0, "another method beside it"
    score(tmp_path / "out")
    after = values(tmp_path / "out", "theirs")
    assert after.keys() == before.keys(), "no sample of an item stands twice"
    assert {at[0] for at in after if after[at] != before[at] and at[2] == "sharpness"} == {item}
    assert set(load_records([tmp_path / "out"])["method"]) >= {"theirs", "others", "truth", "redrawn"}
    assert len(Store(tmp_path / "out").run.suite.parts) == 1


def test_what_is_told_is_in_the_record_and_the_rest_is_not_stated(
    sampled: Callable[[str], Path], tmp_path: Path
) -> None:
    frames_folder(tmp_path / "outputs", pictures(sampled("world_videos")))
    base = ["import", tmp_path / "outputs", *options("world_videos"), "--method", "m", "--no-anchors"]
    call(*base, "--out", tmp_path / "a")
    told = ["--model", "sd15", "--seed", "7", "--set", "protocol.steps=50"]
    call(*base, "--out", tmp_path / "b", *told)
    call(*base, "--out", tmp_path / "c", "--same-protocol")
    [a, b, c] = [next(map(store.job, store.finished())) for store in map(Store, (tmp_path / name for name in "abc"))]
    assert (a.header.model, a.header.protocol, a.header.seed, a.header.machine) == ("not stated", {}, 0, "not stated")
    assert (b.header.model, b.header.protocol, b.header.seed) == ("sd15", {"steps": 50}, 7)
    assert (a.header.params["seed"], b.header.params["seed"]) == ("not stated", "as told")
    assert c.header.protocol["steps"] == load("datasets", "world_videos").items()[0].protocol.steps
    assert a.notes["imported"]["from"].endswith("/")
    assert json.loads(unseal(tmp_path / "a" / "jobs" / a.key / "job.json"))["header"]["door"] == "imported"


def test_costs_are_not_known(sampled: Callable[[str], Path], tmp_path: Path) -> None:
    frames_folder(tmp_path / "outputs", pictures(sampled("world_videos")))
    call("import", tmp_path / "outputs", *options("world_videos"), "--method", "m", "--out", tmp_path / "out")
    call("score", tmp_path / "out", "--metrics", "network_evaluations,seconds,peak_memory")
    found = values(tmp_path / "out", "m")
    assert {value for value, *_ in found.values()} == {None}
    assert all(reason for *_, reason in found.values())
