"""Diff3F: features of the decoder, gathered onto vertices, against cases with a known answer."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from syncbench.bench.backbones.dino import Dino
from syncbench.bench.catalogue.registry import load
from syncbench.bench.errors import SyncbenchError
from syncbench.bench.models.interface import Call
from syncbench.bench.surfaces.camera import Cameras
from syncbench.bench.surfaces.mesh import Mesh
from syncbench.bench.surfaces.strip import Strip
from syncbench.bench.types import Item, Sampling
from syncbench.datasets.world_shapes import WorldShapes
from syncbench.methods.geometry import diff3f
from syncbench.methods.geometry._diff3f import Drawing
from syncbench.methods.geometry._vertices import Gathered, colours_of, grey_views, vertex_views
from syncbench.metrics.shapes.matching import matches
from torch import Tensor

VIEWS = 3


@pytest.fixture(scope="module")
def cubes() -> dict[str, Item]:
    """A cube and its copy, seen by three cameras, 64 px square."""
    made = {item.id: item for item in WorldShapes(size=64, views=VIEWS, held=1).items()}
    protocol = Sampling(steps=2, guidance=2.0)
    return {name: replace(made[name], protocol=protocol) for name in ("cube-rest", "cube-copy")}


@pytest.fixture(scope="module")
def tiny() -> Any:
    return load("models", "tiny", {"device": "cpu"})


def parts(item: Item) -> tuple[Mesh, Cameras]:
    surface: Any = item.surface
    return surface.shape[:2]


def places(item: Item) -> Tensor:
    """A map whose values are the point that each pixel shows, and 1 (views, 4, h, w)."""
    at = item.truth["position"]
    return torch.cat([at, torch.ones_like(at[:, :1])], 1)


def test_a_map_of_places_gives_vertices_their_places(cubes: dict[str, Item]) -> None:
    item = cubes["cube-rest"]
    mesh, cameras = parts(item)
    found, unseen = Gathered(mesh, cameras, 0.03, 100)(places(item))
    assert 0 < unseen < 0.4 * len(mesh.vertices), "the bottom is seen by no camera"
    error = np.linalg.norm(found[:, :3].numpy() / found[:, 3:].numpy() - mesh.vertices, axis=1)
    reach = 0.03 * np.linalg.norm(np.ptp(mesh.vertices, axis=0))
    inside = (error < reach).mean()
    assert inside == pytest.approx(1 - unseen / len(error), abs=0.02), "silhouettes mix with the background"
    torch.testing.assert_close(found.norm(dim=1), torch.ones(len(found)))


def test_a_ball_query_is_the_mean_of_the_pixels_in_the_ball(cubes: dict[str, Item]) -> None:
    item = cubes["cube-rest"]
    mesh, cameras = parts(item)
    maps = torch.rand(VIEWS, 5, 64, 64, generator=torch.Generator().manual_seed(1))
    found, _ = Gathered(mesh, cameras, 0.05, 10_000)(maps)
    reach = 0.05 * np.linalg.norm(np.ptp(mesh.vertices, axis=0))
    for vertex in (10, 400, 900):
        sums = torch.zeros(5)
        for view in range(VIEWS):
            shown = item.truth["mask"][view, 0] > 0
            at = item.truth["position"][view].permute(1, 2, 0)[shown]
            near = torch.cdist(at, torch.from_numpy(mesh.vertices[vertex : vertex + 1]).float())[:, 0] <= float(reach)
            if bool(near.any()):
                sums += maps[view].permute(1, 2, 0)[shown][near].mean(0)
        if float(sums.abs().sum()):
            torch.testing.assert_close(found[vertex], F.normalize(sums, dim=0), rtol=1e-3, atol=1e-3)


def test_unseen_vertices_have_the_features_of_the_nearest_seen_one(cubes: dict[str, Item]) -> None:
    mesh, cameras = parts(cubes["cube-rest"])
    maps = torch.rand(1, 5, 64, 64, generator=torch.Generator().manual_seed(1))
    found, unseen = Gathered(mesh, cameras[:1], 0.02, 100)(maps)
    assert unseen > 0.4 * len(found)
    assert bool((found.norm(dim=1) > 0.99).all())
    nothing, every = Gathered(mesh, cameras[:0], 0.02, 100)(maps[:0])
    assert every == len(mesh.vertices)
    assert not nothing.any()


def test_kinds_of_features_count_equally_whatever_their_size(cubes: dict[str, Item]) -> None:
    mesh, cameras = parts(cubes["cube-rest"])
    draw = torch.Generator().manual_seed(1)
    small, large = torch.rand(VIEWS, 5, 8, 8, generator=draw), 100 * torch.rand(VIEWS, 9, 4, 4, generator=draw)
    found, _ = Gathered(mesh, cameras, 0.02, 100)(small, large)
    assert found.shape == (len(mesh.vertices), 14)
    torch.testing.assert_close(found[:, :5].norm(dim=1), torch.full((len(found),), 0.5**0.5))
    torch.testing.assert_close(found[:, 5:].norm(dim=1), torch.full((len(found),), 0.5**0.5))


def test_colours_on_the_mesh_are_linear_between_vertices(cubes: dict[str, Item]) -> None:
    item = cubes["cube-rest"]
    mesh, cameras = parts(item)
    colours = torch.from_numpy(mesh.vertices).float() * 0.5 + 0.5
    seen = item.truth["mask"].expand(-1, 3, -1, -1) > 0
    expected = torch.where(seen, item.truth["position"] * 0.5 + 0.5, 1)
    torch.testing.assert_close(vertex_views(mesh, cameras, colours), expected, atol=1e-5, rtol=0)
    grey = grey_views(mesh, cameras)
    assert bool((grey[~seen] == 1).all())
    assert float(grey[seen].max()) <= 0.8 + 1e-6
    assert bool((grey[:, 0] == grey[:, 2]).all())


def test_colours_are_principal_components_in_order() -> None:
    draw = torch.Generator().manual_seed(0)
    hidden = torch.randn(500, 3, generator=draw) * torch.tensor([5.0, 2.0, 1.0])
    axes = torch.linalg.qr(torch.randn(20, 20, generator=draw))[0][:3]
    colours = colours_of(hidden @ axes)
    assert (float(colours.min()), float(colours.max())) == (0, 1)
    for number in range(3):
        assert abs(np.corrcoef(hidden[:, number], colours[:, number])[0, 1]) > 0.95
    assert colours_of(torch.ones(9, 2)).shape == (9, 3), "also where there is nothing to tell apart"


@pytest.fixture
def gathered(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """The maps that a method gathers."""
    kept: list[Tensor] = []

    class Watched(Gathered):
        def __call__(self, *kinds: Tensor) -> tuple[Tensor, int]:
            kept.extend(kinds)
            return super().__call__(*kinds)

    monkeypatch.setattr(diff3f, "Gathered", Watched)
    return kept


@pytest.mark.parametrize(("pass_of", "row"), [("prompt", 1), ("negative", 0)])
def test_features_are_the_output_of_the_block(
    pass_of: str, row: int, cubes: dict[str, Item], tiny: Any, gathered: list[Tensor]
) -> None:
    outputs: list[Tensor] = []

    def kept(block: Any, args: Any, output: Tensor) -> None:
        outputs.append(output)

    handle = tiny.pipeline.unet.up_blocks[1].register_forward_hook(kept)
    try:
        load("methods", "diff3f", {"pass_of": pass_of, "strength": 1.0, "late": 1.0})(cubes["cube-rest"], tiny, 0)
    finally:
        handle.remove()
    assert len(outputs) == 2, "one call of three views and two passes for each step"
    units = [F.normalize(output.unflatten(0, (2, VIEWS))[row], dim=1) for output in outputs]
    torch.testing.assert_close(gathered[0], 0.1 * units[0] + units[1])


def test_views_are_called_a_few_at_once_and_kept_in_order(monkeypatch: pytest.MonkeyPatch, tiny: Any) -> None:
    item = replace(WorldShapes(size=64, views=5, held=1).items()[6], protocol=Sampling(steps=2, guidance=2.0))
    made = []
    for at_once in (2, 5):
        monkeypatch.setattr(diff3f, "AT_ONCE", at_once)
        made.append(load("methods", "diff3f")(item, tiny, 0).extras["features"].float())
    torch.testing.assert_close(*made, atol=2e-3, rtol=0)


@pytest.mark.parametrize(("spec", "kept"), [("diff3f", 8), ("diff3f@release", 18)])
def test_evaluations_and_kept_steps_are_the_published_ones(spec: str, kept: int, cubes: dict[str, Item]) -> None:
    """30 DDIM steps at strength 0.8 are 24; the paper keeps times up to T / 4, the code 75 % of the 24."""
    model = load("models", "tiny", {"device": "cpu"})
    item = replace(cubes["cube-rest"], protocol=Sampling(steps=30, guidance=7.0, eta=1.0))
    made = load("methods", spec)(item, model, 0)
    assert model.cost.evaluations == 24 * 2 * VIEWS
    assert len(made.notes["timesteps"]) == kept
    assert made.notes["timesteps"] == sorted(made.notes["timesteps"], reverse=True)
    assert made.notes["layer"] == "up_blocks.1"


def test_a_copy_is_matched_exactly_wherever_it_is_seen(cubes: dict[str, Item], tiny: Any) -> None:
    method = load("methods", "diff3f", {"radius": 0.03})
    rest, copy = (method(cubes[name], tiny, 0) for name in ("cube-rest", "cube-copy"))
    there = cubes["cube-copy"].truth["match_cube-rest"]
    same = (copy.extras["features"] == rest.extras["features"][there]).all(1)
    assert float(same.float().mean()) > 0.9, "all but unseen vertices with two nearest ones, and rounding"
    assert copy.extras["features"].dtype == torch.float16
    torch.testing.assert_close(copy.extras["vertices"], cubes["cube-copy"].truth["vertices"])
    own, theirs = copy.extras["features"].float(), rest.extras["features"].float()
    assert not torch.equal(own, method(cubes["cube-copy"], tiny, 1).extras["features"].float())
    _, where, count = torch.unique(theirs, dim=0, return_inverse=True, return_counts=True)
    alone = same & (count[where][there] == 1)  # an unseen vertex has the features of another one
    assert float(alone.float().mean()) > 0.3
    assert torch.equal(matches(own, theirs)[alone], there[alone])


def test_views_show_features_or_pictures(cubes: dict[str, Item], tiny: Any) -> None:
    item = cubes["cube-rest"]
    shown, pictures = (load("methods", spec)(item, tiny, 0) for spec in ("diff3f", "diff3f@pictures"))
    behind = item.truth["mask"].expand(-1, 3, -1, -1) == 0
    assert bool((shown.views[behind] == 1).all())
    assert not bool((pictures.views[behind] == 1).all())
    assert torch.equal(shown.extras["features"], pictures.extras["features"])


def test_a_step_adds_weighed_unit_features_of_its_views(tiny: Any) -> None:
    hidden = torch.randn(4, 6, 2, 2, generator=torch.Generator().manual_seed(0))
    state = Drawing(torch.zeros(5, 4, 8, 8), weight=0.5, rows=slice(2, 4))
    level = next(iter(tiny.schedule(1)))
    with tiny.calling(Call(level, groups=2, views=2)):
        load("methods", "diff3f").keep(state, hidden, tiny)
        load("methods", "diff3f").keep(state, hidden, tiny)
    torch.testing.assert_close(state.total[2:4], F.normalize(hidden[2:], dim=1))
    assert not state.total[[0, 1, 4]].any()


def test_dino_stands_beside_the_network(
    cubes: dict[str, Item], tiny: Any, monkeypatch: pytest.MonkeyPatch, gathered: list[Tensor]
) -> None:
    item, method = cubes["cube-rest"], load("methods", "diff3f@dino")
    monkeypatch.setattr(diff3f, "dino", lambda device="cpu": None)
    assert method.loads() == {}
    assert "syncbench fetch dino" in method.lacks(item)
    with pytest.raises(SyncbenchError, match="syncbench fetch dino"):
        method(item, tiny, 0)
    torch.manual_seed(0)
    network = Dino(timm.create_model("vit_tiny_patch16_224", num_classes=0), "random", "cpu")
    monkeypatch.setattr(diff3f, "dino", lambda device="cpu": network)
    assert method.lacks(item) is None
    assert method.loads() == {"dino": network.fingerprint}
    gathered.clear()
    plain = load("methods", "diff3f")(item, tiny, 0)
    assert method(item, tiny, 0).extras["features"].shape[1] == plain.extras["features"].shape[1] + 192
    assert gathered[-1].shape == (VIEWS, 192, 14, 14)


def test_patches_lie_where_the_picture_has_them() -> None:
    torch.manual_seed(0)
    network = Dino(timm.create_model("vit_tiny_patch16_224", num_classes=0, depth=1), "random", "cpu")
    grey = torch.full((1, 3, 224, 224), 0.5)
    marked = grey.clone()
    marked[..., 16:32, 160:176] = 1  # the patch in row 1, column 10
    change = (network.patches(marked) - network.patches(grey)).norm(dim=1)[0]
    assert change.flatten().argmax() == 1 * 14 + 10
    half = F.interpolate(marked, scale_factor=0.5, mode="area")
    torch.testing.assert_close(network.patches(half).shape, network.patches(grey).shape)


def test_what_cannot_be_is_refused_in_a_sentence(cubes: dict[str, Item], tiny: Any) -> None:
    strip = Item(id="strip", family="overlap", prompts=("a ball",), surface=Strip(64, 64, 64))
    assert "the item has none" in load("methods", "diff3f").lacks(strip)
    assert load("methods", "diff3f").lacks(cubes["cube-rest"]) is None
    with pytest.raises(SyncbenchError, match=r"a decoder of 4 blocks, so diff3f.block is 0 to 2"):
        load("methods", "diff3f", {"block": 3})(cubes["cube-rest"], tiny, 0)
    with pytest.raises(SyncbenchError, match="no network"):
        load("methods", "diff3f")(cubes["cube-rest"], load("models", "gauss", {"window": 64}), 0)
