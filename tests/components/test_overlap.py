"""What the methods of the overlap family and the anchors claim, each checked against a planted or exact answer."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.sparse import csr_matrix, diags, eye, kron, vstack
from scipy.sparse.linalg import spsolve
from syncbench.bench.backbones.perceptual import perceptual
from syncbench.bench.canvas import Canvas
from syncbench.bench.models.gauss import Gauss
from syncbench.bench.models.tiny import Tiny
from syncbench.bench.sampling.loop import Noise, Step, pixel_canvas
from syncbench.bench.surfaces.strip import Strip
from syncbench.bench.types import Item, Sampling, SyncbenchError
from syncbench.methods.independent import Independent
from syncbench.methods.overlap.feather import Feather, feather
from syncbench.methods.overlap.least_squares import LeastSquares, gains, owned_gradients, screened_poisson
from syncbench.methods.overlap.multidiffusion import MultiDiffusion
from syncbench.methods.overlap.syncdiffusion import SyncDiffusion
from syncbench.methods.trap import Trap
from syncbench.methods.truth import Truth
from torch import Tensor

WINDOW, HEIGHT = 32, 32
"""Pixels, where no model is involved."""


def strip_item(model: Any, windows: float = 2.5, guidance: float = 2.0) -> Item:
    """Three steps on a strip some windows wide, with a truth."""
    window = max(16, 8 * model.factor)
    surface = Strip(window, round(windows * window), window)
    truth = torch.rand(3, surface.height, surface.width, generator=torch.Generator().manual_seed(9))
    protocol = Sampling(steps=3, guidance=guidance)
    return Item(
        id="strip", family="overlap", prompts=("a disc",), surface=surface, protocol=protocol, truth={"canvas": truth}
    )


@pytest.fixture(scope="module", params=[Gauss, Tiny])
def model(request: pytest.FixtureRequest) -> Any:
    """The closed-form model, and random networks of the published classes."""
    return request.param(device="cpu")


def windows(width: int = 80, stride: float = 0.25, wrap: bool = False) -> tuple[Tensor, Canvas]:
    """A smooth random picture and feathered windows onto it."""
    pixels = Strip(HEIGHT, width, WINDOW, wrap).canvas(1, stride)
    coarse = torch.rand(1, 3, 6, width // 8, generator=torch.Generator().manual_seed(2))
    picture = F.interpolate(coarse, (HEIGHT, width), mode="bicubic")[0] * 0.5 + 0.25
    return picture, pixels.with_weight(feather(pixels))


def test_shared_noise_makes_every_window_the_same() -> None:
    model = Gauss(device="cpu")
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
    return Step(
        level, canvas, model, condition, item.protocol, noise, lambda: pixel_canvas(item, canvas, model)
    ), canvas.look(noise())


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

    s, x = first_step(Gauss(device="cpu"))
    with torch.no_grad():
        torch.testing.assert_close(OneByOne().gradient(x, s), SyncDiffusion().gradient(x, s), rtol=1e-5, atol=1e-8)


def test_syncdiffusion_acts_on_the_leading_fraction_of_steps() -> None:
    model = Gauss(device="cpu")
    method = SyncDiffusion(fraction=0.5, decay=0.5)
    for index, acts in ((0, True), (1, True), (2, False)):
        s, x = first_step(model, index)
        state = s.canvas.paint(x)
        with torch.no_grad():
            moved = method.look(state, s) - s.canvas.look(state)
            wanted = -20 * 0.5**index * method.gradient(s.canvas.look(state), s)
        assert bool((moved != 0).any()) == acts
        if acts:
            # Relative: at the noisiest level the gradient is far below any absolute tolerance.
            assert float((moved - wanted).norm() / wanted.norm()) < 1e-3


def test_syncdiffusion_costs_two_passes_and_a_backward_pass() -> None:
    model = Gauss(device="cpu")
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

    model = Gauss(device="cpu")
    item = strip_item(model)
    sample, trap = Independent()(item, model, 0).canvas, Trap(kind=kind)(item, model, 0).canvas
    assert sample is not None
    assert trap is not None
    assert detail(trap) < detail(sample) / 100
    torch.testing.assert_close(trap.mean((1, 2)), sample.mean((1, 2)), rtol=0, atol=0.03)
    assert (float(trap.flatten(1).std(1).max()) < 1e-6) == (kind == "constant")


def test_truth_is_the_truth_and_asks_nothing() -> None:
    model = Gauss(device="cpu")
    item = strip_item(model)
    artifact = Truth()(item, model, 0)
    assert torch.equal(artifact.canvas, item.truth["canvas"])  # type: ignore[arg-type]
    assert torch.equal(artifact.views, item.surface.canvas().look(item.truth["canvas"]))
    with pytest.raises(SyncbenchError, match="no known truth"):
        Truth()(replace(item, truth={}), model, 0)
