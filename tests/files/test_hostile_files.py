"""Single files of strangers, and files that `--out` names: baselines, meshes, clips, checkpoints, links and pipes."""

import io
import json
import os
import random
import stat
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import trimesh
from syncbench.bench.errors import SyncbenchError
from syncbench.bench.files.reading import read_bytes
from syncbench.bench.files.temporary import host
from syncbench.bench.files.writing import whole, write_whole
from syncbench.bench.report.report import render
from syncbench.bench.store import parquet as baseline
from syncbench.bench.surfaces.mesh import read_mesh
from syncbench.bench.training import saved, scenes, silhouette, stream
from syncbench.bench.training.loop import Plan, train
from syncbench.datasets._clips import Cut, read_clip
from syncbench.datasets.videos import Videos

from ..hostile import Bomb, bomb, call
from ..report_records import frame, record, records


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stored") / "r.parquet"
    baseline.write_parquet(frame(records(items=4, seeds=1)), path)
    return path


# --- baselines ------------------------------------------------------------------------------------------------------


def test_a_flipped_bit_is_named_or_harmless(stored: Path, tmp_path: Path) -> None:
    data, known = stored.read_bytes(), baseline.read_parquet(stored)
    chance = random.Random(0)
    named = harmless = 0
    for _ in range(400):
        place, bit = chance.randrange(len(data)), 1 << chance.randrange(8)
        path = tmp_path / "flipped.parquet"
        path.write_bytes(data[:place] + bytes([data[place] ^ bit]) + data[place + 1 :])
        try:
            pd.testing.assert_frame_equal(baseline.read_parquet(path), known)
            harmless += 1
        except SyncbenchError:
            named += 1
    assert named > harmless > 0
    assert named + harmless == 400, "never other records without a word"


def test_a_changed_value_does_not_match_the_checksum(stored: Path, tmp_path: Path) -> None:
    table = pq.read_table(stored)
    values = table["value"].to_pylist()
    for name, column in (
        ("value", pa.array([0.001, *values[1:]])),
        ("method", pa.array(["best", *table["method"].to_pylist()[1:]])),
        ("reason", pa.array(["because", *table["reason"].to_pylist()[1:]])),
    ):
        edited = table.set_column(table.schema.get_field_index(name), name, column)
        pq.write_table(edited.replace_schema_metadata(table.schema.metadata), tmp_path / "e.parquet")
        with pytest.raises(SyncbenchError, match="does not match its checksum: it was damaged or edited"):
            baseline.read_parquet(tmp_path / "e.parquet")
    pq.write_table(table, tmp_path / "same.parquet", use_dictionary=False, compression="none", row_group_size=7)
    pd.testing.assert_frame_equal(baseline.read_parquet(tmp_path / "same.parquet"), baseline.read_parquet(stored))


def forged(path: Path, columns: dict[str, Any]) -> Path:
    """A file of these columns with a checksum that is right, whatever they hold."""
    table = pa.table(columns)
    try:
        digest = baseline.rows_digest({name: table[name].combine_chunks() for name in columns})
    except (KeyError, AttributeError, TypeError, pa.ArrowException):
        digest = ""
    facts = {baseline.VERSION: str(baseline.SCHEMA), baseline.DIGEST: digest}
    pq.write_table(table.replace_schema_metadata(facts), path)
    return path


@pytest.mark.parametrize(
    ("name", "made", "words"),
    [
        ("value", lambda n: pa.array(["high"] * n), "column 'value' is string, not double"),
        ("seed", lambda n: pa.array([0.5] * n), "column 'seed' is double, not int64"),
        ("method", lambda n: pa.array(range(n)), "column 'method' is int64, not string"),
        ("item", lambda n: pa.array([[1]] * n), "column 'item' is list"),
        ("params", lambda n: pa.array(["["] * n), "params cannot be read as JSON: EOF"),
        ("params", lambda n: pa.array(["[1]"] * n), "params: [0]: should be a valid dictionary"),
        ("protocol", lambda n: pa.array(['{"a": 1e999}'] * n), "protocol: should be finite"),
        ("protocol", lambda n: pa.array(["[" * 100_000] * n), "recursion limit"),
        ("value", lambda n: pa.array([float("inf")] * n), "value: should be finite"),
        ("coverage", lambda n: pa.array([None] * n, pa.float64()), "coverage: 20 values are missing"),
        ("key", lambda n: pa.array(["../../secret/jobs/x"] * n), "key: [0]: String should match"),
        ("status", lambda n: pa.array(["fine"] * n), "status: [0]: should be 'ok' or 'error'"),
        ("metric", lambda n: pa.array([None] * n, pa.string()), "metric: 20 values are missing"),
    ],
)
def test_columns_that_do_not_fit_are_one_sentence(tmp_path: Path, name: str, made: Any, words: str) -> None:
    good = tmp_path / "good.parquet"
    baseline.write_parquet(frame(records(items=4, seeds=1, metrics={"seam_ratio": ("lower", "")})), good)
    columns = dict(zip(pq.read_table(good).column_names, pq.read_table(good).columns, strict=True))
    path = forged(tmp_path / "bad.parquet", {**columns, name: made(len(columns["key"]))})
    for command in (["report"], ["gate", "--baseline", path], ["board"], ["cite"]):
        done = call(command[0], path, *command[1:])
        assert (done.exit_code, done.stderr.count("\n")) == (2, 1), done.stderr
        assert words in done.stderr
    dropped = {key: value for key, value in columns.items() if key != name}
    assert f"has no column '{name}'" in call("report", forged(tmp_path / "less.parquet", dropped)).stderr


def test_small_files_that_stand_for_much_are_refused(tmp_path: Path) -> None:
    one = frame([record("a", "m", 0, 0, 1.0)])
    baseline.write_parquet(one, tmp_path / "one.parquet")
    table = pq.read_table(tmp_path / "one.parquet")
    many = table.take(pa.array(np.zeros(2_000_001, np.int32)))
    pq.write_table(many, tmp_path / "many.parquet")
    assert (tmp_path / "many.parquet").stat().st_size < 2**20
    with pytest.raises(SyncbenchError, match=r"has 2,000,001 rows and .* bytes: at most 2,000,000"):
        baseline.read_parquet(tmp_path / "many.parquet")
    wide = frame([record("a", "m", i, 0, 1.0, fingerprint="x" * 2**20) for i in range(1)])
    baseline.write_parquet(wide, tmp_path / "wide.parquet")
    table = pq.read_table(tmp_path / "wide.parquet", read_dictionary=["fingerprint"])
    deep = table.take(pa.array(np.zeros(20_000, np.int32)))
    columns = dict(zip(deep.column_names, deep.columns, strict=True))
    path = forged(tmp_path / "deep.parquet", columns)
    assert path.stat().st_size < 2**20
    with pytest.raises(SyncbenchError, match="bytes of text in its rows: at most 1,073,741,824"):
        baseline.read_parquet(path)


# --- meshes and clips -----------------------------------------------------------------------------------------------


def glb(content: dict[str, Any]) -> bytes:
    text = json.dumps({"asset": {"version": "2.0"}, **content}).encode()
    text += b" " * (-len(text) % 4)
    head = b"glTF" + (2).to_bytes(4, "little") + (20 + len(text)).to_bytes(4, "little")
    return head + len(text).to_bytes(4, "little") + b"JSON" + text


def test_meshes_that_would_fill_the_memory_are_refused(tmp_path: Path) -> None:
    box = trimesh.creation.box()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("box.obj", box.export(file_type="obj"))
    many = {"meshes": [{"primitives": [{"attributes": {"POSITION": 0}}]}], "nodes": [{"mesh": 0}]}
    accessor = {"componentType": 5126, "type": "VEC3", "count": 10**9}
    head = b"ply\nformat ascii 1.0\nelement vertex 999999999\nproperty float x\nproperty float y\nproperty float z\n"
    for name, data, words in (
        ("box.zip", packed.getvalue(), "a mesh file ends in .obj"),
        ("box.tar.gz", packed.getvalue(), "a mesh file ends in .obj"),
        ("box.3mf", packed.getvalue(), "a mesh file ends in .obj"),
        ("box.glb", glb({**many, "accessors": [accessor]}), "declares 1,000,000,000 elements"),
        ("list.glb", glb({"accessors": [[]]}), "this is no glTF"),
        ("text.gltf", b"[" * 100_000, "this is no glTF"),
        ("box.ply", head + b"end_header\n0 0 0\n", "declares 999,999,999 elements"),
        ("zero.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 0\n", "names vertex 0"),
        ("zero2.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 0/1 2 3\r\n", "names vertex 0"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(SyncbenchError) as caught:
            read_mesh(tmp_path / name)
        assert words in str(caught.value), (name, str(caught.value))
        assert "\n" not in str(caught.value)
    for name in ("good.obj", "good.ply", "good.stl", "good.off", "good.glb"):
        box.export(tmp_path / name)
        assert len(read_mesh(tmp_path / name).faces) == 12


def test_a_scene_that_repeats_its_mesh_is_counted_before_it_is_copied(tmp_path: Path) -> None:
    scene = trimesh.Scene()
    sphere = trimesh.creation.icosphere(4)
    scene.add_geometry(sphere, geom_name="one")
    for n in range(60):
        scene.graph.update(frame_to=f"n{n}", geometry="one", matrix=np.eye(4))
    scene.export(tmp_path / "many.glb")
    with pytest.raises(SyncbenchError, match="312,320 faces are more than the 200,000"):
        read_mesh(tmp_path / "many.glb")


def test_buffers_of_a_gltf_are_read_from_its_folder_alone(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    for name, data in trimesh.Scene(trimesh.creation.box()).export(file_type="gltf").items():
        (home / name).write_bytes(data)
    assert len(read_mesh(home / "model.gltf").faces) == 12
    content = json.loads((home / "model.gltf").read_text())
    for place in ("../secret.bin", str(tmp_path / "secret.bin")):
        (home / "gltf_buffer_0.bin").replace(tmp_path / "secret.bin") if place.startswith("..") else None
        content["buffers"][0]["uri"] = place
        (home / "model.gltf").write_text(json.dumps(content))
        with pytest.raises(SyncbenchError, match="cannot read this mesh"):
            read_mesh(home / "model.gltf")


def test_textures_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "m.mtl").write_text("newmtl a\nmap_Kd ../secret.png\n")
    (tmp_path / "m.obj").write_text("mtllib m.mtl\nusemtl a\nv 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    os.mkfifo(tmp_path / "secret.png")
    assert len(read_mesh(tmp_path / "m.obj").faces) == 1


def clip(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("mpeg4", rate=8)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for n in range(4):
            image = np.full((32, 32, 3), 40 * n, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path


def test_playlists_are_no_clips(tmp_path: Path) -> None:
    real = clip(tmp_path / "real.mp4")
    assert read_clip(str(real), Cut(frames=3, size=16)).shape == (3, 3, 16, 16)
    for name, text in (
        ("list.m3u8", f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{real}\n#EXT-X-ENDLIST\n"),
        ("list.mp4", f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{real}\n#EXT-X-ENDLIST\n"),
        ("list.ffconcat", f"ffconcat version 1.0\nfile {real.name}\n"),
        ("concat.mkv", f"ffconcat version 1.0\nfile {real.name}\n"),
        ("list.sdp", "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nm=video 9 RTP/AVP 96\n"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(SyncbenchError, match=r"FFmpeg cannot read this video .*; playlists and lists of files are"):
            Videos(path=str(tmp_path / name), prompt="x", size=16).items()


# --- checkpoints ----------------------------------------------------------------------------------------------------


def descend(out: Path, steps: int) -> torch.Tensor:
    """A short training; its weights."""
    torch.manual_seed(0)
    model = torch.nn.Linear(2, 1)

    def loss(step: int, random: torch.Generator) -> dict[str, torch.Tensor]:
        return {"loss": (model(torch.randn(4, 2, generator=random)) - 1).square().mean()}

    train(model, loss, Plan(out, steps=steps, resume=True, save_every=2, warmup=1))
    return model.weight.detach()


@pytest.mark.parametrize(
    "load",
    [
        lambda folder: descend(folder, 4),
        lambda folder: saved.read(folder / "state.pt", torch.Tensor),
        lambda folder: saved.read(folder / "state.pt", dict, mmap=True),
        lambda folder: stream.pictures(0, 4, 1, folder / "state.pt"),
        lambda folder: stream.latents(folder, folder / "state.pt", 0, 4, 1),
        lambda folder: silhouette.reader(folder / "state.pt", None),
        lambda folder: scenes.channel_pictures(folder / "state.pt", 0, 4, 1),
        lambda folder: scenes.scenes((folder / "state.pt").rename(folder / "single-0-0000.pt").parent, "single", 0, 32),
    ],
)
def test_training_executes_nothing_that_a_file_holds(tmp_path: Path, load: Callable[[Path], Any]) -> None:
    mark = tmp_path / "PWNED"
    bomb(tmp_path / "state.pt", mark)
    with pytest.raises(SyncbenchError, match=r"is no file of this training \(PyTorch cannot read it: .*: delete it"):
        load(tmp_path)
    assert not mark.exists()
    packed = tmp_path / "packed"
    packed.mkdir()
    torch.save(Bomb(mark), packed / "state.pt")
    with pytest.raises(SyncbenchError, match="is no file of this training"):
        load(packed)
    assert not mark.exists()


def test_a_checkpoint_of_the_old_kind_resumes(tmp_path: Path) -> None:
    whole_run = descend(tmp_path / "whole", 6)
    descend(tmp_path / "cut", 3)
    state = torch.load(tmp_path / "cut" / "state.pt", weights_only=False)
    assert (type(state["step"]), type(state["seconds"])) == (int, float)
    torch.save(state, tmp_path / "cut" / "state.pt")
    resumed = descend(tmp_path / "cut", 6)
    assert resumed.shape == whole_run.shape
    for change in ({"step": "3"}, {"module": []}, {"average": {}}, {"optimiser": {}}, {"seconds": None}):
        torch.save({**state, **change}, tmp_path / "cut" / "state.pt")
        with pytest.raises(SyncbenchError, match=r"is no file of this training|is of another network"):
            descend(tmp_path / "cut", 6)
    (tmp_path / "whole" / "log.csv").write_text("step,loss\nx,1\n")
    with pytest.raises(SyncbenchError, match="is no log of this training"):
        descend(tmp_path / "whole", 8)


# --- what --out names -----------------------------------------------------------------------------------------------


def test_a_link_stays_and_its_target_is_replaced(stored: Path, tmp_path: Path) -> None:
    target, link = tmp_path / "deep" / "target.html", tmp_path / "link.html"
    target.parent.mkdir()
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to(target)
    assert call("report", stored, "--out", link).exit_code == 0
    assert link.is_symlink()
    assert "<!doctype html>" in target.read_text()
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    again = tmp_path / "dangling.csv"
    again.symlink_to(tmp_path / "new" / "t.csv")
    assert call("report", stored, "--out", again).exit_code == 0
    assert (tmp_path / "new" / "t.csv").is_file()
    loop = tmp_path / "loop.csv"
    loop.symlink_to(loop)
    assert call("report", stored, "--out", loop).exit_code == 2
    base = tmp_path / "base.parquet"
    base.symlink_to(tmp_path / "kept.parquet")
    assert call("gate", stored, "--baseline", base, "--update").exit_code == 0
    assert base.is_symlink()
    xml = tmp_path / "gate.xml"
    xml.symlink_to(tmp_path / "there.xml")
    assert call("gate", stored, "--baseline", base, "--junit", xml).exit_code == 0
    assert (xml.is_symlink(), (tmp_path / "there.xml").is_file()) == (True, True)
    assert not list(tmp_path.rglob(".tmp-*"))


def test_a_pipe_is_written_into(stored: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / "link").symlink_to(pipe)
    for name in (pipe, tmp_path / "link"):
        got: list[str] = []
        reader = threading.Thread(target=lambda found=got: found.append(pipe.read_text()))
        reader.start()
        assert call("report", stored, "--format", "csv", "--out", name).exit_code == 0
        reader.join(20)
        assert got == [render(baseline.read_parquet(stored), "csv")]
        assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_leftovers_of_killed_writers_are_swept(tmp_path: Path) -> None:
    path = tmp_path / "r[1].csv"
    dead, alive = (f".tmp-{host()}-{pid}-r[1].csv" for pid in (999_999_999, os.getppid()))
    other = f".tmp-{host()}-999999999-other.csv"
    for name in (dead, other, alive):
        (tmp_path / name).write_text("half")
    write_whole(path, "x")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([other, alive, "r[1].csv"])


def test_all_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def half() -> None:
        with whole(path) as draft:
            draft.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    with pytest.raises(SyncbenchError, match="is a folder"):
        write_whole(tmp_path, "x")
    with pytest.raises(SyncbenchError, match=r"^cannot write to .*: File name too long"):
        write_whole(tmp_path / ("x" * 300), "x")


def test_only_regular_files_of_a_size_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in (tmp_path / "pipe", tmp_path, tmp_path / "none", Path("a\0b")):
        with pytest.raises(SyncbenchError, match="cannot read"):
            read_bytes(name)
    (tmp_path / "x").write_bytes(b"12345")
    with pytest.raises(SyncbenchError, match="has 5 bytes, and at most 4 bytes are read"):
        read_bytes(tmp_path / "x", 4)


def test_a_written_file_may_be_read_by_whom_the_user_lets(tmp_path: Path) -> None:
    path, mask = tmp_path / "new", os.umask(0)
    os.umask(mask)
    with whole(path) as draft:
        draft.touch(mode=0o600)  # as safetensors does
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask
    path.chmod(0o640)
    with whole(path) as draft:
        draft.touch(mode=0o600)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
