"""Canvas and Strip: look and paint are each other's adjoint and inverse, and no column is left out."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from syncbench.bench.canvas import Canvas
from syncbench.bench.surfaces.strip import Strip
from syncbench.bench.types import SyncbenchError

FACTOR = 2


@st.composite
def strips(draw: st.DrawFn) -> tuple[Strip, float | None]:
    """Strips of any width, on or off the stride grid, and a stride."""
    window = draw(st.integers(2, 8))
    width = draw(st.integers(window, 40))
    stride = draw(st.one_of(st.none(), st.integers(1, window).map(lambda step: step / window)))
    strip = Strip(draw(st.integers(1, 3)) * FACTOR, width * FACTOR, window * FACTOR, draw(st.booleans()))
    return strip, stride


def random_like(canvas: Canvas, seed: int = 0) -> Canvas:
    """The same layout with random positive weights in double precision."""
    generator = torch.Generator().manual_seed(seed)
    weight = 0.1 + torch.rand(canvas.index.shape, generator=generator, dtype=torch.float64)
    return canvas.with_weight(weight)


@settings(deadline=None, max_examples=60)
@given(strips(), st.sampled_from([1, FACTOR]))
def test_paint_undoes_look_and_covers_every_cell(layout: tuple[Strip, float | None], factor: int) -> None:
    strip, stride = layout
    canvas = random_like(strip.canvas(factor, stride))
    assert canvas.shape == (strip.height // factor, strip.width // factor)
    assert bool((canvas.mass > 0).all())
    assert bool((canvas.count > 0).all())
    z = torch.randn(3, *canvas.shape, dtype=torch.float64)
    torch.testing.assert_close(canvas.paint(canvas.look(z)), z, rtol=0, atol=1e-12)


@settings(deadline=None, max_examples=60)
@given(strips())
def test_look_is_the_adjoint_of_weighted_scatter(layout: tuple[Strip, float | None]) -> None:
    strip, stride = layout
    canvas = random_like(strip.canvas(FACTOR, stride))
    z = torch.randn(2, *canvas.shape, dtype=torch.float64)
    x = torch.randn(canvas.views, 2, *canvas.index.shape[1:], dtype=torch.float64)
    left = (canvas.look(z) * canvas.weight[:, None] * x).sum()
    right = (z * canvas.mass.reshape(canvas.shape) * canvas.paint(x)).sum()
    torch.testing.assert_close(left, right, rtol=1e-10, atol=1e-10)


@settings(deadline=None, max_examples=40)
@given(strips())
def test_paint_is_the_weighted_least_squares_solution(layout: tuple[Strip, float | None]) -> None:
    strip, stride = layout
    canvas = random_like(strip.canvas(FACTOR, stride))
    x = torch.randn(canvas.views, 1, *canvas.index.shape[1:], dtype=torch.float64)
    z = canvas.paint(x).requires_grad_()
    loss = (canvas.weight[:, None] * (canvas.look(z) - x).square()).sum()
    (gradient,) = torch.autograd.grad(loss, z)
    assert float(gradient.abs().max()) < 1e-10


@pytest.mark.parametrize(("width", "starts"), [(64, [0, 16, 32, 48]), (70, [0, 16, 32, 48, 54]), (16, [0])])
def test_last_window_ends_at_the_right_edge(width: int, starts: list[int]) -> None:
    canvas = Strip(4, width, 16).canvas(1, 1.0)
    assert canvas.index[:, 0, 0].tolist() == starts
    assert canvas.index[-1, 0, -1] == width - 1
    edges = {*starts, *(s + 16 for s in starts)}
    assert canvas.borders == tuple(sorted(edges - {0, width}))


def test_borders_lie_inside_an_open_strip() -> None:
    canvas = Strip(4, 64, 16).canvas(1, 1.0)
    assert canvas.borders == (16, 32, 48)


def test_wrapping_strip_continues_at_the_left() -> None:
    canvas = Strip(2, 12, 4, wrap=True).canvas(1, 0.5)
    assert canvas.views == 6
    assert canvas.index[-1, 0].tolist() == [10, 11, 0, 1]
    assert bool((canvas.count == 2).all())
    assert canvas.wraps
    assert canvas.borders == (0, 2, 4, 6, 8, 10)


def test_background_is_zero_in_views_and_left_out_of_the_mean() -> None:
    index = torch.tensor([[[0, 1], [-1, 2]], [[2, -1], [0, 0]]])
    canvas = Canvas(index, torch.ones(2, 2, 2), (2, 2))
    z = torch.tensor([[[10.0, 20.0], [30.0, 40.0]]])
    assert canvas.look(z)[:, 0].tolist() == [[[10, 20], [0, 30]], [[30, 0], [10, 10]]]
    x = torch.full((2, 1, 2, 2), 100.0)
    x[0, 0], x[1, 0] = torch.tensor([[1.0, 2.0], [9.0, 3.0]]), torch.tensor([[5.0, 9.0], [4.0, 7.0]])
    assert canvas.paint(x)[0].tolist() == [[4, 2], [4, 0]]
    assert canvas.count.tolist() == [[3, 1], [2, 0]]


def test_single_precision_latents_meet_double_weights() -> None:
    canvas = random_like(Strip(2, 12, 4).canvas(1, 0.5))
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        z = torch.randn(1, *canvas.shape, dtype=dtype)
        assert canvas.look(z).dtype == dtype
        assert canvas.paint(canvas.look(z)).dtype == dtype


@pytest.mark.parametrize("wrap", [False, True])
def test_magnified_windows_stay_where_their_latents_were(wrap: bool) -> None:
    strip = Strip(4, 48, 20, wrap)
    latent = strip.canvas(2, 0.25)
    pixels = latent.magnify(2)
    z = torch.randn(3, *latent.shape)

    def enlarge(x: torch.Tensor) -> torch.Tensor:
        return x.repeat_interleave(2, -1).repeat_interleave(2, -2)

    assert torch.equal(pixels.look(enlarge(z)), enlarge(latent.look(z)))
    fine = torch.randn(3, *pixels.shape)
    torch.testing.assert_close(pixels.paint(pixels.look(fine)), fine)
    assert pixels.borders == tuple(2 * b for b in latent.borders)
    assert pixels.wraps is wrap
    # Laying the strip out again in pixels rounds 0.25 * 20 = 5 px, off the latent grid's 4 px.
    assert not torch.equal(strip.canvas(1, 0.25).index[1], pixels.index[1])


def test_look_and_paint_are_differentiable() -> None:
    canvas = random_like(Strip(2, 6, 4).canvas(1, 0.5))
    z = torch.randn(1, *canvas.shape, dtype=torch.float64, requires_grad=True)
    x = torch.randn(canvas.views, 1, 2, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(canvas.look, z)
    assert torch.autograd.gradcheck(canvas.paint, x)


def test_spread_is_zero_for_agreeing_views_and_one_half_for_independent_pairs() -> None:
    canvas = Strip(64, 64, 32, wrap=True).canvas(1, 0.5)
    z = torch.randn(4, 64, 64)
    assert canvas.spread(canvas.look(z)) == pytest.approx(0, abs=1e-6)
    x = torch.randn(canvas.views, 4, 64, 32)
    assert canvas.spread(x) == pytest.approx(0.5, rel=0.05)
    assert Strip(4, 64, 32).canvas().spread(x[:2, :, :4]) is None
    assert canvas.spread(torch.zeros(canvas.views, 1, 64, 32)) is None


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Strip(8, 16, 32), "16 px wide is narrower than its window of 32 px"),
        (lambda: Strip(8, 64, 16).canvas(1, 0.0), "stride"),
        (lambda: Strip(8, 64, 16).canvas(1, -0.5), "stride"),
        (lambda: Strip(8, 64, 16).canvas(1, 1.5), "leaves gaps"),
        (lambda: Strip(8, 60, 16).canvas(8), "width of 60 px is not a multiple"),
        (lambda: Strip(9, 64, 16).canvas(8), "height of 9 px is not a multiple"),
        (lambda: Strip(8, 64, 12).canvas(8), "window of 12 px is not a multiple"),
    ],
)
def test_impossible_layouts_are_refused_in_one_sentence(make, words: str) -> None:
    with pytest.raises(SyncbenchError, match=words) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_impossible_canvases_are_refused() -> None:
    index = torch.zeros(1, 2, 2, dtype=torch.long)
    with pytest.raises(ValueError, match="outside"):
        Canvas(index + 4, torch.ones(1, 2, 2), (2, 2))
    with pytest.raises(ValueError, match="negative"):
        Canvas(index, -torch.ones(1, 2, 2), (2, 2))
    with pytest.raises((ValueError, TypeError), match=r"both be|views h w"):
        Canvas(index, torch.ones(1, 2, 3), (2, 2))
