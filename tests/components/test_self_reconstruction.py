"""Self-reconstruction: the field against closed forms, true views against re-drawn ones, and nulls with reasons."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from syncbench.bench.trust.corruptions import corruption
from syncbench.bench.types import Artifact, Item
from syncbench.datasets.world_meshes import WorldMeshes
from syncbench.metrics.self_reconstruction import CENTRAL, SelfReconstruction, split_views
from syncbench.metrics.views.voxels import (
    FAR_SAMPLES,
    INNER,
    SAMPLES,
    Focus,
    Rays,
    Voxels,
    common_focus,
    contract,
    view_rays,
)

from ..analytic import BALL, EYE, camera, orbit
from .test_metrics_views import reason, value, without

SHORT = SelfReconstruction(steps=60)


@pytest.fixture(scope="module")
def around() -> Item:
    return orbit(size=32, count=8, fineness=3)


@pytest.fixture(scope="module")
def cubes() -> tuple[Item, Item]:
    plain, dotted = WorldMeshes(size=48).items()[2:4]
    return plain, dotted


# --- the metric ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("id", "strength"), [("colour", 0.4), ("outlier", 0.5), ("exchange", 1.0), ("noise", 40)])
def test_views_of_several_worlds_are_told_from_those_of_one(
    cubes: tuple[Item, Item], true_error: float, id: str, strength: float
) -> None:
    item, other = cubes
    damaged = corruption(id)(item, (other,), strength, 7)
    assert value(SHORT, damaged, item) > 1.2 * true_error


@pytest.fixture(scope="module")
def true_error(cubes: tuple[Item, Item]) -> float:
    return value(SHORT, cubes[0].truth["views"], cubes[0])


def test_blank_views_are_easy_and_left_to_other_metrics(around: Item) -> None:
    blank = torch.full_like(around.truth["views"], 0.4)
    assert value(SelfReconstruction(steps=10), blank, around) < 1


def test_the_number_is_the_same_with_any_number_of_threads_and_leaves_them_be(around: Item) -> None:
    threads, numbers = torch.get_num_threads(), []
    brief = SelfReconstruction(steps=10)
    try:
        for count in (1, 2, 2):
            torch.set_num_threads(count)
            torch.rand(1)
            numbers.append(value(brief, around.truth["views"], around))
            assert torch.get_num_threads() == count
    finally:
        torch.set_num_threads(threads)
    assert len(set(numbers)) == 1
    assert value(replace(brief, seed=1), around.truth["views"], around) != numbers[0]


def test_cameras_alone_are_enough_and_truth_is_not_read(around: Item) -> None:
    cameras = {name: around.truth[name] for name in ("extrinsics", "intrinsics")}
    bare = replace(around, truth={}, conditions=cameras)
    brief, views = SelfReconstruction(steps=4), around.truth["views"]
    assert value(brief, views, bare) == value(brief, views, around)
    assert brief(Artifact(views=views), bare).coverage == 0.25


@pytest.mark.parametrize("count", [6, 8, 11, 16])
def test_a_quarter_of_the_views_is_scored_and_none_of_them_is_fitted(count: int) -> None:
    scored, fitted = split_views(count)
    assert sorted(scored + fitted) == list(range(count))
    assert len(scored) == pytest.approx(count / 4, abs=1)
    assert {0, count - 1}.isdisjoint(scored), "views at an end of a path have a neighbour on one side only"


def test_views_that_determine_no_field_are_null_and_say_how_many_are_needed(around: Item) -> None:
    views = around.truth["views"]
    for count, said in ((4, "4 views are too few"), (5, "64 degrees apart"), (6, "as of 8 cameras around")):
        few = orbit(size=16, count=count)
        assert said in reason(SHORT, few.truth["views"], few)
    assert "one view" in reason(SHORT, views[:1], replace(around, truth={k: v[:1] for k, v in around.truth.items()}))
    assert "where its cameras are" in reason(SHORT, views, without(around, "extrinsics"))
    flat = around.truth["intrinsics"].clone()
    flat[:, 2, 2] = 0
    assert "orthographic" in reason(SHORT, views, without(around, intrinsics=flat))
    outward = around.truth["extrinsics"].clone()
    outward[:, 0], outward[:, 2] = -outward[:, 0], -outward[:, 2]
    outward[:, :3, 3] = 0
    outward[:, 2, 3] = -1  # one step ahead of the middle, with it at the back
    assert "do not look at one place" in reason(SHORT, views, without(around, extrinsics=outward))


# --- the field ----------------------------------------------------------------------------------------------------


def test_the_focus_is_where_the_cameras_look() -> None:
    poses = torch.from_numpy(np.stack([camera(a, e, 32)[0] for a, e in ((0, 10), (80, 40), (200, -5))]))
    focus = common_focus(poses)
    assert focus is not None
    torch.testing.assert_close(focus.at, torch.from_numpy(BALL))
    assert focus.distance == pytest.approx(EYE)
    back = np.array([np.cos(np.radians(10)), 0, np.sin(np.radians(10))])
    torch.testing.assert_close(focus.directions[0], torch.from_numpy(back))
    side = poses[:1].repeat(3, 1, 1)
    side[:, 0, 3] += torch.arange(3)
    assert common_focus(side) is None, "parallel cameras"


def test_rays_go_through_what_their_pixels_show() -> None:
    extrinsics, intrinsics = (torch.from_numpy(one) for one in camera(30, 20, 64))
    focus = Focus(at=torch.from_numpy(BALL), distance=EYE, directions=torch.zeros(1, 3))
    rays = view_rays(extrinsics, intrinsics, (64, 64), (16, 16), focus)
    point = torch.tensor([0.3, -0.2, 0.7], dtype=torch.float64)
    seen = intrinsics @ (extrinsics[:3, :3] @ point + extrinsics[:3, 3])
    column, row = (seen[:2] / seen[2] / 4).tolist()
    at = ((point - torch.from_numpy(BALL)) / (INNER * EYE)).float()
    off = torch.linalg.cross(rays.direction, at - rays.origin).norm(dim=1) / rays.direction.norm(dim=1)
    nearest = divmod(int(off.argmin()), 16)
    assert abs(nearest[0] + 0.5 - row) <= 0.5
    assert abs(nearest[1] + 0.5 - column) <= 0.5
    middle = rays.off_centre.reshape(16, 16)
    assert float(middle[7:9, 7:9].max()) < 0.05 < CENTRAL < float(middle[0, 0])


def test_all_of_space_is_contracted_into_the_cube() -> None:
    points = torch.tensor([[0.0, 0.0, 0.0], [0.5, -1.0, 0.2], [4.0, 2.0, 0.0], [1e6, 0.0, 0.0]])
    expected = torch.tensor([[0, 0, 0], [0.5, -1, 0.2], [1.375, 0.6875, 0], [1.5, 0, 0]]) / 1.5
    torch.testing.assert_close(contract(points), expected, rtol=1e-4, atol=1e-5)


def test_a_uniform_fog_absorbs_as_beer_and_lambert_say() -> None:
    density, far = 0.5, torch.tensor([0.9, 0.2, 0.4])
    grid = torch.zeros(1, 4, 8, 8, 8)
    grid[:, 0] = float(np.log(np.expm1(density)))
    grid[0, 1:] = torch.logit(far)[:, None, None, None]
    rays = Rays(origin=torch.tensor([[0.0, 0.0, -2.5]]), direction=torch.tensor([[0.0, 0.0, 1 / 1.2]]))
    colour, weight = Voxels(grid, 3.0).render(rays)
    torch.testing.assert_close(colour[0], far)
    assert float(weight.sum()) == pytest.approx(1, abs=1e-5)
    inside = SAMPLES - FAR_SAMPLES
    through = np.exp(-density * 8.0 * (1.5 - 0.6) * 3.0 / 1.2)
    assert float(weight[0, :inside].sum()) == pytest.approx(1 - through, rel=1e-4)
    grid[:, 0] = -50
    assert float(Voxels(grid, 3.0).render(rays)[1][0, -1]) == pytest.approx(1), "what nothing absorbs is the horizon's"
