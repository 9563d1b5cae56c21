"""Recipes of what is added to Stable Diffusion: replicas, compared with the library or with formulas written out."""

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
from safetensors.torch import load_file, save_file
from syncbench import run
from syncbench.bench.catalogue.fields import field_types
from syncbench.bench.catalogue.registry import load, load_class
from syncbench.bench.errors import SyncbenchError
from syncbench.bench.models.parts.mv_adapter import ray_numbers
from syncbench.bench.models.parts.placement import Memory, Placement
from syncbench.bench.models.parts.shared_attention import SharedAttention, lines_of
from syncbench.bench.run.capacity import parameters_of
from syncbench.bench.world.stage import orbit_cameras
from torch import Tensor
from torch.nn import functional as F

from .. import adapter_replicas as replicas
from .. import coupled_replicas as coupled

FULL: dict[str, tuple[dict[str, Any], int, int]] = {
    "MV-Adapter's cameras, XL": (
        {"in_channels": 6, "downscale_factor": 16, "adapter_type": "full_adapter_xl"},
        81_240_000,
        38,
    ),
    "MV-Adapter's cameras, 2.1": ({"in_channels": 6}, 77_922_240, 38),
    "T2I-Adapter": ({}, 77_369_280, 38),
    "T2I-Adapter, XL": ({"downscale_factor": 16, "adapter_type": "full_adapter_xl"}, 79_028_160, 38),
}
"""Published configurations where they are not the class's default, parameters and tensors."""
MEMORY = Memory.__annotations__
"""Options of every checkpoint that change no answer but by rounding; see `test_memory`."""


@pytest.mark.parametrize("name", FULL)
def test_published_sizes(name: str) -> None:
    config, parameters, tensors = FULL[name]
    with torch.device("meta"):
        network = diffusers.T2IAdapter(**config)
    assert (sum(p.numel() for p in network.parameters()), len(network.state_dict())) == (parameters, tensors)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folders of replicas by name, each written when it is first asked for."""
    root, known = tmp_path_factory.mktemp("adapters"), dict[str, Path]()

    def found(name: str) -> Path:
        if name not in known:
            what, _, kind = name.rpartition("-")
            if what == "ip":
                known[name] = replicas.ip_adapter(root / "ip", found(kind), kind)
            elif what == "mv":
                known[name] = replicas.mv_adapter(root / name, found(kind), kind)
            else:
                known[name] = replicas.t2i(root / name, what, kind) if what else replicas.BASES[kind](root / kind)
        return known[name]

    return found


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def agree(found: Tensor, expected: Tensor) -> None:
    """To 1e-4 of the expected values' deviation."""
    torch.testing.assert_close(found, expected.to(found), atol=1e-4 * float(expected.detach().std()), rtol=1e-4)


def cameras_of(azimuths: Any, elevation: float = 0.0) -> Tensor:
    return torch.from_numpy(orbit_cameras(azimuths, elevation, 2.0).to_world).float().reshape(-1, 16)


# MV-Adapter

ANGLES = np.array([0, 45, 90, 180, 270, 315])
"""Its azimuths, in its order."""


def upstream_map(azimuth: float, elevation: float = 0.0) -> np.ndarray:
    """Its map of an orthographic camera on an orbit of the origin, z up, whose front is at azimuth -90 degrees."""
    a, e = np.radians(azimuth - 90), np.radians(elevation)
    place = np.array([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)])
    return (np.concatenate([-place, place]) + 1) / 2


def test_maps_of_cameras_are_mv_adapters_counted_from_the_first_view() -> None:
    for first, elevation in ((0.0, 0.0), (47.0, 12.0), (-130.0, -20.0)):
        found = (ray_numbers(cameras_of(first + ANGLES, elevation)) + 1) / 2
        expected = np.stack([upstream_map(a, elevation) for a in ANGLES])
        np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)


class Along:
    """MV-Adapter's attention written out: a layer's own, and beside it one along the rows of pixels of all views."""

    def __init__(self, weights: dict[str, Tensor], views: int, size: tuple[int, int]) -> None:
        self.weights, self.views, self.size = weights, views, size

    def __call__(self, attn: Any, hidden_states: Tensor, **_: Any) -> Tensor:
        h, w = self.size
        while h * w > hidden_states.shape[1]:
            h, w = (h + 1) // 2, (w + 1) // 2

        def heads(x: Tensor) -> Tensor:
            return x.unflatten(-1, (attn.heads, -1))

        own = [heads(layer(hidden_states)) for layer in (attn.to_q, attn.to_k, attn.to_v)]
        mixed = torch.einsum("bqhc,bkhc->bhqk", own[0], own[1]) / own[0].shape[-1] ** 0.5
        plain = torch.einsum("bhqk,bkhc->bqhc", mixed.softmax(-1), own[2]).flatten(2)
        grid = hidden_states.unflatten(0, (-1, self.views)).unflatten(2, (h, w))  # pass, view, row, column
        q, k, v = (heads(F.linear(grid, self.weights[f"to_{n}_mv.weight"])) for n in "qkv")
        mixed = torch.einsum("bnywhc,bmyxhc->bynhwmx", q, k) / q.shape[-1] ** 0.5
        mixed = mixed.flatten(-2).softmax(-1).unflatten(-1, (self.views, w))
        rows = torch.einsum("bynhwmx,bmyxhc->bnywhc", mixed, v).flatten(-2).flatten(2, 3).flatten(0, 1)
        beside = F.linear(rows, self.weights["to_out_mv.0.weight"], self.weights["to_out_mv.0.bias"])
        return attn.to_out[0](plain) + beside


def shifted(scale: float = 8.0) -> np.ndarray:
    """Squared shares of the picture, the signal-to-noise ratio's logarithm falling by log(scale) in the end."""
    bars = np.cumprod(1 - np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2)
    ratio, share = bars / (1 - bars), np.arange(1000) / 999
    ratio = np.exp((1 - share) * np.log(ratio) + share * np.log(ratio / scale))
    return ratio / (1 + ratio)


def mv_model(folder: Callable[[str], Path], kind: str, size: int = 64, **options: Any) -> Any:
    given = {"path": str(folder(kind)), "adapter": str(folder(f"mv-{kind}")), "size": size, "device": "cpu"}
    return load("models", "sd_mvadapter", {**given, **options})


@pytest.mark.parametrize("kind", ["sdxl", "sd21"])
def test_mv_adapter_steps_as_written_out(folder: Callable[[str], Path], kind: str) -> None:
    views, scale, prompt, z = 6, 7.0, "a dog", noise(6, 4, 8, 8)
    model = mv_model(folder, kind)
    assert {"joint", "camera", "rows", "attention", "text"} <= model.capabilities
    assert (mv_model(folder, kind, size=0).window, model.window) == (768 if kind == "sdxl" else 512, 64)
    unet = diffusers.UNet2DConditionModel.from_pretrained(folder(kind) / "unet")
    weights = load_file(folder(f"mv-{kind}") / f"mvadapter_t2mv_{kind}.safetensors")
    processors = dict(unet.attn_processors)
    for name in processors:
        if "attn1" in name:
            own = {key.removeprefix(f"{name}."): value for key, value in weights.items() if key.startswith(f"{name}.")}
            processors[name] = Along(own, views, (8, 8))
    unet.set_attn_processor(processors)
    encoder = replicas.camera_encoder(kind)
    maps = torch.from_numpy(np.stack([upstream_map(a, 12.0) for a in ANGLES])).float()
    with torch.no_grad():
        features = encoder(maps[:, :, None, None].expand(-1, -1, 64, 64))
    assert float(features[0].std()) > 1e-3
    pipeline = diffusers.StableDiffusionXLPipeline if kind == "sdxl" else diffusers.StableDiffusionPipeline
    guard = {} if kind == "sdxl" else {"safety_checker": None}
    pipe: Any = pipeline.from_pretrained(folder(kind), unet=unet, **guard)
    more: dict[str, Any] = {}
    if kind == "sdxl":
        some, none, pooled, unpooled = pipe.encode_prompt(prompt, negative_prompt="fog", device="cpu")
        ids = torch.tensor([[64.0, 64, 0, 0, 64, 64]]).expand(2 * views, -1)
        embeds = torch.cat([p.expand(views, -1) for p in (unpooled, pooled)])
        more["added_cond_kwargs"] = {"text_embeds": embeds, "time_ids": ids}
    else:
        some, none = pipe.encode_prompt(prompt, "cpu", 1, True, "fog")
    text = torch.cat([p.expand(views, -1, -1) for p in (none, some)])
    given = cameras_of(30 + ANGLES, 12.0)
    condition = model.condition([prompt] * views, scale, "fog", together=True, camera=given)
    bars = shifted()
    for level, (t, following) in zip(list(model.schedule(4))[:3], pairwise((751, 501, 251, 1)), strict=True):
        with torch.no_grad():
            residuals = [torch.cat([one, one]) for one in features]
            out = unet(torch.cat([z, z]), t, text, down_intrablock_additional_residuals=residuals, **more).sample
        uncond, cond = out.chunk(2)
        output = uncond + scale * (cond - uncond)
        x0, eps = model.predict(z, level, condition)
        agree(eps, output)
        expected = (z - (1 - bars[t]) ** 0.5 * output) / bars[t] ** 0.5
        agree(x0, expected)
        z = (bars[following] ** 0.5 * expected + (1 - bars[following]) ** 0.5 * output).float()
        agree(level.move(x0, eps), z)
    whole = model.predict(z, level, condition)[0]
    apart = model.predict(z, level, model.condition([prompt] * views, scale, "fog", camera=given))[0]
    turned = model.condition([prompt] * views, scale, "fog", together=True, camera=given.roll(1, 0))
    assert min(float((one - whole).abs().max()) for one in (apart, model.predict(z, level, turned)[0])) > 1e-3
    alone = model.condition([prompt], scale, "fog", camera=given[:1])
    agree(model.predict(z[:1], level, alone)[0], apart[:1])


@pytest.mark.parametrize("kind", ["sdxl", "sd21"])
def test_mv_adapter_makes_views_by_its_method(folder: Callable[[str], Path], tmp_path: Path, kind: str) -> None:
    model = {"id": "sd_mvadapter", "path": str(folder(kind)), "adapter": str(folder(f"mv-{kind}")), "size": 64}
    methods = ["mvadapter", "independent", "batch_attention"]
    found = sweep(model, {"id": "world_views", "size": 64}, methods, tmp_path / "out")
    assert found == dict.fromkeys(methods, 16)


def sweep(model: dict[str, Any], dataset: dict[str, Any], methods: list[str], out: Path) -> dict[str, float]:
    """Network evaluations of every method on the first item, in two guided steps; no two make the same."""
    suite = {
        **{"model": {**model, "device": "cpu"}, "datasets": [dataset], "methods": methods, "limit": 1},
        **{"metrics": ["network_evaluations", "sharpness"], "any_size": True},
        "protocol": {"steps": 2, "guidance": 2.0},
    }
    frame = run(suite, out)
    assert set(frame["status"]) == {"ok"}, frame["reason"].tolist()
    assert frame[frame["metric"] == "sharpness"]["value"].nunique() == len(methods), "methods change nothing"
    return dict(frame[frame["metric"] == "network_evaluations"].set_index("method")["value"])


def test_mv_adapters_options_are_in_the_revision(folder: Callable[[str], Path], tmp_path: Path) -> None:
    options = {"path", "adapter", "size", "commit", "variant", "device", "dtype", "batch"} | set(MEMORY)
    assert set(field_types(load_class("models", "sd_mvadapter"))) == options, "an option that no test knows"
    plain = mv_model(folder, "sd21").revision
    assert mv_model(folder, "sd21").name == "sd21+mv-adapter"
    assert mv_model(folder, "sd21", batch=3).revision == plain
    assert mv_model(folder, "sd21", dtype="float16").revision != plain
    assert mv_model(folder, "sd21", size=128).revision == plain, "it says which views are accepted, and nothing else"
    other = Path(shutil.copytree(folder("mv-sd21"), tmp_path / "other"))
    changed(other / "mvadapter_t2mv_sd21.safetensors", lambda weights: weights)
    assert mv_model(folder, "sd21", adapter=str(other)).revision == plain
    changed(other / "mvadapter_t2mv_sd21.safetensors", lambda weights: {k: v + 1 for k, v in weights.items()})
    assert mv_model(folder, "sd21", adapter=str(other)).revision != plain


def changed(file: Path, change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> None:
    save_file(change(load_file(file)), file)


LAYER = "mid_block.attentions.0.transformer_blocks.0.attn1.processor"
MV_MISFITS: dict[str, tuple[Callable[[dict[str, Tensor]], dict[str, Tensor]], str]] = {
    "of pictures": (
        lambda w: w | {f"{LAYER}.to_q_ref.weight": torch.zeros(2, 2)},
        "is an MV-Adapter that reads a picture .*take mvadapter_t2mv_sd21",
    ),
    "something else": (lambda w: {"lora.up": torch.zeros(2)}, "is no MV-Adapter: it has a tensor 'lora.up'"),
    "no layers": (
        lambda w: {k: v for k, v in w.items() if k.startswith("adapter.")},
        "is no MV-Adapter: it lacks its layers",
    ),
    "a layer is missing": (
        lambda w: {k: v for k, v in w.items() if not k.startswith(LAYER)},
        "made for another network: it lacks 5 tensors",
    ),
    "a layer too many": (
        lambda w: w | {"mid_block.other.processor.to_q_mv.weight": torch.zeros(2, 2)},
        "it has 1 tensors, such as 'mid_block.other.to_q.weight', that have no place here",
    ),
    "another width": (
        lambda w: w | {f"{LAYER}.to_q_mv.weight": torch.zeros(2, 2)},
        r"has the shape \(2, 2\), not \(64, 64\)",
    ),
    "maps of another kind": (
        lambda w: w | {"adapter.conv_in.weight": torch.zeros(32, 192, 3, 3)},
        r"its 'adapter.conv_in.weight' has the shape \(32, 192, 3, 3\), not \(32, 384, 3, 3\)",
    ),
}
"""What is changed in the file, and words of the sentence."""


@pytest.mark.parametrize("case", MV_MISFITS)
def test_a_file_that_is_not_mv_adapters_is_one_sentence(
    folder: Callable[[str], Path], tmp_path: Path, case: str
) -> None:
    change, words = MV_MISFITS[case]
    copy = Path(shutil.copytree(folder("mv-sd21"), tmp_path / "copy"))
    changed(copy / "mvadapter_t2mv_sd21.safetensors", change)
    with pytest.raises(SyncbenchError, match=words) as caught:
        mv_model(folder, "sd21", adapter=str(copy)).load()
    assert "\n" not in str(caught.value)


def test_mv_adapter_refuses_other_bases_sizes_and_items_without_cameras(
    folder: Callable[[str], Path], tmp_path: Path
) -> None:
    with pytest.raises(SyncbenchError, match="for which no MV-Adapter was trained"):
        mv_model(lambda name: coupled.sd15(tmp_path / "sd15") if name == "sd21" else folder(name), "sd21")
    with pytest.raises(SyncbenchError, match="has no mvadapter_t2mv_sdxl"):
        mv_model(folder, "sdxl", adapter=str(folder("mv-sd21")))
    with pytest.raises(SyncbenchError, match="syncbench fetch huanngzh/mv-adapter"):
        mv_model(folder, "sdxl", adapter="huanngzh/mv-adapter")
    model = mv_model(folder, "sd21")
    model.ready()
    with pytest.raises(SyncbenchError, match="needs condition `camera`"):
        model.condition(["a dog"], 1.0)
    condition = model.condition(["a dog"], 1.0, camera=cameras_of([0.0]))
    with pytest.raises(SyncbenchError, match="`camera` has 64x64 pixels, and the view that it belongs to has 128x128"):
        model.predict(noise(1, 4, 16, 16), next(iter(model.schedule(1))), condition)


def test_attention_along_lines_is_that_of_every_row_of_pixels_alone() -> None:
    layer = diffusers.models.attention_processor.Attention(16, heads=2, dim_head=8)
    x, views, (h, w) = noise(6, 12, 16), 3, (3, 4)
    for options in ({}, {"select": lambda i, n: (0, i)}, {"strength": 0.5}):
        found = SharedAttention(layer.processor, lambda rows: rows // views, lines=lines_of(h, w), **options)(layer, x)
        grid = x.unflatten(1, (h, w))
        for row in range(h):
            whole = SharedAttention(layer.processor, lambda rows: rows // views, **options)
            torch.testing.assert_close(found.unflatten(1, (h, w))[:, row], whole(layer, grid[:, row]))
    assert [lines_of(9, 5)(tokens) for tokens in (45, 15, 6, 2)] == [9, 5, 3, 2]
    with pytest.raises(SyncbenchError, match="12 tokens are no rows of pixels"):
        lines_of(9, 5)(12)
    along = SharedAttention(layer.processor, lambda rows: 1, lines=lines_of(h, w))
    with pytest.raises(SyncbenchError, match="no place for other tokens"):
        along(layer, x, x)


# T2I-Adapter

PROMPTS, ASKED = ["a red boat", "a hill"], {"negative_prompt": ["fog"] * 2, "num_inference_steps": 4}


@contextmanager
def steps_of(pipe: Any) -> Iterator[list[tuple[Tensor, Tensor, Tensor]]]:
    """Within the context the list fills with (sample, guided output, next sample) of each of Euler's steps."""
    known = ("beta_start", "beta_end", "beta_schedule", "steps_offset", "timestep_spacing")
    config = pipe.scheduler.config
    pipe.scheduler = diffusers.EulerDiscreteScheduler(**{name: config[name] for name in known if name in config})
    pipe.set_progress_bar_config(disable=True)
    seen: list[Any] = []
    step = pipe.scheduler.step

    def recorded(output: Tensor, time: Any, sample: Tensor, **more: Any) -> Any:
        found = step(output, time, sample, **more)
        seen.append((sample, output, found[0]))
        return found

    pipe.scheduler.step = recorded
    yield seen


def same_steps(model: Any, condition: Any, seen: list[tuple[Tensor, Tensor, Tensor]]) -> None:
    """Our (x0, eps) and next state are those of a library's pipeline, whose samples are ours times sqrt(1 + s^2)."""
    assert len(seen) == 4
    for level, (sample, output, following) in list(zip(model.schedule(4), seen, strict=True))[:3]:
        sigma = level.b / level.a
        x0, eps = model.predict(level.a * sample, level, condition)
        agree(eps, output)
        agree(x0, sample - sigma * output)
        agree(level.move(x0, eps), level.a_next * following)


def pixels(channels: int = 3, seed: int = 12) -> Tensor:
    return torch.rand(2, channels, 64, 64, generator=torch.Generator().manual_seed(seed))


def t2i_model(folder: Callable[[str], Path], kind: str, *names: str, **options: Any) -> Any:
    nets = {name: str(folder(f"{name}-{kind}")) for name in names}
    return load("models", "t2i_adapter", {"path": str(folder(kind)), "nets": nets, "device": "cpu", **options})


@pytest.mark.parametrize(("kind", "names"), [("sd15", ("depth",)), ("sd15", ("depth", "canny")), ("sdxl", ("depth",))])
def test_a_step_is_that_of_t2i_adapters(folder: Callable[[str], Path], kind: str, names: tuple[str, ...]) -> None:
    hints = {"depth": pixels(1), "canny": pixels(1, seed=13)}
    hints, scales = {name: hints[name] for name in names}, {"depth": 0.7, "canny": 0.9}
    loaded = [diffusers.T2IAdapter.from_pretrained(folder(f"{name}-{kind}")) for name in names]
    shown = [hint.expand(-1, net.config.in_channels, -1, -1) for hint, net in zip(hints.values(), loaded, strict=True)]
    base = diffusers.StableDiffusionXLAdapterPipeline if kind == "sdxl" else diffusers.StableDiffusionAdapterPipeline
    several = len(names) > 1
    guard = {} if kind == "sdxl" else {"safety_checker": None}
    pipe: Any = base.from_pretrained(folder(kind), adapter=loaded if several else loaded[0], **guard)
    used = [scales[name] for name in names]
    with steps_of(pipe) as seen:
        pipe(PROMPTS, image=shown if several else shown[0], guidance_scale=5.0, latents=noise(2, 4, 8, 8),
             adapter_conditioning_scale=used if several else used[0], height=64, width=64, output_type="latent",
             **ASKED)  # fmt: skip
    model = t2i_model(folder, kind, *names, scales=dict(zip(names, used, strict=True)))
    same_steps(model, model.condition(PROMPTS, 5.0, "fog", **hints), seen)
    other = model.condition(PROMPTS, 5.0, "fog", **{name: 1 - hint for name, hint in hints.items()})
    level, x = list(model.schedule(4))[2], noise(2, 4, 8, 8)
    mine, theirs = (model.predict(x, level, c)[0] for c in (model.condition(PROMPTS, 5.0, "fog", **hints), other))
    assert float((mine - theirs).abs().max()) > 1e-2, "the hint changes nothing"


def test_t2i_adapters_are_asked_once_a_sample(folder: Callable[[str], Path]) -> None:
    model, calls = t2i_model(folder, "sd15", "depth"), []
    model.load()
    [features] = [one for one in model.made.conditioners if hasattr(one, "adapter")]
    features.adapter.module.register_forward_hook(lambda *_: calls.append(1))
    condition = model.condition(PROMPTS, 5.0, depth=pixels(1))
    for level in model.schedule(3):
        model.predict(noise(2, 4, 8, 8), level, condition)
    assert len(calls) == 1


def test_t2i_adapters_paint_a_mesh(folder: Callable[[str], Path], tmp_path: Path) -> None:
    model = {"id": "t2i_adapter", "path": str(folder("sd15")), "nets": {"depth": str(folder("depth-sd15"))}}
    mesh = {"id": "world_meshes", "size": 64, "views": 2, "held": 1}
    methods = ["independent", "synctweedies", "batch_attention"]
    assert set(sweep(model, mesh, methods, tmp_path / "out").values()) == {8}


def test_t2i_adapters_of_another_family_and_hints_of_other_sizes_are_refused(folder: Callable[[str], Path]) -> None:
    base = {"path": str(folder("sd15")), "device": "cpu"}
    for more, words in (
        ({}, "model t2i_adapter needs T2I-Adapters"),
        ({"nets": {"depth": str(folder("depth-sdxl"))}}, "made for another network .* it is a full_adapter_xl"),
        ({"nets": {"depth": str(folder("sd15"))}}, "is no folder of T2I-Adapter.*whole pipeline's"),
        ({"nets": {"depth": "TencentARC/t2iadapter_depth_sd15v2"}}, "syncbench fetch TencentARC/t2iadapter_depth_sd15"),
        ({"nets": {"depth": str(folder("depth-sd15"))}, "scales": {"canny": 1}}, "a scale for 'canny' and no network"),
    ):
        with pytest.raises(SyncbenchError, match=words) as caught:
            load("models", "t2i_adapter", {**base, **more})
        assert "\n" not in str(caught.value)
    model = t2i_model(folder, "sd15", "canny")
    with pytest.raises(SyncbenchError, match="`canny` has 3 channels, and the model reads 1"):
        model.condition(PROMPTS, 1.0, canny=pixels(3))
    with pytest.raises(
        SyncbenchError, match="has 60x64 pixels, and its T2I-Adapter reads sides that are multiples of 8"
    ):
        model.condition(PROMPTS, 1.0, canny=pixels(1)[:, :, :60])
    small = model.condition(PROMPTS, 1.0, canny=pixels(1)[:, :, :32, :32])
    with pytest.raises(SyncbenchError, match="`canny` has 32x32 pixels, and the view that it belongs to has 64x64"):
        model.predict(noise(2, 4, 8, 8), next(iter(model.schedule(1))), small)
    with pytest.raises(SyncbenchError, match="needs condition `canny`"):
        model.condition(PROMPTS, 1.0)


def test_t2i_adapters_options_are_in_the_revision(folder: Callable[[str], Path]) -> None:
    options = {"path", "file", "nets", "scales", "commit", "variant", "device", "dtype", "batch"} | set(MEMORY)
    assert set(field_types(load_class("models", "t2i_adapter"))) == options, "an option that no test knows"
    made = [
        t2i_model(folder, "sd15", "depth"),
        t2i_model(folder, "sd15", "depth", scales={"depth": 0.5}),
        t2i_model(folder, "sd15", "depth", dtype="float16"),
        t2i_model(folder, "sd15", "canny"),
        t2i_model(folder, "sd15", "depth", "canny"),
    ]
    assert len({model.revision for model in made}) == len(made)
    assert made[-1].name == "sd15+depth+canny"


# IP-Adapter


def picture() -> Tensor:
    """A picture (1, 3, 80, 64) of 8 bits, not square."""
    return (torch.rand(1, 3, 80, 64, generator=torch.Generator().manual_seed(1)) * 255).round() / 255


def ip_model(folder: Callable[[str], Path], kind: str, **options: Any) -> Any:
    given = {"path": str(folder(kind)), "adapter": str(folder(f"ip-{kind}")), "device": "cpu"}
    return load("models", "ip_adapter", {**given, **options})


PLUS = "ip-adapter-plus_sd15"


@pytest.mark.parametrize(("kind", "file"), [("sd15", ""), ("sd15", PLUS), ("sdxl", "")])
def test_a_step_is_that_of_an_ip_adapter(folder: Callable[[str], Path], kind: str, file: str) -> None:
    image = picture()
    shown = Image.fromarray((image[0].permute(1, 2, 0) * 255).round().byte().numpy())
    base = diffusers.StableDiffusionXLPipeline if kind == "sdxl" else diffusers.StableDiffusionPipeline
    pipe: Any = base.from_pretrained(folder(kind), **({} if kind == "sdxl" else {"safety_checker": None}))
    model = ip_model(folder, kind, weights=file, scale=0.6)
    where = {"subfolder": model.file.parent.name, "image_encoder_folder": "models/image_encoder"}
    pipe.load_ip_adapter(str(folder(f"ip-{kind}")), weight_name=model.file.name, **where)
    pipe.set_ip_adapter_scale(0.6)
    with steps_of(pipe) as seen:
        pipe(PROMPTS, ip_adapter_image=shown, guidance_scale=5.0, latents=noise(2, 4, 8, 8), height=64, width=64,
             output_type="latent", **ASKED)  # fmt: skip
    condition = model.condition(PROMPTS, 5.0, "fog", image=image)
    same_steps(model, condition, seen)
    level, x = list(model.schedule(4))[2], noise(2, 4, 8, 8)
    other = model.predict(x, level, model.condition(PROMPTS, 5.0, "fog", image=1 - image))[0]
    assert float((other - model.predict(x, level, condition)[0]).abs().max()) > 1e-3, "the picture changes nothing"


def test_a_scale_of_zero_is_the_base_and_a_model_without_a_picture_says_so(
    folder: Callable[[str], Path], tmp_path: Path
) -> None:
    plain = load("models", "diffusers", {"path": str(folder("sd15")), "device": "cpu"})
    model, x = ip_model(folder, "sd15", scale=0.0), noise(2, 4, 8, 8)
    level = list(model.schedule(4))[2]
    agree(
        model.predict(x, level, model.condition(PROMPTS, 5.0, image=picture()))[0],
        plain.predict(x, level, plain.condition(PROMPTS, 5.0))[0],
    )
    with pytest.raises(SyncbenchError, match="needs condition `image`: choose a dataset that has it"):
        model.condition(PROMPTS, 1.0)
    strip = {"id": "panoramas", "width": 96, "height": 64, "window": 64}
    suite = {"model": {"id": "ip_adapter", "path": str(folder("sd15")), "adapter": str(folder("ip-sd15"))}}
    suite |= {"datasets": [strip], "methods": ["independent"], "metrics": ["sharpness"], "limit": 1, "any_size": True}
    reasons = run(suite, tmp_path / "out")["reason"]
    assert reasons.str.contains("model ip_adapter needs condition `image`, which the item has not").all()


def test_an_ip_adapter_samples_views_of_a_picture(folder: Callable[[str], Path], tmp_path: Path) -> None:
    model = {"id": "ip_adapter", "path": str(folder("sd15")), "adapter": str(folder("ip-sd15"))}
    views = {"id": "world_views", "views": 6, "size": 64}
    found = sweep(model, views, ["independent", "batch_attention"], tmp_path / "out")
    assert set(found.values()) == {24}


def test_files_that_do_not_fit_an_ip_adapters_base_are_refused(folder: Callable[[str], Path], tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder("ip-sd15"), tmp_path / "ip"))
    file, other = copy / "models" / "ip-adapter_sd15.safetensors", copy / "models" / "other.safetensors"
    cases: list[tuple[Callable[[dict[str, Tensor]], dict[str, Tensor]], str]] = [
        (lambda w: {"image_proj.proj.0.weight": torch.zeros(2, 2)}, "is no IP-Adapter, or one for faces"),
        (
            lambda w: w | {"ip_adapter.1.to_k_ip.weight": torch.zeros(32, 1024)},
            "made for a network that reads text of width 1024, and the base reads 32",
        ),
        (
            lambda w: w | {"image_proj.proj.weight": torch.zeros(128, 1280)},
            r"reads pictures as 1280 numbers, .* \(models/image_encoder gives 32\)",
        ),
        (
            lambda w: w | {"ip_adapter.99.to_k_ip.weight": torch.zeros(32, 32)},
            "made for a network of .* cross-attention layers",
        ),
        (
            lambda w: {k: v[:8] if k == "ip_adapter.1.to_k_ip.weight" else v for k, v in w.items()},
            "cannot add .* to the network",
        ),
    ]
    for change, words in cases:
        save_file({k: v.contiguous() for k, v in change(load_file(file)).items()}, other)
        with pytest.raises(SyncbenchError, match=words) as caught:
            ip_model(folder, "sd15", adapter=str(copy), weights="other").load()
        assert "\n" not in str(caught.value)
    for options, words in (
        ({"weights": "nothing"}, "has no nothing.safetensors, the IP-Adapter that is asked for"),
        ({"adapter": "h94/IP-Adapter"}, "syncbench fetch h94/IP-Adapter brings it"),
    ):
        with pytest.raises(SyncbenchError, match=words):
            ip_model(folder, "sd15", **options)


def test_ip_adapters_options_are_in_the_revision(folder: Callable[[str], Path]) -> None:
    options = {"path", "adapter", "weights", "scale", "commit", "variant", "device", "dtype", "batch"} | set(MEMORY)
    assert set(field_types(load_class("models", "ip_adapter"))) == options, "an option that no test knows"
    folder("ip-sdxl")  # another file in the same folder
    plain = ip_model(folder, "sd15").revision
    changes: list[dict[str, Any]] = [{"scale": 0.5}, {"weights": PLUS}, {"dtype": "float16"}]
    found = [ip_model(folder, "sd15", **change).revision for change in changes]
    assert len({plain, *found}) == 4
    assert ip_model(folder, "sd15").name == "sd15+ip-adapter_sd15"
    assert ip_model(folder, "sd15", batch=3).revision == plain


# What planning sees


@pytest.mark.parametrize("name", ["mv", "t2i", "ip"])
def test_networks_without_values_have_all_parameters(folder: Callable[[str], Path], name: str) -> None:
    make = {
        "mv": lambda device: mv_model(folder, "sd21", device=device),
        "t2i": lambda device: t2i_model(folder, "sd15", "depth", device=device),
        "ip": lambda device: ip_model(folder, "sd15", device=device),
    }[name]
    hollow, real = make("meta"), make("cpu")
    inputs = {"mv": {"camera": cameras_of([0, 90])}, "t2i": {"depth": pixels(1)}, "ip": {"image": picture()}}[name]
    empty = {key: torch.empty(value.shape, device="meta") for key, value in inputs.items()}
    x = torch.empty(2, 4, 8, 8, device="meta")
    condition = hollow.condition(PROMPTS, 2.0, **empty)
    assert hollow.predict(x, next(iter(hollow.schedule(1))), condition)[0].shape == x.shape
    real.load()
    assert parameters_of(hollow) == parameters_of(real)
    base = load("models", "diffusers", {"path": str(folder("sd21" if name == "mv" else "sd15")), "device": "meta"})
    added = {
        "mv": [folder("mv-sd21") / "mvadapter_t2mv_sd21"],
        "t2i": [folder("depth-sd15") / "diffusion_pytorch_model"],
        "ip": [folder("ip-sd15") / "models" / f for f in ("ip-adapter_sd15", "image_encoder/model")],
    }[name]
    more = sum(value.numel() for file in added for value in load_file(f"{file}.safetensors").values())
    assert parameters_of(hollow)[0] - parameters_of(base)[0] == more


@pytest.mark.parametrize("name", ["svd", "sd_zero123plus"])
def test_pictures_without_values_are_prepared_without_values(tmp_path: Path, name: str) -> None:
    model = load("models", name, {"path": str(coupled.REPLICAS[name](tmp_path / name)), "device": "meta"})
    image = torch.empty(1, 3, 64, 64, device="meta")
    condition = model.condition(["a"] * 6, 2.0, together=True, image=image)
    x = torch.empty(6, model.channels, 8, 8, device="meta")
    assert model.predict(x, next(iter(model.schedule(1))), condition)[0].shape == x.shape


def test_planning_counts_a_converted_network_without_reading_it(tmp_path: Path) -> None:
    path = coupled.mvdream(tmp_path / "mvdream")
    real, hollow = (load("models", "sd_mvdream", {"path": str(path), "device": device}) for device in ("cpu", "meta"))
    counted = parameters_of(real)
    assert counted[0] > sum(one.numel() for one in real.network.module().parameters())
    (path / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"")
    assert parameters_of(hollow) == counted


@pytest.mark.parametrize("name", ["mv", "t2i", "ip"])
def test_half_precision_is_near(folder: Callable[[str], Path], name: str) -> None:
    make, inputs = {
        "mv": (lambda **more: mv_model(folder, "sd21", **more), {"camera": cameras_of([0, 90])}),
        "t2i": (lambda **more: t2i_model(folder, "sd15", "depth", **more), {"depth": pixels(1)}),
        "ip": (lambda **more: ip_model(folder, "sd15", **more), {"image": picture()}),
    }[name]
    x, made = noise(2, 4, 8, 8), []
    for dtype in ("float32", "bfloat16"):
        model = make(dtype=dtype)
        level, condition = list(model.schedule(4))[2], model.condition(PROMPTS, 2.0, together=True, **inputs)
        made.append(model.predict(x, level, condition)[0])
    assert {one.dtype for one in made} == {torch.float32}
    assert 0 < float((made[1] - made[0]).norm() / made[0].norm()) < 0.05


def test_the_image_encoder_stays_in_single_precision(folder: Callable[[str], Path]) -> None:
    model = ip_model(folder, "sd15", dtype="bfloat16")
    [tower] = [one.tower.module for one in model.made.conditioners if hasattr(one, "tower")]
    assert {parameter.dtype for parameter in tower.parameters()} == {torch.float32}
    assert model.network.module().dtype == torch.bfloat16


@pytest.mark.parametrize("name", ["mv", "t2i", "ip"])
def test_weights_that_rest_elsewhere_come_when_they_are_used(
    folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """On the CPU, whose copies stand for those on a GPU: no weight of the network is used where it rests."""
    make, inputs = {
        "mv": (lambda **more: mv_model(folder, "sd21", **more), {"camera": cameras_of([0, 90])}),
        "t2i": (lambda **more: t2i_model(folder, "sd15", "depth", **more), {"depth": pixels(1)}),
        "ip": (lambda **more: ip_model(folder, "sd15", **more), {"image": picture()}),
    }[name]
    monkeypatch.setattr(Placement, "moves", property(lambda self: self.offload != "none"))
    plain, moving = make(), make(offload="parts")
    level, x = list(plain.schedule(4))[2], noise(2, 4, 8, 8)
    made = []
    for model in (plain, moving):
        model.load()
        held = [model.network.module()]
        held += [model.network.inner.branches.module] if name == "mv" else []
        rest = [{parameter.data_ptr() for parameter in one.parameters()} for one in held]
        with torch.no_grad():
            made.append(model.predict(x, level, model.condition(PROMPTS, 2.0, together=True, **inputs))[0])
    assert torch.equal(*made)
    for one, before in zip(held, rest, strict=True):
        assert not {parameter.data_ptr() for parameter in one.parameters()} & before, "a weight was used where it rests"
