"""Samples on given meshes as files, as sheets that turn, and in the board's viewer."""

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image
from playwright.sync_api import sync_playwright
from syncbench.bench.errors import SyncbenchError, SyncbenchWarning
from syncbench.bench.report import meshes
from syncbench.bench.report.board import board, solids
from syncbench.bench.report.board.page import three_bundle
from syncbench.bench.report.meshes import bake, sample_places
from syncbench.bench.report.sheets import show
from syncbench.bench.report.turning import turning
from syncbench.bench.run.loaded import Loaded
from syncbench.bench.run.sweep import run
from syncbench.bench.store.folder import Store
from syncbench.bench.store.stored import StoredJob
from syncbench.datasets.meshes import Meshes

from ..chromium import CHROMIUM
from ..stored_jobs import header, job


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the truth and of closed-form samples on one world mesh."""
    out = tmp_path_factory.mktemp("baked") / "results"
    run(
        {
            "model": "gauss",
            "datasets": [{"id": "world_meshes", "size": 32, "views": 4, "held": 2}],
            "methods": ["truth", "independent"],
            "metrics": ["network_evaluations"],
            "seeds": [0],
            "limit": 1,
            "protocol": {"steps": 2, "guidance": 1.0},
        },
        out,
    )
    return out


def test_every_sample_becomes_a_textured_mesh(folder: Path) -> None:
    told: list[tuple[int, int]] = []
    paths = bake(folder, progress=lambda done, total, text: told.append((done, total)))
    assert told == [(0, 2), (1, 2), (2, 2)]
    names = sorted(str(path.relative_to(folder / "meshes")) for path in paths)
    place = names[0].split("/")[0]
    wanted = [f"{m}/ball-1-s0{e}" for m in ("independent", "truth") for e in (".glb", ".mtl", ".obj", ".png")]
    assert [name.split("/", 1)[1] for name in names] == wanted
    item = Meshes(path=str(folder / "meshes" / place / "truth" / "ball-1-s0.glb"), prompt="x", size=64).items()[0]
    colour = item.truth["views"].movedim(1, -1)[item.truth["mask"][:, 0] > 0.5]
    assert float(colour[:, 0].mean()) > 1.3 * float(colour[:, 2].mean()), "a red ball with white stripes"
    only = bake(folder, folder / "other", methods=["truth"], items=["ball-1"], seed=0, kinds=["glb"], winner=True)
    assert [path.name for path in only] == ["ball-1-s0.glb"]
    shape: Any = trimesh.load(only[0], force="mesh")
    assert shape.visual.material.baseColorTexture.size[0] > 20
    assert only[0].is_relative_to(folder / "other")


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"methods": ["trueth"]}, "no method 'trueth' in .*: it has independent, truth"),
        ({"items": ["cube"]}, "no item 'cube' in .*: it has ball-1"),
        ({"seed": 7}, "no sample of seed 7"),
        (
            {"methods": ["truth"], "items": ["ball-1"], "seed": 7},
            "no sample of method truth and item ball-1 and seed 7",
        ),
        ({"density": 0}, "use more than 0, up to 8 texels per pixel"),
        ({"density": float("nan")}, "use more than 0, up to 8 texels per pixel"),
    ],
)
def test_what_cannot_be_baked_is_one_sentence(folder: Path, how: dict[str, Any], words: str) -> None:
    with pytest.raises(SyncbenchError, match=words) as caught:
        bake(folder, **how)
    assert "\n" not in str(caught.value)


def test_other_families_have_no_mesh(tiny_suite: dict[str, Any], results: Path) -> None:
    run(tiny_suite, results)
    with pytest.raises(SyncbenchError, match="no samples of the family geometry"):
        bake(results)


def test_links_in_a_folder_are_not_followed(folder: Path, tmp_path: Path) -> None:
    (folder / "meshes").rename(folder / "kept") if (folder / "meshes").exists() else None
    (folder / "meshes").symlink_to(tmp_path)
    try:
        with pytest.raises(SyncbenchError, match="is a link"):
            bake(folder)
        assert not list(tmp_path.iterdir())
    finally:
        (folder / "meshes").unlink()
    kept = bake(folder, methods=["truth"], kinds=["glb"])[0]
    method, dataset = kept.parent, kept.parent.parent
    outer = tmp_path / "outer"
    for inner in (dataset, method):
        for there in (False, True):  # a link to nowhere, then to a folder
            outer.mkdir() if there else None
            inner.rename(folder / "aside")
            inner.symlink_to(outer)
            try:
                with pytest.raises(SyncbenchError, match=f"'{inner}' is a link, which is not followed"):
                    bake(folder, methods=["truth"], kinds=["glb"])
                assert not list(outer.iterdir()) if there else not outer.exists()
            finally:
                inner.unlink()
                (folder / "aside").rename(inner)
        outer.rmdir()
    (tmp_path / "precious").write_text("mine")
    kept.unlink()
    kept.symlink_to(tmp_path / "precious")
    assert bake(folder, methods=["truth"], kinds=["glb"]) == [kept]
    assert (tmp_path / "precious").read_text() == "mine"
    assert not kept.is_symlink()
    kept.rename(other := tmp_path / "link.glb")
    (named := tmp_path / "named").mkdir()
    (named / dataset.name).symlink_to(outer)  # where the user said where to write, links are the user's own
    outer.mkdir()
    assert bake(folder, named, methods=["truth"], kinds=["glb"])[0].read_bytes() == other.read_bytes()


def test_what_cannot_be_baked_is_not_called_damaged(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, store = meshes.sample_surface, Store(folder)

    def moved(job: StoredJob, loaded: Any) -> Any:
        if job.header.method == "truth":
            raise SyncbenchError("no mesh file 'cow.obj'")
        return real(job, loaded)

    jobs = {key: one for key in store.finished() if (one := store.job(key)) is not None}
    monkeypatch.setattr(meshes, "sample_surface", moved)
    with pytest.warns(SyncbenchWarning, match="^1 sample could not be baked: no mesh file 'cow.obj'$"):
        assert len(bake(folder, kinds=["glb"])) == 1
    with pytest.warns(SyncbenchWarning, match="^1 sample could not be baked: no mesh file 'cow.obj'$"):
        assert len(turning(store, jobs, lambda done, total, text: None)) == 1
    assert not store.damage


def test_a_shape_of_too_many_faces_is_refused_before_it_is_baked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(folder)
    job = store.job(store.finished()[0])
    assert job is not None
    monkeypatch.setattr(solids, "FACES", 3)
    monkeypatch.setattr(solids, "baked_sample", lambda *_: pytest.fail("baked"))
    assert solids.solid(store, job, Loaded()) == "more than 3 faces: see `syncbench bake`"


def test_names_lead_nowhere_and_differ() -> None:
    def made(key: str, **columns: Any) -> StoredJob:
        facts = {"key": key, "files": {"views/000.png": "0" * 64}, **job(key, header=header(key, **columns))}
        return StoredJob.model_validate_json(json.dumps(facts))

    jobs = [made(f"{n}" * 16, item=item, dataset="../..", method="a/b") for n, item in enumerate(("x y", "x/y", ".."))]
    places = sample_places(jobs)
    assert len(set(places.values())) == 3
    assert {str(path.parent) for path in places.values()} == {"_/a-b"}
    assert str(places["2" * 16]) == "_/a-b/_-s0"


def test_sheets_turn(folder: Path, tmp_path: Path) -> None:
    still = show(folder, tmp_path / "still.png")
    paths = show(folder, tmp_path / "sheet.png", turntable=True, format="webp")
    assert [path.name for path in paths] == ["sheet.png", "sheet.webp"]
    assert Image.open(paths[0]).width > Image.open(still[0]).width, "the texture stands beside the views"
    moving: Any = Image.open(paths[1])
    assert moving.n_frames == 24
    frames = []
    for number in (0, 6):
        moving.seek(number)
        frames.append(np.asarray(moving.convert("RGB"), float))
    assert np.abs(frames[0] - frames[1]).mean() > 1


def test_a_board_without_meshes_has_no_viewer(folder: Path, tmp_path: Path) -> None:
    page = board(folder, tmp_path / "plain.html", meshes=0).read_text(encoding="utf-8")
    assert re.search(r'id="solids">\s*</script>', page)
    assert '"texture":' not in page.split('id="content">')[1].split("</script>")[0]
    with pytest.raises(SyncbenchError, match="--meshes -1"):
        board(folder, tmp_path / "bad.html", meshes=-1)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here (Debian: apt-get install chromium)")
def test_a_sample_turns_in_the_browser(folder: Path, tmp_path: Path) -> None:
    """In Chromium with WebGL in software: the button shows the mesh, keys turn it, the button goes back."""
    assert b"THREE={}" in three_bundle()
    file = board(folder, tmp_path / "board.html")
    content = json.loads(file.read_text(encoding="utf-8").split('id="content">')[1].split("</script>")[0])
    gallery = content["boards"][0]["gallery"]
    shape, [item] = gallery["shapes"]["ball-1"], gallery["items"]
    places = np.frombuffer(base64.b64decode(shape["places"]), "<f4").reshape(-1, 3)
    faces = np.frombuffer(base64.b64decode(shape["faces"]), "<u4")
    assert faces.max() == len(places) - 1
    assert np.ptp(places[:, 1]) == pytest.approx(1, abs=0.02), "the world's objects are one unit high, y is up"
    assert all(gallery["pictures"][item][name]["texture"].startswith("data:image/webp") for name in ("truth",))
    flags = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]
    with sync_playwright() as play:
        found = play.chromium.launch(executable_path=CHROMIUM, args=flags)
        page = found.new_page(viewport={"width": 900, "height": 900})
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url.split(":")[0]))
        page.goto(f"{file.as_uri()}#geometry")
        page.wait_for_selector("html[data-ready=yes]", state="attached")
        button = page.wait_for_selector("button.turn", timeout=120_000)
        assert button is not None
        button.click()
        canvas = page.wait_for_selector("canvas.solid", timeout=120_000)
        assert canvas is not None
        assert button.is_enabled()
        look: Callable[[], bytes] = lambda: canvas.screenshot()  # noqa: E731
        first = look()
        page.keyboard.press("Tab")
        canvas.focus()
        page.keyboard.press("ArrowRight")
        assert look() != first
        button.click()
        assert page.query_selector("canvas.solid") is None
        page.evaluate(
            """b => {
                window.made = new Set();
                const before = HTMLCanvasElement.prototype.getContext;
                HTMLCanvasElement.prototype.getContext = function (...a) {
                    made.add(this);
                    return before.apply(this, a);
                };
                b.click();
                b.click();  // while the texture is loaded
            }""",
            button,
        )
        page.wait_for_selector("canvas.solid", timeout=120_000)
        assert page.evaluate("made.size") == 1
        assert set(asked) <= {"file", "data", "blob"}, "nothing is loaded from a network"
        found.close()


def test_the_turning_mesh_is_whole(folder: Path) -> None:
    store = Store(folder)
    jobs = {key: one for key in store.finished() if (one := store.job(key)) is not None}
    made = turning(store, jobs, lambda done, total, text: None)
    assert set(made) == set(jobs)
    for one in made.values():
        assert one.frames.shape == (24, 3, 32, 32)
        for edge in (one.frames[:, :, 0], one.frames[:, :, -1], one.frames[..., 0], one.frames[..., -1]):
            torch.testing.assert_close(edge, torch.ones_like(edge))
        assert float(one.frames.std()) > 0.05
