"""Every method keeps the contract; each does what its docstring says; none changes its output unnoticed."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.sparse import csr_matrix, diags, eye, kron, vstack
from scipy.sparse.linalg import spsolve
from syncbench.bench import registry
from syncbench.bench.canvas import Canvas
from syncbench.bench.geometry.strip import Strip
from syncbench.bench.loop import Method, Noise, Step
from syncbench.bench.types import Item, Sampling, SyncbenchError
from syncbench.methods.independent import Independent
from syncbench.methods.overlap.feather import Feather, feather
from syncbench.methods.overlap.least_squares import LeastSquares, gains, owned_gradients, screened_poisson
from syncbench.methods.overlap.multidiffusion import MultiDiffusion
from syncbench.methods.overlap.syncdiffusion import SyncDiffusion
from syncbench.methods.trap import Trap
from syncbench.methods.truth import Truth
from syncbench.metrics.backbones.perceptual import perceptual
from torch import Tensor, nn

GOLDEN = Path(__file__).parent / "golden"
COMPONENTS = {component.id: component for component in registry.list_components("methods")}
SPECS = [spec for c in COMPONENTS.values() for spec in (c.id, *(f"{c.id}@{preset}" for preset in c.presets))]
WINDOW, HEIGHT = 32, 32
"""Pixels, where no model is involved."""


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


ITEMS = {None: strip_item, "overlap": strip_item}
"""How to make a small item for a family; a new family adds its own."""


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Tensors here are tiny: a second thread only waits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def build(spec: str, **overrides: Any) -> Method:
    return registry.load("methods", spec, overrides)


def item_for(spec: str, model: Any, **layout: Any) -> Item:
    return ITEMS[COMPONENTS[spec.partition("@")[0]].family](model, **layout)


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


CASES = [("gauss", spec) for spec in SPECS] + [("tiny", id) for id in COMPONENTS]


@pytest.mark.parametrize(("model", "spec"), CASES, indirect=["model"])
def test_contract(model: Any, spec: str) -> None:
    method, item = build(spec), item_for(spec, model)
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
    assert (model.cost.evaluations == 0) == (method.anchor == "ceiling")

    torch.manual_seed(1)  # the process's own generator must not matter
    again = method(item, model, 5)
    assert torch.equal(again.canvas, artifact.canvas)
    assert torch.equal(again.views, artifact.views)
    assert again.notes == artifact.notes
    other = method(item, model, 6)
    assert torch.equal(other.canvas, artifact.canvas) == (method.anchor == "ceiling")


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("layout", [{"windows": 1}, {"windows": 3, "wrap": True}, {"windows": 2.25, "eta": 0.5}])
def test_odd_layouts_run(spec: str, layout: dict[str, Any]) -> None:
    model = make_model("gauss")
    item = item_for(spec, model, **layout)
    artifact = build(spec)(item, model, 0)
    assert artifact.canvas is not None
    assert artifact.canvas.shape == item.truth["canvas"].shape
    assert bool(artifact.canvas.isfinite().all())


@pytest.mark.parametrize("spec", COMPONENTS)
def test_batch_size_does_not_matter(spec: str) -> None:
    """Up to float32 rounding, which depends on how convolutions are batched: 1e-4 of the pixel range."""
    models = (make_model("tiny", batch=batch) for batch in (1, 16))
    one, many = (build(spec)(item_for(spec, model), model, 0).canvas for model in models)
    torch.testing.assert_close(one, many, rtol=0, atol=1e-4)


@pytest.mark.parametrize("id", sorted(COMPONENTS))
def test_golden(id: str, update_golden: bool) -> None:
    """Output may change only together with `version`. Tolerances cover float noise between machines."""
    version = COMPONENTS[id].version
    specs = [spec for spec in SPECS if spec.partition("@")[0] == id]
    model = make_model("gauss")
    now = {spec: digest(build(spec)(item_for(spec, model), model, 0).canvas) for spec in specs}
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


def digest(canvas: Tensor | None) -> dict[str, Any]:
    """A thumbnail (4 rows of hex RGB) and the moments of an image."""
    assert canvas is not None
    small = F.adaptive_avg_pool2d(canvas[None], (4, 10))[0].mul(255).round().to(torch.uint8)
    rows = [bytes(row.T.flatten().tolist()).hex() for row in small.unbind(1)]
    moments = {"mean": canvas.mean((1, 2)), "std": canvas.std((1, 2)), "step": canvas.diff(dim=2).abs().mean((1, 2))}
    return {"thumbnail": rows, **{k: [round(float(v), 6) for v in value] for k, value in moments.items()}}


def same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    """Thumbnails within 1 of 255, moments within 2e-5 (the model works in float64)."""
    left, right = (np.array([list(bytes.fromhex(row)) for row in x["thumbnail"]], dtype=int) for x in (a, b))
    close = all(np.allclose(a[k], b[k], rtol=0, atol=2e-5) for k in ("mean", "std", "step"))
    return close and left.shape == right.shape and int(np.abs(left - right).max()) <= 1


# What each method claims.


def windows(width: int = 80, stride: float = 0.25, wrap: bool = False) -> tuple[Tensor, Canvas]:
    """A smooth random picture and feathered windows onto it."""
    pixels = Strip(HEIGHT, width, WINDOW, wrap).canvas(1, stride)
    coarse = torch.rand(1, 3, 6, width // 8, generator=torch.Generator().manual_seed(2))
    picture = F.interpolate(coarse, (HEIGHT, width), mode="bicubic")[0] * 0.5 + 0.25
    return picture, pixels.with_weight(feather(pixels))


def test_shared_noise_makes_every_window_the_same() -> None:
    model = make_model("gauss")
    item = strip_item(model, windows=3)
    shared, own = Independent(shared_noise=True)(item, model, 0).views, Independent()(item, model, 0).views
    assert torch.equal(shared[0], shared[2])
    assert not torch.equal(own[0], own[2])


@pytest.mark.parametrize("shape", ["cosine", "linear"])
def test_feather_weights_fall_to_the_edges_and_never_vanish(shape: Any) -> None:
    row = feather(Strip(4, 64, 16).canvas(1, 0.5), shape)[1, 0]
    assert bool((row > 0).all())
    assert float(row.max()) <= 1
    torch.testing.assert_close(row, row.flip(0))
    assert bool((row[:8].diff() > 0).all())


@pytest.mark.parametrize("method", [Feather(), Feather(shape="linear"), LeastSquares(), LeastSquares(fit="poisson")])
@pytest.mark.parametrize("wrap", [False, True])
def test_windows_that_agree_are_left_alone(method: Feather, wrap: bool) -> None:
    picture, pixels = windows(width=83, wrap=wrap)
    torch.testing.assert_close(method.blend(pixels.look(picture), pixels), picture, rtol=0, atol=1e-5)


def test_gain_recovers_planted_gains_and_biases() -> None:
    picture, pixels = windows()
    generator = torch.Generator().manual_seed(4)
    planted_gain = 1 + 0.2 * torch.randn(pixels.views, 3, 1, 1, generator=generator)
    planted_bias = 0.1 * torch.randn(pixels.views, 3, 1, 1, generator=generator)
    damaged = (pixels.look(picture) - planted_bias) / planted_gain
    gain, bias = gains(damaged, pixels, sigma_n=1e-3, sigma_g=10, sigma_b=10)
    # Windows can only be matched to each other: one common gain and bias per channel stay free.
    relative = gain[..., None, None] / planted_gain
    torch.testing.assert_close(relative, relative[:1].expand_as(relative), rtol=0.02, atol=0)
    repaired = damaged * gain[..., None, None] + bias[..., None, None]
    common = (bias[..., None, None] - planted_bias * relative)[:1]
    torch.testing.assert_close(repaired, pixels.look(picture) * relative[:1] + common, rtol=0, atol=0.02)
    assert pixels.spread(repaired) < pixels.spread(damaged) / 100  # type: ignore[operator]


def test_gain_priors_keep_windows_that_share_nothing() -> None:
    pixels = Strip(HEIGHT, 96, WINDOW).canvas()
    gain, bias = gains(torch.rand(3, 3, HEIGHT, WINDOW), pixels, 10 / 255, 0.1, 0.1)
    torch.testing.assert_close(gain, torch.ones(3, 3))
    torch.testing.assert_close(bias, torch.zeros(3, 3))


@pytest.mark.parametrize("wrap", [False, True])
def test_poisson_removes_planted_offsets(wrap: bool) -> None:
    picture, pixels = windows(width=96, stride=0.5, wrap=wrap)
    offsets = 0.3 * torch.rand(pixels.views, 1, 1, 1, generator=torch.Generator().manual_seed(5))
    damaged = pixels.look(picture) + offsets
    blend = pixels.paint(damaged)
    solved = screened_poisson(blend, *owned_gradients(damaged, pixels), 1e-9, wrap)

    def residual(image: Tensor) -> float:
        gap = image - picture
        return float((gap - gap.mean((1, 2), keepdim=True)).abs().max())

    assert residual(blend) > 0.02
    assert residual(solved) < 1e-4
    default = LeastSquares(fit="poisson").blend(damaged, pixels)
    assert residual(default) > 1e-3, "the default screen keeps the blend's large-scale colours"


@pytest.mark.parametrize("wrap", [False, True])
def test_screened_poisson_equals_a_sparse_solve(wrap: bool) -> None:
    high, wide, strength = 5, 7, 0.3
    generator = torch.Generator().manual_seed(6)
    screen, down, right = (torch.randn(1, high, wide, generator=generator, dtype=torch.float64) for _ in range(3))
    down[:, -1] = 0
    if not wrap:
        right[..., -1] = 0

    def forward(n: int, periodic: bool) -> csr_matrix:
        d = diags([-np.ones(n), np.ones(n - 1)], [0, 1]).tolil()
        d[n - 1] = 0
        if periodic:
            d[n - 1, n - 1], d[n - 1, 0] = -1, 1
        return d.tocsr()

    d = vstack([kron(forward(high, False), eye(wide)), kron(eye(high), forward(wide, wrap))])
    wanted = np.concatenate([down.numpy().ravel(), right.numpy().ravel()])
    expected = spsolve(
        (d.T @ d + strength * eye(high * wide)).tocsc(), d.T @ wanted + strength * screen.numpy().ravel()
    )
    got = screened_poisson(screen, down, right, strength, wrap)
    np.testing.assert_allclose(got.numpy().ravel(), expected, atol=1e-12)


def test_syncdiffusion_without_weight_is_multidiffusion(model: Any) -> None:
    item = strip_item(model)
    still = SyncDiffusion(weight=0.0, stride=0.25)(item, model, 0)
    plain = MultiDiffusion(stride=0.25)(item, model, 0)
    assert torch.equal(still.canvas, plain.canvas)
    moved = SyncDiffusion(weight=20.0, stride=0.25)(item, model, 0)
    assert not torch.equal(moved.canvas, plain.canvas)


def first_step(model: Any, index: int = 1) -> tuple[Step, Tensor]:
    """A step of the loop and the windows at it, halfway into three steps."""
    item = strip_item(model)
    canvas = item.surface.canvas(model.factor, 0.25)
    noise = Noise(canvas, model, 0)
    condition = model.condition(item.prompts * canvas.views, item.protocol.guidance)
    level = list(model.schedule(3))[index]
    return Step(level, canvas, model, condition, item.protocol, noise), canvas.look(noise())


def distances(x: Tensor, s: Step) -> Tensor:
    image = s.model.decode(s.predict(x)[0])
    anchor = image[len(x) // 2]
    return perceptual("statistics").distance(image, anchor.expand_as(image))


def test_syncdiffusion_descends_the_guide(model: Any) -> None:
    s, x = first_step(model)
    method = SyncDiffusion()
    with torch.no_grad():
        gradient = method.gradient(x, s)
        anchor = len(x) // 2
        assert float(gradient[anchor].abs().max()) == 0
        others = [i for i in range(len(x)) if i != anchor]
        before = distances(x, s)[others]
        size = gradient[others].flatten(1).square().sum(1)
        rate = 0.01 * before / size
        trial = x.clone()
        trial[others] -= rate[:, None, None, None] * gradient[others]
        drop = before - distances(trial, s)[others]
    # To first order a step of 1 % of distance / |gradient|^2 lowers the distance by 1 %.
    torch.testing.assert_close(drop, 0.01 * before, rtol=0.2, atol=0)


def test_syncdiffusion_differentiates_in_chunks_that_do_not_matter() -> None:
    @dataclass(frozen=True, kw_only=True)
    class OneByOne(SyncDiffusion):
        chunk: ClassVar[int] = 1

    s, x = first_step(make_model("gauss"))
    with torch.no_grad():
        torch.testing.assert_close(OneByOne().gradient(x, s), SyncDiffusion().gradient(x, s), rtol=1e-5, atol=1e-8)


def test_syncdiffusion_acts_on_the_leading_fraction_of_steps() -> None:
    model = make_model("gauss")
    method = SyncDiffusion(fraction=0.5, decay=0.5)
    for index, acts in ((0, True), (1, True), (2, False)):
        s, x = first_step(model, index)
        state = s.canvas.paint(x)
        with torch.no_grad():
            moved = method.look(state, s) - s.canvas.look(state)
            wanted = -20 * 0.5**index * method.gradient(s.canvas.look(state), s)
        assert bool((moved != 0).any()) == acts
        if acts:
            torch.testing.assert_close(moved, wanted)


def test_syncdiffusion_costs_two_passes_and_a_backward_pass() -> None:
    model = make_model("gauss")
    item = strip_item(model, guidance=1.0)
    views = item.surface.canvas(model.factor, 0.25).views
    SyncDiffusion()(item, model, 0)
    assert model.cost.evaluations == 2 * 3 * views
    assert model.cost.backward == 3 * (views - 1)


@pytest.mark.parametrize("kind", ["constant", "blur"])
def test_trap_has_no_detail(kind: Any) -> None:
    def detail(image: Tensor) -> float:
        kernel = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]]).expand(3, 1, 3, 3)
        return float(F.conv2d(image[None], kernel, groups=3).var())

    model = make_model("gauss")
    item = strip_item(model)
    sample, trap = Independent()(item, model, 0).canvas, Trap(kind=kind)(item, model, 0).canvas
    assert sample is not None
    assert trap is not None
    assert detail(trap) < detail(sample) / 100
    torch.testing.assert_close(trap.mean((1, 2)), sample.mean((1, 2)), rtol=0, atol=0.03)
    assert (float(trap.flatten(1).std(1).max()) < 1e-6) == (kind == "constant")


def test_truth_is_the_truth_and_asks_nothing() -> None:
    model = make_model("gauss")
    item = strip_item(model)
    artifact = Truth()(item, model, 0)
    assert torch.equal(artifact.canvas, item.truth["canvas"])  # type: ignore[arg-type]
    assert torch.equal(artifact.views, item.surface.canvas().look(item.truth["canvas"]))
    with pytest.raises(SyncbenchError, match="no known truth"):
        Truth()(replace(item, truth={}), model, 0)
