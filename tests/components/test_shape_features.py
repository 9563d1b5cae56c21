"""Features of vertices: data sets of shapes whose correspondence is exact, the metrics of it, and Diff3F."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import trimesh
from syncbench.bench.catalogue.registry import load
from syncbench.bench.trust.check import check
from syncbench.bench.types import Artifact, Item
from syncbench.bench.world.bodies import BODIES, DEFORMATIONS, body, deformed
from syncbench.datasets.world_shapes import WorldShapes
from syncbench.metrics.shapes.distances import area, diameter, geodesic_distances
from torch import Tensor

METRICS = ("correspondence", "geodesic_error", "side_flips")


@pytest.fixture(scope="module")
def cubes() -> dict[str, Item]:
    """A cube at rest and deformed, seen by four cameras, 32 px square."""
    items = WorldShapes(size=32, views=4, held=1).items()
    return {item.id: item for item in items if item.id.startswith("cube")}


def rest_place(item: Item) -> Tensor:
    """Where each vertex of an item is on the body (n, 3), whose left and right are parted by y = 0."""
    places = torch.from_numpy(body("cube").vertices).float()
    return places if item.id == "cube-rest" else places[item.truth["match_cube-rest"]]


def scores(metric: str, items: dict[str, Item], features: Callable[[Item], Tensor], **options: Any) -> dict[str, Any]:
    """Scores of features by item."""
    views = torch.zeros(1, 3, 8, 8)
    made = {name: Artifact(views=views, extras={"features": features(item)}) for name, item in items.items()}
    return load("metrics", metric, options).group(made, items)


def ways(places: Tensor) -> Tensor:
    """Features that are most alike at near places: places on a sphere in four dimensions."""
    square = (places**2).sum(1, keepdim=True)
    return torch.cat([2 * places, square - 1], 1) / (square + 1)


def test_bodies_are_whole_marked_and_finely_meshed() -> None:
    for name in BODIES:
        own = body(name)
        shape = trimesh.Trimesh(own.vertices, own.faces, process=False)
        assert shape.is_watertight, name
        assert shape.body_count == 1
        assert 1500 <= len(own.vertices) <= 5000
        mirrored = own.vertices * [1, -1, 1]
        away = trimesh.proximity.ProximityQuery(shape).vertex(mirrored)[0]
        assert away.max() > 0.08, "the mark is not on both sides"
        assert abs((own.side > 0).sum() - (own.side < 0).sum()) < 0.05 * len(own.side)


@pytest.mark.parametrize("how", DEFORMATIONS)
def test_truth_names_the_same_vertex(how: str) -> None:
    mesh, order = deformed("cube", how, 3)
    own = body("cube")
    assert sorted(order) == list(range(len(order)))
    known = DEFORMATIONS[how](*own.vertices.T)
    centre = (known.min(0) + known.max(0)) / 2
    known = (known - centre) * 0.6 / np.linalg.norm(known - centre, axis=1).max()
    found = mesh.vertices[order]
    np.testing.assert_allclose(found - found.mean(0), known - known.mean(0), atol=1e-9)
    assert how == "rest" or (order != np.arange(len(order))).mean() > 0.9, "numbers tell nothing"


def test_the_data_set_keeps_the_contract_and_its_maps_are_inverse(cubes: dict[str, Item]) -> None:
    assert [verdict for verdict in check("world_shapes") if not verdict.kept] == []
    rest = cubes["cube-rest"]
    assert {name for name in rest.truth if name.startswith("match_")} == {f"match_{name}" for name in cubes} - {
        "match_cube-rest"
    }
    for name, item in cubes.items():
        if item is not rest:
            there, back = rest.truth[f"match_{name}"], item.truth["match_cube-rest"]
            assert torch.equal(back[there], torch.arange(len(there)))
            assert torch.equal(item.truth["side"][there], rest.truth["side"])


def test_coordinates_of_the_shape_at_rest_match_exactly(cubes: dict[str, Item]) -> None:
    def exact(item: Item) -> Tensor:
        return ways(rest_place(item))

    for metric, best in zip(METRICS, (100, 0, 0), strict=True):
        found = scores(metric, cubes, exact)
        assert {score.value for score in found.values()} == {best}, metric
    assert {score.coverage for score in scores("correspondence", cubes, exact).values()} == {1.0}
    assert all(0.5 < score.coverage < 1 for score in scores("side_flips", cubes, exact).values())


def test_mirrored_features_change_all_sides(cubes: dict[str, Item]) -> None:
    def mirrored(item: Item) -> Tensor:
        places = rest_place(item)
        return ways(places if item.id == "cube-rest" else places * torch.tensor([1.0, -1.0, 1.0]))

    found = scores("side_flips", cubes, mirrored)
    assert all(score.value > 99 for score in found.values())
    assert all(score.value > 20 for score in scores("geodesic_error", cubes, mirrored).values())
    assert all(score.value < 15 for score in scores("correspondence", cubes, mirrored).values())


def test_random_features_find_as_many_as_chance_does(cubes: dict[str, Item]) -> None:
    draw = torch.Generator().manual_seed(4)
    made = {name: torch.randn(len(item.truth["vertices"]), 64, generator=draw) for name, item in cubes.items()}
    tolerance = 0.2
    found = scores("correspondence", cubes, lambda item: made[item.id], tolerance=tolerance)["cube-bend"]
    there = cubes["cube-rest"].truth["vertices"].double()
    chance = float((torch.cdist(there, there) <= tolerance * diameter(there.float())).double().mean())
    assert found.value == pytest.approx(100 * chance, abs=3 * 100 * (chance / 1024) ** 0.5)
    assert scores("correspondence", cubes, lambda item: made[item.id])["cube-bend"].value < 1
    flips = scores("side_flips", cubes, lambda item: made[item.id])["cube-bend"]
    assert flips.value == pytest.approx(50, abs=150 / 1024**0.5 / flips.coverage**0.5)


def test_ways_along_a_grid_of_edges_and_parts_apart() -> None:
    x, y = np.meshgrid(np.arange(5.0), np.arange(4.0), indexing="ij")
    vertices = np.stack([x.ravel(), y.ravel(), 0 * x.ravel()], 1)
    number = np.arange(20).reshape(5, 4)
    a, b, c, d = (part.ravel() for part in (number[:-1, :-1], number[1:, :-1], number[1:, 1:], number[:-1, 1:]))
    faces = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    apart = vertices[:3] + np.array([0, 0, 7])
    split = np.concatenate([vertices, apart, vertices[:1]])  # the last one is a double that no face names
    mesh = torch.from_numpy(split).float(), torch.from_numpy(np.concatenate([faces, [[20, 21, 22]]]))
    start, end = torch.tensor([0, 0, 3, 23, 0]), torch.tensor([19, 16, 16, 19, 20])
    diagonal = 3 * 2**0.5 + 1
    np.testing.assert_allclose(geodesic_distances(*mesh, start, end), [diagonal, 4, 7, diagonal, 7], rtol=1e-6)
    flat = torch.from_numpy(vertices).float()
    assert area(flat, torch.from_numpy(faces)) == pytest.approx(12)
    assert diameter(flat) == pytest.approx(5)


def test_ways_on_a_ball_are_nearly_its_arcs() -> None:
    ball: Any = trimesh.creation.icosphere(4)
    vertices, faces = torch.from_numpy(np.array(ball.vertices)).float(), torch.from_numpy(np.array(ball.faces))
    end = torch.arange(0, len(vertices), 40)
    arc = 2 * ((vertices[end] - vertices[0]).double().norm(dim=1) / 2).arcsin().numpy()
    found = geodesic_distances(vertices, faces, torch.zeros_like(end), end)
    assert (found >= arc * 0.99).all()
    assert found.mean() < 1.16 * arc.mean()


def test_reasons_why_there_is_no_number(cubes: dict[str, Item]) -> None:
    def reason(metric: str, items: dict[str, Item], features: Callable[[Item], Tensor]) -> str:
        [score] = [s for name, s in scores(metric, items, features).items() if name == "cube-bend"]
        assert score.value is None
        return score.reason

    def flat(item: Item) -> Tensor:
        return torch.ones(len(item.truth["vertices"]), 3)

    alone = {"cube-bend": cubes["cube-bend"]}
    assert "shape cube-rest, which it is to be matched with, was not sampled" in reason("correspondence", alone, flat)
    assert "not those of 1,538 vertices" in reason("correspondence", cubes, lambda item: torch.ones(4, 3))
    assert "not finite" in reason("correspondence", cubes, lambda item: flat(item) * torch.nan)
    unlike = reason("geodesic_error", cubes, lambda item: flat(item)[:, : 2 + (item.id == "cube-rest")])
    assert "of 2 and of 3 numbers cannot be compared" in unlike
    blind = {k: replace(v, truth={n: v.truth[n] for n in v.truth if n != "side"}) for k, v in cubes.items()}
    assert "does not know left from right" in reason("side_flips", blind, flat)
    bare = {k: replace(v, truth={}) for k, v in cubes.items()}
    none = load("metrics", "correspondence").group({k: Artifact(views=torch.zeros(1, 3, 8, 8)) for k in bare}, bare)
    assert "matches it with no other shape" in none["cube-bend"].reason
    none = load("metrics", "correspondence").group({k: Artifact(views=torch.zeros(1, 3, 8, 8)) for k in cubes}, cubes)
    assert "made no features" in none["cube-bend"].reason
