"""Methods against the exact law: with a Gaussian field every method is an affine map of its noise, known in full."""

from dataclasses import dataclass, fields
from math import sqrt
from typing import Any, ClassVar

import pytest
import torch
from syncbench.bench.canvas import Canvas
from syncbench.bench.models.gauss import Gauss
from syncbench.bench.sampling import loop
from syncbench.bench.sampling.loop import Method, Step, Sync
from syncbench.bench.surfaces.strip import Strip
from syncbench.bench.types import Artifact, Item, Sampling
from syncbench.methods.independent import Independent
from syncbench.methods.overlap.multidiffusion import MultiDiffusion
from torch import Tensor

STEPS = 20


@pytest.fixture(scope="module")
def gauss() -> Gauss:
    """A field whose correlation is long against one pixel and short against a panorama."""
    return Gauss(channels=2, smooth_length=4, rough=0.5, rough_length=12, height_length=3, device="cpu")


@dataclass(frozen=True, kw_only=True)
class AverageX0(Sync):
    """Average the clean prediction, then step on the canvas with eps derived again."""

    version: ClassVar[int] = 1

    def step(self, state: Tensor, x: Tensor, s: Step) -> Tensor:
        x0 = s.canvas.paint(s.x0)
        return s.move(x0, s.level.eps_of(state, x0))


@dataclass(frozen=True, kw_only=True)
class AverageEps(Sync):
    """Average the predicted noise, then step on the canvas (Mixture of Diffusers)."""

    version: ClassVar[int] = 1

    def step(self, state: Tensor, x: Tensor, s: Step) -> Tensor:
        eps = s.canvas.paint(s.eps)
        return s.move(s.level.x0_of(state, eps), eps)


@dataclass(frozen=True, kw_only=True)
class WindowNoise(MultiDiffusion):
    """The mistake: fresh noise for every window, averaged away where they overlap."""

    def step(self, state: Tensor, x: Tensor, s: Step) -> Tensor:
        return s.canvas.paint(s.level.move(s.x0, s.eps, s.sampling.eta, lambda: s.noise(s.x0.shape)))


def strip_item(
    width: int, window: int, height: int = 1, eta: float = 0.0, steps: int = STEPS, wrap: bool = False
) -> Item:
    protocol = Sampling(steps=steps, guidance=1.0, eta=eta)
    return Item(
        id="strip", family="overlap", prompts=("",), surface=Strip(height, width, window, wrap), protocol=protocol
    )


def latents(method: Method, item: Item, model: Gauss, seed: int = 0) -> Tensor:
    """The state before decoding, (c, H, W) or per view."""

    def finish(self: Sync, state: Tensor, item: Item, canvas: Canvas, model: Any) -> Artifact:
        return Artifact(views=torch.empty(0), extras={"state": state})

    probe = type("Probe", (type(method),), {"finish": finish})
    chosen = {f.name: getattr(method, f.name) for f in fields(method)}  # type: ignore[arg-type]
    return probe(**chosen)(item, model, seed).extras["state"]


def operator(method: Method, item: Item, model: Gauss, monkeypatch: pytest.MonkeyPatch) -> Tensor:
    """M (outputs, cells) with state = M noise + constant, by feeding one unit impulse at a time; one channel."""
    canvas = item.surface.canvas(model.factor)

    def answer(noise: Tensor) -> Tensor:
        class Given(loop.Noise):
            def __call__(self, shape: object = None) -> Tensor:
                return noise.reshape(1, *canvas.shape).expand(model.channels, -1, -1)

        with monkeypatch.context() as patch:
            patch.setattr(loop, "Noise", Given)
            state = latents(method, item, model)
        return (state[:, 0] if state.ndim == 4 else state[0]).reshape(-1)

    rest = answer(torch.zeros(canvas.cells, dtype=torch.float64))
    return torch.stack([answer(e) - rest for e in torch.eye(canvas.cells, dtype=torch.float64)], 1)


def plain(model: Gauss, item: Item, seed: int) -> Tensor:
    """DDIM (arXiv 2010.02502, eq. 12) on one window, written out in terms of alpha-bar."""
    generator = torch.Generator().manual_seed(seed)
    shape = (1, model.channels, *(side // model.factor for side in item.surface.window))
    x = torch.randn(shape, generator=generator).to(model.dtype)
    condition = model.condition([""], 1.0)
    for level in model.schedule(item.protocol.steps):
        now, then = level.a**2, level.a_next**2
        x0, eps = model.predict(x, level, condition)
        torch.testing.assert_close(x0, (x - sqrt(1 - now) * eps) / sqrt(now))
        sigma = item.protocol.eta * sqrt((1 - then) / (1 - now)) * sqrt(1 - now / then)
        x = sqrt(then) * x0 + sqrt(max(1 - then - sigma**2, 0)) * eps
        if sigma > 0:
            x = x + sigma * torch.randn(shape, generator=generator).to(model.dtype)
    return x[0]


@pytest.mark.parametrize("eta", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("method", [MultiDiffusion(), AverageX0(), AverageEps(), Independent()])
def test_one_window_is_the_plain_sampler(gauss: Gauss, method: Method, eta: float) -> None:
    item = strip_item(16, 16, height=2, eta=eta)
    got = latents(method, item, gauss, seed=3)
    torch.testing.assert_close(got.reshape(gauss.channels, 2, 16), plain(gauss, item, 3), rtol=0, atol=1e-10)


@pytest.mark.parametrize("eta", [0.0, 0.8])
@pytest.mark.parametrize(("width", "wrap"), [(48, False), (45, False), (48, True)])
def test_averaging_eps_x0_or_next_is_the_same_panorama(gauss: Gauss, width: int, wrap: bool, eta: float) -> None:
    item = strip_item(width, 16, height=2, eta=eta, wrap=wrap)
    reference = latents(MultiDiffusion(stride=0.25), item, gauss)
    for method in (AverageX0(stride=0.25), AverageEps(stride=0.25)):
        torch.testing.assert_close(latents(method, item, gauss), reference, rtol=0, atol=1e-6)
    other = latents(MultiDiffusion(stride=0.5), item, gauss)
    assert float((other - reference).abs().max()) > 1e-2


def test_noise_drawn_on_the_canvas_keeps_its_variance(gauss: Gauss) -> None:
    canvas = strip_item(64, 16, height=16).surface.canvas(gauss.factor, 0.125)
    noise = loop.Noise(canvas, gauss, 0)
    drawn = canvas.paint(canvas.look(noise()))
    inside = (canvas.count == 8).expand_as(drawn)
    assert float(drawn[inside].std()) == pytest.approx(1, abs=0.1)
    per_window = canvas.paint(noise((canvas.views, gauss.channels, *canvas.index.shape[1:])))
    assert float(per_window[inside].std()) == pytest.approx(1 / sqrt(8), abs=0.05)


def test_stochastic_sampling_needs_noise_shared_between_windows(gauss: Gauss) -> None:
    kwargs = {"height": 4, "eta": 1.0}
    narrow = torch.stack([latents(MultiDiffusion(), strip_item(16, 16, **kwargs), gauss, seed) for seed in range(20)])
    wide = strip_item(256, 16, **kwargs)
    right = latents(MultiDiffusion(stride=0.25), wide, gauss)
    wrong = latents(WindowNoise(stride=0.25), wide, gauss)
    assert float(right.std() / narrow.std()) > 0.8
    assert float(wrong.std() / narrow.std()) < 0.6


def neighbour_jumps(covariance: Tensor) -> Tensor:
    """E (x_{p+1} - x_p)^2 for a row of cells."""
    variance = covariance.diagonal()
    return variance[1:] + variance[:-1] - 2 * covariance.diagonal(1)


def sampled(model: Gauss, exact: Tensor, steps: int) -> Tensor:
    """Covariance deterministic DDIM gives a Gaussian field of covariance `exact`: a recursion per eigenvalue."""
    values, vectors = torch.linalg.eigh(exact)
    scale = torch.ones_like(values)
    for level in model.schedule(steps):
        gain = level.a * values / (level.a**2 * values + level.b**2)
        scale = scale * (level.a_next * gain + level.b_next * (1 - level.a * gain) / level.b)
    return (vectors * scale.square()) @ vectors.T


def test_a_window_as_wide_as_the_panorama_gives_the_joint_law(gauss: Gauss, monkeypatch: pytest.MonkeyPatch) -> None:
    exact = gauss.covariance(24)
    errors = []
    for steps in (STEPS, 8 * STEPS):
        m = operator(MultiDiffusion(), strip_item(24, 24, steps=steps), gauss, monkeypatch)
        torch.testing.assert_close(m @ m.T, sampled(gauss, exact, steps), rtol=0, atol=1e-9)
        errors.append(float((m @ m.T - exact).norm() / exact.norm()))
    # DDIM is a first-order integrator: eight times the steps, about an eighth of the error.
    assert errors[1] < 0.03
    assert errors[1] < errors[0] / 6


def test_independent_windows_have_the_right_law_inside_and_none_across(
    gauss: Gauss, monkeypatch: pytest.MonkeyPatch
) -> None:
    m = operator(Independent(), strip_item(24, 12), gauss, monkeypatch)
    got = m @ m.T
    torch.testing.assert_close(got[:12, :12], sampled(gauss, gauss.covariance(12), STEPS), rtol=0, atol=1e-9)
    assert float(got[:12, 12:].abs().max()) < 1e-12


def test_multidiffusion_removes_the_seam_that_independent_windows_leave(
    gauss: Gauss, monkeypatch: pytest.MonkeyPatch
) -> None:
    item = strip_item(36, 12, steps=100)
    exact = gauss.covariance(36)
    ratios: dict[str, float] = {}
    for name, method in {"independent": Independent(), "multidiffusion": MultiDiffusion(stride=0.25)}.items():
        m = operator(method, item, gauss, monkeypatch)
        jumps = neighbour_jumps(m @ m.T) / neighbour_jumps(exact)
        seams = torch.zeros(35, dtype=torch.bool)
        seams[[11, 23]] = True
        ratios[name] = float(jumps[seams].mean() / jumps[~seams].mean())
    # Two independent values differ by 2 variance; neighbours of the joint law by 2 (variance - covariance).
    expected = float(exact[0, 0] / (exact[0, 0] - exact[0, 1]))
    assert ratios["independent"] == pytest.approx(expected, rel=0.05)
    assert abs(ratios["multidiffusion"] - 1) < 0.2 * (expected - 1)


def test_multidiffusion_meets_at_the_seams_but_misses_the_joint_law(
    gauss: Gauss, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows that only meet on average lose variance, and correlation beyond a window; more overlap is no cure."""
    item, exact = strip_item(36, 12, steps=100), gauss.covariance(36)
    for stride in (0.5, 0.25):
        m = operator(MultiDiffusion(stride=stride), item, gauss, monkeypatch)
        got = m @ m.T
        assert float((got - exact).norm() / exact.norm()) > 0.2
        assert 0.7 < float(got.diagonal().mean()) < 0.9
        assert float(got[2, 34]) < 0.1 * float(exact[2, 34])
