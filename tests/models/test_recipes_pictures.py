"""Recipes for pictures: replicas in the published layout, published structures, one step as the libraries take it."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from safetensors.torch import load_file, save_file
from syncbench import run
from syncbench.bench.catalogue.fields import field_types
from syncbench.bench.catalogue.registry import load, load_class
from syncbench.bench.errors import SyncbenchError
from syncbench.bench.models.parts.attention import hook_is_live
from syncbench.bench.models.parts.native import native_size
from syncbench.bench.models.parts.picture_transformer import packed, places, unpacked
from syncbench.bench.models.parts.placement import Memory
from syncbench.methods.geometry import _second
from torch import Tensor

from ..picture_replicas import SD2, SD15, STRUCTURES, XL, made, original, saved

RECIPES = {
    "sd15": "diffusers",
    "xl": "diffusers",
    "sd2_depth": "sd2_depth",
    "instruct_pix2pix": "instruct_pix2pix",
    "inpainting": "inpainting",
    "sd3": "sd3",
    "sd35": "sd3",
    "flux": "flux",
    "schnell": "flux",
    "pixart": "pixart",
}
"""The recipe of every replica."""
NETS = {"depth": "ControlNet SD 1.5", "normal": "ControlNet SD 1.5"}
PROMPTS = ["a red boat", "a hill"]
NEGATIVE = "fog"
SIDE = 64
"""Pixels along a side of a view."""


@pytest.fixture(scope="session")
def replica(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folders of replicas, each written when it is first asked for."""
    known: dict[str, Path] = {}

    def folder(name: str) -> Path:
        if name not in known:
            place = tmp_path_factory.mktemp(name) / name
            if name in STRUCTURES:
                made(name, seed=len(known) + 5).save_pretrained(place)
            else:
                saved(name, place)
            known[name] = place
        return known[name]

    return folder


@pytest.fixture
def nets(replica: Callable[[str], Path], tmp_path: Path) -> dict[str, str]:
    """Two ControlNets of unlike weights, the second as half precision only."""
    second = tmp_path / "normal"
    made(NETS["normal"], seed=50).save_pretrained(second, variant="fp16")
    return {"depth": str(replica(NETS["depth"])), "normal": str(second)}


def model_of(folder: Path, name: str, **options: Any) -> Any:
    """The recipe's model, through the registry, with options as the command line gives them."""
    size = {"size": str(SIDE), "dtype": "float32"} if RECIPES[name] == "flux" else {}
    return load("models", RECIPES[name], {"path": str(folder), "device": "cpu", **size, **options})


# ---------------------------------------------------------------------------------------------- published structures


@pytest.mark.parametrize("name", STRUCTURES)
def test_the_full_structure_has_the_published_number_of_parameters(name: str) -> None:
    kind, config, parameters, tensors = STRUCTURES[name]
    with torch.device("meta"):
        network = getattr(diffusers, kind)(**config)
    found = sum(parameter.numel() for parameter in network.parameters())
    assert (found, len(network.state_dict())) == (parameters, tensors)


@pytest.mark.parametrize(
    ("config", "pixels"),
    [
        (SD15, 512),
        (SD15 | {"sample_size": 32}, 512),
        (SD2, 512),
        (SD2 | {"sample_size": 96}, 768),
        (SD2 | {"in_channels": 5, "sample_size": 32}, 512),
        (XL, 1024),
        (SD15 | {"in_channels": 8, "sample_size": 32}, 512),
        (SD2 | {"sample_size": 32, "class_embed_type": "projection"}, 256),
        (SD2 | {"sample_size": 32, "_class_name": "UNet3DConditionModel"}, 256),
        (SD2 | {"sample_size": [40, 72], "_class_name": "UNet3DConditionModel"}, 576),
        (SD15 | {"sample_size": 8, "block_out_channels": [32, 64, 64, 64]}, 64),
    ],
)
def test_the_native_size_is_the_published_one_where_the_configuration_is_wrong(config: Any, pixels: int) -> None:
    assert native_size({"_class_name": "UNet2DConditionModel", **config}, 8) == pixels


# --------------------------------------------------------------------------------------------- one step, as diffusers


class Watched:
    """A scheduler that remembers what its steps were given and what they answered."""

    def __init__(self, scheduler: Any) -> None:
        self.steps: list[tuple[Tensor, Tensor, Tensor]] = []
        self.sigmas: list[float] = []
        step, scheduler.step = scheduler.step, self._step
        self._ask, self._scheduler = step, scheduler

    def _step(self, output: Tensor, t: Any, sample: Tensor, **more: Any) -> Any:
        found = self._ask(output, t, sample, **more)
        self.steps.append((output.clone(), sample.clone(), found[0].clone()))
        self.sigmas = self._scheduler.sigmas.tolist()
        return found


def library(folder: Path, pipeline: str, euler: bool = True, **parts: Any) -> tuple[Any, Watched]:
    """diffusers' own pipeline of a folder.

    Its sampler is Euler's, which is DDIM's first-order step; second-order and stochastic ones are replaced by it.
    """
    pipe = getattr(diffusers, pipeline).from_pretrained(folder, local_files_only=True, **parts)
    if euler:
        config = {**pipe.scheduler.config, "prediction_type": "epsilon"}
        known = ("beta_start", "beta_end", "beta_schedule", "steps_offset", "timestep_spacing", "prediction_type")
        pipe.scheduler = diffusers.EulerDiscreteScheduler(**{k: config[k] for k in known if k in config})
    pipe.set_progress_bar_config(disable=True)
    return pipe, Watched(pipe.scheduler)


def agree(model: Any, condition: Any, watched: Watched, last: bool = False) -> None:
    """Our (x0, eps) and next state are those of an eps-predicting network under Euler's sampler, at every level.

    Its samples x0 + s eps are ours times sqrt(1 + s^2). `last`: whether both end at the same level.
    """
    levels = list(model.schedule(len(watched.steps)))
    for i, (level, (output, sample, after)) in enumerate(zip(levels, watched.steps, strict=True)):
        s, next_s = watched.sigmas[i], watched.sigmas[i + 1]
        assert level.b / level.a == pytest.approx(s, rel=2e-5)
        x0, eps = model.predict((sample / (1 + s * s) ** 0.5).to(model.dtype), level, condition)
        output = output[:, : x0.shape[1]]
        close(eps, output)
        close(x0, sample - s * output)
        if last or i < len(levels) - 1:
            close(level.move(x0, eps), after / (1 + next_s * next_s) ** 0.5)


def close(found: Tensor, expected: Tensor) -> None:
    """To 1e-4, of the largest number where that is above 1: guided differences of deep noise are tens."""
    scale = max(1.0, float(expected.abs().max()))
    torch.testing.assert_close(found / scale, expected.float() / scale, atol=1e-4, rtol=0)
    assert float(expected.std()) > 1e-3, "nothing to compare"


def noise(channels: int = 4, views: int = 2) -> Tensor:
    return torch.randn(views, channels, SIDE // 8, SIDE // 8, generator=torch.Generator().manual_seed(11))


def pixels(views: int = 2, channels: int = 3, seed: int = 12) -> Tensor:
    return torch.rand(views, channels, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


ASKED: dict[str, Any] = {
    "prompt": PROMPTS,
    "negative_prompt": [NEGATIVE] * 2,
    "num_inference_steps": 4,
    "guidance_scale": 5.0,
    "output_type": "latent",
}
SIZED = {"height": SIDE, "width": SIDE}


@pytest.mark.parametrize("name", ["sd15", "xl"])
def test_a_step_is_that_of_stable_diffusion(replica: Callable[[str], Path], name: str) -> None:
    folder = replica(name)
    guard = {} if name == "xl" else {"safety_checker": None, "feature_extractor": None}
    pipe, watched = library(folder, "StableDiffusionXLPipeline" if name == "xl" else "StableDiffusionPipeline", **guard)
    pipe(latents=noise(), **ASKED, **SIZED)
    model = model_of(folder, name)
    agree(model, model.condition(PROMPTS, 5.0, NEGATIVE), watched)


def test_a_step_is_that_of_stable_diffusion_with_two_controlnets(
    replica: Callable[[str], Path], nets: dict[str, str]
) -> None:
    folder, hints = replica("sd15"), {"depth": pixels(channels=1), "normal": pixels(seed=13)}
    loaded = [diffusers.ControlNetModel.from_pretrained(nets["depth"])]
    loaded += [diffusers.ControlNetModel.from_pretrained(nets["normal"], variant="fp16")]
    guard = {"safety_checker": None, "feature_extractor": None}
    pipe, watched = library(folder, "StableDiffusionControlNetPipeline", controlnet=loaded, **guard)
    pictures = [hints["depth"].expand(-1, 3, -1, -1), hints["normal"]]
    pipe(image=pictures, controlnet_conditioning_scale=[0.7, 0.9], latents=noise(), **ASKED, **SIZED)
    options = {"nets": json.dumps(nets), "scales": '{"depth": 0.7, "normal": 0.9}'}
    model = load("models", "controlnet", {"path": str(folder), "device": "cpu", **options})
    agree(model, model.condition(PROMPTS, 5.0, NEGATIVE, **hints), watched)


def test_a_step_is_that_of_stable_diffusion_xl_with_a_controlnet(replica: Callable[[str], Path]) -> None:
    folder, net, hint = replica("xl"), replica("ControlNet SD XL"), pixels(channels=1)
    control = diffusers.ControlNetModel.from_pretrained(net)
    pipe, watched = library(folder, "StableDiffusionXLControlNetPipeline", controlnet=control)
    scale = {"controlnet_conditioning_scale": 0.5}
    pipe(image=hint.expand(-1, 3, -1, -1), latents=noise(), **scale, **ASKED, **SIZED)
    options = {"nets": json.dumps({"depth": str(net)}), "scales": '{"depth": 0.5}'}
    model = load("models", "controlnet", {"path": str(folder), "device": "cpu", **options})
    agree(model, model.condition(PROMPTS, 5.0, NEGATIVE, depth=hint), watched)


def test_a_step_is_that_of_stable_diffusion_2_with_depth(replica: Callable[[str], Path]) -> None:
    folder, depth = replica("sd2_depth"), pixels(channels=1)
    pipe, watched = library(folder, "StableDiffusionDepth2ImgPipeline", depth_estimator=None, feature_extractor=None)
    pipe(image=pixels(seed=20), depth_map=depth[:, 0], strength=1.0, **ASKED)
    model = model_of(folder, "sd2_depth")
    agree(model, model.condition(PROMPTS, 5.0, NEGATIVE, depth=depth), watched)


def test_a_step_is_that_of_instruct_pix2pix(replica: Callable[[str], Path]) -> None:
    folder, image = replica("instruct_pix2pix"), pixels()
    guard = {"safety_checker": None, "feature_extractor": None}
    pipe, watched = library(folder, "StableDiffusionInstructPix2PixPipeline", **guard)
    pipe(image=image, image_guidance_scale=1.3, latents=noise(), **ASKED)
    model = model_of(folder, "instruct_pix2pix", image_guidance="1.3")
    agree(model, model.condition(PROMPTS, 5.0, NEGATIVE, image=image), watched)


def test_a_step_is_that_of_inpainting(replica: Callable[[str], Path]) -> None:
    folder, image, mask = replica("inpainting"), pixels(), (pixels(channels=1, seed=30) > 0.7).float()
    guard = {"safety_checker": None, "feature_extractor": None}
    pipe, watched = library(folder, "StableDiffusionInpaintPipeline", **guard)
    pipe(image=image, mask_image=mask, strength=1.0, latents=noise(), **ASKED, **SIZED)
    model = model_of(folder, "inpainting")
    agree(model, model.condition(PROMPTS, 5.0, NEGATIVE, image=image, mask=mask), watched)
    with pytest.raises(SyncbenchError, match="one channel of the size of `image`"):
        model.condition(PROMPTS, 5.0, image=image, mask=mask[..., :32])


def test_a_step_is_that_of_pixart(replica: Callable[[str], Path]) -> None:
    folder = replica("pixart")
    pipe, watched = library(folder, "PixArtSigmaPipeline")
    asked = {**ASKED, "negative_prompt": NEGATIVE}
    pipe(latents=noise(), use_resolution_binning=False, clean_caption=False, **asked, **SIZED)
    model = model_of(folder, "pixart")
    agree(model, model.condition(PROMPTS, 5.0, NEGATIVE), watched, last=True)


def flows(model: Any, condition: Any, watched: Watched, latents: Callable[[Tensor], Tensor]) -> None:
    """Our (x0, eps) and next state are those of a flow-predicting network under Euler's sampler, at every level."""
    levels = list(model.schedule(len(watched.steps)))
    for i, (level, (output, sample, after)) in enumerate(zip(levels, watched.steps, strict=True)):
        s = watched.sigmas[i]
        assert (level.a, level.b) == pytest.approx((1 - s, s), abs=1e-6)
        x, velocity = latents(sample), latents(output)
        x0, eps = model.predict(x, level, condition)
        close(x0, x - s * velocity)
        close(eps, x + (1 - s) * velocity)
        close(level.move(x0, eps), latents(after))


@pytest.mark.parametrize("name", ["sd3", "sd35"])
def test_a_step_is_that_of_stable_diffusion_3(replica: Callable[[str], Path], name: str) -> None:
    """3.5 without T5: its tokens are zeros then."""
    folder = replica(name)
    absent = {} if name == "sd3" else {"text_encoder_3": None, "tokenizer_3": None}
    pipe, watched = library(folder, "StableDiffusion3Pipeline", euler=False, **absent)
    pipe(latents=noise(16), **ASKED, **SIZED)
    model = model_of(folder, name)
    flows(model, model.condition(PROMPTS, 5.0, NEGATIVE), watched, lambda x: x)


@pytest.mark.parametrize("name", ["flux", "schnell"])
def test_a_step_is_that_of_flux(replica: Callable[[str], Path], name: str) -> None:
    folder = replica(name)
    pipe, watched = library(folder, "FluxPipeline", euler=False)
    words = {"max_sequence_length": 512 if name == "flux" else 256}
    asked = {"prompt": PROMPTS, "num_inference_steps": 4, "guidance_scale": 5.0, "output_type": "latent"}
    pipe(latents=packed(noise(16)), **asked, **SIZED, **words)
    model = model_of(folder, name)
    flows(model, model.condition(PROMPTS, 5.0), watched, lambda x: unpacked(x, SIDE // 8, SIDE // 8))


def test_packing_is_that_of_flux() -> None:
    x = torch.randn(2, 16, 6, 10)
    theirs = diffusers.FluxPipeline
    torch.testing.assert_close(packed(x), theirs._pack_latents(x, 2, 16, 6, 10))
    torch.testing.assert_close(unpacked(packed(x), 6, 10), x)
    expected = theirs._prepare_latent_image_ids(2, 3, 5, torch.device("cpu"), torch.float32)
    torch.testing.assert_close(places(3, 5), expected)


def test_flux_levels_are_those_of_a_window_whatever_its_canvas(replica: Callable[[str], Path]) -> None:
    folder = replica("flux")
    wide = model_of(folder, "flux", size="1024").schedule(4)
    assert wide.b[1] == pytest.approx(0.9045, abs=1e-3)
    small = model_of(folder, "flux", size="512").schedule(4)
    assert small.b[1] < wide.b[1] - 0.01, "fewer tokens are shifted less"
    guided, plain = (model_of(folder, "flux").condition(PROMPTS, scale).given["guidance"] for scale in (5.0, 3.5))
    assert (guided.tolist(), plain.tolist()) == ([5.0, 5.0], [3.5, 3.5])


# ------------------------------------------------------------------------------------------- sampling by the suite


STRIP: dict[str, Any] = {"id": "panoramas", "width": 96, "height": SIDE, "window": SIDE}
MESH: dict[str, Any] = {"id": "world_meshes", "size": SIDE, "views": 2, "held": 1}
CLIP: dict[str, Any] = {"id": "world_videos", "size": SIDE, "frames": 2}
OVERLAP = ["independent", {"id": "multidiffusion", "stride": 0.5}, "batch_attention"]
GEOMETRY = ["independent", "synctweedies", "batch_attention"]
TEXTURING: list[Any] = [
    *(
        "independent",
        "texture",
        "text2tex",
        "texfusion",
        "syncmvd",
        "paint3d",
        "stochsync",
        "texpainter@reencode",
        "diff3f",
    ),
    *({"id": "texpainter", "iterations": 2}, {"id": "fantasia3d", "rounds": 1, "entries": 12}),
]
"""What textures a mesh, with as little work as it can do."""


def sweep(model: dict[str, Any], dataset: dict[str, Any], methods: list[Any], out: Path) -> Any:
    """A data frame of one item of a data set."""
    suite = {
        "datasets": [dataset],
        "methods": methods,
        "metrics": ["network_evaluations", "sharpness"],
        "limit": 1,
        "any_size": True,
    }
    return run({**suite, "model": {**model, "device": "cpu"}, "protocol": {"steps": 2, "guidance": 3.0}}, out)


def sampled(frame: Any, rows: int, methods: int = 3) -> None:
    """Every method made the item, with so many rows of the network per view and step, and none is like another."""
    assert set(frame["status"]) == {"ok"}, frame["reason"].tolist()
    evaluations = frame[frame["metric"] == "network_evaluations"].set_index("method")["value"]
    assert len(evaluations) == methods
    assert evaluations["independent"] == 2 * 2 * rows
    assert frame[frame["metric"] == "sharpness"]["value"].nunique() == methods, "methods change nothing"


@pytest.mark.parametrize("name", ["xl", "sd3", "flux", "pixart"])
def test_text_to_image_checkpoints_sample_a_strip(replica: Callable[[str], Path], name: str, tmp_path: Path) -> None:
    size = {"size": SIDE, "dtype": "float32"} if name == "flux" else {}
    frame = sweep({"id": RECIPES[name], "path": str(replica(name)), **size}, STRIP, OVERLAP, tmp_path / "out")
    sampled(frame, rows=1 if name == "flux" else 2)


def test_controlnets_paint_a_mesh(replica: Callable[[str], Path], tmp_path: Path) -> None:
    model = {"id": "controlnet", "path": str(replica("sd15")), "nets": {"depth": str(replica(NETS["depth"]))}}
    sampled(sweep(model, MESH, GEOMETRY, tmp_path / "out"), rows=2)
    strip = sweep(model, STRIP, ["independent"], tmp_path / "strip")
    assert strip["value"].isna().all()
    assert strip["reason"].str.contains("model controlnet needs condition `depth`").all()


def test_stable_diffusion_2_with_depth_paints_a_mesh(replica: Callable[[str], Path], tmp_path: Path) -> None:
    model = {"id": "sd2_depth", "path": str(replica("sd2_depth"))}
    sampled(sweep(model, MESH, GEOMETRY, tmp_path / "out"), rows=2)


@pytest.mark.parametrize("name", ["controlnet", "sd2_depth"])
def test_methods_of_given_geometry_run_on_depth_checkpoints(
    replica: Callable[[str], Path], name: str, tmp_path: Path
) -> None:
    model: dict[str, Any] = {"id": name, "path": str(replica("sd15" if name == "controlnet" else name))}
    model |= {"nets": {"depth": str(replica(NETS["depth"]))}} if name == "controlnet" else {}
    frame = sweep(model, MESH | {"views": 3}, TEXTURING, tmp_path / "out")  # of which neighbours see common texels
    assert set(frame["status"]) == {"ok"}, frame["reason"].tolist()
    counted = frame[frame["metric"] == "network_evaluations"].set_index("method")["value"]
    assert counted["independent"] == counted["texture"] == counted["texfusion"] == counted["syncmvd"] == 3 * 2 * 2
    # At this size a latent cell is as wide as the object, so that those which paint view after view keep nothing.
    assert frame[frame["metric"] == "sharpness"]["value"].nunique() >= len(TEXTURING) - 1


def test_texture_paints_some_steps_by_an_inpainting_checkpoint(replica: Callable[[str], Path], tmp_path: Path) -> None:
    model = {"id": "sd2_depth", "path": str(replica("sd2_depth"))}
    second = {"id": "texture", "inpainter": str(replica("inpainting")), "inpainting_begin": 0.5, "inpainting_end": 1.0}
    methods = ["independent", "texture", second]
    sampled(sweep(model, MESH, methods, tmp_path / "out"), rows=2, methods=3)
    away = load("methods", "texture", {"inpainter": "nobody/nothing"})
    assert away.loads() == {}
    assert "syncbench fetch nobody/nothing" in away.lacks(load("datasets", "world_meshes").items()[0])
    assert set(load("methods", "texture", {"inpainter": second["inpainter"]}).loads()) == {"inpainter_weights"}
    assert load("methods", "texture@inpainting").inpainter == _second.SECOND


def test_second_checkpoints_stay_loaded_and_the_model_pays_for_them(
    replica: Callable[[str], Path], tiny_codec: Path
) -> None:
    model, other = (load("models", "sd2_depth", {"path": str(replica("sd2_depth")), "device": "cpu"}) for _ in range(2))
    path = str(replica("inpainting"))
    painter = _second.inpainting(path, model)
    assert painter.cost is model.cost
    assert _second.inpainting(path, other) is painter
    assert painter.cost is other.cost
    latents = torch.zeros(3, model.channels, 2, 2)
    before = model.cost.decodes
    loads = _second._tiny.cache_info().misses
    pictures = [_second.tiny_decoder(str(tiny_codec), one)(latents) for one in (model, model)]
    assert _second._tiny.cache_info().misses == loads + 1
    assert torch.equal(*pictures)
    assert model.cost.decodes - before == 2 * 3


@pytest.fixture
def tiny_codec(tmp_path: Path) -> Path:
    """A small decoder of few random weights."""
    import diffusers

    small = {"num_encoder_blocks": (1, 1, 1, 1), "num_decoder_blocks": (1, 1, 1, 1), "latent_channels": 4}
    wide: Any = {"encoder_block_out_channels": (8,) * 4, "decoder_block_out_channels": (8,) * 4}
    diffusers.AutoencoderTiny(**small, **wide).save_pretrained(tmp_path / "small")
    return tmp_path / "small"


def test_texpainter_optimises_through_a_small_decoder(
    replica: Callable[[str], Path], tiny_codec: Path, tmp_path: Path
) -> None:
    model = {"id": "sd2_depth", "path": str(replica("sd2_depth"))}
    plain: dict[str, Any] = {"id": "texpainter", "iterations": 2}
    methods = ["independent", plain, plain | {"decoder": str(tiny_codec)}]
    sampled(sweep(model, MESH, methods, tmp_path / "out"), rows=2, methods=3)
    away = load("methods", "texpainter", {"decoder": "nobody/nothing"})
    assert "syncbench fetch nobody/nothing" in away.lacks(load("datasets", "world_meshes").items()[0])


def test_instruct_pix2pix_edits_a_clip(replica: Callable[[str], Path], tmp_path: Path) -> None:
    model = {"id": "instruct_pix2pix", "path": str(replica("instruct_pix2pix")), "picture": "video"}
    sampled(sweep(model, CLIP, ["independent", "batch_attention"], tmp_path / "out"), rows=3, methods=2)


# ------------------------------------------------------------------------------------------ identity and misfits


OTHER: dict[str, dict[str, Any]] = {
    "sd2_depth": {"normalise": "shared"},
    "instruct_pix2pix": {"picture": "video", "image_guidance": 2.0},
    "sd3": {},
    "inpainting": {},
    "flux": {"size": 128},
    "pixart": {},
    "controlnet": {"scales": {"depth": 0.5}},
}
"""Another value of every option of every recipe that changes what is computed."""
MEMORY = Memory.__annotations__
ELSEWHERE = {"path", "nets", "file", "commit", "variant", "device", "batch", "dtype", *MEMORY}
"""Options that name weights, whose contents count; those of every checkpoint, which `test_models` tries."""


@pytest.mark.parametrize("name", OTHER)
def test_every_option_that_changes_what_is_computed_is_in_the_revision(
    replica: Callable[[str], Path], name: str
) -> None:
    given: dict[str, Any] = {"path": str(replica("sd15" if name == "controlnet" else name)), "device": "cpu"}
    given |= {"nets": {"depth": str(replica(NETS["depth"]))}} if name == "controlnet" else {}
    options = set(field_types(load_class("models", name)))
    assert options == {*OTHER[name], *(options & ELSEWHERE)}, "an option that no test knows"
    plain = load("models", name, given).revision
    found = [load("models", name, {**given, key: value}).revision for key, value in OTHER[name].items()]
    other = "float64" if load("models", name, given).precision == torch.float32 else "float32"
    found.append(load("models", name, {**given, "dtype": other}).revision)
    assert len({plain, *found}) == 1 + len(found)
    assert load("models", name, {**given, "batch": 3}).revision == plain


def test_the_weights_of_every_part_are_in_the_revision(replica: Callable[[str], Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(replica("flux"), tmp_path / "flux"))
    known = {model_of(folder, "flux").revision}
    for part in ("transformer", "vae", "text_encoder", "text_encoder_2"):
        [path] = (folder / part).glob("*.safetensors")
        weights = load_file(path)
        save_file({name: value + 0.5 for name, value in weights.items()}, path, {"format": "pt"})
        known.add(model_of(folder, "flux").revision)
    assert len(known) == 5


def edited(folder: Path, name: str, **values: Any) -> None:
    content = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps({**content, **values}))


def whole(place: Path) -> None:
    """Nothing is wrong with the folder itself."""


MISFITS: dict[str, tuple[str, str, Callable[[Path], None], str]] = {
    "text to image as InstructPix2Pix": (
        "sd15",
        "instruct_pix2pix",
        whole,
        r"in_channels = 4, not 8; that is a",
    ),
    "depth as text to image": ("sd2_depth", "diffusers", whole, r"--model sd2_depth"),
    "inpainting as text to image": ("inpainting", "diffusers", whole, r"extra image inputs.*--model inpainting"),
    "inpainting as depth": (
        "sd2_depth",
        "sd2_depth",
        lambda f: edited(f, "unet/config.json", in_channels=9),
        r"is not Stable Diffusion 2 with depth: its unet has in_channels = 9, not 5; that is an inpainting network",
    ),
    "a camera network": (
        "sd2_depth",
        "sd2_depth",
        lambda f: edited(f, "unet/config.json", class_embed_type="projection"),
        r"class_embed_type = projection, not None",
    ),
    "text of another width": (
        "instruct_pix2pix",
        "instruct_pix2pix",
        lambda f: edited(f, "unet/config.json", cross_attention_dim=1024),
        r"unet.cross_attention_dim is 1024, and text_encoder.hidden_size is 32: they are of unlike",
    ),
    "SD3 as diffusers": ("sd3", "diffusers", whole, r"--model sd3"),
    "FLUX as diffusers": ("flux", "diffusers", whole, r"--model flux"),
    "XL as SD3": ("xl", "sd3", whole, r"has a part 'unet'"),
    "codec of another checkpoint": (
        "sd3",
        "sd3",
        lambda f: edited(f, "vae/config.json", latent_channels=4),
        r"transformer.in_channels is 16, and vae.latent_channels is 4",
    ),
    "FLUX with a codec of 4 channels": (
        "flux",
        "flux",
        lambda f: edited(f, "vae/config.json", latent_channels=4),
        r"transformer.in_channels is 64",
    ),
    "PixArt-alpha": (
        "pixart",
        "pixart",
        lambda f: edited(f, "transformer/config.json", use_additional_conditions=True),
        r"is not PixArt-Sigma: its transformer has use_additional_conditions = True",
    ),
    "custom code": (
        "pixart",
        "pixart",
        lambda f: edited(f, "model_index.json", transformer=["my_code", "Mine"]),
        r"my_code.Mine as its transformer.*code from elsewhere is never loaded",
    ),
    "pickle": (
        "sd3",
        "sd3",
        lambda f: pickled(f / "transformer"),
        r"its .bin files are pickles",
    ),
    "no second tokenizer": (
        "flux",
        "flux",
        lambda f: shutil.rmtree(f / "tokenizer_2"),
        r"no vocabulary for its tokenizer_2",
    ),
    "sentencepiece": ("flux", "flux", lambda f: pieces(f / "tokenizer_2"), r"pip install sentencepiece"),
    "no codec": (
        "flux",
        "flux",
        lambda f: edited(f, "model_index.json", vae=[None, None]),
        r"lists no vae, as FLUX.1 does",
    ),
    "half precision only": (
        "pixart",
        "pixart",
        lambda f: renamed(f / "transformer"),
        r"--set model.variant=fp16",
    ),
}
"""A replica, the recipe that it is given to, what is changed, and words of the sentence."""


def pickled(place: Path) -> None:
    torch.save({}, place / "diffusion_pytorch_model.bin")
    (place / "diffusion_pytorch_model.safetensors").unlink()


def pieces(place: Path) -> None:
    (place / "tokenizer.json").unlink()
    (place / "spiece.model").write_bytes(b"pieces")


def renamed(place: Path) -> None:
    path = place / "diffusion_pytorch_model.safetensors"
    path.rename(path.with_suffix(".fp16.safetensors"))


@pytest.mark.parametrize("name", MISFITS)
def test_a_misfit_is_one_sentence_that_names_the_difference(
    replica: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    source, recipe, damage, words = MISFITS[name]
    if name == "sentencepiece" and find_spec("sentencepiece"):
        pytest.skip("sentencepiece is installed here")
    folder = Path(shutil.copytree(replica(source), tmp_path / "folder"))
    damage(folder)
    with pytest.raises(SyncbenchError, match=words) as caught:
        load("models", recipe, {"path": str(folder), "device": "cpu"})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("net", "words"),
    [
        (
            {"cross_attention_dim": 1024},
            r"cross_attention_dim = 1024 \(as Stable Diffusion 2.x\), and the network has",
        ),
        ({"block_out_channels": [320, 640, 1280, 1280]}, r"block_out_channels = \[320, 640, 1280, 1280\]"),
        ({"_class_name": "ControlNetUnionModel"}, r"it holds a ControlNetUnionModel, not a ControlNetModel"),
        ({"addition_embed_type": "text_time"}, r"addition_embed_type = text_time, and the network has None"),
    ],
)
def test_a_controlnet_of_another_family_is_refused(
    replica: Callable[[str], Path], tmp_path: Path, net: dict[str, Any], words: str
) -> None:
    place = Path(shutil.copytree(replica(NETS["depth"]), tmp_path / "net"))
    edited(place, "config.json", **net)
    with pytest.raises(SyncbenchError, match=words):
        load("models", "controlnet", {"path": str(replica("sd15")), "nets": {"depth": str(place)}, "device": "cpu"})


def test_a_controlnet_that_is_not_named_or_is_a_pipeline_is_refused(replica: Callable[[str], Path]) -> None:
    base = {"path": str(replica("sd15")), "device": "cpu"}
    net = str(replica(NETS["depth"]))
    for more, words in (
        ({}, "needs ControlNets"),
        ({"nets": {"depth": str(replica("xl"))}}, "it is a whole pipeline's"),
        ({"nets": {"depth": "nobody/nothing"}}, "is not on this machine"),
        ({"nets": {"depth": net}, "scales": {"canny": 1}}, "a scale for 'canny' and no network"),
        ({"nets": {"depth": net}, "scales": {"depth": -1}}, "greater than or equal to 0"),
    ):
        with pytest.raises(SyncbenchError, match=words):
            load("models", "controlnet", {**base, **more})
    with pytest.raises(SyncbenchError, match="model sd3 needs a checkpoint"):
        load("models", "sd3")


def test_weights_that_lack_tensors_are_refused_and_not_drawn(replica: Callable[[str], Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(replica("sd15"), tmp_path / "folder"))
    path = folder / "text_encoder" / "model.safetensors"
    weights = load_file(path)
    save_file({k: v for k, v in weights.items() if "final_layer_norm.weight" not in k}, path, {"format": "pt"})
    with pytest.raises(SyncbenchError, match=r"lack 1 tensors, such as 'final_layer_norm.weight'"):
        load("models", "diffusers", {"path": str(folder), "device": "cpu"}).ready()


def test_hints_have_the_size_and_the_channels_of_the_view(replica: Callable[[str], Path]) -> None:
    nets = {"depth": str(replica(NETS["depth"]))}
    model = load("models", "controlnet", {"path": str(replica("sd15")), "nets": nets, "device": "cpu"})
    level = next(iter(model.schedule(2)))
    small = model.condition(PROMPTS, 1.0, depth=torch.rand(2, 1, 32, 32))
    with pytest.raises(SyncbenchError, match=r"`depth` has 32x32 pixels, and the view that it belongs to has 64x64"):
        model.predict(noise(), level, small)
    with pytest.raises(SyncbenchError, match="has 2 channels, and the model reads 3"):
        model.condition(PROMPTS, 1.0, depth=torch.rand(2, 2, SIDE, SIDE))
    with pytest.raises(SyncbenchError, match="needs condition `depth`"):
        model.condition(PROMPTS, 1.0)


def test_a_scale_of_zero_is_the_base(replica: Callable[[str], Path]) -> None:
    given = {"path": str(replica("sd15")), "nets": {"depth": str(replica(NETS["depth"]))}, "device": "cpu"}
    base = load("models", "diffusers", {"path": given["path"], "device": "cpu"})
    level, x, hint = list(base.schedule(4))[2], noise(), pixels(channels=1)
    plain = base.predict(x, level, base.condition(PROMPTS, 3.0))[0]
    found = {}
    for scale in (0.0, 1.0):
        model = load("models", "controlnet", {**given, "scales": {"depth": scale}})
        found[scale] = model.predict(x, level, model.condition(PROMPTS, 3.0, depth=hint))[0]
    torch.testing.assert_close(found[0.0], plain, atol=1e-4, rtol=1e-4)
    assert (found[1.0] - plain).abs().max() > 1e-2


def test_depth_is_stretched_a_view_or_all_together(replica: Callable[[str], Path]) -> None:
    folder, depth = replica("sd2_depth"), pixels(channels=1)
    depth[1] *= 0.5
    rows = {
        how: model_of(folder, "sd2_depth", normalise=how).condition(PROMPTS, 1.0, depth=depth).given["depth"]
        for how in ("per_view", "shared")
    }
    for view in rows["per_view"]:
        assert (float(view.min()), float(view.max())) == pytest.approx((-1, 1))
    assert (float(rows["shared"].min()), float(rows["shared"].max())) == pytest.approx((-1, 1))
    assert float(rows["shared"][1].max()) < 0.5, "the second view is half as near"
    assert rows["shared"].shape == (2, 1, SIDE // 8, SIDE // 8)
    depth[1] = 0.3
    with pytest.raises(SyncbenchError, match="the same everywhere in view 1"):
        model_of(folder, "sd2_depth").condition(PROMPTS, 1.0, depth=depth)
    model_of(folder, "sd2_depth", normalise="shared").condition(PROMPTS, 1.0, depth=depth)
    with pytest.raises(SyncbenchError, match="the same everywhere in all views"):
        model_of(folder, "sd2_depth", normalise="shared").condition(PROMPTS, 1.0, depth=torch.full_like(depth, 0.3))


@pytest.mark.parametrize(("name", "channel"), [("sd2_depth", 4), ("instruct_pix2pix", 4)])
def test_the_condition_stands_behind_the_noise(replica: Callable[[str], Path], name: str, channel: int) -> None:
    """Planted constants: a first layer that reads one channel of its input sees the condition there."""
    given = {"depth": pixels(channels=1)} if name == "sd2_depth" else {"image": pixels()}
    model = model_of(replica(name), name)
    seen: list[Tensor] = []
    hook = model.network.module().conv_in.register_forward_pre_hook(lambda module, args: seen.append(args[0].clone()))
    condition, x = model.condition(PROMPTS, 3.0, **given), noise()
    model.predict(x, next(iter(model.schedule(4))), condition)
    hook.remove()
    rows = torch.cat([one["depth" if name == "sd2_depth" else "image"] for one in condition.passes])
    assert torch.equal(seen[0][:, :4], torch.cat([x] * len(condition.passes)))
    assert torch.equal(seen[0][:, channel:], rows)
    if name == "instruct_pix2pix":
        nothing, image, both = condition.passes
        assert not nothing["image"].any()
        assert torch.equal(image["image"], both["image"])
        assert torch.equal(nothing["text"], image["text"])
        raw = model.codec.raw(given["image"])
        torch.testing.assert_close(both["image"], raw, msg="the mean, not scaled")


@pytest.mark.parametrize("name", ["sd3", "flux", "pixart"])
def test_windows_that_a_transformer_cannot_read_are_refused(replica: Callable[[str], Path], name: str) -> None:
    model = model_of(replica(name), name)
    level, channels = next(iter(model.schedule(2))), model.channels
    with pytest.raises(SyncbenchError, match="patches of 2x2 latent cells, and a view has 8x7"):
        model.predict(torch.randn(1, channels, 8, 7), level, model.condition(["a"], 1.0))
    if name == "sd3":
        with pytest.raises(SyncbenchError, match="knows the places of 192 patches along a side, and a view has 200"):
            model.predict(torch.randn(1, channels, 2, 400), level, model.condition(["a"], 1.0))


@pytest.mark.parametrize("name", ["sd3", "flux", "pixart"])
def test_attention_of_transformers_can_be_hooked(replica: Callable[[str], Path], name: str) -> None:
    model = model_of(replica(name), name)
    model.made = replace(model.made, window=SIDE)
    assert hook_is_live(model)


def test_a_prompt_is_read_by_the_encoder_with_the_most_places(replica: Callable[[str], Path]) -> None:
    words = "ab" * 60  # 120 letters: more than the 75 of CLIP, fewer than T5's
    assert model_of(replica("sd15"), "sd15").read(words) == pytest.approx(75 / 120)
    assert model_of(replica("sd3"), "sd3").read(words) == 1
    assert model_of(replica("pixart"), "pixart").read("ab" * 299) == pytest.approx(299 / 599, abs=2e-3)


# ---------------------------------------------------------------------------------------- checkpoints of one file


@pytest.mark.parametrize("name", ["sd15", "xl"])
def test_a_checkpoint_of_one_file_is_that_of_the_folder(
    replica: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    """The file has the names of the original code; the folder beside it gives configuration and vocabulary only."""
    folder, file = replica(name), tmp_path / "best-v2.safetensors"
    kind = "StableDiffusionXLPipeline" if name == "xl" else "StableDiffusionPipeline"
    guard = {} if name == "xl" else {"safety_checker": None, "feature_extractor": None}
    save_file(original(library(folder, kind, **guard)[0]), file)
    described = Path(shutil.copytree(folder, tmp_path / "described", ignore=shutil.ignore_patterns("*.safetensors")))
    expected, found = (model_of(folder, name), model_of(described, name, file=str(file)))
    found.ready()
    assert found.name == "best-v2"
    x, level = noise(), list(expected.schedule(4))[2]
    results = [m.predict(x, level, m.condition(PROMPTS, 3.0, NEGATIVE)) for m in (expected, found)]
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.decode(x), expected.decode(x))
    known = found.revision
    weights = load_file(file)
    weights["model.diffusion_model.out.2.bias"] += 1
    save_file(weights, file)
    assert model_of(described, name, file=str(file)).revision != known
    del weights["model.diffusion_model.out.2.bias"]
    save_file(weights, file)
    with pytest.raises(SyncbenchError, match="it lacks tensors of the unet"):
        model_of(described, name, file=str(file)).ready()


def test_a_file_that_is_no_checkpoint_is_one_sentence(replica: Callable[[str], Path], tmp_path: Path) -> None:
    folder, lora, pickle = str(replica("sd15")), tmp_path / "lora.safetensors", tmp_path / "model.ckpt"
    save_file({"lora_unet.up.weight": torch.zeros(2)}, lora)
    torch.save({}, pickle)
    for file, words in (
        (lora, "no whole checkpoint of Stable Diffusion"),
        (pickle, "are pickles"),
        (tmp_path / "none.safetensors", "no file"),
    ):
        with pytest.raises(SyncbenchError, match=words):
            load("models", "diffusers", {"path": folder, "file": str(file), "device": "cpu"})
    with pytest.raises(SyncbenchError, match=r"is one file, not a folder: --set model\.file=FILE"):
        load("models", str(lora), {"device": "cpu"})
