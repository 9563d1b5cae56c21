"""Recipes of the channels family on replicas of the published checkpoints: Marigold, RGB-to-X and X-to-RGB.

Replicas have the published configuration but for widths and depths, and lie on disk as published: text encoders under
the prefix `text_model.`, scheduler files word for word.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    MarigoldDepthPipeline,
    MarigoldIntrinsicsPipeline,
    MarigoldNormalsPipeline,
    UNet2DConditionModel,
)
from PIL import Image
from safetensors.torch import load_file, save_file
from syncbench import run
from syncbench.bench.errors import SyncbenchError
from syncbench.bench.models.marigold import Marigold
from syncbench.bench.models.parts.channels import Channel, shown
from syncbench.bench.models.rgb_to_x import RgbToX
from syncbench.bench.models.tiny import _text_config, _tokenizer
from syncbench.bench.models.x_to_rgb import FACTORS, XToRgb
from syncbench.bench.sampling.loop import channel_names
from syncbench.bench.store.folder import load_records
from syncbench.bench.surfaces.light import linear_to_srgb
from syncbench.datasets.world_channels import WorldChannels
from syncbench.methods.channels.marigold_iid import MarigoldIID
from syncbench.methods.channels.rgbx import RGBX
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel

SD2: dict[str, Any] = {
    "block_out_channels": [320, 640, 1280, 1280],
    "down_block_types": [*["CrossAttnDownBlock2D"] * 3, "DownBlock2D"],
    "up_block_types": ["UpBlock2D", *["CrossAttnUpBlock2D"] * 3],
    "layers_per_block": 2,
    "cross_attention_dim": 1024,
    "attention_head_dim": [5, 10, 20, 20],
    "use_linear_projection": True,
    "sample_size": 96,
}
VAE: dict[str, Any] = {
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
    "sample_size": 768,
    "scaling_factor": 0.18215,
}
SHRUNK = {"block_out_channels": [32, 64, 64, 64], "norm_num_groups": 8, "layers_per_block": 1}
SCHEDULER: dict[str, Any] = {
    "_class_name": "DDIMScheduler",
    "_diffusers_version": "0.32.0",
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "clip_sample": False,
    "clip_sample_range": 1.0,
    "dynamic_thresholding_ratio": 0.995,
    "num_train_timesteps": 1000,
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "sample_max_value": 1.0,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "thresholding": False,
    "timestep_spacing": "trailing",
    "trained_betas": None,
}
LEADING = {**SCHEDULER, "rescale_betas_zero_snr": False, "timestep_spacing": "leading"}
"""As `zheng95z/rgb-to-x` has it, whose code overrides both."""
APPEARANCE = {
    "target_names": ["albedo", "material"],
    "albedo": {"prediction_space": "srgb", "up_to_scale": False},
    "material": {"prediction_space": "stack", "sub_target_names": ["roughness", "metallicity", None]},
}
LIGHTING = {
    "target_names": ["albedo", "shading", "residual"],
    "albedo": {"prediction_space": "linear", "up_to_scale": False},
    "shading": {"prediction_space": "linear", "up_to_scale": True},
    "residual": {"prediction_space": "linear", "up_to_scale": True},
}
DEFAULTS = {"default_denoising_steps": 4, "default_processing_resolution": 768}
MARIGOLDS: dict[str, tuple[Any, int, dict[str, Any]]] = {
    "depth": (
        MarigoldDepthPipeline,
        1,
        {**DEFAULTS, "prediction_type": "depth", "scale_invariant": True, "shift_invariant": True},
    ),
    "normals": (MarigoldNormalsPipeline, 1, {**DEFAULTS, "prediction_type": "normals", "use_full_z_range": True}),
    "appearance": (
        MarigoldIntrinsicsPipeline,
        2,
        {**DEFAULTS, "prediction_type": "intrinsics", "target_properties": APPEARANCE},
    ),
    "lighting": (
        MarigoldIntrinsicsPipeline,
        3,
        {**DEFAULTS, "prediction_type": "intrinsics", "target_properties": LIGHTING},
    ),
}
"""Pipeline, number of targets, and scalars of `model_index.json`."""


def unet_config(inputs: int, outputs: int) -> dict[str, Any]:
    return {**SD2, "in_channels": inputs, "out_channels": outputs}


def save_replica(folder: Path, inputs: int, outputs: int, index: dict[str, Any], scheduler: dict[str, Any]) -> Path:
    """A tiny pipeline in the published layout."""
    torch.manual_seed(0)
    small = {"cross_attention_dim": 32, "attention_head_dim": [2, 4, 4, 4], "sample_size": 8}
    UNet2DConditionModel(**{**unet_config(inputs, outputs), **SHRUNK, **small}).save_pretrained(folder / "unet")
    AutoencoderKL(**{**VAE, **SHRUNK, "sample_size": 64}).save_pretrained(folder / "vae")
    tiny = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    CLIPTextModel(CLIPTextConfig(**_text_config(tiny, "sd21"))).save_pretrained(folder / "text_encoder")
    prefixed(folder / "text_encoder" / "model.safetensors")
    _tokenizer("!").save_pretrained(folder / "tokenizer")
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler))
    parts = {
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "scheduler": ["diffusers", "DDIMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
    }
    (folder / "model_index.json").write_text(json.dumps({"_diffusers_version": "0.32.0", **index, **parts}))
    return folder


def prefixed(path: Path) -> None:
    """Rename a text encoder's tensors as they were published, with the stale `position_ids`."""
    flat = {name.removeprefix("text_model."): value for name, value in load_file(path).items()}
    named = {f"text_model.{name}": value for name, value in flat.items()}
    save_file({**named, "text_model.embeddings.position_ids": torch.arange(77)[None]}, path, {"format": "pt"})


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Replicas by name."""
    root = tmp_path_factory.mktemp("replicas")
    found: dict[str, Path] = {}
    for name, (pipeline, targets, scalars) in MARIGOLDS.items():
        index = {"_class_name": pipeline.__name__, **scalars}
        found[name] = save_replica(root / name, 4 * (1 + targets), 4 * targets, index, SCHEDULER)
    named = {"_class_name": ["pipeline_rgb2x", "StableDiffusionAOVMatEstPipeline"]}
    found["rgb_to_x"] = save_replica(root / "rgb_to_x", 8, 4, named, LEADING)
    found["x_to_rgb"] = save_replica(
        root / "x_to_rgb", 23, 4, {"_class_name": "StableDiffusionAOVDropoutPipeline"}, LEADING
    )
    return found


def picture(count: int = 1, side: int = 64, seed: int = 1) -> Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


def noise(*shape: int, seed: int = 2) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def sampled(model: Any, x: Tensor, steps: int, guidance: float = 1.0, prompt: str = "", **inputs: Tensor) -> Tensor:
    """The end of our own loop from `x`."""
    condition = model.condition([prompt] * len(x), guidance, **inputs)
    for level in model.schedule(steps):
        x = level.move(*model.predict(x, level, condition))
    return x


@pytest.mark.parametrize("name", MARIGOLDS)
@pytest.mark.parametrize("steps", [1, 4])
def test_marigold_is_the_librarys_pipeline(folders: dict[str, Path], name: str, steps: int) -> None:
    """The same noise ends in the same latents, with the picture first, the text of two tokens and zero SNR."""
    cls, count, _ = MARIGOLDS[name]
    pipe = cls.from_pretrained(folders[name], local_files_only=True)
    pipe.set_progress_bar_config(disable=True)
    model, image, x = Marigold(path=str(folders[name]), device="cpu"), picture(), noise(count, 4, 8, 8)
    stacked = x.reshape(1, 4 * count, 8, 8)
    how = {"processing_resolution": 0, "output_type": "pt", "output_latent": True, "ensemble_size": 1}
    theirs = pipe(image, num_inference_steps=steps, latents=stacked.clone(), **how)
    z = sampled(model, x, steps, image=image)
    torch.testing.assert_close(z.reshape(stacked.shape), theirs.latent, atol=1e-4, rtol=1e-4)
    ours = model.shown(model.makes, model.decode(z))
    prediction = theirs.prediction
    if name == "depth":
        # they average three channels before they clip, and we after
        raw = pipe.vae.decode(z / 0.18215).sample.abs().amax(1, keepdim=True)[0]
        inside = (raw <= 1).expand(3, -1, -1)
        assert inside.float().mean() > 0.05
        torch.testing.assert_close(ours[0][inside], prediction[0].expand(3, -1, -1)[inside], atol=1e-3, rtol=0)
    elif name == "normals":
        axes = torch.tensor([1.0, -1.0, -1.0]).view(3, 1, 1)
        torch.testing.assert_close(2 * ours - 1, prediction * axes, atol=1e-3, rtol=0)
    else:
        wanted = prediction if name == "appearance" else linear_to_srgb(prediction)
        torch.testing.assert_close(ours, wanted, atol=2e-3, rtol=0)


def test_the_first_step_of_marigold_has_no_picture_in_it(folders: dict[str, Path]) -> None:
    """Zero terminal SNR: at t = 999 the answer is x0 = -v and eps = x, with nothing divided by zero."""
    model, x = Marigold(path=str(folders["lighting"]), device="cpu"), noise(3, 4, 8, 8)
    level = next(iter(model.schedule(4)))
    assert (level.t, level.a, level.b) == (999, 0, 1)
    condition = model.condition([""] * 3, 1.0, image=picture())
    with torch.no_grad():
        x0, eps = model.predict(x, level, condition)
        words = condition.given["text"][:1]
        seen = torch.cat([model.encode(picture()), x.reshape(1, 12, 8, 8)], 1)
        v = model.network.module()(seen, 999, words).sample.reshape(3, 4, 8, 8)
    assert words.shape == (1, 2, 32)
    torch.testing.assert_close(x0, -v, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(eps, x)


def test_targets_are_those_that_the_checkpoint_names(folders: dict[str, Path]) -> None:
    made = {name: Marigold(path=str(folders[name]), device="cpu").makes for name in MARIGOLDS}
    assert made == {
        "depth": ("depth",),
        "normals": ("normal",),
        "appearance": ("albedo", "material"),
        "lighting": ("albedo", "shading", "residual"),
    }
    assert Marigold(path=str(folders["appearance"]), device="cpu").made.channels[0] == Channel("albedo", "suite")


def test_noise_comes_before_or_after_as_published(folders: dict[str, Path]) -> None:
    """Planted constants: what the network's first layer sees, channel by channel."""
    cases: list[tuple[Any, int, dict[str, Tensor], list[float]]] = [
        (Marigold(path=str(folders["appearance"]), device="cpu"), 2, {"image": picture()}, [7.0, 1.0, 2.0]),
        (RgbToX(path=str(folders["rgb_to_x"]), device="cpu"), 1, {"image": picture()}, [1.0, 7.0]),
    ]
    for model, views, inputs, wanted in cases:
        condition = model.condition([""] * views, 1.0, **inputs)
        passes = tuple({**one, "image": torch.full_like(one["image"], 7.0)} for one in condition.passes)
        x = torch.stack([torch.full((4, 8, 8), float(1 + view)) for view in range(views)])
        seen = first_inputs(model, x, replace(condition, passes=passes))
        assert [float(part.mean()) for part in seen[0].split(4)] == wanted
        assert all(float(part.std()) == 0 for part in seen[0].split(4))


def first_inputs(model: Any, x: Tensor, condition: Any) -> Tensor:
    """What the UNet's first layer is given in one call, all rows."""
    found: list[Tensor] = []
    hook = model.network.module().conv_in.register_forward_pre_hook(lambda layer, inputs: found.append(inputs[0]))
    with torch.no_grad():
        model.predict(x, list(model.schedule(4))[1], condition)
    hook.remove()
    [only] = found
    return only


def test_rgb_to_x_reads_linear_light_and_one_prompt_a_channel(folders: dict[str, Path]) -> None:
    model, image, x = RgbToX(path=str(folders["rgb_to_x"]), device="cpu"), picture(), noise(5, 4, 8, 8)
    names = ["albedo", "normal", "shading", "roughness", "metallic"]
    assert list(model.makes) == names
    condition = model.condition(names, 7.5, image=image)
    assert len(condition.passes) == 1, "the released code guides by nothing, whatever the protocol says"
    prompts = [
        "Albedo (diffuse basecolor)",
        "Camera-space Normal",
        "Irradiance (diffuse lighting)",
        "Roughness",
        "Metallicness",
    ]
    text = model.made.conditioners[0].text
    given = torch.cat([text.encode(prompt)["text"] for prompt in prompts])
    torch.testing.assert_close(condition.given["text"], given)
    assert len({tuple(row.flatten()[:500].tolist()) for row in given}) == 5
    levels = list(model.schedule(50))
    assert [levels[0].t, levels[1].t, levels[-1].t, levels[0].a] == [999, 979, 19, 0]
    level, unet, vae = levels[10], model.network.module(), model.codec.module
    with torch.no_grad():
        x0, eps = model.predict(x, level, condition)
        latent = vae.encode(2 * image**2.2 - 1).latent_dist.mode() * 0.18215
        v = unet(torch.cat([x, latent.expand(5, -1, -1, -1)], 1), level.t, given).sample
    scheduler = DDIMScheduler.from_config(LEADING, rescale_betas_zero_snr=True, timestep_spacing="trailing")
    scheduler.set_timesteps(50)
    moved = scheduler.step(v, int(level.t), x)
    torch.testing.assert_close(x0, moved.pred_original_sample, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(level.move(x0, eps), moved.prev_sample, atol=1e-4, rtol=1e-4)


def released_rows(model: Any, x: Tensor, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Inputs and texts of X-to-RGB's three rows, (T, I), (-, I), (-, 0), as its released code makes them."""
    vae, text = model.codec.module, model.made.conditioners[0]
    parts: list[Tensor] = []
    for name, factor in FACTORS.items():
        if name not in inputs:
            parts.append(torch.zeros(len(x), 4, *x.shape[2:]))
            continue
        image = 2 * inputs[name] - 1
        if name == "albedo":
            image = 2 * inputs[name] ** 2.2 - 1
        if name == "normal":  # unit length; from x right, y down, z forward to x right, y up, z to the viewer
            image = F.normalize(image, dim=1, eps=1e-6) * torch.tensor([1.0, -1.0, -1.0]).view(1, 3, 1, 1)
        parts.append(vae.encode(image).latent_dist.mode() * factor)
    shading = torch.zeros(len(x), 3, *x.shape[2:])
    if "shading" in inputs:
        light = 2 * inputs["shading"] ** 2.2 - 1
        shading = F.interpolate(light, x.shape[2:], mode="bilinear", align_corners=False, antialias=True)
    image = torch.cat([*parts, shading], 1)
    rows = torch.cat([torch.cat([x, image], 1), torch.cat([x, image], 1), torch.cat([x, torch.zeros_like(image)], 1)])
    given, empty = (text.encode(words)["text"].expand(len(x), -1, -1) for words in ("a kitchen", ""))
    return rows, torch.cat([given, empty, empty])


@pytest.mark.parametrize("missing", [(), ("normal", "metallic"), ("shading",)])
def test_x_to_rgb_guides_by_three_rows(folders: dict[str, Path], missing: tuple[str, ...]) -> None:
    model, x = XToRgb(path=str(folders["x_to_rgb"]), device="cpu"), noise(1, 4, 8, 8)
    names = [*FACTORS, "shading"]
    inputs = {name: picture(seed=i) for i, name in enumerate(names) if name not in missing}
    condition = model.condition(["a kitchen"], 7.5, **inputs)
    assert len(condition.passes) == 3
    level = list(model.schedule(50))[10]
    with torch.no_grad():
        x0, eps = model.predict(x, level, condition)
        rows, text = released_rows(model, x, inputs)
        both, image, nothing = model.network.module()(rows, level.t, text).sample.chunk(3)
    v = nothing + 7.5 * (both - image) + 1.5 * (image - nothing)
    within = [1, 2, 3]
    v = 0.7 * v * both.std(within, keepdim=True) / v.std(within, keepdim=True) + 0.3 * v
    scheduler = DDIMScheduler.from_config(LEADING, rescale_betas_zero_snr=True, timestep_spacing="trailing")
    scheduler.set_timesteps(50)
    moved = scheduler.step(v, int(level.t), x)
    torch.testing.assert_close(x0, moved.pred_original_sample, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(level.move(x0, eps), moved.prev_sample, atol=1e-4, rtol=1e-4)


def test_x_to_rgb_stacks_23_channels_in_their_order(folders: dict[str, Path]) -> None:
    model = XToRgb(path=str(folders["x_to_rgb"]), device="cpu")
    names = ["albedo", "normal", "roughness", "metallic", "shading"]
    condition = model.condition(["a kitchen"], 7.5, **{name: picture() for name in names})
    passes = tuple(
        {**one, **{name: torch.full_like(one[name], 2.0 + i) for i, name in enumerate(names)}}
        for one in condition.passes
    )
    seen = first_inputs(model, torch.ones(1, 4, 8, 8), replace(condition, passes=passes))
    assert seen.shape == (3, 23, 8, 8)
    assert seen[0].mean((1, 2)).tolist() == [1.0] * 4 + [2.0] * 4 + [3.0] * 4 + [4.0] * 4 + [5.0] * 4 + [6.0] * 3


def test_options_of_guidance_are_part_of_the_revision(folders: dict[str, Path]) -> None:
    path = str(folders["x_to_rgb"])
    models = [XToRgb(path=path, device="cpu", **how) for how in ({}, {"image_guidance": 2.0}, {"rescale": 0.0})]
    assert len({model.revision for model in models}) == 3


def test_channels_are_shown_as_the_suite_writes_them() -> None:
    view = torch.tensor([0.25, 0.5, 1.0]).view(1, 3, 1, 1)
    habits = ("suite", "linear", "normal", "grey", "first")
    known = tuple(Channel(habit, habit) for habit in habits)
    made = dict(zip(habits, shown(known, habits, view.expand(5, -1, -1, -1)).flatten(1), strict=True))
    n = torch.tensor([-0.5, 0.0, 1.0]) / 1.25**0.5
    torch.testing.assert_close(made["suite"], view.flatten())
    torch.testing.assert_close(made["linear"], linear_to_srgb(view.flatten()))
    torch.testing.assert_close(2 * made["normal"] - 1, n * torch.tensor([1.0, -1.0, -1.0]))
    torch.testing.assert_close(made["grey"], torch.full((3,), 1.75 / 3))
    torch.testing.assert_close(made["first"], torch.full((3,), 0.25))


COUNTS = {
    "Marigold depth, normals; RGB-to-X": (8, 4, 865_922_244),
    "Marigold appearance": (12, 8, 865_945_288),
    "Marigold lighting": (16, 12, 865_968_332),
    "X-to-RGB": (23, 4, 865_965_444),
}


@pytest.mark.parametrize("name", COUNTS)
def test_full_size_networks_have_the_published_number_of_parameters(name: str) -> None:
    inputs, outputs, wanted = COUNTS[name]
    with torch.device("meta"):
        unet = UNet2DConditionModel(**unet_config(inputs, outputs))
    tensors = list(unet.parameters())
    assert (sum(tensor.numel() for tensor in tensors), len(tensors)) == (wanted, 686)


def test_the_full_size_codec_has_the_published_number_of_parameters() -> None:
    with torch.device("meta"):
        tensors = list(AutoencoderKL(**VAE).parameters())
    assert (sum(tensor.numel() for tensor in tensors), len(tensors)) == (83_653_863, 248)


def test_folders_that_do_not_fit_are_one_sentence(folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(SyncbenchError, match=r"is not RGB-to-X: its unet has in_channels = 23, not 8"):
        RgbToX(path=str(folders["x_to_rgb"]), device="cpu")
    with pytest.raises(SyncbenchError, match=r"is not X-to-RGB: its unet has in_channels = 8, not 23"):
        XToRgb(path=str(folders["rgb_to_x"]), device="cpu")
    with pytest.raises(SyncbenchError, match="is not a Marigold checkpoint: it has _class_name"):
        Marigold(path=str(folders["x_to_rgb"]), device="cpu")
    index = json.loads((folders["lighting"] / "model_index.json").read_text())
    for name, change, words in (
        ("count", {"target_properties": {"target_names": ["albedo", "shading"]}}, "16 channels in and 12 out, not 12"),
        ("names", {"target_properties": None}, "no target_properties with target_names"),
    ):
        folder = tmp_path / name
        folder.mkdir()
        for part in folders["lighting"].iterdir():
            (folder / part.name).symlink_to(part)
        (folder / "model_index.json").unlink()
        (folder / "model_index.json").write_text(json.dumps({**index, **change}))
        with pytest.raises(SyncbenchError, match=words):
            _ = Marigold(path=str(folder), device="cpu").made


def test_methods_sample_the_world_through_the_recipes(folders: dict[str, Path]) -> None:
    for model, method, channels in (
        (Marigold(path=str(folders["lighting"]), device="cpu"), MarigoldIID(), ("albedo", "shading", "residual")),
        (RgbToX(path=str(folders["rgb_to_x"]), device="cpu"), RGBX(), ("albedo", "normal", "shading")),
        (RgbToX(path=str(folders["rgb_to_x"]), device="cpu"), RGBX(), ("shading", "roughness")),
    ):
        [item] = WorldChannels(count=1, size=64, channels=channels).items()
        assert channel_names(item, model) == channels
        artifact = method(item, model, 0)
        assert artifact.views.shape == (len(channels), 3, 64, 64)
        assert float(artifact.views.std()) > 0.01
        again = method(item, model, 0)
        torch.testing.assert_close(artifact.views, again.views, rtol=0, atol=0)
        if "roughness" in channels:
            torch.testing.assert_close(artifact.views[1, 0], artifact.views[1, 2], rtol=0, atol=0)


def test_a_view_is_asked_for_by_the_name_of_its_channel(folders: dict[str, Path]) -> None:
    """One view, one noise: only the word differs."""
    model = RgbToX(path=str(folders["rgb_to_x"]), device="cpu")
    made = [
        RGBX()(WorldChannels(count=1, size=64, channels=(name,)).items()[0], model, 0).views
        for name in ("albedo", "shading")
    ]
    assert (made[0] - made[1]).abs().max() > 1e-3


def test_a_sweep_takes_photos_apart(folders: dict[str, Path], tmp_path: Path) -> None:
    """A folder of pictures, none of them square, through the suite's own metrics: what has no truth is null."""
    (tmp_path / "mine").mkdir()
    for number in range(2):
        Image.fromarray((picture(1, 96, number)[0, :, :40] * 255).byte().permute(1, 2, 0).numpy()).save(
            tmp_path / "mine" / f"{number}.png"
        )
    for model, method, channels in (
        ("marigold", "marigold_iid", ["albedo", "shading", "residual"]),
        ("rgb_to_x", "rgbx", ["albedo", "shading"]),
    ):
        plan = suite(model, folders["lighting" if model == "marigold" else model], method)
        photos = {"id": "photos", "path": str(tmp_path / "mine"), "size": 64, "channels": channels}
        run({**plan, "datasets": [photos]}, tmp_path / model)
        rows = load_records([tmp_path / model])
        assert set(rows["status"]) == {"ok"}
        assert rows["item"].nunique() == 2
        assert rows[rows["metric"] == "channel_reconstruction"]["value"].notna().all()
        assert set(rows[rows["metric"] == "albedo_error"]["reason"]) == {"the item's truth has no albedo"}


def suite(model: str, folder: Path, method: str, **dataset: Any) -> dict[str, Any]:
    return {
        "model": {"id": model, "path": str(folder), "device": "cpu"},
        "datasets": [{"id": "world_channels", "count": 1, "size": 64, **dataset}],
        "methods": [method],
        "metrics": ["albedo_error", "normal_error", "channel_reconstruction"],
        "any_size": True,
        "protocol": {"steps": 2, "guidance": 1.0},
    }


def test_a_sweep_scores_the_channels_that_a_checkpoint_has(folders: dict[str, Path], tmp_path: Path) -> None:
    channels = ["albedo", "shading", "residual"]
    run(suite("marigold", folders["lighting"], "marigold_iid", channels=channels), tmp_path / "a")
    rows = load_records([tmp_path / "a"]).set_index("metric")
    assert rows.loc[["albedo_error", "channel_reconstruction"], "value"].notna().all()
    assert rows.loc["normal_error", "reason"] == "the artifact has no normals"
    run(suite("rgb_to_x", folders["rgb_to_x"], "rgbx"), tmp_path / "b")
    assert load_records([tmp_path / "b"])["value"].notna().all()


def test_channels_that_a_model_does_not_make_are_refused_before_the_sweep(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    words = r"marigold makes the channels albedo, shading, residual, but item .* asks for albedo, normal, shading: add "
    with pytest.raises(SyncbenchError, match=words + r"--set 'world_channels.channels="):
        run(suite("marigold", folders["lighting"], "marigold_iid"), tmp_path / "a")
    with pytest.raises(SyncbenchError, match="rgb_to_x makes the channels"):
        run(suite("rgb_to_x", folders["rgb_to_x"], "rgbx", channels=["depth"]), tmp_path / "b")
