"""Algorithm 1 on views of one's own: what becomes of a capture's pictures and cameras, and a run that is resumed."""

import json
import shutil
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from syncbench.bench import training
from syncbench.bench.errors import SyncbenchError
from syncbench.bench.models.parts.cameras import orbit_numbers
from syncbench.bench.models.parts.composed import SHIPPED
from syncbench.bench.run.plan import _check_world  # pyright: ignore[reportPrivateUsage]
from syncbench.bench.surfaces.camera import orbit
from syncbench.bench.training import base as base_trainer
from syncbench.bench.training import captures, codec, views
from syncbench.datasets.posed_views import PosedViews

WEIGHTS = SHIPPED / "reference"
pytestmark = pytest.mark.skipif(not WEIGHTS.exists(), reason="no reference model shipped")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline folder of the reference's kind, small and untrained."""
    folder = tmp_path_factory.mktemp("base")
    torch.manual_seed(0)
    made = base_trainer.build(widths=(16, 32, 32), text=32)
    base_trainer.export(made, codec.build(width=8), folder)
    return folder


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine pictures of a toy on an orbit, as instant-ngp writes them: camera to world, OpenGL axes."""
    folder = tmp_path_factory.mktemp("toy")
    frames: list[dict[str, Any]] = []
    for number, pose in enumerate(orbit(40.0 * np.arange(9), 10.0, 3.0)):
        Image.new("RGB", (64, 64), (25 * number, 100, 200)).save(folder / f"{number}.png")
        matrix = np.linalg.inv(pose) @ np.diag([1.0, -1.0, -1.0, 1.0])
        frames.append({"file_path": f"{number}.png", "transform_matrix": matrix.tolist()})
    (folder / "transforms.json").write_text(json.dumps({"camera_angle_x": 0.8, "w": 64, "h": 64, "frames": frames}))
    return folder


def test_sets_share_no_picture_and_go_around_the_object(capture: Path, base: Path, tmp_path: Path) -> None:
    file = captures.own_scenes(tmp_path, capture, "a toy", 4, 2, "z", base / "vae", 64)
    found = captures.read_scenes(file)
    assert found.captions == ["a toy"] * 2
    assert found.rgb.shape == (2, 4, 8, 8, 8)
    [item] = PosedViews(path=str(capture), prompt="a toy", views=8, held=1, size=64).items()
    cameras = item.conditions["camera"].reshape(8, 4, 4)
    for one in range(2):
        torch.testing.assert_close(found.camera[one], cameras[one::2])
        places = orbit_numbers(found.camera[one].flatten(1)).reshape(4, 4, 4)[:, :2, 3].double()
        turns = torch.atan2(places[:, 1], places[:, 0]).rad2deg()
        assert ((turns.diff() % 360) > 40).all()
    codes = found.rgb.flatten(0, 1).flatten(1)
    assert min(float((codes[i] - codes[j]).abs().max()) for i in range(8) for j in range(i)) > 0, "eight pictures"
    before = file.stat().st_mtime_ns
    again = captures.own_scenes(tmp_path, capture, "a toy", 4, 2, "z", base / "vae", 64)
    assert (again, again.stat().st_mtime_ns) == (file, before), "coded once"
    assert captures.own_scenes(tmp_path, capture, "a doll", 4, 2, "z", base / "vae", 64) != file
    other = shutil.copytree(base / "vae", tmp_path / "vae")
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"scaling_factor": 0.5}))
    assert captures.own_scenes(tmp_path, capture, "a toy", 4, 2, "z", other, 64) != file, "latents of another scale"


def trained(out: Path, capture: Path, base: Path, steps: int, *more: str) -> Any:
    options = [f"captures={capture}", "prompt=a toy", f"base={base}", "size=4", "processes=1", *more]
    training.train("views", out, options, steps=steps, card=True, device="cpu")
    return torch.load(out / "state.pt", weights_only=True)


def test_a_run_on_ones_own_views_is_resumed_and_serves(capture: Path, base: Path, tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole", capture, base, 3)
    assert trained(tmp_path / "parts", capture, base, 1)["step"] == 1
    parts = trained(tmp_path / "parts", capture, base, 3)
    assert whole["step"] == parts["step"] == 3
    assert whole["module"].keys() == parts["module"].keys()
    from syncbench.bench.models.views import Views

    model = Views(path=str(tmp_path / "whole" / "model"), base=str(base), device="cpu", dtype="float32")
    assert {"joint", "camera"} <= model.capabilities
    x = torch.randn(4, model.channels, 16, 16, generator=torch.Generator().manual_seed(0))
    condition = model.condition(["a toy"] * 4, 1.0, together=True, camera=torch.eye(4).flatten().expand(4, 16))
    with torch.no_grad():
        assert bool(torch.isfinite(model.predict(x, next(iter(model.schedule(2))), condition)[0]).all())


def test_a_folder_keeps_to_its_captures(capture: Path, base: Path, tmp_path: Path) -> None:
    """A run of other pictures or words would be a mixture that no one asked for, or the old model."""
    trained(tmp_path / "run", capture, base, 1)
    for options, was in (
        (["sets=2"], "sets = 1"),
        (["prompt=a doll"], "prompt = a toy"),
        (["rate=1e-3"], "rate = 0.0004"),
    ):
        with pytest.raises(SyncbenchError, match=f"was started with {was}: go on with the same"):
            trained(tmp_path / "run", capture, base, 1, *options)
    picture = next(capture.rglob("*.png"))
    before = picture.read_bytes()
    Image.new("RGB", Image.open(picture).size, "red").save(picture)
    with pytest.raises(SyncbenchError, match=r"was started with pictures = captures-\w+\.pt: go on"):
        trained(tmp_path / "run", capture, base, 1)
    picture.write_bytes(before)
    assert trained(tmp_path / "run", capture, base, 2, "save_every=1", f"data={tmp_path / 'moved'}")["step"] == 2
    settings: Any = {"steps": 1, "card": True, "device": "cpu", "resume": False}
    refused = [f"captures={capture}", "prompt=a doll", f"base={base}", f"flat={tmp_path / 'none.pt'}"]
    with pytest.raises(SyncbenchError, match="no file"):
        training.train("views", tmp_path / "run", refused, **settings)
    with pytest.raises(SyncbenchError, match="was started with prompt = a toy"):
        trained(tmp_path / "run", capture, base, 1, "prompt=a doll")  # the checkpoint is still the toy's
    options = [f"captures={capture}", "prompt=a doll", f"base={base}", "size=4", "processes=1"]
    training.train("views", tmp_path / "run", options, **settings)
    assert trained(tmp_path / "run", capture, base, 1, "prompt=a doll")["step"] == 1


def test_prompts_that_were_learnt_are_taken(capture: Path, base: Path, tmp_path: Path) -> None:
    """The network that was trained on a toy is asked for it, and for nothing else that is new to the world."""
    from syncbench.bench.models.views import Views

    trained(tmp_path / "run", capture, base, 1)
    model = Views(path=str(tmp_path / "run" / "model"), device="cpu", dtype="float32")
    assert model.learnt == {"a toy"}
    assert not Views(device="cpu").learnt
    entry: Any = SimpleNamespace(label="posed_views")
    for prompt, refused in (("a toy", False), ("a toy robot", True), ("a red cube", True)):
        [item] = PosedViews(path=str(capture), prompt=prompt, views=4, size=64).items()
        with pytest.raises(SyncbenchError) if refused else nullcontext():
            _check_world(entry, model, item)
        with pytest.raises(SyncbenchError):
            _check_world(entry, Views(device="cpu"), item)
    (tmp_path / "run" / "model" / "prompts.json").write_text('{"prompts": 3}')
    assert not Views(path=str(tmp_path / "run" / "model"), device="cpu").learnt


@pytest.mark.parametrize(("share", "drop"), [(1.0, 0.0), (1.0, 1.0), (0.0, 0.0)])
def test_shares_of_scenes_and_of_cameras_are_kept(
    capture: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float, drop: float
) -> None:
    """3-D steps have sets of four views with cameras, without them where they are dropped; 2-D steps single views."""
    seen: list[tuple[tuple[int, ...], Any]] = []
    real = views.MultiView.loss

    def noted(self: Any, x: Any, words: Any, camera: Any, random: Any) -> Any:
        seen.append((tuple(x.shape[:2]), camera))
        return real(self, x, words, camera, random)

    monkeypatch.setattr(views.MultiView, "loss", noted)
    trained(tmp_path / "run", capture, base, 2, f"share={share}", f"camera_drop={drop}", "views=4", "sets=2")
    assert len(seen) == 2
    for shape, camera in seen:
        assert shape == ((1, 4) if share else (4, 1))
        assert (camera is None) == (not share)
        if share:
            assert bool(camera.any()) == (not drop)


def test_captures_that_cannot_be_used_are_one_sentence(capture: Path, base: Path, tmp_path: Path) -> None:
    with pytest.raises(SyncbenchError, match=r"captures: .*9 pictures, fewer than 12"):
        trained(tmp_path / "run", capture, base, 1, "sets=3")
    with pytest.raises(SyncbenchError, match="captures: "):
        trained(tmp_path / "run", tmp_path / "nothing", base, 1)
    for options, words in (
        (["sets=3"], "lower sets or views$"),
        (["views=1", "sets=4"], "captures: views = 1, sets = 4: a set has 2 views or more"),
        (["views=7", "sets=200"], "all sets together at most 1,000"),
        (["prompt="], r"needs a prompt, .* add --set prompt="),
        ([f"data={base / 'vae' / 'config.json'}"], "cannot write to"),
    ):
        with pytest.raises(SyncbenchError, match=words) as caught:
            trained(tmp_path / "run", capture, base, 1, *options)
        assert "posed_views" not in str(caught.value), "options are the trainer's"
    assert not (tmp_path / "run" / "state.pt").exists()
