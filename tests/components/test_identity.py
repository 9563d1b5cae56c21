"""Identity across views: what it counts, and whom it answers."""

from dataclasses import replace

import pytest
import torch
from syncbench.bench.types import Artifact
from syncbench.datasets.world_views import WorldViews
from syncbench.metrics.identity import Identity


def test_views_of_one_object_are_alike_and_those_of_two_are_not() -> None:
    first, second = WorldViews(size=128).items()[:2]
    true, other = (item.truth["views"] for item in (first, second))
    mixed = torch.cat([true[:2], other[2:]])
    alike, unlike, same = (
        Identity()(Artifact(views=views), first).value or 0 for views in (true, mixed, true[:1].expand(4, -1, -1, -1))
    )
    assert same == pytest.approx(100, abs=1e-3)
    assert unlike + 10 < alike < 100
    seen = Identity().provider()
    rows = torch.cat([seen.image(view[None]) for view in (mixed * 255).round() / 255]).double()
    pairs = [float(rows[i] @ rows[j]) for i in range(4) for j in range(i)]
    assert unlike == pytest.approx(100 * sum(pairs) / 6, abs=1e-3)
    worst = Identity(statistic="worst")(Artifact(views=mixed), first).value
    assert worst == pytest.approx(100 * min(pairs), abs=1e-3)


def test_the_bundled_judge_answers_on_the_world_alone() -> None:
    item = WorldViews(size=128).items()[0]
    made = Artifact(views=torch.full((4, 3, 128, 128), 0.5))
    assert Identity(backbone="reference")(made, replace(item, world=False)).value is None
    assert "only one view" in (Identity()(Artifact(views=made.views[:1]), item).reason or "")
