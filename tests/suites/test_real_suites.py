"""Suites of real checkpoints: what they name exists, what is missing is said, and views have the native size."""

import inspect
import json
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants
from syncbench import run
from syncbench.bench.catalogue.registry import load_class
from syncbench.bench.cli.main import app
from syncbench.bench.errors import SyncbenchError
from syncbench.bench.fetch.manifest import manifest
from syncbench.bench.fetch.needs import absent, models_of, repositories
from syncbench.bench.models.tiny import Tiny
from syncbench.bench.run.plan import chosen, listed
from syncbench.bench.suites.suite import list_suites, read_suite
from typer.testing import CliRunner

REAL = ("sd_panoramas", "sd_meshes", "sd_frames", "sd_editing", "views", "photos", "sd_intrinsics")


@pytest.fixture(autouse=True)
def nothing_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty cache of the hub."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.mark.parametrize("name", REAL)
def test_suites_of_real_checkpoints_name_what_exists(name: str) -> None:
    suite = read_suite(name)
    entries = {one.repository for one in manifest().values()}
    for entry in suite.listed("models"):
        options = inspect.signature(load_class("models", entry.spec)).parameters  # type: ignore[arg-type]
        assert set(entry.overrides) <= set(options), entry.label
        assert set(repositories(entry)) <= entries, "every weight of a suite has a licence and a size"
        assert repositories(entry)
    for kind in ("methods", "metrics"):
        for entry in suite.listed(kind):  # type: ignore[arg-type]
            entry.load()
    assert absent(suite) == models_of(suite) != []
    for part in suite.parts:
        assert part.protocol["steps"] > 0
        for dataset in part.datasets:
            if dataset.spec not in ("photos", "videos"):
                assert chosen(part, listed(dataset, dataset.load()))


@pytest.mark.parametrize("name", REAL)
def test_missing_weights_are_said_before_anything_is_done(name: str, tmp_path: Path) -> None:
    suite, more = read_suite(name), list[str]()
    if name in ("photos", "sd_intrinsics"):
        from PIL import Image

        Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
        more = ["--set", f"photos.path={tmp_path / 'a.png'}"]
    if name == "sd_editing":
        from PIL import Image

        frames = [Image.effect_noise((64, 64), 40 + number).convert("RGB") for number in range(4)]
        frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
        more = ["--set", f"videos.path={tmp_path / 'a.gif'}", "--set", "videos.prompt=a cat"]
    done = CliRunner().invoke(app, ["run", name, "--out", str(tmp_path / "out"), *more])
    assert done.exit_code == 2
    assert len(done.stderr.splitlines()) == 1
    for one in models_of(suite):
        assert f"'{one.repository}'" in done.stderr
    assert f"syncbench fetch --suite {name}" in done.stderr
    assert not (tmp_path / "out").exists()


def test_another_checkpoint_is_fetched_by_its_own_name(tmp_path: Path) -> None:
    arguments = ["run", "sd_panoramas", "--model", "somebody/else", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2
    assert "'somebody/else' is not on this machine: syncbench fetch somebody/else" in done.stderr


def test_fetch_lists_what_a_suite_needs_models_first(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["fetch", "--suite", "sd_panoramas", "--dry-run", "--json"])
    assert [row["name"] for row in json.loads(done.stdout)] == ["sd2-base", "clip-b16", "vgg16", "vgg19"]


def test_prompts_of_a_suite_come_along() -> None:
    suite = read_suite("sd_panoramas")
    [entry] = suite.listed("datasets")
    items = listed(entry, entry.load())
    assert len(items) == 12
    assert items[0].surface.window == (512, 512)


@pytest.mark.parametrize("name", [one["id"] for one in list_suites() if one["id"] not in REAL])
def test_suites_of_bundled_models_need_no_weights(name: str) -> None:
    assert absent(read_suite(name)) == []


def suite(folder: Path, **fields: Any) -> dict[str, Any]:
    return {
        "model": str(folder),
        "datasets": [{"id": "panoramas", "width": 96, "height": 32, "window": 32}],
        "methods": ["independent"],
        "metrics": ["network_evaluations"],
        "protocol": {"steps": 1},
        "limit": 1,
        **fields,
    }


def test_views_of_another_size_are_refused_unless_that_is_meant(tmp_path: Path) -> None:
    folder = tmp_path / "pipeline"
    Tiny(device="cpu").pipeline.save_pretrained(folder)
    told = r"views of 32 x 32 px, and model diffusers was trained at 64 px: " + (
        r"--set panoramas.window=64 --set panoramas.width=192 --set panoramas.height=64; or"
    )
    with pytest.raises(SyncbenchError, match=told):
        run(suite(folder), tmp_path / "a")
    assert not (tmp_path / "a").exists()
    mended = ["panoramas.window=64", "panoramas.width=192", "panoramas.height=64"]
    assert set(run(suite(folder), tmp_path / "b", overrides=mended)["status"]) == {"ok"}
    assert set(run(suite(folder, any_size=True), tmp_path / "c")["status"]) == {"ok"}
    assert set(run(suite(folder), tmp_path / "d", any_size=True)["status"]) == {"ok"}
    with pytest.raises(SyncbenchError, match="any_size"):
        read_suite(suite(folder, any_size="perhaps"))
