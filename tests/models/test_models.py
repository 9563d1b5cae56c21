"""Models: one contract over all kinds, exactness of the closed form, folders on disk and their mistakes."""

import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from syncbench.bench.catalogue.fields import field_types
from syncbench.bench.catalogue.listing import list_components
from syncbench.bench.catalogue.registry import load, load_class
from syncbench.bench.models.diffusers import Diffusers
from syncbench.bench.models.gauss import Gauss
from syncbench.bench.models.interface import Model
from syncbench.bench.models.parts.recipe import Recipe
from syncbench.bench.models.parts.schedule import Level
from syncbench.bench.models.reference import Reference
from syncbench.bench.models.tiny import Tiny
from syncbench.bench.types import Cost, SyncbenchError

KINDS = ["sd15", "sd21", "sdxl", "reference"]
PROMPTS = ["a red boat", "a hill", "a blue tower"]


@pytest.fixture(scope="module")
def models() -> dict[str, Any]:
    return {"gauss": Gauss(window=8, device="cpu"), **{kind: Tiny(kind=kind, device="cpu") for kind in KINDS}}


@pytest.fixture(params=["gauss", *KINDS])
def model(request: pytest.FixtureRequest, models: dict[str, Any]) -> Any:
    model = models[request.param]
    model.cost, model.batch = Cost(), 8
    return model


@pytest.fixture(scope="module")
def folder(models: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pipeline")
    models["reference"].pipeline.save_pretrained(path)
    return path


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def views(model: Any, n: int = 3, seed: int = 0) -> torch.Tensor:
    side = model.window // model.factor
    return torch.randn(n, model.channels, side, side, generator=torch.Generator().manual_seed(seed)).to(model.dtype)


def level_of(model: Any, index: int = 2) -> Level:
    return list(model.schedule(5))[index]


def test_contract(model: Any) -> None:
    assert isinstance(model, Model)
    assert len(model.revision) == 12
    assert int(model.revision, 16) >= 0
    x, level = views(model), level_of(model)
    x0, eps = model.predict(x, level, model.condition(PROMPTS, 3.0))
    assert x0.shape == eps.shape == x.shape
    assert x0.dtype == model.dtype
    torch.testing.assert_close(level.a * x0 + level.b * eps, x, atol=1e-5, rtol=0)


def test_levels_run_from_noise_to_clean(model: Any) -> None:
    levels = list(model.schedule(7))
    assert len(levels) == 7
    assert levels[0].b > 0.95
    assert levels[-1].b_next < 0.05
    assert all(level.b_next < level.b for level in levels)
    assert all(one.a_next == following.a for one, following in pairwise(levels))


def test_chunks_do_not_change_the_answer(model: Any) -> None:
    x, level, condition = views(model), level_of(model), model.condition(PROMPTS, 3.0)
    whole = model.predict(x, level, condition)
    model.batch = 2
    for expected, found in zip(whole, model.predict(x, level, condition), strict=True):
        torch.testing.assert_close(found, expected, atol=2e-4, rtol=1e-4)  # kernels sum in another order


def test_costs_are_counted(model: Any) -> None:
    x, level = views(model), level_of(model)
    model.predict(x, level, model.condition(PROMPTS, 3.0))
    assert (model.cost.evaluations, model.cost.backward) == (6, 0)
    model.predict(x, level, model.condition(PROMPTS, 1.0))
    assert model.cost.evaluations == 9
    with torch.enable_grad():
        model.predict(x.clone().requires_grad_(), level, model.condition(PROMPTS, 3.0))
    assert (model.cost.evaluations, model.cost.backward) == (15, 6)
    model.decode(torch.cat([x[:1]] * 4, -1))
    assert model.cost.decodes == 4
    model.encode(model.decode(x))
    assert (model.cost.encodes, model.cost.decodes) == (3, 7)


def test_decode_is_in_range_and_differentiable(model: Any) -> None:
    x = views(model, 2).requires_grad_()
    image = model.decode(3 * x)
    assert image.shape == (2, 3, model.window, model.window)
    assert 0 <= float(image.detach().min()) <= float(image.detach().max()) <= 1
    gradient = torch.autograd.grad(model.decode(0.1 * x).sum(), x)[0]
    assert gradient.abs().sum() > 0


def test_conditions_the_model_lacks_are_refused(model: Any) -> None:
    with pytest.raises(SyncbenchError, match="depth"):
        model.condition(PROMPTS, 3.0, depth=torch.zeros(3, 1, 8, 8))


@pytest.mark.parametrize("kind", KINDS)
def test_guidance_is_linear_between_the_halves(models: dict[str, Any], kind: str) -> None:
    model = models[kind]
    x, level = views(model), level_of(model)
    split = {s: model.predict(x, level, model.condition(PROMPTS, s, "fog"))[0] for s in (1.0, 2.0, 5.0)}
    fog = model.predict(x, level, model.condition(["fog"] * 3, 1.0))[0]
    for s in (2.0, 5.0):
        torch.testing.assert_close(split[s], fog + s * (split[1.0] - fog), atol=2e-4, rtol=1e-4)
    assert (split[1.0] - fog).abs().max() > 1e-4, "text does not reach the network"


def test_sdxl_empty_negative_is_zero_and_views_tell_their_size(models: dict[str, Any]) -> None:
    model = models["sdxl"]
    empty, fog = (model.condition(PROMPTS, 3.0, negative) for negative in ("", "fog"))
    assert all(not value.any() for value in empty.passes[0].values())
    assert all(value.any() for value in fog.passes[0].values())
    seen: list[Any] = []
    hook = model.network.module().register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(kwargs), with_kwargs=True
    )
    model.predict(torch.randn(3, 4, 8, 16), level_of(model), empty)
    hook.remove()
    assert seen[0]["added_cond_kwargs"]["time_ids"].tolist() == [[64, 128, 0, 0, 64, 128]] * 6


def test_gauss_is_the_posterior_mean_for_any_window(models: dict[str, Any]) -> None:
    model = models["gauss"]
    level = level_of(model)
    x = torch.randn(2, 3, 5, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    covariance = torch.kron(model.correlation(5), model.covariance(9))
    system = level.a**2 * covariance + level.b**2 * torch.eye(45, dtype=torch.float64)
    expected = (level.a * covariance @ torch.linalg.solve(system, x.reshape(6, 45).T)).T.reshape(x.shape)
    torch.testing.assert_close(model.predict(x, level, model.condition(["", ""], 1.0))[0], expected)
    half = expected.abs().clamp(max=2)
    torch.testing.assert_close(model.encode(model.decode(half)), half)


def test_gauss_sampler_approaches_the_covariance() -> None:
    model = Gauss(device="cpu", smooth_length=2.0, rough_length=3.0, height_length=2.0)
    basis = torch.eye(12, dtype=torch.float64).reshape(12, 1, 1, 12)  # the sampler is linear: push a basis through
    for level in model.schedule(1500):
        basis = level.move(*model.predict(basis, level, model.condition([""] * 12, 1.0)))
    factor = basis.reshape(12, 12)
    torch.testing.assert_close(factor.T @ factor, model.covariance(12), atol=0.01, rtol=0)
    assert Gauss(variance=2.0).revision != Gauss().revision
    assert Gauss(batch=3).revision == Gauss().revision


def test_folder_is_served_like_the_pipeline_in_memory(folder: Path, models: dict[str, Any]) -> None:
    served, memory = Diffusers(path=str(folder), device="cpu"), models["reference"]
    for found, expected in zip(
        *(m.predict(views(m), level_of(m), m.condition(PROMPTS, 3.0)) for m in (served, memory)), strict=True
    ):
        torch.testing.assert_close(found, expected)
    assert not any(parameter.requires_grad for parameter in served.network.module().parameters())


def test_half_precision_keeps_latents_in_float32(folder: Path) -> None:
    exact = Diffusers(path=str(folder), device="cpu")
    half = Reference(path=str(folder), device="cpu")
    assert half.dtype == torch.float32
    (x0, _), (expected, _) = (m.predict(views(m), level_of(m), m.condition(PROMPTS, 3.0)) for m in (half, exact))
    assert x0.dtype == torch.float32
    assert 0 < float((x0 - expected).norm() / expected.norm()) < 0.05
    assert half.revision != exact.revision


def test_revision_follows_the_weights(copy: Path) -> None:
    before = Diffusers(path=str(copy)).revision
    (copy / "README.md").write_text("not part of the model")
    assert Diffusers(path=str(copy)).revision == before
    file = next((copy / "unet").glob("*.safetensors"))
    weights = load_file(file)
    weights["conv_out.bias"] += 1e-3
    save_file(weights, file, {"format": "pt"})
    assert Diffusers(path=str(copy)).revision != before
    assert Tiny(seed=1).revision != Tiny().revision


def test_another_variant_of_the_files_is_another_model(copy: Path, models: dict[str, Any]) -> None:
    models["reference"].pipeline.save_pretrained(copy, variant="fp16")
    plain, half = (Diffusers(path=str(copy), variant=variant, device="cpu") for variant in ("", "fp16"))
    assert plain.revision != half.revision
    both = [m.revision for m in (half, Diffusers(path=str(copy), variant="fp16", dtype="float16", device="cpu"))]
    assert len({plain.revision, *both}) == 3
    assert half.network.module() is not None, "the variant loads"


LOADED: dict[str, dict[str, Any]] = {
    "gauss": {
        **{"variance": 2.0, "smooth_length": 3.0, "rough": 0.5, "rough_length": 20.0, "height_length": 3.0},
        **{"channels": 4, "window": 32, "period": 256, "levels": "scaled_linear", "dtype": "float32"},
    },
    "tiny": {"kind": "sd21", "sample_size": 16, "seed": 1, "dtype": "float64"},
    "diffusers": {"variant": "fp16", "dtype": "bfloat16", "tiled": True},
    **{name: {"dtype": "float32"} for name in ("reference", "depth", "views", "grid", "motion")},
    **{name: {"dtype": "float32"} for name in ("channels_joint", "channels_prompted")},
    "channels_to_rgb": {"dtype": "float32", "image_guidance": 2.0, "rescale": 0.5},
}
"""Another value of every option of every model that changes what is computed."""
FOLDERS = {"path", "base", "control", "file"}
"""Options that name weights, whose contents count: see the other tests, and `test_trained_models`."""
ELSEWHERE = {"device", "batch", "commit", "widths", "offload", "compile"}
"""No part of a revision: where, in what portions and how fast; or (a hub's commit, widths of gigabytes) not tried."""


OWN = [c for c in list_components("models") if c.id in LOADED or not issubclass(load_class("models", c.id), Recipe)]
"""Recipes of published checkpoints are tried on replicas, in `test_recipes_*`."""


@pytest.mark.parametrize("component", OWN, ids=lambda component: component.id)
def test_every_option_that_changes_what_is_computed_is_in_the_revision(
    component: Any, folder: Path, tmp_path: Path
) -> None:
    name = component.id
    where: dict[str, str] = {}
    if name == "diffusers":
        where = {"path": str(shutil.copytree(folder, tmp_path / "both"))}
        for file in [*(tmp_path / "both").rglob("*.safetensors")]:
            shutil.copy(file, file.with_suffix(".fp16.safetensors"))
    options = set(field_types(load_class("models", name)))
    assert options == {*LOADED[name], *(options & (FOLDERS | ELSEWHERE))}, "an option that no test knows"
    plain = load("models", name, {**where, "device": "cpu"}).revision
    found = [load("models", name, {**where, "device": "cpu", key: v}).revision for key, v in LOADED[name].items()]
    assert len({plain, *found}) == 1 + len(found)
    assert load("models", name, {**where, "device": "cpu", "batch": 3}).revision == plain


def test_flow_and_unknown_predictions(copy: Path) -> None:
    import diffusers

    diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0).save_pretrained(copy / "scheduler")
    index = (copy / "model_index.json").read_text().replace("DDIMScheduler", "FlowMatchEulerDiscreteScheduler")
    (copy / "model_index.json").write_text(index)
    model = Diffusers(path=str(copy), device="cpu")
    assert model.made.levels.prediction == "flow"
    levels = list(model.schedule(4))
    assert (levels[0].a, levels[0].b, levels[-1].b_next) == (0, 1, 0)
    assert levels[1].t == pytest.approx(1000 * levels[1].b)
    assert levels[1].b == pytest.approx(1 - levels[1].a)
    x = views(model)
    x0, eps = model.predict(x, levels[2], model.condition(PROMPTS, 2.0))
    torch.testing.assert_close(levels[2].a * x0 + levels[2].b * eps, x, atol=1e-5, rtol=0)
    config = copy / "scheduler" / "scheduler_config.json"
    diffusers.DDIMScheduler(prediction_type="sample").save_pretrained(copy / "scheduler")
    (copy / "model_index.json").write_text(index.replace("FlowMatchEulerDiscreteScheduler", "DDIMScheduler"))
    assert "sample" in config.read_text()
    model = Diffusers(path=str(copy), device="cpu")
    level = level_of(model)
    x0, eps = model.predict(x, level, model.condition(PROMPTS, 1.0))
    torch.testing.assert_close(level.a * x0 + level.b * eps, x, atol=1e-5, rtol=0)
    assert torch.equal(level.output_of(x, x0, "sample"), x0)
    config.write_text(config.read_text().replace('"sample"', '"thoughts"'))
    with pytest.raises(SyncbenchError, match="predicts 'thoughts'"):
        Diffusers(path=str(copy))


def test_mistakes_with_checkpoints_are_one_sentence(copy: Path, tmp_path: Path) -> None:
    def refused(path: Path | str, match: str, **options: Any) -> None:
        with pytest.raises(SyncbenchError, match=match) as caught:
            Diffusers(path=str(path), **options).ready()
        assert "\n" not in str(caught.value)

    refused("", "needs a checkpoint")
    refused("./no/such/folder", "no folder")
    refused("somebody/something", "syncbench fetch somebody/something")
    refused(tmp_path, "no model_index.json")
    refused(copy, "unknown device", device="gpu")
    refused(copy, "batch", batch=0)
    weights = next((copy / "unet").glob("*.safetensors"))
    content = weights.read_bytes()
    weights.write_bytes(content[:1000])
    refused(copy, "cannot load the pipeline")
    weights.unlink()
    refused(copy, "no weights for unet")
    (copy / "model_index.json").write_text("{")
    refused(copy, "cannot be read")
    (copy / "model_index.json").write_text('{"_class_name": "FluxPipeline", "transformer": ["diffusers", "X"]}')
    refused(copy, "FluxPipeline")
    with pytest.raises(SyncbenchError, match="denoising steps"):
        Tiny().schedule(0)
