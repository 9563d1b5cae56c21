"""Methods that texture a given mesh: what each promises, against formulas written out or a case with a known answer."""

import tomllib
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from syncbench import bench
from syncbench.bench.canvas import Canvas
from syncbench.bench.catalogue.registry import load
from syncbench.bench.models.parts.attention import layers
from syncbench.bench.models.parts.shared_attention import SharedAttention, first
from syncbench.bench.sampling.loop import Noise, Setting, Step
from syncbench.bench.surfaces.atlas import Atlas
from syncbench.bench.surfaces.camera import Cameras, orbit, pinhole
from syncbench.bench.surfaces.directions import view_words
from syncbench.bench.surfaces.mesh import Mesh
from syncbench.bench.surfaces.rigs import RIGS
from syncbench.bench.surfaces.strip import Strip
from syncbench.bench.types import Cost, Item, Sampling
from syncbench.datasets.meshes import Meshes
from syncbench.datasets.world_meshes import WorldMeshes
from syncbench.methods import geometry
from syncbench.methods.geometry import _field, fantasia3d, paint3d, texfusion, texpainter, text2tex, texture
from syncbench.methods.geometry._buffers import Colouring, outlines
from syncbench.methods.geometry._painting import FAINT, Painting, completed
from syncbench.methods.geometry._ring import attended
from torch import Tensor

from .test_methods import loud, make_model, pile_item

METHODS = (
    "texture", "text2tex", "texfusion", "texpainter@reencode", "stochsync", "paint3d", "fantasia3d",
    "synctweedies@case5",
)  # fmt: skip
STEPS = 3


@pytest.fixture(scope="module")
def mesh() -> Item:
    """A striped ball seen by four cameras, 32 px square."""
    item = WorldMeshes(size=32, views=4, held=1).items()[0]
    return replace(item, protocol=Sampling(steps=STEPS, guidance=2.0))


@pytest.fixture(scope="module")
def gauss() -> Any:
    return load("models", "gauss", {"window": 32})


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def window(steps: int = STEPS) -> Item:
    """A strip of one window."""
    sampling = Sampling(steps=steps, guidance=1.0)
    return Item(id="one", family="overlap", prompts=("a ball",), surface=Strip(16, 16, 16), protocol=sampling)


@pytest.mark.parametrize("spec", METHODS)
def test_a_mesh_is_textured(spec: str, mesh: Item, gauss: Any) -> None:
    made, again = (load("methods", spec)(mesh, gauss, 0) for _ in range(2))
    assert made.views.shape == (4, 3, 32, 32)
    assert made.canvas is None
    assert 0 <= float(made.views.min()) < float(made.views.max()) <= 1
    assert torch.equal(made.views, again.views)
    assert not torch.equal(made.views, load("methods", spec)(mesh, gauss, 1).views)


def suite_of(name: str) -> dict[str, Any]:
    return tomllib.loads((Path(bench.__path__[0]) / "suites" / f"{name}.toml").read_text())


def suite_methods(name: str) -> set[str]:
    parts = suite_of(name).get("parts", [suite_of(name)])
    return {spec.partition("@")[0] for part in parts for spec in part["methods"]}


def test_the_suite_of_textures_has_every_method_of_geometry_and_says_how_many() -> None:
    used = suite_methods("texturing")
    own = {path.stem for path in Path(geometry.__path__[0]).glob("[a-z]*.py")}
    assert own <= used | suite_methods("features")
    anchors = {"independent", "trap", "truth"}
    assert f" {len(used - anchors)} methods" in suite_of("texturing")["title"]


ALONE: dict[str, dict[str, Any]] = {
    "texture": {},
    "text2tex": {"updates": 0},
    "texfusion": {},
    "texpainter": {"iterations": 0, "end": 1.0},
    "stochsync": {"outer": 1},
    "paint3d": {},
    "synctweedies@case2": {},
    "synctweedies@case5": {},
}
"""Methods that with one view, where every cell is seen once, have nothing to agree on."""


@pytest.mark.parametrize("spec", ALONE)
def test_one_view_is_sampled_as_independent_sampling_does(spec: str, gauss: Any) -> None:
    item = window()
    plain = load("methods", "independent")(item, gauss, 3).views
    torch.testing.assert_close(load("methods", spec, ALONE[spec])(item, gauss, 3).views, plain, atol=1e-6, rtol=0)


def test_syncmvd_of_one_view_is_independent_sampling() -> None:
    model = make_model("tiny", kind="reference", dtype="float64")
    loud(model)
    side = 8 * model.factor
    item = replace(window(), surface=Strip(side, side, side))
    made, plain = (load("methods", spec)(item, model, 3).views for spec in ("syncmvd", "independent"))
    torch.testing.assert_close(made, plain, atol=1e-6, rtol=0)


def test_network_evaluations_are_as_many_as_published(mesh: Item) -> None:
    """Of 4 views, 3 steps, guidance: 24 as in independent sampling, unless the method says otherwise."""
    found: dict[str, Cost] = {}
    for spec in ("texture", "texfusion", "texpainter", "paint3d", "stochsync", "fantasia3d", "text2tex"):
        model = load("models", "gauss", {"window": 32})
        load("methods", spec, {"updates": 0} if spec == "text2tex" else {})(mesh, model, 0)
        found[spec] = model.cost
    assert found["texture"].evaluations == found["texfusion"].evaluations == 24
    assert (found["texpainter"].evaluations, found["texpainter"].decodes) == (24, 3 * (4 + 20 * 4))
    assert found["paint3d"].evaluations == 24, "the halves of a picture count, each"
    assert found["stochsync"].evaluations == 2 * 2 * (3 + 3 + 3), "two views of a set, from noise three times"
    assert found["fantasia3d"].evaluations == 10 * 3 * 4 * 2
    assert (found["fantasia3d"].encodes, found["fantasia3d"].decodes) == (10 * 3 * 4, 0)
    assert found["text2tex"].evaluations >= 24


# Painting view after view


class Watched(texture.Texture):
    """TEXTure that notes what is on the surface before each view is painted, and where it paints."""

    def painted(self, state: Painting, view: int, update: Tensor) -> Tensor:
        where = super().painted(state, view, update)
        self.notes.append((view, state.colours.clone(), state.best.clone(), where))  # type: ignore[attr-defined]
        return where

    def look(self, state: Painting, s: Step) -> Tensor:
        x = super().look(state, s)
        kept = s.level.a * state.given + s.level.b * state.noise[state.views]
        outside = (self.opened(state, s.level) < 0.5).expand_as(x)
        assert torch.equal(x[outside], kept[outside]), "what is kept is the picture, noised"
        return x

    def finish(self, state: Painting, item: Item, canvas: Canvas, model: Any) -> Any:
        self.notes.append((-1, state.colours.clone(), state.best.clone(), None))  # type: ignore[attr-defined]
        self.notes[0] += (state,)  # type: ignore[attr-defined]
        return super().finish(state, item, canvas, model)


def test_texture_keeps_what_it_does_not_update_bit_for_bit(mesh: Item, gauss: Any) -> None:
    method = Watched()
    object.__setattr__(method, "notes", [])
    method(mesh, gauss, 0)
    notes: list[Any] = method.notes  # type: ignore[attr-defined]
    canvas = notes[0][-1].canvas
    assert [note[0] for note in notes] == [0, 1, 3, 2, -1], "from the front to both sides"
    kept = 0
    for (view, before, _, where, *_), (_, after, *_) in pairwise(notes):
        written = torch.zeros(canvas.cells, dtype=torch.bool)
        written[canvas.index[view][where[0, 0]]] = True
        assert torch.equal(before[:, ~written], after[:, ~written])
        assert not torch.equal(before[:, written], after[:, written])
        kept += int((notes[-1][2][~written] > 0).sum())
    assert kept > 200


def posed(rig: Any, views: int = 8) -> Item:
    """A mesh with the cameras of a published rig, or on the world's orbit."""
    return WorldMeshes(size=32, rig=rig, views=views).items()[0]


def test_texture_paints_its_own_views_outwards_and_the_high_and_low_ones_last() -> None:
    assert texture.order(posed("texture"), 10) == [*range(10)], "which stand in the order of the paper"
    assert texture.order(posed("text2tex"), 10) == [0, 1, 7, 2, 6, 3, 5, 4, 8, 9]
    assert texture.order(posed("orbit", 6), 6) == texture.order(window(), 6) == [0, 1, 5, 2, 4, 3]


def test_paint3d_pairs_its_own_views_as_the_paper_does() -> None:
    """Front and back, both sides of the front, above and below."""
    assert paint3d.paired(posed("paint3d"), 6) == [[0, 1], [2, 3], [4, 5]]
    assert paint3d.paired(posed("texture"), 10) == [[0, 7], [1, 2], [3, 4], [5, 6], [8, 9]]
    assert paint3d.paired(posed("orbit"), 8) == paint3d.pairs(8)


def test_views_of_syncmvd_attend_along_the_ring_and_the_high_ones_to_the_front_or_the_back() -> None:
    neighbours = [sorted({i, (i - 1) % 8, (i + 1) % 8}) for i in range(8)]
    assert attended(posed("syncmvd"), 10) == [*neighbours, [0, 8], [4, 9]]
    assert attended(posed("orbit"), 8) == attended(window(), 8) == neighbours
    assert attended(posed("texture"), 10)[0] == [0, 1, 2], "the front has those of 45 and 315 degrees"
    assert [attended(window(), n)[0] for n in (1, 2)] == [[0], [0, 1]]


def blank(views: int, side: int, weight: Tensor, grid: tuple[int, int] | None = None) -> Painting:
    """A surface of side x side cells that all views see, pixel by pixel."""
    index = torch.arange(side * side).reshape(1, side, side).expand(views, -1, -1)
    canvas = Canvas(index, weight, (side * side,))
    sure = torch.ones(views, 1, side, side, dtype=torch.bool)
    zeros = torch.zeros(4, side * side)
    return Painting(canvas, grid, zeros[:3], zeros[3], sure, weight.amax(0).flatten(), torch.zeros(views, 1, 1, 1))


def test_trimap_of_texture() -> None:
    weight = torch.full((2, 64, 64), 0.5)
    weight[1, :, :20] = 0.9
    weight[1, :, 20:32] = 0.6
    state, method = blank(2, 64, weight), texture.Texture(grow=0.0)
    state.views = [0]
    where = torch.zeros(1, 1, 64, 64, dtype=torch.bool)
    where[..., :48] = True
    state.paint(torch.full((1, 3, 64, 64), 0.25), where)
    generate, refine = method.trimap(state, 1)
    columns = generate[0, 0].all(0), refine[0, 0].all(0)
    assert columns[0].nonzero().flatten().tolist() == [*range(48, 64)], "not painted"
    assert columns[1].nonzero().flatten().tolist() == [*range(20)], "seen better by more than 0.2"


def test_text2tex_updates_what_a_view_sees_best_of_all() -> None:
    weight = torch.tensor([0.5, 0.7, 0.9])[:, None, None].repeat(1, 8, 8)
    weight[2, :, 4:] = 0.3
    state, method = blank(3, 8, weight), text2tex.Text2Tex()
    assert bool(method.regions(state, 1)[0].all()), "all is new"
    state.views = [0]
    state.paint(torch.full((1, 3, 8, 8), 0.25), torch.ones(1, 1, 8, 8, dtype=torch.bool))
    found = [method.regions(state, view) for view in range(3)]
    assert not any(bool(new.any()) for new, _ in found)
    assert [float(update[0, 0, 0].float().mean()) for _, update in found] == [0.0, 0.5, 0.5]
    assert bool(found[2][1][0, 0, :, :4].all()), "the left half belongs to the last view, the right to the second"
    assert [method.heat(state, view) for view in range(3)] == pytest.approx([0.0, 0.3, 0.3])
    state.views = [1, 2]
    state.paint(torch.zeros(2, 3, 8, 8), torch.cat([found[1][1], found[2][1]]))
    assert [method.heat(state, view) for view in range(3)] == [0.0, 0.0, 0.0], "nothing is left"


def test_what_is_painted_for_want_of_better_yields_to_all_else() -> None:
    state = blank(1, 4, torch.ones(1, 4, 4))
    everywhere = torch.ones(1, 1, 4, 4, dtype=torch.bool)
    state.views = [0]
    state.sure[:, :, :, 2:] = False
    state.paint(torch.full((1, 3, 4, 4), 0.2), everywhere)
    assert float((state.best > 0.5).float().mean()) == 0.5
    state.sure[:] = False
    state.paint(torch.full((1, 3, 4, 4), 0.4), everywhere)
    assert state.colours[0].reshape(4, 4)[0].tolist() == pytest.approx([0.2, 0.2, 0.4, 0.4])
    state.colours, state.best = state.colours.double(), state.best.double()
    state.paint(torch.full((1, 3, 4, 4), 0.6), everywhere)
    assert float((state.best <= FAINT).double().mean()) == 0.5, "in every precision"


def test_cells_that_no_pixel_met_have_the_mean_of_those_around() -> None:
    state = blank(1, 5, torch.ones(1, 5, 5), (5, 5))
    state.colours[:, 6], state.best[6] = 1.0, 0.5
    state.colours[:, 8], state.best[8] = 0.0, 0.5
    colours, best = state.filled()
    known = best.reshape(5, 5) > 0
    assert known.sum() == 15, "and no cell farther away than one"
    assert colours[0].reshape(5, 5)[1].tolist() == pytest.approx([1.0, 1.0, 0.5, 0.0, 0.0])


def test_unknown_pixels_have_the_mean_of_the_known_ones() -> None:
    picture, known = torch.rand(1, 3, 4, 4), torch.zeros(1, 1, 4, 4, dtype=torch.bool)
    assert bool((completed(picture, known) == 0.5).all())
    known[..., :2] = True
    found = completed(picture, known)
    assert torch.equal(found[..., :2], picture[..., :2])
    torch.testing.assert_close(found[0, :, 0, 3], picture[0, :, :, :2].mean((1, 2)))


# Turns and colours


def test_in_texfusion_the_view_that_shows_a_texel_largest_keeps_it(gauss: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two views of the same cells; each covers fewer texels with a pixel of one half, so it is the larger there."""
    covered = torch.ones(2, 64, 64)
    covered[0, :, 32:], covered[1, :, :32] = 4.0, 9.0
    monkeypatch.setattr(texfusion, "footprints", lambda item, canvas, factor: covered)
    item = replace(pile_item(("a", "b", "c")), protocol=Sampling(steps=1, guidance=1.0))
    canvas = item.surface.canvas(1)
    canvas = Canvas(canvas.index[:2], canvas.weight[:2], canvas.shape)
    noise = Noise(canvas, gauss, 0)
    setting = Setting(item, gauss, canvas, gauss.condition(["a", "b"], 1.0), noise, gauss.schedule(2))
    method = texfusion.TexFusion()
    state = method.prepare(setting)
    levels, moved = method.levels(state, setting), list[Tensor]()
    for view in range(2):
        s = Step(next(iter(levels)), canvas, gauss, setting.condition, item.protocol, noise, lambda: canvas)
        x = method.look(state, s)
        s.x0, s.eps = method.predict(state, x, s)
        moved.append(s.level.move(s.x0, s.eps)[0].flatten(1))
        state = method.step(state, x, s)
        assert state.view == view
    left = (torch.arange(64 * 64) % 64 < 32)[None]
    torch.testing.assert_close(state.written, torch.where(left, moved[0], moved[1]))
    assert not torch.allclose(moved[0], moved[1], atol=1e-2), "the second view was noised again"


def test_in_texfusion_a_near_camera_shows_texels_larger_than_a_far_one(gauss: Any) -> None:
    """Twice as far away, each pixel of the same square covers four times as many texels."""
    corners = np.array([[0, -0.5, -0.5], [0, 0.5, -0.5], [0, 0.5, 0.5], [0, -0.5, 0.5]])
    cameras = Cameras(orbit([0, 0], 0, [2.0, 4.0], (0, 0, 0)), pinhole(2, 96.0, (32, 32)), 64, 64)
    surface = Atlas.of(Mesh(corners, np.array([[0, 1, 2], [0, 2, 3]])), cameras)
    item = Item(id="square", family="geometry", prompts=("a square",), surface=surface, protocol=Sampling())
    canvas = surface.canvas(1)
    noise = Noise(canvas, gauss, 0)
    setting = Setting(item, gauss, canvas, gauss.condition(["a", "a"], 1.0), noise, gauss.schedule(2))
    near, far = texfusion.TexFusion().prepare(setting).quality[:, 32, 32].tolist()
    assert far < near < 0
    assert far / near == pytest.approx(4, rel=1e-3)


def test_noise_that_texfusion_adds_again_has_the_variance_of_the_level(gauss: Any) -> None:
    canvas = Strip(64, 64, 64).canvas()
    level = list(gauss.schedule(4))[2]
    s = Step(level, canvas, gauss, gauss.condition(["a"], 1.0), Sampling(), Noise(canvas, gauss, 0), lambda: canvas)
    x0, eps = 2.0, draw(3, 64 * 64, seed=5)
    found = texfusion.noised(level.a_next * x0 + level.b_next * eps, s)
    assert float(found.mean()) == pytest.approx(level.a * x0, abs=0.02)
    assert float(found.std()) == pytest.approx(level.b, rel=0.02)


def test_optimised_latents_of_texpainter_lower_the_loss_and_are_not_the_encoded_ones() -> None:
    model = make_model("tiny", kind="reference", dtype="float64")
    x0 = draw(2, model.channels, 8, 8)
    goal = model.decode(draw(2, model.channels, 8, 8, seed=1)).detach()

    def loss(x: Tensor) -> float:
        return float((model.decode(x) - goal).square().mean().detach())

    losses = [loss(texpainter.optimised(x0, goal, model.decode, n, 0.1)) for n in (0, 5, 20)]
    assert losses[0] == loss(x0)
    assert losses[0] > losses[1] > losses[2]
    fitted = texpainter.optimised(x0, goal, model.decode, 20, 0.1)
    assert not torch.allclose(fitted, model.encode(goal), atol=1e-2)
    alone = texpainter.optimised(x0[:1], goal[:1], model.decode, 20, 0.1)
    torch.testing.assert_close(alone, fitted[:1], atol=1e-6, rtol=0)


def test_colours_are_read_and_written_bilinearly_on_a_mesh(mesh: Item) -> None:
    canvas, buffers = mesh.surface.canvas(1), mesh.surface.buffers(1)  # type: ignore[attr-defined]
    colouring = Colouring.of(mesh, canvas)
    torch.testing.assert_close(colouring.parts.sum(0), torch.ones(4, 32, 32))
    wide = mesh.surface.unwrapped(1).width  # type: ignore[attr-defined]
    cells = torch.arange(canvas.cells)
    ramp = torch.stack([cells % wide + 0.5, cells // wide + 0.5]).float()
    seen, known = colouring.look(ramp, torch.ones(canvas.cells))
    assert bool(known.all())
    inside = buffers.visible[:, None].expand(-1, 2, -1, -1)
    torch.testing.assert_close(seen[inside], buffers.at[inside], atol=1e-3, rtol=0)
    flat, mass = colouring.paint(torch.full((4, 3, 32, 32), 0.3), 6.0)
    torch.testing.assert_close(flat[:, mass > 1e-6], torch.full((3, int((mass > 1e-6).sum())), 0.3))
    edges = outlines(buffers)[:, 0]
    assert 0 < int((edges & buffers.visible).sum()) < 0.4 * int(buffers.visible.sum())


# Attention, cases, score distillation


def test_syncmvd_attends_to_neighbours_and_at_first_half_to_the_first_view() -> None:
    model = make_model("tiny", kind="reference", dtype="float64")
    loud(model)
    layer = next(layer for name, layer in layers(model.network.module()).items() if "attn1" in name)
    base, hidden = layer.processor, draw(2 * 5, 16, layer.to_q.in_features)

    def seen(processor: Any) -> Tensor:
        return processor(layer, hidden)

    def beside(i: int, n: int) -> list[int]:
        return attended(window(), n)[i]

    near = SharedAttention(base, lambda rows: 2, beside)
    half = SharedAttention(SharedAttention(base, lambda rows: 2, first, strength=0.5), lambda rows: 2, beside)
    wanted = (seen(near) + seen(SharedAttention(base, lambda rows: 2, first))) / 2
    torch.testing.assert_close(seen(half), wanted, atol=1e-10, rtol=0)
    assert not torch.allclose(seen(near), wanted, atol=1e-6)


def test_exponent_of_syncmvd() -> None:
    method = load("methods", "syncmvd")
    assert [method.exponent(i, 7) for i in range(7)] == [0, 1, 2, 3, 4, 5, 6]
    assert load("methods", "syncmvd@release").exponent(0, 7) == 1


def test_cases_of_synctweedies_differ_only_where_views_start_from_unlike_noise(mesh: Item, gauss: Any) -> None:
    def made(spec: str, **fields: Any) -> Tensor:
        return load("methods", spec, fields)(mesh, gauss, 0).views

    plain = made("synctweedies")
    for case in (4, 5, 6):
        torch.testing.assert_close(made(f"synctweedies@case{case}"), plain, atol=1e-4, rtol=0)
    unlike = [made(f"synctweedies@case{case}") for case in (1, 2, 3)]
    for one, other in ((0, 1), (1, 2), (0, 2)):
        assert float((unlike[one] - unlike[other]).abs().max()) > 1e-2


def test_gradient_of_score_distillation_is_that_of_the_gaussian_field(gauss: Any) -> None:
    """eps of the model in closed form: (x - a x0) / b, x0 = a C (a^2 C + b^2)^-1 x, C the field's covariance."""
    found = list[float]()

    class Checked(fantasia3d.Fantasia3d):
        def step(self, state: Any, x: Tensor, s: Step) -> Any:
            covariance = torch.kron(gauss.correlation(16), gauss.covariance(16))
            a, b, flat = s.level.a, s.level.b, x.flatten(2)
            gain = a * covariance @ torch.linalg.inv(a**2 * covariance + b**2 * torch.eye(256))
            wanted = self.weight(s.level, state.late) * ((flat - a * flat @ gain.T) / b - state.noise.flatten(2))
            latents = state.latents
            latents.retain_grad()
            made = super().step(state, x, s)
            assert latents.grad is not None
            torch.testing.assert_close(latents.grad.flatten(2), wanted / len(x), atol=1e-6, rtol=1e-5)
            found.append(float(wanted.abs().mean()))
            return made

    Checked(rounds=4)(window(2), gauss, 0)
    assert len(found) == 8
    assert min(found) > 0


def test_score_distillation_moves_the_field_towards_what_the_model_finds_likely() -> None:
    """Of a Gaussian field close around mid-grey, the likeliest picture is mid-grey."""
    model, item, far = load("models", "gauss", {"variance": 0.01}), window(4), list[float]()
    for rounds in (1, 10):
        views = load("methods", "fantasia3d", {"rounds": rounds, "rate": 0.03, "strategy": 0})(item, model, 0).views
        far.append(float((views - 0.5).abs().mean()))
    assert far[1] < 0.4 * far[0]


def test_weights_of_score_distillation(gauss: Any) -> None:
    level = list(gauss.schedule(4))[1]
    found = {n: load("methods", "fantasia3d", {"strategy": n}) for n in (0, 1, 2)}
    first_part, second = level.a * level.b**2, 1 / level.b**2
    assert [found[n].weight(level, False) for n in (0, 1, 2)] == [first_part, second, first_part]
    assert [found[n].weight(level, True) for n in (0, 1, 2)] == [first_part, second, second]


def test_a_field_interpolates_its_corners() -> None:
    field = _field.Field(4, 64, 2**13, lambda shape: draw(*shape), levels=3)
    points = torch.tensor([[3 / 16, 5 / 16, 1.0], [0.2, 0.7, 0.4]], dtype=torch.float64)
    places, weights = field.corners(points)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 3, dtype=torch.float64))
    assert int(places[0, 0][weights[0, 0].argmax()]) == (3 * 17 + 5) * 17 + 16, "the corner (3, 5, 16) of 17 x 17 x 17"
    assert float(weights[0, 0].max()) == pytest.approx(1)
    assert field.sides == [16, 32, 64]
    assert int(places.max()) < 3 * 2**13
    near = field(field.corners(points + 1e-9))
    torch.testing.assert_close(near, field((places, weights)), atol=1e-6, rtol=0)


def test_directions_are_words_of_the_prompts(mesh: Item) -> None:
    method = load("methods", "texture", {"directions": True})
    assert "no words for the directions" in method.lacks(mesh)
    own = replace(mesh, world=False, prompts=("a chair",))
    assert method.lacks(own) is None
    words = method.prompts(own, 4)
    assert words == tuple(f"a chair, {word} view" for word in ("front", "left", "back", "right"))
    assert load("methods", "texture").prompts(own, 4) == ("a chair",) * 4
    assert "no cameras" in method.lacks(replace(own, conditions={}))


def test_directions_are_seen_from_the_middle_of_the_mesh_not_from_the_ground(tmp_path: Path) -> None:
    """The mesh stands on the ground, so that its middle lies above the origin; the rigs circle the middle."""
    (tmp_path / "tower.obj").write_text(
        "v -1 0 -1\nv 1 0 -1\nv 1 0 1\nv -1 0 1\nv 0 9 0\nf 1 2 5\nf 2 3 5\nf 3 4 5\nf 4 1 5\nf 1 4 3\nf 1 3 2\n"
    )
    around = {0: "front", 45: "left", 90: "left", 135: "left", 180: "back", 225: "right", 270: "right", 315: "right"}
    for name, rig in RIGS.items():
        if name == "diff3f":  # whose cameras pass the poles
            continue
        item = Meshes(path=str(tmp_path / "tower.obj"), prompt="a tower", rig=name, size=16, held=1).items()[0]
        right = [
            ("overhead" if high > 0 else "bottom") if abs(high) > 50 else around[int(turn)]
            for turn, high in zip(rig.azimuth, rig.elevation, strict=True)
        ]
        assert view_words(item) == tuple(f"{word} view" for word in right), name
