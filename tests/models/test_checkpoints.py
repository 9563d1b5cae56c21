"""Checkpoints that do not load or fit: one sentence before the first job, whatever is wrong with their folder."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from syncbench import run
from syncbench.bench.cli.main import app
from syncbench.bench.errors import SyncbenchError
from syncbench.bench.models.diffusers import Diffusers
from syncbench.bench.models.tiny import Tiny
from syncbench.bench.run.execute import InProcess, Workers
from syncbench.bench.run.sweep import sweep
from syncbench.bench.suites.suite import read_suite
from typer.testing import CliRunner

SUITE: dict[str, Any] = {
    "datasets": [{"id": "panoramas", "width": 192, "height": 64, "window": 64}],
    "methods": ["independent"],
    "metrics": ["network_evaluations"],
    "limit": 1,
    "protocol": {"steps": 2, "guidance": 2.0},
}
Damage = Callable[[Path], None]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of pipelines as diffusers writes them, by kind."""
    found: dict[str, Path] = {}
    for kind in ("sd15", "sdxl"):
        found[kind] = tmp_path_factory.mktemp(kind) / "pipeline"
        Tiny(kind=kind, device="cpu").pipeline.save_pretrained(found[kind])  # type: ignore[arg-type]
    return found


@pytest.fixture
def folder(whole: dict[str, Path], tmp_path: Path) -> Path:
    """A copy to be damaged; its name looks like a preset's."""
    return Path(shutil.copytree(whole["sd15"], tmp_path / "mine@best"))


def edited(name: str, **values: Any) -> Damage:
    """Other values in a JSON file; None stays null."""

    def damage(folder: Path) -> None:
        content = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps({**content, **values}))

    return damage


def written(name: str, content: str | bytes) -> Damage:
    def damage(folder: Path) -> None:
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)

    return damage


def without(name: str) -> Damage:
    def damage(folder: Path) -> None:
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return damage


UNET = "unet/diffusion_pytorch_model.safetensors"


def renamed(name: str, new: str) -> Damage:
    def damage(folder: Path) -> None:
        (folder / name).rename((folder / name).with_name(new))

    return damage


def cut(folder: Path) -> None:
    (folder / UNET).write_bytes((folder / UNET).read_bytes()[:-1000])


def pickled(folder: Path) -> None:
    torch.save({}, folder / "unet" / "diffusion_pytorch_model.bin")
    (folder / UNET).unlink()


def sharded(folder: Path, lost: bool = False, stale: bool = False) -> None:
    weights = load_file(folder / UNET)
    names = sorted(weights)
    files = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, some in files.items():
        save_file({name: weights[name] for name in some}, folder / "unet" / file, {"format": "pt"})
    where = {name: file for file, some in files.items() for name in some}
    index = {"metadata": {}, "weight_map": {**where, **({"old.weight": "a.safetensors"} if stale else {})}}
    (folder / "unet" / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))
    (folder / UNET).unlink()
    if lost:
        (folder / "unet" / "b.safetensors").unlink()


def not_a_number(folder: Path) -> None:
    weights = load_file(folder / UNET)
    weights["conv_out.bias"] += float("nan")
    save_file(weights, folder / UNET, {"format": "pt"})


def device(name: str) -> Damage:
    def damage(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        os.symlink("/dev/zero", folder / name)

    return damage


def guarded(folder: Path) -> None:
    """A safety checker that is listed and absent, as where only the wanted folders were copied."""
    edited(
        "model_index.json",
        safety_checker=["stable_diffusion", "StableDiffusionSafetyChecker"],
        feature_extractor=["transformers", "CLIPImageProcessor"],
        requires_safety_checker=True,
    )(folder)


SEEN: dict[str, tuple[Damage, str]] = {
    "index is a list": (written("model_index.json", "[]"), "holds no JSON object"),
    "index is a text": (written("model_index.json", '"x"'), "holds no JSON object"),
    "index is nested": (written("model_index.json", '{"unet": ' + "[" * 100_000), "cannot be read as JSON"),
    "index is a device": (device("model_index.json"), "device or a pipe"),
    "index is binary": (written("model_index.json", b"\xff\xfe"), "cannot be read as JSON"),
    "part is nested": (edited("model_index.json", unet=[["diffusers"], "x"]), "not a library and the name of a class"),
    "pipeline of its own": (edited("model_index.json", _class_name=["mine", "Mine"]), "code of its own"),
    "library of its own": (edited("model_index.json", scheduler=["mine", "MyScheduler"]), "never loaded"),
    "class of another library": (edited("model_index.json", text_encoder=["subprocess", "Popen"]), "never loaded"),
    "class that is no tokenizer": (edited("model_index.json", tokenizer=["transformers", "pipeline"]), "never loaded"),
    "part that is not served": (edited("model_index.json", controlnet=["diffusers", "ControlNetModel"]), "controlnet"),
    "fp16 only": (renamed(UNET, "diffusion_pytorch_model.fp16.safetensors"), "--set model.variant=fp16"),
    "pickle only": (pickled, "pickles"),
    "no weights": (without(UNET), "no weights for unet"),
    "half of the shards": (lambda folder: sharded(folder, lost=True), "lacks the shard 'b.safetensors'"),
    "stale index": (lambda folder: sharded(folder, stale=True), "lacks the tensor 'old.weight'"),
    "index of nothing": (written("unet/diffusion_pytorch_model.safetensors.index.json", "{}"), "names no shards"),
    "cut off": (cut, "cut off or damaged"),
    "empty": (written(UNET, b""), "cut off or damaged"),
    "LFS pointer": (written(UNET, "version https://git-lfs.github.com/spec/v1\noid sha256:1\n"), "git lfs pull"),
    "weights are a device": (device(UNET), "no regular file"),
    "other weights are a device": (device("unet/other.safetensors"), "no regular file"),
    "no tokenizer": (without("tokenizer"), "no vocabulary for its tokenizer"),
    "tokenizer without a length": (without("tokenizer/tokenizer_config.json"), "no tokenizer/tokenizer_config.json"),
    "tokenizer too long": (
        edited("tokenizer/tokenizer_config.json", model_max_length=512),
        "text encoder of 77 places",
    ),
    "no scheduler": (without("scheduler"), "no scheduler/scheduler_config.json"),
    "no text encoder": (without("text_encoder"), "no text_encoder/config.json"),
    "no text encoder listed": (edited("model_index.json", text_encoder=[None, None]), "lists no text_encoder"),
    "scheduler predicts words": (edited("scheduler/scheduler_config.json", prediction_type="words"), "'words'"),
    "beta is NaN": (edited("scheduler/scheduler_config.json", beta_end=float("nan")), "cannot be read as JSON"),
    "a billion training steps": (edited("scheduler/scheduler_config.json", num_train_timesteps=10**9), "beyond"),
    "class labels": (edited("unet/config.json", num_class_embeds=10), "class labels"),
    "LCM": (edited("unet/config.json", time_cond_proj_dim=256), "distilled network (LCM)"),
    "inpainting": (edited("unet/config.json", in_channels=9), "extra image inputs"),
    "picture embeddings": (edited("unet/config.json", encoder_hid_dim_type="image_proj"), "other embeddings"),
    "absurd layers": (edited("unet/config.json", layers_per_block=10**6), "layers_per_block = 1000000"),
    "absurd widths": (edited("vae/config.json", block_out_channels=[10**9] * 4), "block_out_channels"),
    "endless blocks": (edited("unet/config.json", block_out_channels=[8] * 10_000), "block_out_channels"),
    "configuration is a list": (written("unet/config.json", "[1]"), "holds no JSON object"),
    "no scale": (edited("vae/config.json", scaling_factor=0), "scaling_factor = 0"),
    "negative scale": (edited("vae/config.json", scaling_factor=-0.1), "scaling_factor = -0.1"),
    "text of another width": (edited("unet/config.json", cross_attention_dim=64), "text of width 64"),
}
"""Damage that is seen without loading anything."""
TRIED: dict[str, tuple[Damage, str]] = {
    "NaN weights": (not_a_number, "NaN or infinite"),
    "zero terminal SNR": (
        edited("scheduler/scheduler_config.json", rescale_betas_zero_snr=True, timestep_spacing="trailing"),
        "zero terminal SNR",
    ),
    "weights of another size": (edited("unet/config.json", block_out_channels=[8, 16, 16, 32]), "cannot load"),
}
"""Damage that shows when the pipeline is loaded and tried once."""


@pytest.mark.parametrize("name", SEEN)
def test_what_a_folder_lacks_is_seen_before_anything_is_loaded(folder: Path, name: str) -> None:
    damage, words = SEEN[name]
    damage(folder)
    with pytest.raises(SyncbenchError) as caught:
        Diffusers(path=str(folder), device="cpu")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", TRIED)
def test_what_only_loading_shows_ends_the_sweep_once(folder: Path, tmp_path: Path, name: str) -> None:
    damage, words = TRIED[name]
    damage(folder)
    with pytest.raises(SyncbenchError) as caught:
        run({**SUITE, "model": str(folder), "limit": 3}, tmp_path / "out")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "out" / "jobs").iterdir()), "no job of its own"


def test_refiners_are_named(whole: dict[str, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(whole["sdxl"], tmp_path / "refiner"))
    nobody = [None, None]
    edited("model_index.json", text_encoder=nobody, tokenizer=nobody, requires_aesthetics_score=True)(folder)
    with pytest.raises(SyncbenchError, match="is a refiner"):
        Diffusers(path=str(folder), device="cpu")
    edited("model_index.json", requires_aesthetics_score=False)(folder)
    edited("unet/config.json", projection_class_embeddings_input_dim=5 * 8 + 32)(folder)
    with pytest.raises(SyncbenchError, match="is a refiner"):
        Diffusers(path=str(folder), device="cpu")


@pytest.mark.parametrize(
    "damage", [lambda folder: None, guarded, sharded], ids=["whole", "no safety checker", "shards"]
)
def test_what_is_whole_is_ready_and_named_by_its_folder(folder: Path, damage: Damage, tmp_path: Path) -> None:
    damage(folder)
    model = Diffusers(path=str(folder), device="cpu")
    model.ready()
    assert model.name == "mine@best"
    assert model.cost.evaluations == 0, "the trial is on nobody's bill"
    if damage is guarded:
        frame = run({**SUITE, "model": str(folder)}, tmp_path / "out")
        assert set(frame["model"]) == {"mine@best"}
        assert set(frame["revision"]) == {model.revision}


def test_xl_is_ready(whole: dict[str, Path]) -> None:
    Diffusers(path=str(whole["sdxl"]), device="cpu").ready()


def test_a_variant_is_chosen_from_the_command_line(folder: Path, tmp_path: Path) -> None:
    renamed(UNET, "diffusion_pytorch_model.fp16.safetensors")(folder)
    suite = tmp_path / "suite.toml"
    suite.write_text(
        'model = "gauss"\nmethods = ["independent"]\nmetrics = ["network_evaluations"]\nlimit = 1\n'
        "datasets = [{ id = 'panoramas', width = 192, height = 64, window = 64 }]\nprotocol = { steps = 2 }\n"
    )

    def call(*options: str) -> Any:
        name = str(tmp_path / "out" / str(len(list((tmp_path / "out").glob("*")))))
        return CliRunner().invoke(app, ["run", str(suite), "--model", str(folder), "--out", name, *options])

    (tmp_path / "out").mkdir()
    refused = call()
    assert refused.exit_code == 2
    assert "--set model.variant=fp16" in refused.stderr
    for owner in ("model", "mine@best", str(folder), "diffusers"):
        done = call("--set", f"{owner}.variant=fp16", "--set", f"{owner}.batch=2", "--set", f"{owner}.dtype=bfloat16")
        assert done.exit_code == 0, (owner, done.output)
    wrong = call("--set", "model.variant=fp61")
    assert wrong.exit_code == 2
    assert "it has fp16" in wrong.stderr
    lost = call("--set", "model.varant=fp16")
    assert "did you mean 'variant'" in lost.stderr
    assert "did you mean 'mine@best'" in call("--set", "mine@bets.variant=fp16").stderr


@pytest.mark.parametrize("execute", [InProcess(), Workers(2)], ids=["here", "processes"])
def test_another_model_goes_on_where_one_cannot(folder: Path, tmp_path: Path, execute: Any) -> None:
    not_a_number(folder)
    small = [{"id": "panoramas", "width": 64, "height": 16, "window": 16}]
    suite = {**SUITE, "datasets": small, "models": [str(folder), "gauss"], "limit": 3, "any_size": True}
    with execute as working:
        done = sweep(read_suite(suite), tmp_path / "out", working)
    assert done.sampled == len(done.keys) == 3
    [(name, error)] = done.errors.items()
    assert name == "model mine@best"
    assert "NaN or infinite" in error


def test_a_folder_is_no_preset(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from syncbench.bench.catalogue.registry import load, split

    assert split(str(folder)) == (str(folder), "")
    assert load("models", str(folder), {"device": "cpu"}).source.path == folder
    monkeypatch.chdir(folder.parent)
    with pytest.raises(SyncbenchError, match=r"for the folder of that name write \./mine@best"):
        load("models", "mine@best")
    assert load("models", "./mine@best", {"device": "cpu"}).name == "mine@best"
