"""IntrinsicDiffusion on a replica of its published folders, against its networks and its step written out."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from safetensors.torch import load_file, save_file
from syncbench.bench.catalogue.registry import load
from syncbench.bench.errors import SyncbenchError
from syncbench.datasets.world_channels import WorldChannels
from torch import Tensor

from .. import intrinsic_replicas as replicas

NAMES = ["albedo", "shading", "normal"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The base and the authors' folder."""
    place = tmp_path_factory.mktemp("intrinsic")
    return replicas.base(place / "base"), replicas.trained(place / "trained_models")


def made(folders: tuple[Path, Path], **options: Any) -> Any:
    base, trained = map(str, folders)
    return load("models", "sd_intrinsicdiffusion", {"path": base, "trained": trained, "device": "cpu", **options})


@pytest.fixture(scope="module")
def model(folders: tuple[Path, Path]) -> Any:
    return made(folders)


def picture(high: int = 64, wide: int = 64) -> Tensor:
    return torch.rand(1, 3, high, wide, generator=torch.Generator().manual_seed(1))


def test_features_are_those_of_the_published_network(model: Any) -> None:
    """Shared convolutions, then for each channel windows of 8 x 8 cells, every second time shifted by half of one."""
    [reader] = model.made.conditioners
    seen = picture(128, 192)
    with torch.no_grad():
        found = reader.reader.module(seen, list(replicas.LABELS))
        wanted = replicas.published()(seen, list(replicas.LABELS))
    assert found.shape == (3, 320, 16, 24)
    assert float(found.std()) > 0.1
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)
    assert min(float((found[a] - found[b]).abs().mean()) for a, b in ((0, 1), (0, 2), (1, 2))) > 0.1


def test_a_step_is_that_of_the_published_pipeline(model: Any, folders: tuple[Path, Path]) -> None:
    """The picture in linear light, features of the channel, its learned text in both networks, DDIM from pure noise."""
    image, x = picture(128, 128), torch.randn(3, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    level = list(model.schedule(20))[3]
    condition = model.condition(["normal", "albedo", "shading"], 7.5, image=image)
    assert len(condition.passes) == 1, "guidance 1, whatever the protocol says"
    labels = ["surface normal", "albedo", "shading"]
    texts = torch.load(folders[1] / "prompt_adapter" / "prompt_adapter.pt", weights_only=True)
    text = torch.cat([texts[f"prompt_embeds.{label}"] for label in labels])
    torch.testing.assert_close(condition.given["text"], text)
    control = diffusers.ControlNetModel.from_config(replicas.control_config()).eval()
    control.controlnet_cond_embedding = torch.nn.Identity()
    file = load_file(folders[1] / "controlnet" / "diffusion_pytorch_model.safetensors")
    control.load_state_dict({n: v for n, v in file.items() if not n.startswith("controlnet_cond_embedding")})
    with torch.no_grad():
        found = model.predict(x, level, condition)
        features = replicas.published()(image**2.2, labels)
        down, middle = control(x, level.t, text, features, return_dict=False)
        unet = model.network.module()
        residuals = {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}
        v = unet(x, level.t, text, **residuals).sample
        bare = unet(x, level.t, text).sample
    assert (v - bare).abs().max() > 1e-2, "the ControlNet does something"
    scheduler = diffusers.DDIMScheduler.from_config(
        replicas.SCHEDULER, rescale_betas_zero_snr=True, timestep_spacing="trailing"
    )
    scheduler.set_timesteps(20)
    assert [int(t) for t in scheduler.timesteps] == [int(one.t) for one in model.schedule(20)]
    moved = scheduler.step(v, int(level.t), x)
    torch.testing.assert_close(found[0], moved.pred_original_sample, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(level.move(*found), moved.prev_sample, atol=1e-3, rtol=1e-3)
    first = next(iter(model.schedule(20)))
    assert (first.t, first.a, first.b) == (999, 0, 1)


def test_the_picture_is_read_in_linear_light_and_once(model: Any) -> None:
    seen: list[Tensor] = []
    [reader] = model.made.conditioners
    hook = reader.reader.module.register_forward_pre_hook(lambda network, inputs: seen.append(inputs[0]))
    condition = model.condition(NAMES, 1.0, image=torch.full((1, 3, 64, 64), 0.5))
    hook.remove()
    [only] = seen
    torch.testing.assert_close(only, torch.full((1, 3, 64, 64), 0.5**2.2))
    captions = model.condition(["a kitchen"] * 3, 1.0, image=torch.full((1, 3, 64, 64), 0.5))
    torch.testing.assert_close(captions.given["image"], condition.given["image"])
    torch.testing.assert_close(captions.given["text"], condition.given["text"])


def test_channels_are_shown_as_the_suite_writes_them(model: Any) -> None:
    """Albedo in linear light, shading S from S / (1 + S) up to a factor, normals of unit length turned about x."""
    assert list(model.makes) == NAMES
    code = torch.tensor([0.0, 1 / 3, 0.5, 2 / 3]).repeat(25).view(1, 1, 10, 10).expand(1, 3, -1, -1)  # S = 0, .5, 1, 2
    normal = torch.tensor([0.5, 0.8, 0.5 + 0.4]).view(1, 3, 1, 1).expand(-1, -1, 10, 10)  # (0, 0.6, 0.8)
    short = 0.5 + (normal - 0.5) / 2
    albedo, shading, turned = model.shown(NAMES, torch.cat([torch.full((1, 3, 10, 10), 0.2), code, short]))
    assert float(albedo.mean()) == pytest.approx(1.055 * 0.2 ** (1 / 2.4) - 0.055, abs=1e-5)
    wanted = 0.85 * torch.tensor([0.0, 0.25, 0.5, 1.0])
    light = ((shading[0].flatten()[:4] + 0.055) / 1.055) ** 2.4
    torch.testing.assert_close(light[1:], wanted[1:], atol=1e-5, rtol=0)
    assert float(shading.flatten()[0]) == 0
    flipped = torch.tensor([0.0, -0.6, -0.8]).view(3, 1, 1).expand(-1, 10, 10)
    torch.testing.assert_close(2 * turned - 1, flipped, atol=1e-5, rtol=0)
    white = model.shown(["shading"], torch.ones(1, 3, 10, 10))
    assert bool(white.isfinite().all())


def test_it_takes_a_picture_apart_in_either_order(model: Any) -> None:
    items = (WorldChannels(count=1, size=64, channels=tuple(names)).items()[0] for names in (NAMES, NAMES[::-1]))
    here, there = (replace(item, protocol=replace(item.protocol, steps=2)) for item in items)
    method = load("methods", "rgbx@shared")
    views, again = (method(item, model, 0).views for item in (here, there))
    assert views.shape == (3, 3, 64, 64)
    assert float(views.std()) > 0.01
    torch.testing.assert_close(views, again.flip(0), atol=1e-3, rtol=0)
    length = (2 * views[2] - 1).norm(dim=0)
    torch.testing.assert_close(length, torch.ones_like(length), atol=1e-3, rtol=0)
    model.ready()


def test_sizes_are_multiples_of_64(model: Any) -> None:
    with pytest.raises(SyncbenchError, match=r"64x72 pixels.*multiples of 64: --set photos.multiple=64"):
        model.condition(NAMES, 1.0, image=picture(64, 72))
    condition = model.condition(NAMES, 1.0, image=picture(64, 128))
    with pytest.raises(SyncbenchError, match="`image` has 64x128 pixels, and the view that it belongs to has 64x64"):
        model.predict(torch.zeros(3, 4, 8, 8), next(iter(model.schedule(2))), condition)


def test_all_that_is_read_is_part_of_the_revision(folders: tuple[Path, Path], model: Any, tmp_path: Path) -> None:
    assert made(folders).revision == model.revision
    for name in ("controlnet/config.json", "prompt_adapter/prompt_adapter.pt"):
        copy = copied(folders[1], tmp_path / name.partition("/")[0])
        (copy / name).unlink()
        if name.endswith(".json"):
            (copy / name).write_text((folders[1] / name).read_text() + "\n")
        else:
            texts = torch.load(folders[1] / name, weights_only=True)
            torch.save({key: value + 1 for key, value in texts.items()}, copy / name)
        assert made((folders[0], copy)).revision != model.revision


def copied(folder: Path, place: Path) -> Path:
    """A folder of links to the authors' files."""
    for path in folder.rglob("*"):
        if path.is_file():
            (place / path.relative_to(folder)).parent.mkdir(parents=True, exist_ok=True)
            (place / path.relative_to(folder)).symlink_to(path)
    return place


def config_with(**fields: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / "controlnet" / "config.json").unlink()
        (folder / "controlnet" / "config.json").write_text(json.dumps({**replicas.control_config(), **fields}))

    return change


def texts_of(content: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / "prompt_adapter" / "prompt_adapter.pt").unlink()
        torch.save(content, folder / "prompt_adapter" / "prompt_adapter.pt")

    return change


def texts(width: int = 1024, names: tuple[str, ...] = replicas.LABELS) -> dict[str, Tensor]:
    return {f"prompt_embeds.{name}": torch.zeros(1, 77, width) for name in names}


class Trap:
    """Executes something when it is unpickled without care."""

    def __reduce__(self) -> Any:
        return Path.touch, (Path("trapped"),)


BROKEN: dict[str, tuple[Callable[[Path], None], str]] = {
    "another kind": (config_with(conditioning_model_type="original"), "conditioning_model_type = original, not swinv2"),
    "another base": (config_with(cross_attention_dim=768), "cross_attention_dim = 768"),
    "no weights": (
        lambda folder: (folder / "controlnet" / "diffusion_pytorch_model.safetensors").unlink(),
        "has no weights",
    ),
    "no texts": (lambda folder: (folder / "prompt_adapter" / "prompt_adapter.pt").unlink(), "the learned texts"),
    "a text too few": (
        texts_of(texts(names=("albedo", "shading"))),
        "prompt adapter: it holds prompt_embeds.albedo, prompt",
    ),
    "texts of another width": (texts_of(texts(768)), r"has the shape \(1, 77, 768\), and the base reads texts"),
    "a list": (texts_of([1, 2]), "it holds no named tensors"),
    "code": (texts_of(Trap()), "cannot read"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_folder_that_does_not_fit_is_one_sentence(
    folders: tuple[Path, Path], tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    change, words = BROKEN[name]
    copy = copied(folders[1], tmp_path / "trained")
    change(copy)
    with pytest.raises(SyncbenchError, match=words) as caught:
        made((folders[0], copy))
    assert "\n" not in str(caught.value)
    assert not Path("trapped").exists()


@pytest.mark.parametrize("part", ["norms.1", "attn.q_bias", "encoder.down.2", "controlnet_mid_block"])
def test_missing_tensors_are_one_sentence(folders: tuple[Path, Path], tmp_path: Path, part: str) -> None:
    copy = copied(folders[1], tmp_path / "trained")
    place = copy / "controlnet" / "diffusion_pytorch_model.safetensors"
    kept = {name: value for name, value in load_file(place).items() if part not in name}
    place.unlink()
    save_file(kept, place, {"format": "pt"})
    model = made((folders[0], copy))
    with pytest.raises(SyncbenchError, match=r"was made for another network: it (lacks|has) \d+ tensors, such as"):
        model.ready()


def test_what_is_missing_is_said(folders: tuple[Path, Path], tmp_path: Path) -> None:
    base, trained = map(str, folders)
    with pytest.raises(SyncbenchError, match=r"--set model.trained=FOLDER"):
        load("models", "sd_intrinsicdiffusion", {"path": base, "device": "cpu"})
    with pytest.raises(SyncbenchError, match=r"no folder .*trained_models"):
        load("models", "sd_intrinsicdiffusion", {"path": base, "trained": str(tmp_path / "none"), "device": "cpu"})
    with pytest.raises(SyncbenchError, match="is no folder of IntrinsicDiffusion's ControlNet"):
        load("models", "sd_intrinsicdiffusion", {"path": base, "trained": base, "device": "cpu"})
    with pytest.raises(SyncbenchError, match="no diffusers pipeline"):
        load("models", "sd_intrinsicdiffusion", {"path": trained, "trained": trained, "device": "cpu"})
