"""Recipes of clips and views: replicas of published folders, each compared with the library's own arithmetic."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from syncbench import run
from syncbench.bench.catalogue.fields import field_types
from syncbench.bench.catalogue.registry import load, load_class
from syncbench.bench.errors import SyncbenchError
from syncbench.bench.models.parts.cameras import looked_at, orbit_numbers
from syncbench.bench.models.parts.guidance import PerView
from syncbench.bench.models.parts.ldm import stock_config, stock_weights
from syncbench.bench.models.parts.levels import Discrete
from syncbench.bench.models.parts.placement import Memory, channels_last
from syncbench.bench.models.parts.vision import shrunk
from syncbench.bench.sampling.loop import Noise
from syncbench.bench.surfaces.shared import Apart
from syncbench.bench.types import Item, Sampling
from syncbench.datasets.world_views import WorldViews
from torch.nn import functional as F

from .. import coupled_replicas as replicas

SIDE = 8
"""Latent cells along a side of most pictures here."""
FULL: dict[str, tuple[str, dict[str, Any], int, int]] = {
    **{
        f"MotionAdapter {name}": ("MotionAdapter", replicas.ADAPTERS[name], parameters, tensors)
        for name, parameters, tensors in (
            ("v1-4", 417_137_600, 540),
            ("v1-5-2", 453_209_280, 567),
            ("v1-5-3", 417_137_600, 540),
            ("sdxl-beta", 236_779_200, 405),
        )
    },
    "MVDream": ("UNet2DConditionModel", stock_config(replicas.MVDREAM, ""), 867_572_164, 690),
    "Zero123++": ("UNet2DConditionModel", replicas.SD2, 865_910_724, 686),
    "SVD": ("UNetSpatioTemporalConditionModel", {}, 1_524_623_082, 1428),
    "SVD's codec": ("AutoencoderKLTemporalDecoder", replicas.SVD_VAE, 97_742_847, 374),
    "ModelScope": ("UNet3DConditionModel", {}, 1_411_233_860, 1480),
    "Wan": ("WanTransformer3DModel", replicas.WAN, 1_418_996_800, 825),
    "Wan's codec": ("AutoencoderKLWan", {}, 126_892_531, 194),
}
"""Class, published configuration where it is not the class's default, parameters and tensors."""


class Made(dict[str, Any]):
    """What is made when it is first asked for."""

    def __init__(self, make: Callable[[str], Any]) -> None:
        super().__init__()
        self.make = make

    def __missing__(self, name: str) -> Any:
        self[name] = self.make(name)
        return self[name]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder of every checkpoint."""
    root = tmp_path_factory.mktemp("checkpoints")
    return Made(lambda name: replicas.REPLICAS[name](root / name))


@pytest.fixture(scope="module")
def models(folders: dict[str, Path]) -> dict[str, Any]:
    """A model of every checkpoint."""
    return Made(lambda name: model_of(folders, name))


def model_of(folders: dict[str, Path], name: str, **options: Any) -> Any:
    more = {"adapter": str(folders["motion"])} if name == "sd_animatediff" else {}
    return load("models", name, {"path": str(folders[name]), "device": "cpu", **more, **options})


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def picture(side: int = 64) -> torch.Tensor:
    """A picture (1, 3, side, side) of 8 bits."""
    draw = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(1))
    return (draw * 255).round() / 255


def pil(image: torch.Tensor) -> Image.Image:
    return Image.fromarray((image[0].permute(1, 2, 0) * 255).round().byte().numpy())


@contextmanager
def steps_of(pipe: Any) -> Iterator[list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]]:
    """Within the context the list fills with (sample, guided output, next sample) of each step of a pipeline."""
    seen: list[Any] = []
    step = pipe.scheduler.step

    def recorded(output: Any, time: Any, sample: Any, **more: Any) -> Any:
        found = step(output, time, sample, **more)
        seen.append((sample, output, found[0]))
        return found

    pipe.scheduler.step = recorded
    pipe.set_progress_bar_config(disable=True)
    yield seen


def flat(clip: torch.Tensor) -> torch.Tensor:
    """(1, c, frames, h, w) -> (frames, c, h, w)."""
    return clip[0].transpose(0, 1)


def agree(found: torch.Tensor, expected: torch.Tensor) -> None:
    """To 1e-4 of the expected values' deviation."""
    torch.testing.assert_close(found, expected.to(found), atol=1e-4 * float(expected.detach().std()), rtol=1e-4)


# Structure


@pytest.mark.parametrize("name", FULL)
def test_published_sizes(name: str) -> None:
    kind, config, parameters, tensors = FULL[name]
    with torch.device("meta"):
        network = getattr(diffusers, kind)(**config)
    assert (sum(p.numel() for p in network.parameters()), len(network.state_dict())) == (parameters, tensors)


def test_original_names_of_mvdream_both_ways() -> None:
    config = stock_config(replicas.MVDREAM, "")
    with torch.device("meta"):
        weights = diffusers.UNet2DConditionModel(**config).state_dict()
    original = replicas.original_names(weights, 2)
    assert {"camera_embed.0.weight", "input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight"} <= set(original)
    assert {"output_blocks.2.1.conv.weight", "output_blocks.5.2.conv.weight", "out.2.bias"} <= set(original)
    for names in (original, {f"model.diffusion_model.{name}": value for name, value in original.items()}):
        back = stock_weights(names, config)
        assert {name: value.shape for name, value in back.items()} == {n: v.shape for n, v in weights.items()}
    with pytest.raises(ValueError, match="691 tensors, of which 690"):
        stock_weights({**original, "image_embed.norm.weight": torch.zeros(1)}, config)


# Noise levels


def table(beta_schedule: str) -> np.ndarray:
    """Squared shares of the picture at 1000 times, from the formulas of the two schedules."""
    ends = (0.00085, 0.012) if beta_schedule == "linear" else (0.00085**0.5, 0.012**0.5)
    betas = np.linspace(*ends, 1000) ** (1 if beta_schedule == "linear" else 2)
    return np.cumprod(1 - betas)


@pytest.mark.parametrize("name", ["sd_animatediff", "sd_zero123plus"])
def test_linear_betas(models: dict[str, Any], name: str) -> None:
    found = {level.t: level.a**2 for level in models[name].schedule(1000)}
    assert [found[t] for t in (0, 500, 999)] == pytest.approx([0.99915, 0.160772, 0.001579], rel=1e-3)
    assert [found[t] for t in range(1000)] == pytest.approx(table("linear"), rel=1e-4)


@pytest.mark.parametrize(
    ("name", "times"),
    [
        ("sd_animatediff", [999, 979, 958, 0]),
        ("sd_zero123plus", [999, 979, 959, 19]),
        ("sd_mvdream", [981, 961, 941, 1]),
        ("modelscope", [981, 961, 941, 1]),
    ],
)
def test_times(models: dict[str, Any], name: str, times: list[int]) -> None:
    levels = list(models[name].schedule(50))
    assert [level.t for level in (*levels[:3], levels[-1])] == times
    bars = table("linear" if name in ("sd_animatediff", "sd_zero123plus") else "scaled_linear")
    assert [level.a**2 for level in levels] == pytest.approx([bars[int(level.t)] for level in levels], rel=1e-4)


def test_continuous_levels_of_svd(models: dict[str, Any]) -> None:
    levels = list(models["svd"].schedule(25))
    sigmas = [level.b / level.a for level in levels]
    assert [*sigmas[:2], *sigmas[-2:]] == pytest.approx([700, 545.73, 0.0079, 0.002], rel=5e-3)
    assert levels[-1].b_next == 0
    assert [levels[i].t for i in (0, 1, -1)] == pytest.approx([1.6378, 1.5755, -1.5537], abs=1e-4)
    assert all(level.a**2 + level.b**2 == pytest.approx(1) for level in levels)


def test_shifted_flow_of_wan(models: dict[str, Any]) -> None:
    levels = list(models["wan"].schedule(28))
    assert [levels[i].b for i in (0, 1, 14, 27)] == pytest.approx([1, 0.9874, 0.7371, 0.0089], abs=1e-4)
    assert levels[-1].b_next == 0
    assert all(level.t == pytest.approx(1000 * level.b) for level in levels)


def test_zero_terminal_levels_of_cogvideox() -> None:
    facts = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000}
    facts |= {"snr_shift_scale": 3.0, "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    levels = list(Discrete({**facts, "set_alpha_to_one": True, "prediction_type": "v_prediction"}).schedule(1000))
    found = {level.t: level.a**2 for level in levels}
    assert [found[t] for t in (0, 500, 999)] == pytest.approx([0.997454, 0.095328, 0], rel=1e-3)


# One step equals the library


@pytest.mark.parametrize("follow", [False, True], ids=["alone", "with a ControlNet"])
def test_animatediff_steps_as_its_pipeline(folders: dict[str, Path], follow: bool) -> None:
    base = {"pretrained_model_name_or_path": folders["sd_animatediff"], "safety_checker": None}
    adapter = diffusers.MotionAdapter.from_pretrained(folders["motion"])
    schedule = {"beta_schedule": "linear", "beta_start": 0.00085, "beta_end": 0.012, "timestep_spacing": "linspace"}
    parts: dict[str, Any] = {
        "motion_adapter": adapter,
        "scheduler": diffusers.EulerDiscreteScheduler(**schedule, steps_offset=1),
    }
    depth = torch.rand(4, 1, 64, 64, generator=torch.Generator().manual_seed(2))
    more: dict[str, Any] = {}
    if follow:
        parts["controlnet"] = diffusers.ControlNetModel.from_pretrained(folders["control"])
        more["conditioning_frames"] = list(depth.expand(-1, 3, -1, -1))
    kind = diffusers.AnimateDiffControlNetPipeline if follow else diffusers.AnimateDiffPipeline
    pipe = kind.from_pretrained(**base, **parts)
    sizes = {"height": 64, "width": 64, "num_frames": 4, "output_type": "latent"}
    with steps_of(pipe) as seen:
        pipe("a dog", negative_prompt="fog", num_inference_steps=4, guidance_scale=7.5, latents=noise(1, 4, 4, 8, 8),
             **sizes, **more)  # fmt: skip
    model = model_of(folders, "sd_animatediff", **({"control": str(folders["control"])} if follow else {}))
    inputs = {"depth": depth} if follow else {}
    condition = model.condition(["a dog"] * 4, 7.5, "fog", together=True, **inputs)
    plain = model.condition(["a dog"] * 4, 7.5, "fog", together=True)
    levels = list(model.schedule(4))
    for level, (sample, output, following) in list(zip(levels, seen, strict=True))[:3]:
        x = level.a * flat(sample)  # a = 1 / sqrt(1 + sigma^2)
        x0, eps = model.predict(x, level, condition)
        agree(eps, flat(output))
        agree(x0, flat(sample) - level.b / level.a * flat(output))
        agree(level.move(x0, eps), level.a_next * flat(following))
        if follow:
            assert (eps - model.predict(x, level, plain)[1]).abs().max() > 1e-3
    alone = model.predict(x, level, model.condition(["a dog"] * 4, 7.5, "fog"))[0]
    assert (alone - x0).abs().max() > 1e-3, "temporal layers act only where views are denoised together"


def test_animatediff_samples_as_its_pipeline(folders: dict[str, Path]) -> None:
    """The whole loop, from noise to frames: the method against the pipeline, at the same levels."""
    schedule = {"beta_schedule": "linear", "beta_start": 0.00085, "beta_end": 0.012, "timestep_spacing": "linspace"}
    euler = diffusers.EulerDiscreteScheduler(**schedule, steps_offset=1, final_sigmas_type="sigma_min")
    adapter = diffusers.MotionAdapter.from_pretrained(folders["motion"], torch_dtype=torch.float64)
    pipe = diffusers.AnimateDiffPipeline.from_pretrained(
        folders["sd_animatediff"], motion_adapter=adapter, scheduler=euler, torch_dtype=torch.float64
    )
    pipe.set_progress_bar_config(disable=True)
    model = model_of(folders, "sd_animatediff", dtype="float64")
    protocol = Sampling(steps=4, guidance=7.5, negative="fog")
    item = Item(id="dog", family="frames", prompts=("a dog",), surface=Apart(3, 64, 64), protocol=protocol)
    start, levels = Noise(item.surface.canvas(model.factor), model, 5).alone(), list(model.schedule(4))
    latents = (start / levels[0].b).transpose(0, 1)[None]  # Euler's samples are x / a
    found = pipe("a dog", negative_prompt="fog", num_inference_steps=4, guidance_scale=7.5, height=64, width=64,
                 latents=latents, num_frames=3, output_type="latent").frames  # fmt: skip
    made = load("methods", "animatediff")(item, model, 5).views
    torch.testing.assert_close(made, model.decode(levels[-1].a_next * flat(found)).float(), rtol=0, atol=1e-4)
    assert (load("methods", "independent")(item, model, 5).views - made).abs().max() > 1e-2


def test_animatediff_xl_steps_as_its_pipeline(tmp_path: Path) -> None:
    folder, adapter = replicas.sdxl(tmp_path / "xl"), replicas.motion(tmp_path / "motion", "sdxl-beta")
    schedule = {"beta_schedule": "linear", "beta_start": 0.00085, "beta_end": 0.012, "timestep_spacing": "linspace"}
    pipe = diffusers.AnimateDiffSDXLPipeline.from_pretrained(
        folder,
        motion_adapter=diffusers.MotionAdapter.from_pretrained(adapter),
        scheduler=diffusers.EulerDiscreteScheduler(**schedule, steps_offset=1),
    )
    base = diffusers.UNet2DConditionModel.from_pretrained(folder / "unet")
    pipe.unet.add_embedding.load_state_dict(base.add_embedding.state_dict())  # which diffusers 0.42 forgets
    with steps_of(pipe) as seen:
        pipe("a dog", num_inference_steps=4, guidance_scale=5.0, latents=noise(1, 4, 3, 8, 8), height=64, width=64,
             num_frames=3, output_type="latent")  # fmt: skip
    model = load("models", "sd_animatediff", {"path": str(folder), "adapter": str(adapter), "device": "cpu"})
    assert (model.window, model.places) == (1024, (1, 32))
    condition = model.condition(["a dog"] * 3, 5.0, together=True)
    level, (sample, output, following) = next(iter(model.schedule(4))), seen[0]
    x0, eps = model.predict(level.a * flat(sample), level, condition)
    agree(eps, flat(output))
    agree(level.move(x0, eps), level.a_next * flat(following))


def test_svd_steps_as_its_pipeline(folders: dict[str, Path]) -> None:
    # in double precision, because a network of random weights enlarges rounding a thousand times
    pipe = diffusers.StableVideoDiffusionPipeline.from_pretrained(folders["svd"]).to(torch.float64)
    image, model = picture(128), model_of(folders, "svd", dtype="float64")
    drawn = {"latents": noise(1, 4, 4, 16, 16).double(), "generator": torch.Generator().manual_seed(0)}
    with steps_of(pipe) as seen:
        clip = pipe(pil(image), height=128, width=128, num_frames=4, num_inference_steps=3, min_guidance_scale=1.0,
                    max_guidance_scale=3.0, output_type="pt", **drawn).frames  # fmt: skip
    condition = model.condition([""] * 4, 3.0, together=True, image=image)
    for level, (sample, output, following) in zip(model.schedule(3), seen, strict=True):
        sigma = level.b / level.a
        x = level.a * sample[0]
        x0, eps = model.predict(x, level, condition)
        expected = sample[0] / (1 + sigma**2) - output[0] * sigma / (1 + sigma**2) ** 0.5
        agree(x0, expected)
        agree(eps, (sample[0] - expected) / sigma)
        agree(level.move(x0, eps), level.a_next * following[0])
    agree(model.decode_together(seen[-1][2][0]), clip[0])


def test_svd_is_told_of_motion_frame_rate_noise_and_the_clips_first_frame(
    folders: dict[str, Path], models: dict[str, Any]
) -> None:
    image, model = picture(), models["svd"]
    clip = torch.cat([image, 1 - image])
    x, level = noise(2, 4, 8, 8), list(model.schedule(3))[1]

    def answer(model: Any, **inputs: torch.Tensor) -> torch.Tensor:
        return model.predict(x, level, model.condition(["a", "b"], 2.0, together=True, **inputs))[0]

    plain = answer(model, image=image)
    assert torch.equal(plain, answer(model, video=clip)), "the first frame of a clip is its picture"
    for name, value in {"fps": 25, "motion": 20, "noise": 0.5}.items():
        other = model_of(folders, "svd", **{name: value})
        assert (answer(other, image=image) - plain).abs().max() > 1e-4, name
        assert other.revision != model.revision
    with pytest.raises(SyncbenchError, match="needs condition `image` or `video`"):
        answer(model)
    told = model.condition(["a"], 2.0, image=image).passes
    assert told[0]["time_ids"].tolist() == told[1]["time_ids"].tolist() == [[6.0, 127.0, pytest.approx(0.02)]]
    assert not told[0]["image"].any()
    assert not told[0]["text"].any()


def test_svd_decodes_a_clip_as_one(folders: dict[str, Path], models: dict[str, Any]) -> None:
    z, model = noise(4, 4, 4, 4), models["svd"]
    whole, apart, chunked = model.decode_together(z), model.decode(z), model_of(folders, "svd", chunk=2)
    assert (whole - apart).abs().max() > 1e-3
    agree(chunked.decode_together(z), torch.cat([model.decode_together(z[:2]), model.decode_together(z[2:])]))
    torch.testing.assert_close(apart[1:2], model.decode(z[1:2]), atol=1e-5, rtol=0)


def test_guidance_rises_over_a_clip_and_is_the_protocols_where_frames_are_alone() -> None:
    outputs = torch.zeros(4, 1, 1, 1), torch.ones(4, 1, 1, 1)
    assert PerView(1.0).combine(outputs, 4.0, True).flatten().tolist() == [1, 2, 3, 4]
    assert PerView(1.0).combine(outputs, 4.0, False).flatten().tolist() == [4] * 4


def test_towers_see_what_svd_shows_them() -> None:
    from diffusers.pipelines.stable_video_diffusion import pipeline_stable_video_diffusion as published

    for size in ((576, 1024), (300, 200)):
        image = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0)) * 2 - 1
        expected = published._resize_with_antialiasing(image, (224, 224))
        torch.testing.assert_close(shrunk(image, 224), expected, atol=1e-5, rtol=1e-5)


def test_modelscope_steps_as_its_pipeline(folders: dict[str, Path], models: dict[str, Any]) -> None:
    pipe = diffusers.TextToVideoSDPipeline.from_pretrained(folders["modelscope"])
    with steps_of(pipe) as seen:
        pipe("a dog", negative_prompt="fog", height=64, width=64, num_frames=3, num_inference_steps=4,
             guidance_scale=9.0, latents=noise(1, 4, 3, 8, 8), output_type="latent")  # fmt: skip
    model = models["modelscope"]
    condition = model.condition(["a dog"] * 3, 9.0, "fog", together=True)
    for level, (sample, output, following) in zip(model.schedule(4), seen, strict=True):
        x0, eps = model.predict(sample, level, condition)
        agree(eps, output)
        agree(x0, (sample - level.b * output) / level.a)
        agree(level.move(x0, eps), following)


def test_wan_steps_and_decodes_as_its_pipeline(folders: dict[str, Path], models: dict[str, Any]) -> None:
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0)
    pipe = diffusers.WanPipeline.from_pretrained(folders["wan"], scheduler=scheduler)
    with steps_of(pipe) as seen:
        clip = pipe("a dog", negative_prompt="fog", height=64, width=64, num_frames=9, num_inference_steps=3,
                    guidance_scale=5.0, latents=noise(1, 16, 3, 8, 8), max_sequence_length=512,
                    output_type="pt").frames  # fmt: skip
    model = models["wan"]
    condition = model.condition(["a dog"] * 3, 5.0, "fog", together=True)
    for level, (sample, output, following) in zip(model.schedule(3), seen, strict=True):
        x0, eps = model.predict(flat(sample), level, condition)
        agree(x0, flat(sample - level.b * output))
        agree(eps, flat(sample + (1 - level.b) * output))
        agree(level.move(x0, eps), flat(following))
    assert clip.shape == (1, 9, 3, 64, 64)
    agree(model.decode_together(flat(seen[-1][2])), clip[0])


def test_wan_codes_pictures_as_clips_of_one_frame(folders: dict[str, Path], models: dict[str, Any]) -> None:
    vae = diffusers.AutoencoderKLWan.from_pretrained(folders["wan"] / "vae")
    images, model = torch.cat([picture(), picture().flip(-1)]), models["wan"]
    mean, deviation = (torch.tensor(vae.config[n]).view(1, 16, 1, 1) for n in ("latents_mean", "latents_std"))
    codes = [vae.encode(image[None, :, None] * 2 - 1).latent_dist.mode()[:, :, 0] for image in images]
    agree(model.encode(images), (torch.cat(codes) - mean) / deviation)
    assert model.decode(noise(3, 16, 8, 8)).shape == (3, 3, 64, 64)
    assert (model.factor, model.pace, model.channels) == (8, 4, 16)


# Views, against attention written out


class Written:
    """Self-attention written out, with other tokens beside a row's own; `tokens(x)` says which."""

    def __init__(self, tokens: Any) -> None:
        self.tokens = tokens

    def __call__(self, attn: Any, hidden_states: torch.Tensor, **_: Any) -> torch.Tensor:
        others = self.tokens(self, hidden_states)
        heads = attn.heads
        q, k, v = (
            layer(x).unflatten(-1, (heads, -1)).transpose(1, 2)
            for layer, x in ((attn.to_q, hidden_states), (attn.to_k, others), (attn.to_v, others))
        )
        weight = torch.softmax(q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5, -1)
        return attn.to_out[0]((weight @ v).transpose(1, 2).flatten(2))


def hook(unet: Any, tokens: Any) -> None:
    kept = dict(unet.attn_processors)
    unet.set_attn_processor({name: Written(tokens) if "attn1" in name else kept[name] for name in kept})


def mvdream_camera(elevation: float, azimuth: float) -> np.ndarray:
    """Upstream's `get_camera` of one view: look at the origin from a unit sphere in OpenGL axes, rows to Blender's."""
    e, a = np.radians(elevation), np.radians(azimuth)
    place = np.array([np.cos(e) * np.sin(a), np.sin(e), np.cos(e) * np.cos(a)])
    right = np.cross(-place, [0, 1, 0])
    right /= np.linalg.norm(right)
    found = np.eye(4)
    found[:3, :3] = np.stack([right, np.cross(right, -place), place], 1)
    found[:3, 3] = place
    found[[1, 2]] = np.stack([-found[2], found[1]])
    return found.flatten()


def test_cameras_are_mvdreams() -> None:
    from syncbench.bench.world.stage import orbit_cameras

    for first, elevation in ((0.0, 15.0), (33.0, -10.0)):
        cameras = orbit_cameras(first + 90 * np.arange(4), elevation, 2.0)
        given = torch.from_numpy(cameras.to_world).float().reshape(4, 16)
        # azimuth 90 of upstream is the front, which is 0 here
        expected = np.stack([mvdream_camera(elevation, 90 + first + 90 * i) for i in range(4)])
        np.testing.assert_allclose(orbit_numbers(given).numpy(), expected, atol=1e-5)
    at = torch.tensor([0.3, -0.2, 0.5])
    ways = F.normalize(noise(5, 3), dim=1)
    torch.testing.assert_close(looked_at(at - 2 * ways, ways), at, atol=1e-5, rtol=0)
    torch.testing.assert_close(looked_at(at - 2 * ways[:1], ways[:1]), at - (at @ ways[0]) * ways[0])


@pytest.mark.parametrize("stock", [False, True], ids=["original names", "stock names"])
def test_mvdream_steps_as_written_out(folders: dict[str, Path], tmp_path: Path, stock: bool) -> None:
    plain = replicas.mvdream(tmp_path / "stock", stock=True)
    unet = diffusers.UNet2DConditionModel.from_pretrained(plain / "unet")
    model = load("models", "sd_mvdream", {"path": str(plain if stock else folders["sd_mvdream"]), "device": "cpu"})
    prompt, scale, z = "a dog", 7.5, noise(4, 4, 8, 8)
    item = WorldViews(size=64).items()[0]
    given = item.conditions["camera"]
    condition = model.condition([prompt] * 4, scale, "fog", together=True, camera=given)
    pipe = diffusers.StableDiffusionPipeline.from_pretrained(plain, unet=unet, safety_checker=None)
    words = ("fog", f"{prompt}, 3d asset")
    text = torch.cat([pipe.encode_prompt(p, "cpu", 1, False)[0].expand(4, -1, -1) for p in words])
    cameras = orbit_numbers(given)
    # each view attends to the tokens of all four of its pass
    hook(unet, lambda _, x: x.unflatten(0, (-1, 4)).flatten(1, 2).repeat_interleave(4, 0))
    bars = table("scaled_linear")
    for level, (t, following) in zip(list(model.schedule(4))[:3], pairwise((751, 501, 251, 1)), strict=True):
        with torch.no_grad():
            none, some = unet(torch.cat([z, z]), t, text, class_labels=cameras.repeat(2, 1)).sample.chunk(2)
        output = none + scale * (some - none)
        x0, eps = model.predict(z, level, condition)
        agree(eps, output)
        expected = (z - (1 - bars[t]) ** 0.5 * output) / bars[t] ** 0.5
        agree(x0, expected)
        z = bars[following] ** 0.5 * expected + (1 - bars[following]) ** 0.5 * output
        agree(level.move(x0, eps), z)
    apart = model.predict(z, level, model.condition([prompt] * 4, scale, "fog", camera=given))[0]
    turned = model.condition([prompt] * 4, scale, "fog", together=True, camera=given.roll(1, 0))
    shifted = model.predict(z, level, turned)[0]
    whole = model.predict(z, level, condition)[0]
    assert min(float((other - whole).abs().max()) for other in (apart, shifted)) > 1e-4


def test_zero123plus_steps_as_written_out(folders: dict[str, Path], models: dict[str, Any]) -> None:
    model, folder, image, scale = models["sd_zero123plus"], folders["sd_zero123plus"], picture(), 4.0
    from transformers import CLIPImageProcessor, CLIPVisionModelWithProjection

    unet = diffusers.UNet2DConditionModel.from_pretrained(folder / "unet")
    vae = diffusers.AutoencoderKL.from_pretrained(folder / "vae")
    tower = CLIPVisionModelWithProjection.from_pretrained(folder / "vision_encoder")
    small, large = (CLIPImageProcessor.from_pretrained(folder / f"feature_extractor_{n}") for n in ("clip", "vae"))
    pixels = large(images=pil(image), return_tensors="pt").pixel_values
    assert float(pixels.abs().max()) <= 0.6251
    with torch.no_grad():
        latents = torch.cat([vae.encode(p).latent_dist.mode() for p in (torch.zeros_like(pixels), pixels)])
        embedding = tower(small(images=pil(image), return_tensors="pt").pixel_values).image_embeds
    pipe = diffusers.StableDiffusionPipeline.from_pretrained(folder, unet=unet, vae=vae, safety_checker=None)
    empty = pipe.encode_prompt("", "cpu", 1, False)[0]
    ramp = torch.tensor(json.loads((folder / "model_index.json").read_text())["ramping_coefficients"])
    text = torch.cat([empty, empty + embedding[:, None] * ramp[None, :, None]])
    z = noise(6, 4, 8, 8)
    condition = model.condition(["a dog"] * 6, scale, together=True, image=image)
    mode, bars = {"store": True}, table("linear")

    def tokens(layer: Any, x: torch.Tensor) -> torch.Tensor:
        if mode["store"]:
            layer.kept = x
            return x
        return torch.cat([x, layer.kept], 1)

    hook(unet, tokens)
    for level, (t, following) in zip(list(model.schedule(4))[:3], pairwise((999, 749, 499, 249)), strict=True):
        a, b = bars[t] ** 0.5, (1 - bars[t]) ** 0.5
        canvas = torch.cat([torch.cat([z[2 * row], z[2 * row + 1]], -1) for row in range(3)], -2)[None]
        draw = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(level.index))
        with torch.no_grad():
            mode["store"] = True
            unet(a * latents + b * draw, t, text)
            mode["store"] = False
            none, some = unet(torch.cat([canvas, canvas]), t, text).sample.chunk(2)
        whole = none + scale * (some - none)
        output = torch.cat([whole[..., 8 * r : 8 * r + 8, 8 * c : 8 * c + 8] for r in range(3) for c in range(2)])
        x0, eps = model.predict(z, level, condition)
        agree(x0, a * z - b * output)
        agree(eps, a * output + b * z)
        z = bars[following] ** 0.5 * (a * z - b * output) + (1 - bars[following]) ** 0.5 * (a * output + b * z)
        agree(level.move(x0, eps), z)
    with torch.no_grad():
        decoded = vae.decode((z / 0.75 + 0.22) / 0.18215).sample
    agree(model.decode(z), (decoded / 0.5 * 0.8 / 2 + 0.5).clamp(0, 1))
    once = model.encode(picture())
    agree(once, (0.18215 * vae.encode((picture() * 2 - 1) * 0.5 / 0.8).latent_dist.mode() - 0.22) * 0.75)


# Through the methods of their families


def sweep(model: str, options: dict[str, Any], dataset: dict[str, Any], methods: list[str], out: Path) -> Any:
    suite = {
        **{"model": {"id": model, **options}, "datasets": [dataset], "methods": methods, "limit": 1, "any_size": True},
        **{"metrics": ["network_evaluations"], "protocol": {"steps": 2, "guidance": 2.0}},
    }
    frame = run(suite, out)
    assert set(frame["method"]) == set(methods)
    assert not frame["value"].isna().any()
    return frame.set_index("method")["value"]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of one's own."""
    import av

    path = tmp_path_factory.mktemp("clips") / "own.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=8)
        stream.width = stream.height = 64
        for shade in range(0, 250, 40):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), shade, np.uint8), format="rgb24")
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


@pytest.mark.parametrize("name", ["sd_animatediff", "svd", "modelscope", "wan"])
def test_clips_are_made_by_their_family(folders: dict[str, Path], clip: Path, tmp_path: Path, name: str) -> None:
    options = {"adapter": str(folders["motion"])} if name == "sd_animatediff" else {}
    options |= {"path": str(folders[name])}
    world = {"id": "world_videos", "frames": 5, "size": 64}
    own = {"id": "videos", "path": str(clip), "prompt": "a cat", "frames": 5, "size": 64}
    method = "stable_video" if name == "svd" else "animatediff"
    found = sweep(name, options, world, [method, "independent", "batch_attention"], tmp_path / "world")
    # guidance doubles evaluations; five frames of Wan's are two latents
    assert dict(found) == {method: 8 if name == "wan" else 20, "independent": 20, "batch_attention": 20}
    sweep(name, options, own, [method], tmp_path / "own")


def test_a_clip_from_a_picture_is_no_row_of_another_system(folders: dict[str, Path]) -> None:
    clips, pictures = load("methods", "animatediff", {}), load("methods", "stable_video", {})
    of_words, of_pictures = (
        model_of(folders, "sd_animatediff", adapter=str(folders["motion"])),
        model_of(folders, "svd"),
    )
    assert set(clips.requires) <= of_words.capabilities
    assert set(clips.requires) - of_pictures.capabilities == {"text"}
    assert set(pictures.requires) <= of_pictures.capabilities
    assert set(pictures.requires) - of_words.capabilities == {"image", "video"}
    assert set(pictures.requires) - load("models", "motion", {}).capabilities == {"video"}


def test_views_are_made_by_their_family(folders: dict[str, Path], tmp_path: Path) -> None:
    four, six = ({"id": "world_views", "views": n, "size": size} for n, size in ((4, 64), (6, 64)))
    methods = ["independent", "batch_attention"]
    found = sweep("sd_mvdream", {"path": str(folders["sd_mvdream"])}, four, ["mvdream", *methods], tmp_path / "four")
    assert dict(found) == dict.fromkeys(("mvdream", *methods), 16)
    methods = ["zero123plus", "independent"]
    found = sweep("sd_zero123plus", {"path": str(folders["sd_zero123plus"])}, six, methods, tmp_path / "six")
    assert dict(found) == {"zero123plus": 24, "independent": 24}


def test_clips_that_do_not_fill_latents_or_places_are_refused_before_the_first_job(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    def refused(name: str, frames: int, match: str, method: str = "animatediff", **options: str) -> None:
        dataset = {"id": "world_videos", "frames": frames, "size": 64}
        with pytest.raises(SyncbenchError, match=match):
            sweep(name, {"path": str(folders[name]), **options}, dataset, [method], tmp_path / "out")

    refused("wan", 8, "clips of 4 k \\+ 1 frames, not of 8: set frames to 5 or 9")
    refused("sd_animatediff", 40, "places for at most 32", adapter=str(folders["motion"]))
    refused("svd", 26, "places for at most 25", "stable_video")


# Folders that are something else


def edited(folder: Path, name: str, **values: Any) -> Path:
    content = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps({**content, **values}))
    return folder


MISFITS: dict[str, tuple[str, str, dict[str, Any], str]] = {
    "other channels": ("svd", "unet/config.json", {"in_channels": 12}, "in_channels = 12, not 8"),
    "another embedding": ("svd", "image_encoder/config.json", {"projection_dim": 768}, "projection_dim is 768"),
    "another prediction": ("svd", "scheduler/scheduler_config.json", {"prediction_type": "epsilon"}, "epsilon"),
    "other cameras": ("sd_mvdream", "unet/config.json", {"camera_dim": 12}, "camera_dim = 12, not 16"),
    "another network": ("sd_mvdream", "model_index.json", {"unet": ["imagedream", "Unet"]}, "never loaded"),
    "image to video": ("wan", "transformer/config.json", {"in_channels": 36}, "in_channels = 36, not 16"),
    "two networks": ("wan", "model_index.json", {"transformer_2": ["diffusers", "X"]}, "'transformer_2'"),
    "a picture network": ("modelscope", "model_index.json", {"unet": ["diffusers", "UNet2DConditionModel"]}, "UNet3D"),
}  # fmt: skip
"""Checkpoint, file, what it says instead, and words of the sentence."""


@pytest.mark.parametrize("case", MISFITS)
def test_a_misfit_is_one_sentence(folders: dict[str, Path], tmp_path: Path, case: str) -> None:
    name, file, values, words = MISFITS[case]
    copy = edited(Path(shutil.copytree(folders[name], tmp_path / "copy")), file, **values)
    with pytest.raises(SyncbenchError) as caught:
        load("models", name, {"path": str(copy), "device": "cpu"})
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_pickles_adapters_of_other_networks_and_missing_parts_are_refused(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    def refused(name: str, match: str, **options: str) -> None:
        with pytest.raises(SyncbenchError, match=match) as caught:
            load("models", name, {"device": "cpu", **options})
        assert "\n" not in str(caught.value)

    (tmp_path / "sd-v2.1-base-4view.pt").write_bytes(b"PK")
    refused("sd_mvdream", "is a pickle.*syncbench fetch", path=str(tmp_path / "sd-v2.1-base-4view.pt"))
    refused("sd_animatediff", "needs a motion adapter", path=str(folders["sd_animatediff"]))
    xl = str(replicas.motion(tmp_path / "xl", "sdxl-beta"))
    refused("sd_animatediff", "block_out_channels", path=str(folders["sd_animatediff"]), adapter=xl)
    second = edited(
        Path(shutil.copytree(folders["sd_animatediff"], tmp_path / "sd2")),
        "unet/config.json",
        use_linear_projection=True,
    )
    refused("sd_animatediff", "Stable Diffusion 2 checkpoint", path=str(second), adapter=str(folders["motion"]))
    short = edited(Path(shutil.copytree(folders["sd_zero123plus"], tmp_path / "z")), "model_index.json",
                   ramping_coefficients=[0.1] * 7)  # fmt: skip
    model = load("models", "sd_zero123plus", {"path": str(short), "device": "cpu"})
    with pytest.raises(SyncbenchError, match="7 ramping_coefficients for a text of 77"):
        model.condition(["a"] * 6, 2.0, image=picture())
    for part in ("feature_extractor_clip", "feature_extractor_vae"):
        bare = Path(shutil.copytree(folders["sd_zero123plus"], tmp_path / part))
        shutil.rmtree(bare / part)
        model = load("models", "sd_zero123plus", {"path": str(bare), "device": "cpu"})
        with pytest.raises(SyncbenchError, match=f"no {part}/preprocessor_config.json"):
            model.condition(["a"] * 6, 2.0, image=picture())
    weights = tmp_path / "m"
    shutil.copytree(folders["sd_mvdream"], weights)
    file = weights / "unet" / "diffusion_pytorch_model.safetensors"
    torch.save(load_file(file), file.with_suffix(".bin"))
    file.unlink()
    refused("sd_mvdream", "pickles, which run code", path=str(weights))


def test_half_precision_files_are_read_as_such(folders: dict[str, Path], tmp_path: Path) -> None:
    from safetensors.torch import save_file

    for name in ("sd_mvdream", "svd"):
        half = Path(shutil.copytree(folders[name], tmp_path / name))
        for file in half.rglob("*.safetensors"):
            weights = {
                key: value.half() if value.is_floating_point() else value for key, value in load_file(file).items()
            }
            save_file(weights, file.with_name(f"{file.stem}.fp16.safetensors"), {"format": "pt"})
            file.unlink()
        with pytest.raises(SyncbenchError, match=r"--set model.variant=fp16"):
            load("models", name, {"path": str(half), "device": "cpu"})
        model = load("models", name, {"path": str(half), "device": "cpu", "variant": "fp16"})
        model.ready()


def test_every_option_that_changes_what_is_computed_is_in_the_revision(
    folders: dict[str, Path], models: dict[str, Any], tmp_path: Path
) -> None:
    other = str(replicas.motion(tmp_path / "motion", "v1-5-3"))
    changed: dict[str, dict[str, Any]] = {
        "sd_animatediff": {"adapter": other, "control": str(folders["control"]), "dtype": "float16"},
        "sd_mvdream": {"suffix": "", "dtype": "float16"},
        "svd": {"fps": 8, "motion": 100, "noise": 0.1, "chunk": 2, "dtype": "float16"},
        **{name: {"dtype": "float16"} for name in ("sd_zero123plus", "modelscope", "wan")},
    }
    for name, options in changed.items():
        known = {*options, "path", "adapter", "variant", "commit", "device", "batch", *Memory.__annotations__}
        assert set(field_types(load_class("models", name))) <= known, "an option that no test knows"
        found = [model_of(folders, name, **{key: value}).revision for key, value in options.items()]
        assert len({models[name].revision, *found}) == 1 + len(found), name
        assert model_of(folders, name, batch=3).revision == models[name].revision


def test_half_precision_leaves_what_diffusers_keeps_whole(folders: dict[str, Path], models: dict[str, Any]) -> None:
    half, exact = model_of(folders, "wan", dtype="bfloat16"), models["wan"]
    expected = diffusers.WanTransformer3DModel.from_pretrained(
        folders["wan"] / "transformer", torch_dtype=torch.bfloat16
    )
    network = half.network.module()
    assert {n: p.dtype for n, p in network.named_parameters()} == {n: p.dtype for n, p in expected.named_parameters()}
    assert network.dtype == torch.bfloat16
    whole = dict(exact.network.module().state_dict(), **dict(exact.network.module().named_buffers()))
    kept = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    for name in ("rope.freqs_cos", "condition_embedder.time_embedder.linear_1.weight", "scale_shift_table"):
        assert torch.equal(kept[name], whole[name]), "never rounded"
    x, level = noise(2, 16, 8, 8), list(half.schedule(4))[1]
    x0, other = (m.predict(x, level, m.condition(["a"] * 2, 2.0, together=True))[0] for m in (half, exact))
    assert x0.dtype == torch.float32
    assert 0 < float((x0 - other).norm() / other.norm()) < 0.05


def test_three_dimensional_convolutions_are_no_obstacle_to_a_layout() -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(4, 4, 3), torch.nn.Conv3d(4, 4, 3))
    channels_last(network)
    assert network[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert network[1].weight.is_contiguous()
