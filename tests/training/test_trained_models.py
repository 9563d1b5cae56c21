"""The trainers beyond the base on made-up data, and the models that serve what they leave."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from diffusers import ControlNetModel, MotionAdapter, UNet2DConditionModel
from syncbench.bench import training
from syncbench.bench.errors import SyncbenchError
from syncbench.bench.models.channels_joint import ChannelsJoint
from syncbench.bench.models.channels_prompted import ChannelsPrompted
from syncbench.bench.models.channels_to_rgb import ChannelsToRgb
from syncbench.bench.models.depth import Depth
from syncbench.bench.models.grid import Grid
from syncbench.bench.models.motion import Motion
from syncbench.bench.models.parts.attention import layers
from syncbench.bench.models.parts.composed import SHIPPED
from syncbench.bench.models.parts.joint import joint, referring
from syncbench.bench.models.parts.shared_attention import SharedAttention
from syncbench.bench.models.parts.wrappers import Controlled, canvas_of, tiles_of
from syncbench.bench.models.views import Views
from syncbench.bench.training import agreement, channels, codec, depth, motion, saved, scenes, start, views
from syncbench.bench.training import base as base_trainer
from syncbench.bench.training.loop import Plan
from syncbench.bench.training.silhouette import agreement as overlap
from syncbench.bench.world.truth import CHANNELS
from torch import Tensor

WEIGHTS = SHIPPED / "reference"
pytestmark = pytest.mark.skipif(not WEIGHTS.exists(), reason="no reference model shipped")
RIGS = {"orbit4": (4, 5, None), "single": (1, 8, None), "grid6": (7, 7, None), "clip": (4, 6, 4)}
"""Views, seed and frames of the files that the trainers look for."""
NETWORKS: dict[str, tuple[Any, str]] = {
    "depth": (Depth, "ControlNetModel"),
    "views": (Views, "UNet2DConditionModel"),
    "motion": (Motion, "MotionAdapter"),
    "grid": (Grid, "UNet2DConditionModel"),
    "channels_joint": (ChannelsJoint, "UNet2DConditionModel"),
    "channels_prompted": (ChannelsPrompted, "UNet2DConditionModel"),
    "channels_to_rgb": (ChannelsToRgb, "UNet2DConditionModel"),
}


def rand(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline folder of the reference's kind, small and untrained."""
    folder = tmp_path_factory.mktemp("base")
    torch.manual_seed(0)
    made = base_trainer.build(widths=(16, 32, 32), text=32)
    torch.nn.init.normal_(made.unet.conv_out.weight, std=0.1)
    base_trainer.export(made, codec.build(width=8), folder)
    return folder


@pytest.fixture(scope="module")
def trained(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which every trainer has taken two steps on random scenes of the right shapes."""
    folder = tmp_path_factory.mktemp("trained")
    data = folder / "shots"
    data.mkdir()
    n = scenes.CHUNK
    for rig, (count, seed, frames) in RIGS.items():
        kept = scenes.KEPT[rig]
        part: dict[str, Any] = {"captions": ["a red cube"] * n, "camera": torch.eye(4).expand(n, count, 4, 4).clone()}
        for name in ("rgb", *CHANNELS):
            part[name] = torch.empty(n, 0)
            if name == "rgb" or name in kept:
                part[name] = randn(n, count, 8, 16, 16).half()
        part["depth"] = (rand(n, count, 128, 128) * 255).byte() if "depth" in kept else torch.empty(n, 0)
        torch.save(part, scenes._files(data, rig, seed, n, frames)[0])
    torch.save({"latents": randn(8, 8, 16, 16).half(), "captions": ["a blue ball"] * 8}, data / "flat.pt")
    for name in NETWORKS:
        more = {"views": [f"flat={data / 'flat.pt'}"], "motion": ["frames=4"]}.get(name, [])
        options = [f"base={base}", f"number={n}", "size=4", "processes=1", *more]
        training.train(name, folder / name, options, steps=2, card=False, device="cpu")
    return folder


@pytest.fixture(scope="module")
def served(trained: Path, base: Path) -> dict[str, Any]:
    options: dict[str, Any] = {"base": str(base), "device": "cpu", "dtype": "float32"}
    return {name: kind(path=str(trained / name / "model"), **options) for name, (kind, _) in NETWORKS.items()}


def control_of(model: Any) -> Any:
    """The ControlNet of a depth or motion model."""
    network = model.network
    while not isinstance(network, Controlled):
        network = network.inner
    return network.controls[0].weights.module


@pytest.mark.parametrize("name", NETWORKS)
def test_diffusers_reads_what_a_trainer_leaves(trained: Path, name: str) -> None:
    kind = getattr(diffusers, NETWORKS[name][1])
    model = kind.from_pretrained(trained / name / "model", torch_dtype=torch.float32)
    saved = torch.load(trained / name / "state.pt", weights_only=False)["average"]
    found = dict(model.named_parameters())
    for key, value in saved.items():
        torch.testing.assert_close(found[key], value, atol=2e-3, rtol=2e-3)


def test_all_shipped_weights_fit_into_48_mb() -> None:
    unet = start.network(WEIGHTS)
    small = [recipe.build(8, words=128) for recipe in (channels.JOINT, channels.PROMPTED, channels.TO_RGB)]
    added = [depth.build(unet), views.build(WEIGHTS), unet, motion.build(unet), *small]
    numbers = sum(p.numel() for module in added for p in module.parameters())
    base = sum(f.stat().st_size for name in ("reference", "judge") for f in (WEIGHTS.parent / name).rglob("*.saf*"))
    assert 2.02 * numbers + base <= 48e6


def test_a_finished_run_is_not_trained_again(trained: Path, base: Path) -> None:
    before = torch.load(trained / "depth" / "state.pt", weights_only=False)
    options = [f"base={base}", f"number={scenes.CHUNK}", "size=4", "processes=1"]
    training.train("depth", trained / "depth", options, steps=2, card=False, device="cpu")
    after = torch.load(trained / "depth" / "state.pt", weights_only=False)
    assert before["step"] == after["step"] == 2
    assert all(torch.equal(before["module"][key], value) for key, value in after["module"].items())


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("view", [], "cannot train 'view': did you mean 'views'"),
        ("views", ["sise=3"], "views takes no 'sise': did you mean 'size'"),
        ("views", ["size"], "write FIELD=VALUE"),
        ("depth", ["base=/nowhere"], "holds no model"),
    ],
)
def test_a_mistaken_command_says_so(tmp_path: Path, name: str, options: list[str], said: str) -> None:
    with pytest.raises(SyncbenchError, match=said):
        training.train(name, tmp_path, options, card=False)


@pytest.mark.parametrize(("noted", "said"), [(True, "trainer = grid"), (False, "another network")])
def test_the_state_of_another_network_is_refused(
    trained: Path, base: Path, tmp_path: Path, noted: bool, said: str
) -> None:
    state = saved.read(trained / "grid" / "state.pt", dict)
    if not noted:
        state["notes"] = {}
    (tmp_path / "depth").mkdir()
    saved.write(tmp_path / "depth" / "state.pt", state)
    (tmp_path / "shots").symlink_to(trained / "shots")
    options = [f"base={base}", f"number={scenes.CHUNK}", "size=4", "processes=1"]
    with pytest.raises(SyncbenchError, match=said):
        training.train("depth", tmp_path / "depth", options, steps=4, card=False, device="cpu")


def test_untrained_additions_change_nothing(base: Path) -> None:
    unet = start.network(base)
    x, t, words = randn(4, 8, 16, 16), torch.tensor(500), randn(4, 24, 32)
    with torch.no_grad():
        plain = unet(x, t, words).sample
        control = depth.build(unet)
        down, middle = control(x, t, words, controlnet_cond=rand(4, 3, 128, 128), return_dict=False)
        steered = unet(x, t, words, down_block_additional_residuals=down, mid_block_additional_residual=middle).sample
        camera = views.build(base)(x, t, words, class_labels=randn(4, 16)).sample
        clip = motion.joined(unet, motion.build(unet))(x[None].transpose(1, 2), t, words).sample
    torch.testing.assert_close(steered, plain, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(camera, plain, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(clip.transpose(1, 2)[0], plain, atol=1e-5, rtol=1e-4)


def test_inflated_attention_spans_a_scene_and_no_more(base: Path) -> None:
    unet = start.network(base)
    x, t, words = randn(4, 8, 16, 16), torch.tensor(300), randn(1, 24, 32).expand(4, -1, -1)
    with torch.no_grad():
        plain = unet(x, t, words).sample
        with joint(unet, 1):
            torch.testing.assert_close(unet(x, t, words).sample, plain)
        with joint(unet, 2):
            whole = unet(x, t, words).sample
            other = unet(torch.cat([x[:2], x[2:] + 1]), t, words).sample
            same = unet(x[:1].expand(2, -1, -1, -1), t, words[:2]).sample
            swapped = unet(x[[1, 0, 2, 3]], t, words).sample
        assert not any(isinstance(layer.processor, SharedAttention) for layer in layers(unet).values())
        torch.testing.assert_close(unet(x, t, words).sample, plain)
    assert (whole - plain).abs().max() > 1e-3
    torch.testing.assert_close(other[:2], whole[:2], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(same, plain[:1].expand(2, -1, -1, -1), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(swapped[[1, 0]], whole[:2], atol=1e-5, rtol=1e-4)


def test_reference_attention_sees_the_reference(base: Path) -> None:
    unet = start.network(base)
    x, t, words = randn(1, 8, 16, 16), torch.tensor(300), randn(1, 24, 32)

    def refer(picture: Tensor) -> Tensor:
        with torch.no_grad(), referring(unet) as state:
            state.store = True
            unet(picture, t, words)
            state.store = False
            return unet(x, t, words).sample

    with torch.no_grad():
        plain = unet(x, t, words).sample
    # tokens twice among keys and values weigh as once
    torch.testing.assert_close(refer(x), plain, atol=1e-5, rtol=1e-4)
    assert (refer(randn(1, 8, 16, 16, seed=1)) - plain).abs().max() > 1e-3


def test_the_loss_of_v_is_that_of_the_noise_but_for_its_weight() -> None:
    noise = start.Noise()
    x, t, random = randn(3, 2, 8, 4, 4), torch.tensor([10, 500, 990]), torch.Generator().manual_seed(3)
    noisy, v = noise.mix(x, t, random)
    bar = noise.bars[t].view(3, 1, 1, 1, 1)
    a, b = bar.sqrt(), (1 - bar).sqrt()
    eps = b * noisy + a * v
    torch.testing.assert_close(a * noisy - b * v, x, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(eps, randn(3, 2, 8, 4, 4, seed=3), atol=1e-5, rtol=1e-5)
    guess = randn(*v.shape, seed=9)
    wrong = b * noisy + a * guess - eps
    torch.testing.assert_close(wrong.square(), bar * (guess - v).square(), atol=1e-4, rtol=1e-3)


def test_views_that_are_wrong_alike_agree() -> None:
    true, off = randn(3, 4, 8, 16, 16), randn(3, 1, 8, 1, 1, seed=1)
    assert views.disagreement(true + off, true) == pytest.approx(0, abs=1e-6)
    one = torch.zeros(3, 4, 8, 1, 1)
    one[:, 0] = 1
    assert views.disagreement(true + one, true) == pytest.approx((3 / 16) ** 0.5, abs=1e-5)


def test_half_a_clip_is_one_of_its_halves_or_every_other_frame() -> None:
    clips = torch.arange(16).expand(200, 16)
    found = {tuple(row.tolist()) for row in motion.halves(clips, torch.Generator().manual_seed(0))}
    assert found == {tuple(range(8)), tuple(range(8, 16)), tuple(range(0, 16, 2)), tuple(range(1, 16, 2))}


@pytest.mark.parametrize("objective", ["v", "eps"])
def test_multi_view_step_is_mvdreams(base: Path, objective: Any) -> None:
    """Against the paper's loss written out: one time a scene, attention over its views, none over other scenes."""
    unet, noise, plan = views.build(base), start.Noise(), Plan(Path(), 1)
    torch.nn.init.normal_(unet.class_embedding.linear_2.weight, std=0.1)
    x, words, camera = randn(2, 4, 8, 16, 16), randn(2, 24, 32, seed=1), randn(2, 4, 16, seed=2)
    step = views.MultiView(unet=unet, noise=noise, plan=plan, objective=objective)
    draw = torch.Generator().manual_seed(5)
    times = noise.times(2, draw)
    noisy, v = noise.mix(x, times, draw)
    with torch.no_grad():
        found = step.loss(x, words, camera, torch.Generator().manual_seed(5))["loss"]
        wanted: list[Tensor] = []
        for i in range(2):
            with joint(unet, 4):
                made = unet(noisy[i], times[i], words[i].expand(4, -1, -1), class_labels=camera[i]).sample
            bar = noise.bars[times[i]]
            error, target = made, v[i]
            if objective == "eps":
                error, target = (bar.sqrt() * y + (1 - bar).sqrt() * noisy[i] for y in (made, v[i]))
            wanted.append((error - target).square().mean())
    torch.testing.assert_close(found, torch.stack(wanted).mean(), atol=2e-2, rtol=2e-2)


def test_independent_images_do_not_meet(base: Path) -> None:
    unet, noise = views.build(base), start.Noise()
    step = views.MultiView(unet=unet, noise=noise, plan=Plan(Path(), 1))
    x, words = randn(3, 1, 8, 16, 16).requires_grad_(), randn(3, 24, 32, seed=1)
    seen: list[tuple[int, ...]] = []

    def look(module: Any, inputs: Any, output: Any) -> None:
        seen.append(tuple(inputs[0].shape))

    handle = layers(unet)["mid_block.attentions.0.transformer_blocks.0.attn1"].to_q.register_forward_hook(look)
    step.loss(x, words, None, torch.Generator().manual_seed(0))
    handle.remove()
    assert seen == [(3, 16, 32)]


def test_views_are_coupled_only_together(served: dict[str, Any]) -> None:
    model = served["views"]
    torch.nn.init.normal_(model.network.module().class_embedding.linear_2.weight, std=0.1)
    level = next(iter(model.schedule(4)))
    x = randn(4, 8, 16, 16)
    camera = torch.eye(4).flatten()[None] + randn(4, 16) * 0.3
    condition = model.condition(["a red cube"] * 4, 3.0, camera=camera)
    met = model.condition(["a red cube"] * 4, 3.0, together=True, camera=camera)
    with torch.no_grad():
        apart, _ = model.predict(x, level, condition)
        changed, _ = model.predict(torch.cat([x[:3], -x[3:]]), level, condition)
        alone, _ = model.predict(x[:1], level, condition.rows(slice(1)))
        whole, _ = model.predict(x, level, met)
        pulled, _ = model.predict(torch.cat([x[:3], -x[3:]]), level, met)
        turned, _ = model.predict(x, level, model.condition(["a red cube"] * 4, 3.0, camera=-camera))
    torch.testing.assert_close(apart[:1], alone, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(apart[:3], changed[:3], atol=1e-4, rtol=1e-3)
    assert (whole - apart).abs().max() > 1e-3
    assert (whole[:3] - pulled[:3]).abs().max() > 1e-3
    assert (turned - apart).abs().max() > 1e-4


def test_motion_carries_a_given_first_frame(served: dict[str, Any]) -> None:
    model = served["motion"]
    for module in model.network.module(together=True).modules():
        if hasattr(module, "proj_out") and "AnimateDiff" in type(module).__name__:
            torch.nn.init.normal_(module.proj_out.weight, std=0.2)
    image, x = rand(1, 3, 128, 128), randn(4, 8, 16, 16)
    free = model.condition(["a red cube"] * 4, 2.0, together=True)
    given = model.condition(["a red cube"] * 4, 2.0, together=True, image=image)
    other = model.condition(["a red cube"] * 4, 2.0, together=True, image=1 - image)
    with torch.no_grad():
        start_ = x
        for level in model.schedule(3):
            x = level.move(*model.predict(x, level, given))
        level = next(iter(model.schedule(3)))
        made, bare, swapped = (model.predict(start_, level, c)[0] for c in (given, free, other))
    torch.testing.assert_close(x[:1], model.encode(image), atol=1e-3, rtol=1e-3)
    assert (made[1:] - bare[1:]).abs().max() > 1e-3
    assert (made[1:] - swapped[1:]).abs().max() > 1e-3
    with torch.no_grad():
        alone = model.condition(["a red cube"] * 4, 2.0, image=image)
        plain = model.predict(start_, level, alone)[0]
        shuffled = model.predict(start_[[1, 0, 2, 3]], level, alone)[0]
    torch.testing.assert_close(shuffled[[1, 0, 2, 3]], plain, atol=1e-4, rtol=1e-3)


def test_motion_follows_depth_together_and_alone(trained: Path, base: Path, served: dict[str, Any]) -> None:
    options: dict[str, Any] = {"base": str(base), "device": "cpu", "dtype": "float32"}
    model = Motion(path=str(trained / "motion" / "model"), control=str(trained / "depth" / "model"), **options)
    other = Motion(path=str(trained / "motion" / "model"), control=str(SHIPPED / "depth"), **options)
    assert model.revision != other.revision
    plain = Depth(path=str(trained / "depth" / "model"), **options)
    for control in map(control_of, (model, plain)):
        torch.manual_seed(4)
        for part in (*control.controlnet_down_blocks, control.controlnet_mid_block):
            torch.nn.init.normal_(part.weight, std=0.1)
    x, level, words = randn(4, 8, 16, 16), next(iter(model.schedule(4))), ["a red cube"] * 4
    with torch.no_grad():
        condition = model.condition(words, 2.0, depth=rand(4, 1, 128, 128))
        alone = model.predict(x, level, condition)[0]
        torch.testing.assert_close(alone, plain.predict(x, level, condition)[0])
        made = model.predict(x, level, replace(condition, together=True))[0]
        free = model.predict(x, level, model.condition(words, 2.0, together=True))[0]
        # two steps of training have hardly moved the adapter: together is alone, frame for frame
        torch.testing.assert_close(made, alone, atol=0.05, rtol=0.05)
        assert (made - free).abs().max() > 1e-3
    with pytest.raises(SyncbenchError, match="no folder"):
        Motion(path=str(trained / "motion" / "model"), control=str(trained / "nowhere"), **options).parts()


def test_joint_channels_enter_and_leave_in_order(served: dict[str, Any]) -> None:
    model = served["channels_joint"]
    torch.nn.init.normal_(model.network.module().conv_out.weight, std=0.1)
    image, x = rand(2, 3, 128, 128), randn(6, 8, 16, 16)
    condition = model.condition(["whatever"] * 6, 1.0, image=image.repeat_interleave(3, 0))
    level = next(iter(model.schedule(4)))
    with torch.no_grad():
        x0, eps = model.predict(x, level, condition)
        z = model.encode(image)
        words = condition.given["text"][:2]
        rows = torch.stack([torch.cat([*x[3 * i : 3 * i + 3], z[i]]) for i in range(2)])
        v = model.network.module()(rows, level.t, words).sample
    wanted = torch.cat([torch.stack(list(row.split(8))) for row in v])
    torch.testing.assert_close(level.a * eps - level.b * x0, wanted, atol=1e-4, rtol=1e-3)
    with pytest.raises(SyncbenchError, match="3 views a picture"):
        model.predict(x[:2], level, condition.rows(slice(2)))
    with pytest.raises(SyncbenchError, match="needs condition `image`"):
        model.condition(["whatever"] * 3, 1.0)


def test_prompts_choose_the_channel(served: dict[str, Any]) -> None:
    model = served["channels_prompted"]
    image = rand(1, 3, 128, 128)
    named = model.condition(["albedo", "normal", "shading"], 1.0, image=image)
    said = model.condition(["a red cube on a green meadow"] * 3, 1.0, image=image)
    torch.testing.assert_close(named.given["text"], said.given["text"])
    assert (named.given["text"][0] - named.given["text"][1]).abs().max() > 1e-2


def test_a_missing_channel_is_a_latent_of_zeros_at_any_size(served: dict[str, Any]) -> None:
    model = served["channels_to_rgb"]
    for side in (64, 128):
        shading, cells = rand(1, 3, side, side), side // 8
        rows = model.condition(["a red cube"], 1.0, shading=shading).given
        torch.testing.assert_close(rows["shading"], model.encode(shading))
        x, level = randn(1, 8, cells, cells), next(iter(model.schedule(4)))
        zeros = {name: torch.zeros_like(rows["shading"]) for name in ("albedo", "normal")}
        told = model.condition(["a red cube"], 1.0, shading=shading)
        named = replace(told, passes=tuple({**one, **zeros} for one in told.passes))
        with torch.no_grad():
            torch.testing.assert_close(model.predict(x, level, told)[0], model.predict(x, level, named)[0])


def test_pictures_from_channels_are_guided_by_three_passes(served: dict[str, Any]) -> None:
    """out = nothing + image (channels - nothing) + text (both - channels), each pass alone through the network."""
    folders = {"path": served["channels_to_rgb"]._path, "base": served["channels_to_rgb"]._base}
    model, alone = (
        ChannelsToRgb(**folders, device="cpu", dtype="float32", image_guidance=scale) for scale in (1.5, 1.0)
    )
    torch.nn.init.normal_(model.network.module().conv_out.weight, std=0.1)
    alone.network.module().load_state_dict(model.network.module().state_dict())
    assert model.revision != alone.revision
    shown = {"albedo": rand(1, 3, 128, 128), "shading": rand(1, 3, 128, 128)}
    x, level = randn(1, 8, 16, 16), list(model.schedule(4))[1]
    with torch.no_grad():
        guided = model.predict(x, level, model.condition(["a red cube"], 4.0, **shown))
        assert len(model.condition(["a red cube"], 4.0, **shown).passes) == 3
        plain = {
            key: level.output_of(x, model.predict(x, level, alone.condition([words], 1.0, **given))[0], "v")
            for key, words, given in (
                ("nothing", "", {}),
                ("channels", "", shown),
                ("both", "a red cube", shown),
            )
        }
    mixed = plain["nothing"] + 1.5 * (plain["channels"] - plain["nothing"]) + 4 * (plain["both"] - plain["channels"])
    wanted = level.split(x, mixed, "v")
    torch.testing.assert_close(guided[0], wanted[0], atol=1e-4, rtol=1e-4)
    assert not torch.allclose(plain["nothing"], plain["channels"], atol=1e-3)
    assert not torch.allclose(plain["both"], plain["channels"], atol=1e-3)


def test_depth_steers_and_its_absence_is_the_reference(served: dict[str, Any]) -> None:
    model = served["depth"]
    control = control_of(model)
    for part in (*control.controlnet_down_blocks, control.controlnet_mid_block):
        torch.nn.init.normal_(part.weight, std=0.1)
    x, level = randn(2, 8, 16, 16), next(iter(model.schedule(4)))
    with torch.no_grad():
        near, _ = model.predict(x, level, model.condition(["a red cube"] * 2, 2.0, depth=torch.ones(2, 1, 128, 128)))
        far, _ = model.predict(x, level, model.condition(["a red cube"] * 2, 2.0, depth=torch.zeros(1, 1, 128, 128)))
        free, _ = model.predict(x, level, model.condition(["a red cube"] * 2, 2.0))
    assert (near - far).abs().max() > 1e-3
    assert (near - free).abs().max() > 1e-3
    with pytest.raises(SyncbenchError, match="2 rows for 3 views"):
        model.condition(["a red cube"] * 3, 2.0, depth=torch.zeros(2, 1, 128, 128))


def test_tiles_lie_row_by_row(served: dict[str, Any]) -> None:
    tiles = randn(12, 2, 4, 5)
    canvas = canvas_of(tiles, 3, 2)
    assert canvas.shape == (2, 2, 12, 10)
    for i in range(6):
        row, column = divmod(i, 2)
        part = canvas[1, :, 4 * row : 4 * row + 4, 5 * column : 5 * column + 5]
        assert torch.equal(part, tiles[6 + i])
    assert torch.equal(tiles_of(canvas, 3, 2), tiles)
    model, x = served["grid"], randn(6, 8, 16, 16)
    condition = model.condition(["a red cube"] * 6, 2.0, together=True, image=rand(1, 3, 128, 128))
    with torch.no_grad():
        level = next(iter(model.schedule(4)))
        first, again = (model.predict(x, level, condition)[0] for _ in range(2))
    assert torch.equal(first, again)


def test_a_folder_without_weights_says_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(SyncbenchError, match="syncbench train views"):
        Views(path=str(tmp_path)).parts()


def test_revisions_tell_weights_apart(trained: Path, served: dict[str, Any], base: Path, tmp_path: Path) -> None:
    before, options = served["depth"].revision, {"base": str(base), "device": "cpu", "dtype": "float32"}
    assert before == Depth(path=str(trained / "depth" / "model"), **options).revision
    for file in (trained / "depth" / "model").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = tmp_path / "config.json"
    config.write_text(config.read_text() + " ")
    assert Depth(path=str(tmp_path), **options).revision != before


def test_coding_keeps_the_pictures(tmp_path: Path) -> None:
    from syncbench.bench.training.stream import codec_of

    taken = scenes.shots(5, 2, "single")
    found = scenes.code(taken, codec_of(WEIGHTS / "vae"), scenes.KEPT["single"])
    assert found["rgb"].shape == found["shading"].shape == (2, 1, 8, 16, 16)
    with torch.no_grad():
        back = codec_of(WEIGHTS / "vae").decode(found["rgb"][:, 0].float()).sample / 2 + 0.5
    real = torch.from_numpy(taken.rgb[:, 0]).movedim(-1, 1) / 255
    assert (back - real).square().mean().sqrt() < 0.08
    orbit = SimpleNamespace(**{**vars(taken), "depth": np.full((2, 1, 128, 128), 0.5, np.float16)})
    kept = scenes.code(orbit, codec_of(WEIGHTS / "vae"), ("depth",))
    assert kept["albedo"].numel() == 0
    assert set(kept["depth"].unique().tolist()) == {128}


def test_disagreement_in_colours_is_that_of_the_colours() -> None:
    images = torch.full((2, 3, 64, 64), 0.5)
    images[1, :2, 32:] = 0
    object_ = torch.zeros(2, 64, 64, dtype=torch.bool)
    object_[:, 20:30, 20:30] = True
    # grey ground against blue ground: (1/3, 1/3, 1/3) and (0, 0, 1) are (1/6, 1/6, 1/3) from their mean, one of three
    assert agreement.palette(images, object_) == pytest.approx((1 / 6 / 9) ** 0.5)
    dimmed = torch.cat([images[:1], images[:1] * 0.4])
    assert agreement.palette(dimmed, object_) == pytest.approx(0, abs=1e-6)


def test_disagreement_in_height_is_that_of_the_rows() -> None:
    object_ = torch.zeros(2, 64, 64, dtype=torch.bool)
    object_[0, 16:48], object_[1, 24:48] = True, True
    # tops at 16/64 and 24/64, 1/16 from their mean; bottoms agree
    assert agreement.extent(object_) == pytest.approx((1 / 16) / 2**0.5)


def test_a_jump_is_what_no_shift_explains() -> None:
    texture = rand(3, 96, 96)
    moving = torch.stack([texture[:, 16 + 2 * i : 80 + 2 * i, 16 - 3 * i : 80 - 3 * i] for i in range(3)])
    inner = agreement.jump(moving)
    assert agreement.change(moving) > 0.2
    assert inner < 0.1 * agreement.change(moving)
    assert agreement.jump(rand(3, 3, 64, 64)) > 5 * inner
    assert agreement.jump(texture[None, :, :64, :64].expand(2, -1, -1, -1)) == 0


def test_overlap_of_silhouettes() -> None:
    a = torch.zeros(3, 8, 8, dtype=torch.bool)
    b = a.clone()
    a[0, :4], b[0, 2:6], a[1] = True, True, True
    assert overlap(a, b).tolist() == pytest.approx([1 / 3, 0, 1])


@pytest.mark.parametrize(("kind", "folder"), [(ControlNetModel, "depth"), (MotionAdapter, "motion")])
def test_shipped_adapters_load(kind: Any, folder: str) -> None:
    path = WEIGHTS.parent / folder
    if not path.exists():
        pytest.skip("not shipped")
    assert kind.from_pretrained(path) is not None


@pytest.mark.parametrize("folder", ["views", "grid", "channels_joint", "channels_prompted", "channels_to_rgb"])
def test_shipped_networks_load(folder: str) -> None:
    path = WEIGHTS.parent / folder
    if not path.exists():
        pytest.skip("not shipped")
    assert UNet2DConditionModel.from_pretrained(path) is not None
