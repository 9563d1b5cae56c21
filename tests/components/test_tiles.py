"""Views as tiles of larger pictures: the layout, and TextMesh, which bakes them."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from syncbench.bench.canvas import Canvas
from syncbench.bench.catalogue.registry import load
from syncbench.bench.models.parts.wrappers import canvas_of
from syncbench.bench.surfaces.rigs import RIGS, RigName
from syncbench.datasets.world_meshes import WorldMeshes
from syncbench.methods._tiling import filled, tiled
from syncbench.methods.geometry.textmesh import TextMesh, laid_over

from .test_methods import make_model, pile_item


def test_a_picture_of_tiles_is_one_prediction_of_the_network() -> None:
    """Six views as 3 x 2 are what the network says of the one picture, cut up again; hints are laid out alike."""
    model = make_model("tiny", kind="reference", dtype="float64")
    x = torch.randn(6, 4, 4, 4, generator=torch.Generator().manual_seed(0)).double()
    x = (
        x[:, : model.channels]
        if model.channels < 4
        else x.repeat(1, -(-model.channels // 4), 1, 1)[:, : model.channels]
    )
    level = list(model.schedule(3))[1]
    with torch.no_grad():
        many, one = model.condition(["a circle"] * 6, 2.0), model.condition(["a circle"], 2.0)
        x0, eps = tiled(model, x, level, many, torch.arange(6), (3, 2))
        whole = model.predict(canvas_of(x, 3, 2), level, one)
        alone = model.predict(x, level, many)
    torch.testing.assert_close(canvas_of(x0, 3, 2), whole[0], atol=1e-8, rtol=0)
    torch.testing.assert_close(canvas_of(eps, 3, 2), whole[1], atol=1e-8, rtol=0)
    assert not torch.allclose(x0, alone[0], atol=1e-4)


def test_views_that_do_not_fill_a_picture_are_filled_up_from_the_first() -> None:
    assert filled(torch.tensor([2, 0, 1]), 4).tolist() == [2, 0, 1, 2]
    assert filled(torch.arange(6), 4).tolist() == [0, 1, 2, 3, 4, 5, 0, 1]
    assert filled(torch.arange(4), 4).tolist() == [0, 1, 2, 3]


def test_one_tile_is_independent_sampling() -> None:
    model, item = make_model("tiny", kind="reference", dtype="float64"), pile_item(("a circle", "a star", "nothing"))
    alone = load("methods", "independent")(item, model, 0).views
    torch.testing.assert_close(load("methods", "tiles", {"rows": 1, "columns": 1})(item, model, 0).views, alone)
    assert not torch.allclose(load("methods", "tiles")(item, model, 0).views, alone, atol=1e-3)


def test_the_first_picture_of_textmesh_goes_around_the_object() -> None:
    orders = {8: [0, 2, 4, 6, 1, 3, 5, 7], 4: [0, 1, 2, 3], 3: [0, 1, 2]}
    for views, wanted in orders.items():
        for item in (pile_item(("a circle",)), WorldMeshes(size=32, views=views).items()[0]):
            assert TextMesh().order(item, views).tolist() == wanted


@pytest.mark.parametrize(
    ("rig", "sides"),
    [("texture", [0, 90, 180, 270]), ("syncmvd", [0, 90, 180, 270]), ("paint3d", [0, 45, 180, 315])],
)
def test_the_first_picture_of_textmesh_has_four_sides_of_a_published_rig(rig: RigName, sides: list[float]) -> None:
    item, azimuth = WorldMeshes(size=32, rig=rig).items()[0], RIGS[rig].azimuth
    order = TextMesh().order(item, len(azimuth)).tolist()
    assert [azimuth[view] for view in order[:4]] == sides
    assert max(RIGS[rig].elevation[view] for view in order[:4]) <= 30, "none from above"
    assert sorted(order) == [*range(len(azimuth))]


def planted() -> Canvas:
    """Views of a row of 6 cells: the first four see cells 0 to 3, the last one cells 2 to 5; one pixel sees none."""
    index = torch.tensor([[0, 1, 2, 3, -1]] * 4 + [[2, 3, 4, 5, -1]])[:, None]
    return Canvas(index, torch.ones(index.shape), (6,))


def test_a_baked_view_has_the_first_picture_and_elsewhere_the_others() -> None:
    views = torch.stack([torch.full((3, 1, 5), level) for level in (0.2, 0.4, 0.4, 0.6, 0.9)])
    made = TextMesh().baked(views, planted(), torch.arange(5))
    assert made[:4, 0, 0, :4].flatten().tolist() == pytest.approx([0.4] * 16), "the mean of the four"
    assert made[4, 0, 0].tolist() == pytest.approx([0.4, 0.4, 0.9, 0.9, 0.9])
    assert made[:, 0, 0, 4].tolist() == pytest.approx([0.2, 0.4, 0.4, 0.6, 0.9]), "the background is each view's own"


def test_a_hole_between_pixels_is_closed_by_its_neighbours_and_a_blind_side_is_not() -> None:
    top, below = torch.full((1, 3, 9, 9), 0.3), torch.full((1, 3, 9, 9), 0.8)
    known = torch.ones(1, 1, 9, 9)
    known[..., 4, 4] = 0
    known[..., 6:, 6:] = 0
    found = laid_over(top * known, known, below)[0, 0]
    assert found[4, 4] == pytest.approx(0.3)
    assert found[8, 8] == pytest.approx(0.8)


def test_textmesh_that_bakes_nothing_is_tiles_in_its_order() -> None:
    model: Any = make_model("tiny", kind="reference", dtype="float64")
    item = pile_item(("a circle",) * 3)
    unbaked = TextMesh(bake=False)(replace(item, family="geometry"), model, 0)
    torch.testing.assert_close(unbaked.views, load("methods", "tiles")(item, model, 0).views)
