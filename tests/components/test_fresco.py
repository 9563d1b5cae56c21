"""FRESCO: its attention against textbook versions, its losses by hand, and what it promises."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from syncbench.bench.canvas import Canvas
from syncbench.bench.catalogue.registry import load
from syncbench.bench.errors import SyncbenchError
from syncbench.bench.models.parts.features import entering
from syncbench.bench.types import Cost
from syncbench.methods.frames._fresco import (
    SPREAD,
    Guided,
    Pairs,
    Sight,
    optimised,
    sights,
    spatial_loss,
    temporal_loss,
    unit,
)
from syncbench.methods.frames._trajectories import along
from torch import Tensor

from .test_frame_editing import clip_item, draw, softmax
from .test_methods import Pile, loud

MOVED = torch.tensor([[[0, 1], [2, 3]], [[4, 0], [5, 2]], [[4, 0], [6, 7]]])
"""Three frames of four tokens: everything moves to the right by one, then the lower half is new."""


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCBENCH_CACHE", str(tmp_path))


@pytest.fixture(scope="module")
def model() -> Any:
    made = load("models", "tiny", {"kind": "reference", "dtype": "float64"})
    loud(made)
    return made


def canvas_of(index: Tensor) -> Canvas:
    return Canvas(index, torch.ones(index.shape), (int(index.max()) + 1,))


def guided(index: Tensor = MOVED, **changes: Any) -> Guided:
    sight = Sight.of(canvas_of(index))
    made = Guided(True, 20, len(index), {(int(index.shape[1]), int(index.shape[2])): sight})
    return replace(made, **changes)


def test_every_point_feeds_keys_and_values_once() -> None:
    """All of frame 0, and of later frames what they show for the first time; pixels of no point are always new."""
    assert Sight.of(canvas_of(MOVED)).fresh.tolist() == [0, 1, 2, 3, 4, 6, 10, 11]
    hidden = MOVED.clone()
    hidden[2, 0, 1] = -1
    assert Sight.of(canvas_of(hidden)).fresh.tolist() == [0, 1, 2, 3, 4, 6, 9, 10, 11]
    doubled = MOVED.clone()
    doubled[0] = 0
    assert Sight.of(canvas_of(doubled)).fresh.tolist()[:4] == [0, 1, 2, 3]


def test_cross_frame_attention_is_the_formula() -> None:
    attend = guided().formula("layer")
    q, k, v = (draw(6, 2, 4, 8, seed=i) for i in range(3))
    found = attend(q, k, v, None)
    fresh = Sight.of(canvas_of(MOVED)).fresh
    for group in range(2):
        rows = slice(3 * group, 3 * group + 3)
        keys, values = (x[rows].transpose(0, 1).flatten(1, 2)[:, fresh] for x in (k, v))
        for frame in range(3):
            torch.testing.assert_close(found[3 * group + frame], softmax(q[3 * group + frame], keys) @ values)
    alone = guided(sharing=False).formula("layer")
    torch.testing.assert_close(alone(q, k, v, None), softmax(q, k) @ v)
    coarse = [x[:, :, :3] for x in (q, k, v)]
    torch.testing.assert_close(attend(*coarse, None), softmax(*coarse[:2]) @ coarse[2], msg="other levels: as ever")


def test_spatial_guidance_mixes_queries_of_tokens_that_are_alike_in_the_source() -> None:
    one = guided(sharing=False, recording=True)
    attend = one.formula("layer")
    q0, k0, q, k, v = (draw(6, 2, 4, 8, seed=i) for i in range(5))
    torch.testing.assert_close(attend(q0, k0, v, None), softmax(q0, k0) @ v)
    one.recording, one.spatial = False, True
    torch.testing.assert_close(attend(q, k, v, None), softmax(softmax(q0, SPREAD * k0) @ q, k) @ v)
    one.spatial = False
    torch.testing.assert_close(attend(q, k, v, None), softmax(q, k) @ v)


def test_temporal_guidance_is_attention_within_tracks() -> None:
    """Queries and keys are the layer's own, values what the attention among frames gave."""
    attend = guided(sharing=False, temporal=True).formula("layer")
    q, k, v = (draw(3, 2, 4, 8, seed=i) for i in range(3))
    found = attend(q, k, v, None).transpose(0, 1).flatten(1, 2)
    plain, q, k = (x.transpose(0, 1).flatten(1, 2) for x in (softmax(q, k) @ v, q, k))
    wanted = plain.clone()
    for cell in range(8):
        place = (MOVED.flatten() == cell).nonzero()[:, 0]
        if len(place) > 1:
            wanted[:, place] = softmax(q[:, place], SPREAD * k[:, place]) @ plain[:, place]
    torch.testing.assert_close(found, wanted)
    x, tracks = draw(1, 2, 12, 8), Sight.of(canvas_of(MOVED)).tracks
    torch.testing.assert_close(along(x, tracks, None), along(x, tracks, None, x, x))


def test_pairs_lead_to_where_a_token_is_seen_in_the_next_frame_and_in_the_previous() -> None:
    canvas = canvas_of(MOVED)
    to, back = Pairs.of(canvas, 1), Pairs.of(canvas, -1)
    assert to.seen.tolist() == [[True, False, True, False], [True, True, False, False], [False, True, False, False]]
    assert back.seen.tolist() == [[True, False, False, False], [False, True, False, True], [True, True, False, False]]
    x = torch.arange(12.0).view(1, 3, 1, 4)
    assert to.there(x)[0, 0, 0, [0, 2]].tolist() == [5.0, 7.0], "cells 0 and 2 are at the right in frame 1"
    assert float(to.there(x)[0, 2, 0, 1]) == 0.0, "the last frame's next is the first"
    assert float(back.there(x)[0, 1, 0, 1]) == 0.0
    still = Pairs.of(canvas_of(MOVED[:1].expand(3, -1, -1)), 1)
    assert bool(still.seen.all()), "without motion a token is where it was"
    assert still.place.tolist() == [[0, 1, 2, 3]] * 3


def test_losses_by_hand() -> None:
    pairs = Sight.of(canvas_of(MOVED)).pairs
    x = torch.zeros(3, 1, 2, 2)
    x[0, 0, 0, 0] = 6.0  # cell 0 in frame 0; 0 elsewhere
    # frame 0 to 1, 1 back to 0, 0 back to 2, and 2 on to 0: four differences of 6 among twelve tokens
    assert float(temporal_loss(x, 3, pairs)) == pytest.approx(2 * 4 * 6 / 12)
    assert float(temporal_loss(torch.ones(3, 1, 2, 2), 3, pairs)) == 0.0
    y = draw(3, 5, 2, 2).float()
    assert float(spatial_loss(3 * y, unit(y))) == pytest.approx(0, abs=1e-4), "only directions count"
    two = torch.tensor([[[[1.0, 0.0]], [[0.0, 1.0]]]])
    assert float(spatial_loss(two, unit(torch.ones(1, 2, 1, 2)))) == pytest.approx(100 / 2)


def test_optimisation_lowers_its_losses_and_keeps_channels_as_they_were() -> None:
    index = torch.arange(64).view(1, 8, 8).expand(3, -1, -1)
    pairs = Sight.of(canvas_of(index)).pairs
    x, source = 3 + 2 * draw(6, 4, 8, 8).float(), unit(draw(6, 4, 8, 8, seed=1).float())
    made = optimised(x, 3, pairs, source, 20)
    torch.testing.assert_close(made.mean((2, 3)), x.mean((2, 3)), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(made.std((2, 3)), x.std((2, 3)), rtol=1e-3, atol=1e-3)
    both = [float(temporal_loss(y, 3, pairs) + spatial_loss(y, source)) for y in (x, made)]
    assert both[1] < 0.95 * both[0]
    alone = optimised(x, 3, pairs, None, 20)
    assert float(temporal_loss(alone, 3, pairs)) < 0.5 * float(temporal_loss(x, 3, pairs))
    torch.testing.assert_close(optimised(x, 3, (), None, 20), x, rtol=1e-4, atol=1e-4)


def test_similarities_in_parts_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    x, source = draw(5, 3, 4, 4).float(), unit(draw(5, 3, 4, 4, seed=1).float())
    whole = optimised(x, 5, (), source, 3)
    monkeypatch.setattr("syncbench.methods.frames._fresco.PART", 2 * 16**2)
    torch.testing.assert_close(optimised(x, 5, (), source, 3), whole, rtol=1e-4, atol=1e-4)


def test_what_enters_a_block_is_changed_and_nothing_stays(model: Any) -> None:
    x, level, condition = draw(2, model.channels, 8, 8), next(iter(model.schedule(2))), model.condition(["a"] * 2, 2.0)
    seen: list[tuple[str, tuple[int, ...]]] = []

    def doubled(name: str, hidden: Tensor) -> Tensor:
        seen.append((name, tuple(hidden.shape[2:])))
        return 2 * hidden

    with torch.no_grad():
        before = model.predict(x, level, condition)[1]
        with model.within(lambda network: entering(network, "up_blocks", lambda name, hidden: hidden)):
            assert torch.equal(model.predict(x, level, condition)[1], before)
        with model.within(lambda network: entering(network, "up_blocks", doubled)):
            other = model.predict(x, level, condition)[1]
        assert torch.equal(model.predict(x, level, condition)[1], before)
    assert [name for name, _ in seen] == ["up_blocks.0", "up_blocks.1", "up_blocks.2"]
    assert [shape for _, shape in seen] == [(2, 2), (4, 4), (8, 8)]
    assert not torch.allclose(other, before)
    with (
        pytest.raises(SyncbenchError, match="has no `up_blocks`"),
        entering(torch.nn.Linear(1, 1), "up_blocks", doubled),
    ):
        pass
    with pytest.raises(SyncbenchError, match="has no network whose layers"):
        load("models", "gauss").within(lambda network: entering(network, "up_blocks", doubled))


def test_with_everything_off_it_is_redrawing_frame_by_frame(model: Any) -> None:
    item = clip_item(steps=4)
    off = {"sharing": False, "spatial": 0.0, "temporal": 0.0, "optimised": 0.0}
    plain = load("methods", "per_frame", {"initial": "noised", "redrawn": 0.75, "shared_noise": True})(item, model, 0)
    torch.testing.assert_close(load("methods", "fresco", off)(item, model, 0).views, plain.views, atol=1e-5, rtol=0)
    for part in ({"sharing": True}, {"spatial": 0.5}, {"optimised": 0.5}):
        made = load("methods", "fresco", {**off, **part})(item, model, 0).views
        assert not torch.allclose(made, plain.views, atol=1e-4), part
    along_them = replace(item, surface=Pile64(64))
    still = {"conditions": {"video": item.conditions["video"][:3]}}
    one, two = (load("methods", "fresco", {**off, **part})(replace(along_them, **still), model, 0).views
                for part in ({}, {"temporal": 0.5}))  # fmt: skip
    assert not torch.allclose(one, two, atol=1e-4), "tokens attend along tracks"


class Pile64(Pile):
    """Three frames of the very same pixels."""

    def check(self, factor: int = 1, stride: float | None = None) -> int:
        return 3


def test_evaluations_and_steps(model: Any) -> None:
    """Of 4 frames and 4 steps, three are taken with guidance; the source passes once."""
    model.cost = Cost()
    method = load("methods", "fresco")
    method(clip_item(steps=4), model, 0)
    assert model.cost.evaluations == 4 * 2 * (3 + 1)
    state = SimpleNamespace(kept=guided(), first=5, x=torch.zeros(3, 4, 2, 2), inside=None, source=None)
    done = {"spatial": 0, "temporal": 0, "optimised": 0}
    for step in range(5, 20):
        method.look(state, SimpleNamespace(level=SimpleNamespace(index=step, total=20)))
        for name in done:
            done[name] += getattr(state.kept, name)
    assert done == {"spatial": 1, "temporal": 8, "optimised": 10}, "upstream's counts of 15 steps"


def test_sights_are_at_the_resolutions_of_the_decoder() -> None:
    canvas = Pile(64).canvas(4)
    assert [*sights(Pile(64), canvas, 4)] == [(16, 16), (8, 8), (4, 4), (2, 2)]
    odd = Canvas(torch.zeros(3, 5, 4, dtype=torch.long), torch.ones(3, 5, 4), (1,))
    assert [*sights(Pile(64), odd, 4)] == [(5, 4)]


def test_a_model_without_a_decoder_is_told() -> None:
    setting: Any = SimpleNamespace(model=SimpleNamespace(id="other"))
    hooks = load("methods", "fresco").hooks(SimpleNamespace(kept=guided()), setting)
    with pytest.raises(SyncbenchError, match="model other shows none"), hooks:
        pass
