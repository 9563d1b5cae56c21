"""Every method keeps the contract, and none changes its output unnoticed."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from syncbench.bench.canvas import Canvas
from syncbench.bench.catalogue import registry
from syncbench.bench.errors import SyncbenchError
from syncbench.bench.models.parts.attention import layers
from syncbench.bench.sampling.loop import Method, Noise, views_artifact
from syncbench.bench.surfaces.strip import Strip
from syncbench.bench.types import Item, Sampling
from syncbench.methods.independent import Independent
from torch import Tensor, nn

GOLDEN = Path(__file__).parents[1] / "golden"
COMPONENTS = {component.id: component for component in registry.list_components("methods")}
PUBLISHED = {"syncdiffusion@paper", "texpainter@tiny", "texture@inpainting"}
"""What needs published weights, which no test has: see `test_real_pictures`."""
SPECS = [
    spec
    for c in COMPONENTS.values()
    for spec in (c.id, *(f"{c.id}@{preset}" for preset in c.presets))
    if spec not in PUBLISHED
]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing inverted is kept for other tests: `loud` changes weights, which the model's revision does not tell."""
    monkeypatch.setenv("SYNCBENCH_CACHE", str(tmp_path))


def strip_item(model: Any, windows: float = 2.5, wrap: bool = False, guidance: float = 2.0, eta: float = 0.0) -> Item:
    """Three steps on a strip some windows wide; off the stride grid by default for a stride of one."""
    window = max(16, 8 * model.factor)
    surface = Strip(window, round(windows * window), window, wrap)
    generator = torch.Generator().manual_seed(9)
    return Item(
        id="strip",
        family="overlap",
        prompts=("a red circle",),
        surface=surface,
        protocol=Sampling(steps=3, guidance=guidance, eta=eta),
        truth={"canvas": torch.rand(3, surface.height, surface.width, generator=generator)},
    )


def asked(spec: str, model: Any, **layout: Any) -> Item:
    """The strip of `strip_item`, with a source clip of as many frames as windows for a method that edits one."""
    item = strip_item(model, **layout)
    if "video" not in getattr(build(spec), "reads", ()):
        return item
    views = item.surface.canvas(model.factor).views
    clip = torch.rand(views, 3, *item.surface.window, generator=torch.Generator().manual_seed(8))
    return replace(item, source="a blue circle", conditions={"video": clip})


FEW: dict[str, dict[str, Any]] = {"fantasia3d": {"rounds": 2}}
"""Fields with which a method that repeats its steps does so less often."""
COUPLED = str(Path(__file__).parents[1] / "coupled.py:Coupled")
TIMED = str(Path(__file__).parents[1] / "coupled.py:Timed")


def build(spec: str, **overrides: Any) -> Method:
    return registry.load("methods", spec, overrides)


def make_model(name: str, **fields: Any) -> Any:
    return registry.load("models", name, fields)


@pytest.fixture(scope="module", params=["gauss", "tiny"])
def model(request: pytest.FixtureRequest) -> Any:
    """The closed-form model, and random networks of the published classes."""
    return make_model(request.param)


def traces(model: Any) -> list[Any]:
    """What a method could leave behind: patches, hooks, modes, gradients, changed weights, used-up randomness."""
    found: list[Any] = [torch.is_grad_enabled(), torch.get_rng_state().tolist()]
    parts = model.pipeline.components.values() if hasattr(model, "pipeline") else ()
    for module in (module for part in parts if isinstance(part, nn.Module) for module in part.modules()):
        found += [module.training, id(module.forward.__func__), id(getattr(module, "processor", None))]
        found += [len(module._forward_hooks), len(module._forward_pre_hooks), len(module._backward_hooks)]
        for p in module.parameters(recurse=False):
            found += [p.requires_grad, p.grad is None, float(p.detach().double().sum())]
    return found


def smallest(spec: str) -> str:
    """The cheapest model that has what a method requires."""
    id = spec.partition("@")[0]
    needed = set(COMPONENTS[id].requires)
    if id == "temporal_attention":  # which asks for layers of known classes
        return TIMED
    if needed - {"text", "attention"}:
        return COUPLED
    return "tiny" if "attention" in needed else "gauss"


def network(spec: str) -> str:
    """The cheapest model that has what a method requires and is a network."""
    return "tiny" if smallest(spec) == "gauss" else smallest(spec)


CASES = sorted({*((smallest(spec), spec) for spec in SPECS), *((network(id), id) for id in COMPONENTS)})


@pytest.mark.parametrize(("model", "spec"), CASES, indirect=["model"])
def test_contract(model: Any, spec: str) -> None:
    method, item = build(spec, **FEW.get(spec.partition("@")[0], {})), asked(spec, model)
    size = (item.surface.height, item.surface.width)  # type: ignore[attr-defined]
    before = traces(model)
    model.cost.evaluations = 0
    artifact = method(item, model, 5)
    assert traces(model) == before
    assert artifact.canvas is not None
    assert artifact.canvas.shape == (3, *size)
    assert artifact.views.shape == (item.surface.canvas().views, 3, *item.surface.window)
    for tensor in (artifact.canvas, artifact.views):
        assert tensor.dtype == torch.float32
        assert tensor.device.type == "cpu"
        assert not tensor.requires_grad
        assert bool(tensor.isfinite().all())
        assert float(tensor.min()) >= 0
        assert float(tensor.max()) <= 1
    assert json.loads(json.dumps(artifact.notes)) == artifact.notes
    assert all(0 < border < size[1] for border in artifact.notes.get("borders", []))
    assert all(bool(extra.isfinite().all()) for extra in artifact.extras.values())
    assert (model.cost.evaluations > 0) == method.runs_model

    torch.manual_seed(1)  # the process's own generator must not matter
    again = method(item, model, 5)
    assert torch.equal(again.canvas, artifact.canvas)
    assert torch.equal(again.views, artifact.views)
    assert again.notes == artifact.notes
    other = method(item, model, 6)
    seedless = (not method.runs_model and method.anchor != "floor") or (
        getattr(method, "initial", "") == "inverted" and not draws(method)
    )
    assert torch.equal(other.canvas, artifact.canvas) == seedless


def draws(method: Method) -> bool:
    """Whether a method that starts from an inverted clip has something to draw: layouts, keyframes, targets."""
    kind = type(method).__name__
    return kind in {"TokenFlow", "VidToMe"} or (kind == "Rave" and method.shuffle)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "spec", [spec if spec in COMPONENTS else pytest.param(spec, marks=pytest.mark.slow) for spec in SPECS]
)
@pytest.mark.parametrize("layout", [{"windows": 1}, {"windows": 3, "wrap": True}, {"windows": 2.25, "eta": 0.5}])
def test_odd_layouts_run(spec: str, layout: dict[str, Any]) -> None:
    model = make_model(smallest(spec))
    item = asked(spec, model, **layout)
    artifact = build(spec)(item, model, 0)
    assert artifact.canvas is not None
    assert artifact.canvas.shape == item.truth["canvas"].shape
    assert bool(artifact.canvas.isfinite().all())


@pytest.mark.parametrize("spec", COMPONENTS)
def test_batch_size_does_not_matter(spec: str) -> None:
    """Up to float32 rounding, which depends on how convolutions are batched: 1e-4 of the pixel range."""
    models = (make_model(network(spec), kind="reference", batch=batch) for batch in (1, 16))
    few = FEW.get(spec, {})
    one, many = (build(spec, **few)(asked(spec, model, windows=1.5), model, 0).canvas for model in models)
    torch.testing.assert_close(one, many, rtol=0, atol=1e-4)


@pytest.mark.parametrize("id", sorted(COMPONENTS))
def test_golden(id: str, update_golden: bool) -> None:
    """Output may change only together with `version`. Tolerances cover float noise between machines."""
    version = COMPONENTS[id].version
    specs = [spec for spec in SPECS if spec.partition("@")[0] == id]
    model = make_model(smallest(id), dtype="float64")
    if "attention" in model.capabilities:
        loud(model)
    now = {spec: digest(build(spec)(asked(spec, model), model, 0).canvas) for spec in specs}
    path = GOLDEN / f"{id}.json"
    stored = json.loads(path.read_text()) if path.exists() else None
    changed = stored is None or [s for s in specs if s not in stored["cases"] or not same(now[s], stored["cases"][s])]
    if update_golden and (stored is None or stored["version"] != version or not changed):
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"version": version, "cases": now}, indent=1) + "\n")
        return
    assert stored is not None, f"no golden file for {id}: run pytest --update-golden"
    assert stored["version"] == version, f"{id} is at version {version}: run pytest --update-golden"
    assert not changed, f"output of {changed} changed: raise `version` of {id}, then run pytest --update-golden"


def loud(model: Any) -> None:
    """Random layers hardly attend: sharpen their attention and raise its part in the output."""
    for layer in layers(model.network.module()).values():
        for part, gain in ((layer.to_q, 8), (layer.to_k, 8), (layer.to_out[0], 20)):
            part.weight.data.mul_(gain)


@dataclass(frozen=True)
class Pile:
    """Three views of the very same pixels, and nothing to paste them into."""

    side: int
    picture: bool = False

    @property
    def window(self) -> tuple[int, int]:
        return self.side, self.side

    def canvas(self, factor: int = 1, stride: float | None = None) -> Canvas:
        cells = self.side // factor
        index = torch.arange(cells**2).reshape(1, cells, cells).expand(3, -1, -1)
        return Canvas(index, torch.ones(index.shape), (cells**2,))


@pytest.mark.parametrize("spec", ["independent", "trap@constant", "trap@blur", "truth", "batch_attention"])
def test_family_agnostic_methods_leave_views_that_form_no_picture_as_they_are(spec: str) -> None:
    model = make_model("tiny", kind="reference", dtype="float64")
    views = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    item = Item(
        id="pile",
        family="channels",
        prompts=("a circle",),
        surface=Pile(64),
        protocol=Sampling(steps=2, guidance=2.0, eta=0.5),
        truth={"views": views, "canvas": torch.rand(3, 64, 64)},
    )
    artifact = build(spec)(item, model, 0)
    assert artifact.canvas is None
    assert artifact.views.shape == views.shape
    assert artifact.views.dtype == torch.float32
    if spec == "truth":
        assert torch.equal(artifact.views, views)
    elif spec == "trap@constant":
        assert float(artifact.views.std((0, 2, 3)).max()) < 1e-6
    else:
        assert not torch.allclose(artifact.views[0], artifact.views[1]), "views share noise"


def pile_item(prompts: tuple[str, ...], eta: float = 0.0) -> Item:
    return Item(
        id="pile",
        family="channels",
        prompts=prompts,
        surface=Pile(64),
        protocol=Sampling(steps=4, guidance=2.0, eta=eta),
    )


def test_synctweedies_cases_are_one_where_views_are_one_to_one() -> None:
    """The paper's finding: with every pixel shared one to one it does not matter what is averaged."""
    model = make_model("tiny", kind="reference", dtype="float64")
    loud(model)
    item = pile_item(("a circle", "a red star", "nothing"))
    made = {a: build("synctweedies", averaged=a, end=1.0)(item, model, 0).views for a in ("x0", "eps", "next")}
    assert not torch.allclose(made["x0"], build("synctweedies", end=0.0)(item, model, 0).views, atol=1e-3)
    for views in made.values():
        torch.testing.assert_close(views[1:], views[:1].expand(2, -1, -1, -1), atol=1e-6, rtol=0)
        torch.testing.assert_close(views, made["x0"], atol=1e-6, rtol=0)
    kept = build("synctweedies", end=0.5, rederive=False)(item, model, 0).views
    assert not torch.allclose(kept[0], kept[1], atol=1e-4), "the networks' own noise moves views apart"


def test_synctweedies_cases_are_one_on_strips_and_with_end_1_multidiffusion() -> None:
    """Why they are no presets: each update is linear in a state that all views share."""
    model = make_model("tiny", kind="reference", dtype="float64")
    loud(model)
    item = strip_item(model)
    half = {"stride": 0.5}
    made = {a: build("synctweedies", averaged=a, end=1.0, **half)(item, model, 0).views for a in ("x0", "eps", "next")}
    assert not torch.allclose(made["x0"], build("independent")(item, model, 0).views, atol=1e-3)
    for views in made.values():
        torch.testing.assert_close(views, made["x0"], atol=1e-6, rtol=0)
    pixels = make_model("gauss")  # it decodes pixel by pixel, so that views and canvas can be compared
    item = strip_item(pixels)
    found = build("synctweedies", end=1.0, **half)(item, pixels, 0).canvas
    torch.testing.assert_close(found, build("multidiffusion", **half)(item, pixels, 0).canvas, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("end", "steps", "agreed"), [(0.8, 3, 3), (0.8, 8, 7), (0.7, 10, 7), (0.8, 10, 8), (0.28, 25, 7), (0.0, 3, 0)]
)
def test_synctweedies_agrees_on_as_many_steps_as_upstream(end: float, steps: int, agreed: int) -> None:
    """Upstream: while t > (1 - end) * T, with trailing times."""
    times = [1000 - i * 1000 // steps for i in range(steps)]
    assert sum(t > (1 - end) * 1000 + 1e-9 for t in times) == agreed
    method, asked = build("synctweedies", end=end), list[int]()

    class Counting(type(method)):
        def _agreed(self, x: Tensor, canvas: Canvas) -> Tensor:
            asked.append(1)
            return super()._agreed(x, canvas)

    item = pile_item(("a", "b", "c"))
    Counting(end=end)(replace(item, protocol=Sampling(steps=steps, guidance=1.0)), make_model("gauss"), 0)
    assert len(asked) == agreed


def test_synctweedies_that_never_agrees_is_a_plain_sampler() -> None:
    model = make_model("tiny", kind="reference", dtype="float64")
    item = pile_item(("a circle", "a red star", "nothing"))
    alone = build("synctweedies", end=0.0)(item, model, 3).views
    canvas = item.surface.canvas(model.factor)
    x = canvas.look(Noise(canvas, model, 3)())
    with torch.no_grad():
        condition = model.condition(item.prompts, 2.0)
        for level in model.schedule(4):
            x = level.move(*model.predict(x, level, condition))
        torch.testing.assert_close(alone, model.decode(x).float(), atol=1e-6, rtol=0)


def test_synctweedies_agrees_in_pixels() -> None:
    model = make_model("gauss")
    item = pile_item(("a", "b", "c"))
    far = build("synctweedies@pixels", end=0.0)(item, model, 0).views
    near = build("synctweedies@pixels", end=1.0)(item, model, 0).views
    torch.testing.assert_close(near[1:], near[:1].expand(2, -1, -1, -1), atol=1e-5, rtol=0)
    assert bool(far.isfinite().all())
    with pytest.raises(SyncbenchError, match="in pixels only x0"):
        build("synctweedies", space="pixels", averaged="eps")


@dataclass(frozen=True, kw_only=True)
class Met(Independent):
    """Independent steps of views that the network denoises together."""

    together: ClassVar[bool] = True


@pytest.mark.parametrize("spec", ["mvdream", "zero123plus", "animatediff", "marigold_iid"])
def test_trained_methods_are_independent_but_for_the_networks_layers(spec: str) -> None:
    """They switch the model's own layers on while the loop runs, and off again."""
    model = make_model(COUPLED, kind="reference", dtype="float64")
    loud(model)
    item = pile_item(("a circle", "a red star", "nothing"))
    made, alone = build(spec)(item, model, 0).views, build("independent")(item, model, 0).views
    wanted = Met()(item, model, 0).views
    assert torch.equal(made, wanted)
    assert not torch.allclose(made, alone, atol=1e-4)
    assert torch.equal(alone, build("independent")(item, model, 0).views)


def test_rgbx_is_independent_sampling_of_channels() -> None:
    model = make_model(COUPLED, kind="reference", dtype="float64")
    item = pile_item(("a circle", "a red star", "nothing"))
    assert torch.equal(build("rgbx")(item, model, 0).views, build("independent")(item, model, 0).views)
    with pytest.raises(SyncbenchError):
        make_model("tiny").condition(["a"], 1.0, image=torch.zeros(1, 3, 64, 64))


def test_noise_of_views_alone_is_the_canvas_noise_where_first_seen() -> None:
    canvas = Strip(8, 20, 8).canvas()  # the last window starts at 12, inside the second
    model = make_model("gauss")
    shared, alone = canvas.look(Noise(canvas, model, 3)()), Noise(canvas, model, 3).alone()
    assert torch.equal(alone[:2], shared[:2])
    assert torch.equal(alone[2, :, :, 4:], shared[2, :, :, 4:])
    assert not bool((alone[2, :, :, :4] == shared[2, :, :, :4]).any())
    pile = Pile(64).canvas()
    noise = Noise(pile, model, 0).alone().flatten(1)
    assert noise.corrcoef().sub(torch.eye(3)).abs().max() < 0.05
    assert noise.std() == pytest.approx(1, abs=0.02)
    hidden = Canvas(torch.full((1, 4, 4), -1), torch.ones(1, 4, 4), (16,))
    assert bool((Noise(hidden, model, 0).alone() != 0).all())


def test_views_are_pasted_where_their_latents_lay() -> None:
    """A stride of 0.3 windows is 5 latent cells of 16, 40 pixels; laid out anew in pixels it would be 38."""
    strip = Strip(128, 208, 128)
    latents = strip.canvas(8, 0.3)
    item = Item(id="x", family="overlap", prompts=("",), surface=strip)
    picture = torch.rand(3, 16, 26, generator=torch.Generator().manual_seed(0))
    views = latents.look(picture).repeat_interleave(8, 2).repeat_interleave(8, 3)
    artifact = views_artifact(views, item, latents, 8)
    torch.testing.assert_close(artifact.canvas, picture.repeat_interleave(8, 1).repeat_interleave(8, 2))
    assert artifact.views.shape == (2, 3, 128, 128)


def digest(canvas: Tensor | None) -> dict[str, Any]:
    """A thumbnail (4 rows of hex RGB) and the moments of an image."""
    assert canvas is not None
    small = F.adaptive_avg_pool2d(canvas[None], (4, 10))[0].mul(255).round().to(torch.uint8)
    rows = [bytes(row.T.flatten().tolist()).hex() for row in small.unbind(1)]
    moments = {"mean": canvas.mean((1, 2)), "std": canvas.std((1, 2)), "step": canvas.diff(dim=2).abs().mean((1, 2))}
    return {"thumbnail": rows, **{k: [round(float(v), 6) for v in value] for k, value in moments.items()}}


def same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    """Thumbnails within 1 of 255, moments within 2e-4: loud attention magnifies what CPUs round."""
    left, right = (np.array([list(bytes.fromhex(row)) for row in x["thumbnail"]], dtype=int) for x in (a, b))
    close = all(np.allclose(a[k], b[k], rtol=0, atol=2e-4) for k in ("mean", "std", "step"))
    return close and left.shape == right.shape and int(np.abs(left - right).max()) <= 1


def test_conditions_a_model_cannot_take_are_left_out_and_noted() -> None:
    model = registry.load("models", "gauss")
    item = strip_item(model)
    given = replace(item, conditions={"depth": torch.ones(1, 1, 16, 16)})
    plain, noted = (build("independent")(one, model, 0) for one in (item, given))
    assert torch.equal(plain.views, noted.views)
    assert noted.notes["unseen"] == ["depth"]
    assert "unseen" not in plain.notes
