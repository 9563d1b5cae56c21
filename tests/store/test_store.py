"""The results folder: whole or absent, verified, and refused when it is something else."""

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from syncbench.bench.errors import SyncbenchError, UnscoredWarning
from syncbench.bench.files.temporary import temporary_file
from syncbench.bench.files.writing import unseal, write_json, write_sealed
from syncbench.bench.store import folder as module
from syncbench.bench.store.artifacts import load_artifact
from syncbench.bench.store.folder import Store, load_records
from syncbench.bench.store.png import decode_png, encode_png
from syncbench.bench.types import Artifact, Cost, Record

from ..stored_jobs import job

JOB = job("k")


@pytest.fixture
def artifact() -> Artifact:
    generator = torch.Generator().manual_seed(0)
    return Artifact(
        views=torch.rand(12, 3, 6, 5, generator=generator),
        canvas=torch.rand(3, 6, 20, generator=generator),
        extras={"disagreement": torch.tensor([0.123456789, 1e-8])},
    )


@pytest.fixture
def store(results: Path) -> Store:
    return Store.create(results, {"suite": {}})


def test_images_survive_to_half_a_grey_level_and_extras_exactly(store: Store, artifact: Artifact) -> None:
    store.save("k", JOB, artifact)
    back = store.artifact("k")
    assert back.views.shape == artifact.views.shape
    assert float((back.views - artifact.views).abs().max()) <= 0.5 / 255 + 1e-6
    assert back.canvas is not None
    assert artifact.canvas is not None
    assert float((back.canvas - artifact.canvas).abs().max()) <= 0.5 / 255 + 1e-6
    assert torch.equal(back.extras["disagreement"], artifact.extras["disagreement"])
    assert back.cost == Cost(evaluations=3, decodes=1, seconds=0.5, peak_mb=7.0)
    assert back.notes == {"borders": [4]}
    again = decode_png(encode_png(back.canvas))
    assert torch.equal(again, back.canvas), "quantised images are a fixed point"


def test_pixels_are_written_as_any_viewer_reads_them(store: Store) -> None:
    canvas = torch.zeros(3, 2, 4)
    canvas[0, 0, 3] = 1.0
    store.save("k", JOB, Artifact(views=canvas[None], canvas=canvas))
    pixels = np.asarray(Image.open(store.folder("k") / "canvas.png"))
    assert pixels.shape == (2, 4, 3)
    assert pixels[0, 3].tolist() == [255, 0, 0]
    assert pixels.sum() == 255


@pytest.mark.parametrize("name", ["canvas.png", "views/003.png", "extras.safetensors"])
def test_a_changed_or_missing_file_is_named(store: Store, artifact: Artifact, name: str) -> None:
    store.save("k", JOB, artifact)
    path = store.folder("k") / name
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(SyncbenchError, match="does not match its hash: a run makes it again"):
        store.artifact("k")
    path.unlink()
    with pytest.raises(SyncbenchError, match="a run makes it again"):
        store.artifact("k")


@pytest.mark.parametrize("name", ["../secret.png", "/etc/hostname"])
def test_file_names_never_leave_their_folder(store: Store, artifact: Artifact, name: str) -> None:
    store.save("k", JOB, artifact)
    (store.root / "jobs" / "secret.png").write_bytes(b"x")
    path = store.folder("k") / "job.json"
    found = json.loads(unseal(path))
    write_sealed(path, {**found, "files": {**found["files"], name: "0" * 64}})
    with pytest.raises(SyncbenchError, match=r"job\.json: files\..*: "):
        load_artifact(store.folder("k"))
    write_sealed(path, {**found, "files": {**found["files"], "views/900.png": "0" * 64}})
    (store.folder("k") / "views" / "900.png").symlink_to("/etc/hostname")
    with pytest.raises(SyncbenchError, match="outside its folder"):
        load_artifact(store.folder("k"))


def test_saving_again_replaces_the_job_and_its_scores(store: Store, artifact: Artifact) -> None:
    store.save("k", {**JOB, "status": "error", "error": "boom"}, None)
    store.save_scores("k", [])
    with pytest.raises(SyncbenchError, match="no artifact: boom"):
        store.artifact("k")
    store.save("k", JOB, artifact)
    assert store.artifact("k").views.shape[0] == 12
    assert not (store.folder("k") / "scores.json").exists()
    assert sorted(p.name for p in (store.root / "jobs").iterdir()) == ["k"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_one_sentence_and_leaves_nothing_behind(
    store: Store, artifact: Artifact, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    store.save("before", job("before"), artifact)
    written = []

    def full(path: Path, data: bytes) -> None:
        if len(written) == 5:
            raise OSError(code, os.strerror(code))
        written.append(path)
        path.write_bytes(data)

    monkeypatch.setattr(module, "write_bytes", full)
    with pytest.raises(SyncbenchError, match=r"no space left for .*: finished jobs are safe"):
        store.save("k", JOB, artifact)
    assert [p.name for p in (store.root / "jobs").iterdir()] == ["before"]
    store.artifact("before")


def test_leftovers_of_dead_processes_are_swept_and_living_ones_kept(results: Path) -> None:
    store = Store.create(results, {})
    with temporary_file(results / "jobs" / "k") as mine:
        dead = mine.with_name(mine.name.replace(f"-{os.getpid()}-", "-999999999-"))
        alive = mine.with_name(mine.name.replace(f"-{os.getpid()}-", f"-{os.getppid()}-"))
        elsewhere = mine.with_name(".tmp-another.machine-1-k")
        for folder in (dead, alive, elsewhere):
            folder.mkdir()
            (folder / "canvas.png").write_bytes(b"half")
        assert store.finished() == []
        Store.create(results, {})
        assert not dead.exists()
        assert alive.exists()
        assert elsewhere.exists()


def test_a_failed_json_write_keeps_the_old_file(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"x": 1})
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_other_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SyncbenchError, match="no results folder"):
        Store(tmp_path / "none")
    with pytest.raises(SyncbenchError, match=r"no run\.json"):
        Store(tmp_path)
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(SyncbenchError, match="not a results folder: choose another"):
        Store.create(tmp_path, {})
    with pytest.raises(SyncbenchError, match="not a results folder"):
        Store.create(tmp_path / "thesis.tex", {})
    with pytest.raises(SyncbenchError, match="cannot write to"):
        Store.create(tmp_path / "thesis.tex" / "below", {})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"schema": 99}', "schema 99, and this syncbench reads schema 3"),
        ("{}", "schema None"),
        ("[]", "schema None"),
        ("{", "cannot be read"),
        ("\xff", "cannot be read"),
    ],
)
def test_results_of_another_schema_are_refused_for_reading_and_writing(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "run.json").write_bytes(text.encode("latin-1"))
    for action in (lambda: Store(tmp_path), lambda: Store.create(tmp_path, {}), lambda: load_records([tmp_path])):
        with pytest.raises(SyncbenchError, match=words):
            action()
    assert [p.name for p in tmp_path.iterdir()] == ["run.json"], "nothing was written"


def test_joining_keeps_the_date_of_creation(results: Path) -> None:
    Store.create(results, {"created": "then"})
    assert Store.create(results, {"created": "now"}).run.created == "then"


def test_records_have_exactly_the_columns_even_when_there_are_none(store: Store) -> None:
    frame = load_records([store.root])
    assert list(frame.columns) == Record.columns()
    assert frame.empty
    assert str(frame["value"].dtype) == "float64"


def test_samples_without_scores_are_told(store: Store, artifact: Artifact, recwarn: pytest.WarningsRecorder) -> None:
    store.save("k", JOB, artifact)
    with pytest.warns(UnscoredWarning, match="1 sample is not scored and in no table: syncbench score"):
        assert load_records([store.root]).empty
    store.save_scores("k", [])
    recwarn.clear()
    load_records([store.root])
    assert not recwarn.list


def test_one_folder_is_read_as_a_list_of_one(store: Store, artifact: Artifact) -> None:
    store.save("k", JOB, artifact)
    store.save_scores("k", [])
    for folder in (store.root, str(store.root)):
        assert load_records(folder).equals(load_records([store.root]))
