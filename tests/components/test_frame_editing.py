"""Methods that edit a clip: their attention against textbook versions, and what each promises."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from syncbench.bench.backbones.flow import flow
from syncbench.bench.canvas import Canvas
from syncbench.bench.catalogue.registry import load
from syncbench.bench.models.interface import Condition
from syncbench.bench.models.parts.attention import inside, layers
from syncbench.bench.sampling.loop import Noise
from syncbench.bench.surfaces.flow_tracks import FlowTracks
from syncbench.bench.surfaces.shared import Apart
from syncbench.bench.trust.check import check
from syncbench.bench.types import Cost, Item, Sampling, SyncbenchError
from syncbench.methods.frames._beside import Source
from syncbench.methods.frames._fusion import Alignment, Fusion
from syncbench.methods.frames._keyframes import Flow, nearest
from syncbench.methods.frames._merging import joined
from syncbench.methods.frames._merging import nearest as joins
from syncbench.methods.frames._trajectories import along, tracks_of
from syncbench.methods.frames.rave import tiled
from syncbench.methods.frames.rerender import carried, like
from syncbench.methods.frames.text2video_zero import translated
from torch import Tensor

from .test_methods import COUPLED, loud, make_model, pile_item

EDITS = (
    "per_frame", "pix2video", "fatezero", "tokenflow", "flatten", "vidtome", "rerender", "rave", "text2video_zero",
    "fresco",
)  # fmt: skip


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCBENCH_CACHE", str(tmp_path))


@pytest.fixture(scope="module")
def model() -> Any:
    made = load("models", "tiny", {"kind": "reference", "dtype": "float64"})
    loud(made)
    return made


def clip_item(frames: int = 4, steps: int = 3, **changes: Any) -> Item:
    small = torch.rand(frames, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    clip = torch.nn.functional.interpolate(small, (64, 64), mode="bilinear")
    item = Item(
        id="clip", family="frames", prompts=("a red ball",), source="a blue ball", surface=Apart(frames, 64, 64),
        protocol=Sampling(steps=steps, guidance=2.0), conditions={"video": clip},
    )  # fmt: skip
    return replace(item, **changes)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("spec", EDITS)
@pytest.mark.parametrize("steps", [1, 2])
def test_few_steps_and_two_frames_are_enough(spec: str, steps: int, model: Any) -> None:
    artifact = load("methods", spec)(clip_item(2, steps), model, 0)
    assert artifact.views.shape == (2, 3, 64, 64)


def test_evaluations_are_as_many_as_the_method_says(model: Any) -> None:
    """Of 4 frames, 3 steps, guidance: inversion at 3 evaluations a step, then 2 a frame, and the source's pass."""
    found = {}
    for spec in EDITS:
        model.cost = Cost()
        load("methods", spec)(clip_item(), model, 0)
        found[spec] = model.cost.evaluations
    inversion, sampling, source = 4 * 3 * 3, 4 * 3 * 2, 4 * 3
    assert found["per_frame"] == found["pix2video"] == found["vidtome"] == inversion + sampling
    assert found["fatezero"] == inversion + sampling + source
    assert found["tokenflow"] == inversion + sampling + source + 2 * 3, "and one keyframe"
    assert found["flatten"] == inversion + sampling + 4, "the source's pass in 40 % of three steps"
    assert found["text2video_zero"] >= sampling - 2
    assert found["rave"] == (3 * 3 + 3 * 2) * 9, "one picture of nine tiles, of which five only fill it"
    assert found["fresco"] == 4 * 2 * (2 + 1), "two of three steps are taken, and the source passes once"


def test_fresco_inverts_as_the_others_do_and_its_optimisation_has_a_number_of_its_own(model: Any) -> None:
    model.cost = Cost()
    load("methods", "fresco", {"initial": "inverted", "updates": 1, "redrawn": 1.0})(clip_item(), model, 0)
    assert model.cost.evaluations == 4 * 3 * 3 + 4 * 3 * 2 + 4 * 2, "inversion, sampling, the source's pass"


def test_a_record_says_which_conditions_nobody_read(model: Any) -> None:
    """A source clip where samples begin with noise, and a mask to which they are not confined."""
    item, gauss = clip_item(steps=1), load("models", "gauss")
    item = replace(item, conditions={**item.conditions, "mask": torch.ones(4, 1, 64, 64)})
    for spec, fields, unseen in (
        ("per_frame", {}, ["mask"]),
        ("per_frame", {"confined": True}, None),
        ("per_frame@own", {}, ["mask", "video"]),
        ("per_frame@sdedit", {}, ["mask"]),
        ("text2video_zero", {}, ["mask", "video"]),
        ("text2video_zero", {"initial": "noised"}, ["mask"]),
    ):
        method = load("methods", spec, fields)
        net = gauss if "per_frame" in spec else model
        assert method(item, net, 0).notes.get("unseen") == unseen, (spec, fields)


@pytest.mark.parametrize("spec", [*(spec for spec in EDITS if spec != "text2video_zero"), "fatezero@style"])
def test_a_missing_source_clip_is_known_before_the_first_sample(spec: str) -> None:
    bare = replace(clip_item(), conditions={})
    assert "no source clip" in str(load("methods", spec).lacks(bare))
    from_noise = load("methods", spec, {"initial": "noise"})
    always = spec.partition("@")[0] in ("fatezero", "tokenflow", "flatten", "fresco")
    assert ("no source clip" in str(from_noise.lacks(bare))) == always


@pytest.mark.parametrize(
    ("spec", "anchor", "sees"),
    [("pix2video", 0, 3), ("rerender", 0, 3), ("fatezero", 1, None), ("text2video_zero", 0, None)],
)
def test_the_anchor_does_not_change_with_other_frames(spec: str, anchor: int, sees: int | None, model: Any) -> None:
    """The anchor takes keys and values of itself alone, and nothing pulls it; frame `sees` attends to what changed."""
    item = clip_item()
    other = item.conditions["video"].clone()
    other[2] = 1 - other[2]
    method = load("methods", spec)
    before = method(item, model, 0).views
    after = method(replace(item, conditions={"video": other}), model, 0).views
    assert torch.equal(before[anchor], after[anchor])
    if sees is not None:
        assert not torch.allclose(before[sees], after[sees], atol=1e-4), "the last frame attends to the one before"


def test_guidance_of_pix2video_lowers_its_loss() -> None:
    item, model = clip_item(steps=4), load("models", "gauss")

    def gap(pull: float) -> float:
        views = load("methods", "pix2video", {"pull": pull, "sharing": False, "end": 1.0})(item, model, 0).views
        return float((views[1:] - views[:-1]).square().mean())

    assert gap(0.3) < gap(0.03) < gap(0.0)


def test_a_longer_way_from_the_source_changes_it_more(model: Any) -> None:
    item = clip_item(steps=8)
    source = model.decode(model.encode(item.conditions["video"])).float()

    def away(redrawn: float) -> float:
        made = load("methods", "per_frame@sdedit", {"redrawn": redrawn})(item, model, 0).views
        return float((made - source).square().mean())

    assert away(0.125) < away(0.5) < away(1.0)


def test_inverted_frames_come_back_under_their_own_prompt() -> None:
    model = load("models", "tiny", {"kind": "reference", "dtype": "float64"})
    item = clip_item(prompts=("a blue ball",), protocol=Sampling(steps=6, guidance=1.0))
    source = model.decode(model.encode(item.conditions["video"])).float()
    near, far = (load("methods", "per_frame", {"iterations": n})(item, model, 0).views for n in (12, 1))
    assert float((near - source).abs().max()) < float((far - source).abs().max()) / 2


@pytest.mark.parametrize("steps", [*range(1, 12), 20, 25, 50, 100, 999])
def test_text2video_zero_has_its_levels_in_any_number_of_steps(steps: int) -> None:
    """Upstream counts 44 and 47 from the end of 50 steps, and fails for 20."""
    high, low = load("methods", "text2video_zero").marks(steps)
    assert 0 <= high <= low < steps
    assert high < low or steps == 1
    if steps == 50:
        t = load("models", "tiny", {"kind": "sd15"}).schedule(50).t
        assert [round(t[high]), round(t[low])] == [941, 881]


# attention against full matrices


def softmax(query: Tensor, key: Tensor) -> Tensor:
    return (query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5).softmax(-1)


def source(**changes: Any) -> Source:
    return replace(Source(None, None), total=10, **changes)  # type: ignore[arg-type]


class Recorded:
    """Pix2Video as published, for one layer: frames pass the network one by one, and each attends to what the first
    and the previous frame had as the layer's input, which was recorded when they passed. softmax(Q K^T / sqrt(d)) V."""

    def __init__(self) -> None:
        self.inputs: list[Tensor] = []

    def __call__(self, attn: Any, hidden_states: Tensor, *rest: Any, **more: Any) -> Tensor:
        self.inputs.append(hidden_states)
        number = len(self.inputs) - 1
        seen = torch.cat([self.inputs[0], self.inputs[max(0, number - 1)]], 1)
        q, k, v = attn.to_q(hidden_states), attn.to_k(seen), attn.to_v(seen)
        size = q.shape[2] // attn.heads
        out = torch.zeros_like(q)
        for head in range(attn.heads):
            at = slice(head * size, head * size + size)
            out[..., at] = softmax(q[..., at], k[..., at]) @ v[..., at]
        return attn.to_out[0](out)


def test_pix2video_is_attention_to_features_recorded_frame_by_frame(model: Any) -> None:
    """One call with all frames gives what upstream's frames give, one after the other."""
    x, level = draw(4, model.channels, 8, 8), list(model.schedule(4))[1]
    condition = model.condition(["a red ball"] * 4, 2.0)
    method = load("methods", "pix2video")
    with torch.no_grad():
        with method.hooks(None, SimpleNamespace(model=model)):
            found = model.predict(x, level, condition)[1]
        with model.attach(lambda name, layer: Recorded(), inside("up_blocks")):
            rows = [slice(i, i + 1) for i in range(4)]
            wanted = torch.cat([model.predict(x[row], level, condition.rows(row))[1] for row in rows])
        plain = model.predict(x, level, condition)[1]
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-9)
    assert float((found - plain)[1:].abs().max()) > 1e-3, "something was shared"
    torch.testing.assert_close(found[0], plain[0], rtol=0, atol=1e-9)


def test_fatezero_is_the_fusion_of_maps() -> None:
    """S = M S_edit + (1 - M) S_source on the rows of the conditional half, V the edit's; frames see the middle one."""
    frames, tokens = 3, 16
    fusion = Fusion(1.0, 1.0, 0.3, 32, source(recording=True), Alignment((), (), (0, 0)), (4, 4), frames)
    attend = fusion.fused("layer")
    q0, k0, v0 = (draw(frames, 2, tokens, 8, seed=i) for i in range(3))
    recorded = attend(q0, k0, v0, None)
    torch.testing.assert_close(recorded, softmax(q0, k0[1:2]) @ v0[1:2])
    fusion.source.recording = False
    fusion.mask = torch.rand(frames, 1, 4, 4, generator=torch.Generator().manual_seed(5)) > 0.5
    q, k, v = (draw(2 * frames, 2, tokens, 8, seed=i) for i in range(3, 6))
    found = attend(q, k, v, None)
    mask = fusion.mask.flatten(2)[..., None].double()
    for group in range(2):
        rows = slice(group * frames, group * frames + frames)
        mine = softmax(q[rows], k[rows][1:2])
        maps = mine if group == 0 else mask * mine + (1 - mask) * softmax(q0, k0[1:2])
        torch.testing.assert_close(found[rows], maps @ v[rows][1:2])
    fusion.source.step = 10
    torch.testing.assert_close(attend(q, k, v, None)[frames:], softmax(q[3:], k[3:][1:2]) @ v[3:][1:2])


def test_fatezero_replaces_maps_of_common_words() -> None:
    words = Alignment.of(["<", "a", "blue", "ball", ">"], ["<", "a", "big", "red", "ball", ">"])
    assert words.pairs == ((0, 0), (1, 1), (4, 3), (5, 4))
    assert words.replaced == (2,)
    fusion = Fusion(1.0, 1.0, 0.3, 32, source(recording=True), words, (4, 4), 2)
    attend = fusion.crossed("layer")
    q0, k0, v0 = draw(2, 2, 16, 8), draw(2, 2, 9, 8, seed=1), draw(2, 2, 9, 8, seed=2)
    attend(q0, k0, v0, None)
    theirs = softmax(q0, k0)
    q, k, v = draw(4, 2, 16, 8, seed=3), draw(4, 2, 9, 8, seed=4), draw(4, 2, 9, 8, seed=5)
    fusion.source.recording = False
    found = attend(q, k, v, None)
    maps = softmax(q, k)
    torch.testing.assert_close(found[:2], maps[:2] @ v[:2])
    mixed = maps[2:].clone()
    for mine, other in [*words.pairs, (6, 6), (7, 7), (8, 8)]:
        mixed[..., mine] = theirs[..., other]
    torch.testing.assert_close(found[2:], mixed @ v[2:])


def test_fatezeros_mask_is_where_the_replaced_word_is_seen() -> None:
    words = Alignment((), (1,), (2, 2))
    fusion = Fusion(1.0, 1.0, 0.3, 32, source(), words, (4, 4), 1)
    seen = torch.full((1, 2, 16, 2), 0.01)
    seen[:, :, 5, 1] = 1.0
    fusion.source.layers["layer"] = seen
    mask = fusion.masks()
    assert mask is not None
    wanted = torch.zeros(4, 4, dtype=torch.bool)
    wanted[0:3, 0:3] = True  # cell (1, 1) and its neighbours
    assert torch.equal(mask[0, 0], wanted)


def test_tokenflow_gathers_the_keyframes_outputs() -> None:
    """Each frame shows the keyframe's features in an order of its own; the gathered outputs are in that order."""
    frames, tokens = 4, 6
    flow = Flow(4, 0.0, True, source(recording=True), frames)
    features = torch.eye(tokens, 8, dtype=torch.float64)
    orders = [torch.randperm(tokens, generator=torch.Generator().manual_seed(i)) for i in range(frames)]
    hidden = torch.stack([features[order] for order in orders])
    q, k, v = (draw(frames, 1, tokens, 4, seed=i) for i in range(3))
    flow.formula("layer", hidden)(q, k, v, None)
    flow.source.recording = False
    flow.draw(torch.tensor([0.0, 0.0, 1.0, 0.0]))
    assert flow.keys.tolist() == [2]
    flow.passing = "keyframes"
    rows = [draw(2, 1, tokens, 4, seed=i) for i in range(3, 6)]
    out = flow.formula("layer", hidden)(*rows, None)
    flow.passing = "frames"
    rows = [draw(2 * frames, 1, tokens, 4, seed=i) for i in range(6, 9)]
    found = flow.formula("layer", hidden)(*rows, None).unflatten(0, (2, frames))
    for frame in range(frames):
        place = [int((orders[2] == token).nonzero()) for token in orders[frame]]
        torch.testing.assert_close(found[:, frame], out[:, :, place])


def test_tokenflow_weighs_two_keyframes_by_time() -> None:
    """sigmoid(d2 / (d1 + d2)): frame 2 of blocks of two is 1 from the centre of its own block and 1 from the last."""
    flow = Flow(2, 0.0, True, source(), 4)
    flow.keys = torch.tensor([0, 2])
    flow.source.layers["layer"] = (torch.ones(4, 1, 1, dtype=torch.float64), None, None)
    out = torch.tensor([1.0, 3.0], dtype=torch.float64).view(2, 1, 1, 1)
    found = flow.gathered("layer", out).flatten()
    share = torch.sigmoid(torch.tensor(0.5))
    assert found[:2].tolist() == [1.0, 1.0], "the first block has no block before it"
    assert float(found[2]) == pytest.approx(float(1 + 2 * share), abs=1e-6)


def test_nearest_tokens_are_those_of_a_full_matrix() -> None:
    a, b = (torch.nn.functional.normalize(draw(2_100, 5, seed=i), dim=-1) for i in range(2))
    assert torch.equal(nearest(a, b), (a @ b.T).argmax(-1))


def test_flatten_attends_along_tracks() -> None:
    """Against a loop over cells; a cell seen once and background are left as they are."""
    index = torch.tensor([[[0, 1], [2, -1]], [[1, 0], [3, 1]]])
    canvas = Canvas(index, torch.ones(index.shape), (5,))
    x = draw(2, 3, 8, 4)
    found = along(x, tracks_of(canvas), None)
    wanted = x.clone()
    for cell in range(5):
        place = (index.flatten() == cell).nonzero()[:, 0]
        if len(place) > 1:
            part = x[:, :, place]
            wanted[:, :, place] = softmax(part, part) @ part
    torch.testing.assert_close(found, wanted)
    assert torch.equal(found[:, :, [2, 3, 6]], x[:, :, [2, 3, 6]])
    alone = Canvas(torch.arange(8).view(2, 2, 2), torch.ones(2, 2, 2), (8,))
    assert tracks_of(alone).place.shape[0] == 0


def test_vidtome_joins_the_most_similar_tokens() -> None:
    x = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [0.9, 0.1], [0.5, 0.5], [0.0, 2.0]]])
    target = joins(x, 2, 2 / 3)
    assert target.tolist() == [[0, 1, 0, 3, 1]], "the last joins the second, whatever its length; the middle none"
    small, back = joined(x, target)
    assert back.tolist() == [[0, 1, 0, 2, 1]]
    torch.testing.assert_close(small, torch.tensor([[[0.95, 0.05], [0.0, 1.5], [0.5, 0.5]]]))
    assert torch.equal(joined(x, joins(x, 2, 0.0))[0], x)


def test_vidtome_without_merging_is_attention_within_chunks(model: Any) -> None:
    """And chunks of one frame without merging are plain attention."""
    item = clip_item()
    alone = load("methods", "per_frame")(item, model, 0).views
    off = load("methods", "vidtome", {"chunk": 1, "merged": 0.0, "shared": 0.0})(item, model, 0).views
    torch.testing.assert_close(off, alone, atol=1e-5, rtol=0)
    on = load("methods", "vidtome", {"chunk": 4, "merged": 0.0, "shared": 0.0})(item, model, 0).views
    assert not torch.allclose(on, alone, atol=1e-3)


def test_rave_in_pictures_of_one_frame_is_per_frame(model: Any) -> None:
    item = clip_item()
    alone = load("methods", "per_frame")(item, model, 0).views
    torch.testing.assert_close(load("methods", "rave", {"grid": 1})(item, model, 0).views, alone, atol=1e-5, rtol=0)


def test_rave_lays_hints_and_frames_out_alike() -> None:
    """A model that copies its hint to x0 must give each frame its own hint back, in any layout."""
    hints = draw(5, 2, 3, 3)

    class Copying:
        def predict(self, x: Tensor, level: Any, condition: Any) -> tuple[Tensor, Tensor]:
            return condition.given["hint"], x

    words = torch.arange(5.0)[:, None]
    condition = Condition(2.0, ({"hint": hints, "words": words},), 5)
    order = torch.tensor([3, 1, 4, 0, 2, 3, 1, 4])
    x = draw(5, 2, 3, 3, seed=1)
    x0, eps = tiled(Copying(), x, None, condition, order, (2, 2))  # type: ignore[arg-type]
    assert torch.equal(x0, hints)
    assert torch.equal(eps, x)


def test_rerender_carries_pixels_along_the_tracks() -> None:
    """Frame 1 is frame 0 moved right by one: its first column is seen for the first time."""
    index = torch.tensor([[[0, 1, 2]], [[3, 0, 1]], [[-1, 4, 0]]])
    canvas = Canvas(index, torch.ones(index.shape), (5,))
    x = torch.tensor([10.0, 20.0, 30.0]).view(1, 1, 1, 3).repeat(3, 1, 1, 1)
    there, seen = carried(x, canvas, 0)
    assert seen[:, 0, 0].tolist() == [[True, True, True], [False, True, True], [False, False, True]]
    assert there[1, 0, 0].tolist() == [0.0, 10.0, 20.0]
    assert float(there[2, 0, 0, 2]) == 10.0
    back, seen = carried(x, canvas, 1, 0)
    assert seen[0, 0, 0].tolist() == [True, True, False]
    assert back[0, 0, 0].tolist()[:2] == [20.0, 30.0]


def test_nothing_that_moves_is_carried_where_it_is() -> None:
    """Zero flow: every frame sees the same cells, and what is carried is the frame that it is carried from."""
    canvas = Canvas(torch.arange(12).view(1, 3, 4).expand(3, 3, 4), torch.ones(3, 3, 4), (12,))
    x = draw(3, 2, 3, 4)
    there, seen = carried(x, canvas, 1)
    assert bool(seen.all())
    torch.testing.assert_close(there, x[1:2].expand(3, -1, -1, -1))


def test_rerender_gives_frames_the_colours_of_another() -> None:
    x = like(draw(3, 4, 8, 8), 3 + 2 * draw(1, 4, 8, 8, seed=1))
    spread, mean = torch.std_mean(x, (2, 3))
    assert float(spread.std(0).max()) < 1e-9
    assert float(mean.std(0).max()) < 1e-9


def test_translation_reads_where_it_is_told() -> None:
    """As upstream: for a positive shift content moves left and up; no shift changes nothing."""
    x = torch.arange(64.0).view(1, 1, 8, 8)
    assert torch.equal(translated(x, 0, 0), x)
    moved = translated(x, 2 / 8, 1 / 8)
    assert torch.equal(moved[0, 0, :-1, :-2], x[0, 0, 1:, 2:])


def test_all_layers_attend_again_afterwards(model: Any) -> None:
    before = {name: layer.processor for name, layer in layers(model.network.module()).items()}
    for spec in EDITS:
        load("methods", spec)(clip_item(2, 1), model, 0)
    assert before == {name: layer.processor for name, layer in layers(model.network.module()).items()}


@pytest.mark.parametrize("spec", ["per_frame", "fatezero", "fresco"])
def test_methods_that_edit_a_clip_are_checked_with_one(spec: str) -> None:
    verdicts = check(spec)
    assert [verdict for verdict in verdicts if not verdict.kept] == []
    assert any(verdict.promise == "same seed, same bytes" for verdict in verdicts), "it was tried"


def test_freenoise_repeats_noise_in_shuffled_blocks() -> None:
    frames = 14
    canvas = Apart(frames, 64, 64).canvas(8)
    gauss = load("models", "gauss")
    x = load("methods", "freenoise", {"window": 8, "advance": 4}).start(Noise(canvas, gauss, 0), canvas)
    whole = [x[i].flatten().tolist() for i in range(frames)]
    assert len({tuple(one) for one in whole[:8]}) == 8
    assert sorted(whole[8:12]) == sorted(whole[0:4])
    assert all(one in whole[4:8] for one in whole[12:14])
    assert whole[12] != whole[13]


def test_freenoise_leaves_no_frame_out() -> None:
    with pytest.raises(SyncbenchError, match="leave frames between them out"):
        load("methods", "freenoise", {"window": 2, "advance": 3})
    item, model = pile_item(("a circle", "a red star", "nothing")), make_model(COUPLED, kind="reference")
    assert load("methods", "freenoise", {"window": 2, "advance": 2})(item, model, 0).views.isfinite().all()


def test_freenoise_in_one_window_is_the_network_itself() -> None:
    model = make_model(COUPLED, kind="reference", dtype="float64")
    item = pile_item(("a circle", "a red star", "nothing"))
    one = load("methods", "freenoise", {"window": 3, "advance": 3})(item, model, 0).views
    assert torch.allclose(one, load("methods", "animatediff")(item, model, 0).views, atol=1e-6)
    two = load("methods", "freenoise", {"window": 2, "advance": 1})(item, model, 0).views
    assert not torch.allclose(one, two, atol=1e-4)


def test_what_lies_outside_the_mask_is_the_sources(model: Any) -> None:
    mask = torch.zeros(4, 1, 64, 64)
    mask[:, :, :32] = 1
    item = clip_item()
    item = replace(item, conditions={**item.conditions, "mask": mask})
    for spec, net in (("per_frame", load("models", "gauss")), ("tokenflow", model), ("fatezero", model)):
        source = net.decode(net.encode(item.conditions["video"])).float()
        whole, part = (
            load("methods", spec, {"confined": confined})(item, net, 0).views - source for confined in (False, True)
        )
        below = part[:, :, 48:].abs().max() if spec == "per_frame" else part[:, :, 48:].abs().mean()
        # decoders that normalise see the whole picture
        assert float(below) < (1e-4 if spec == "per_frame" else 0.3 * float(whole[:, :, 48:].abs().mean())), spec
        assert float(part[:, :, :16].abs().mean()) > 0.3 * float(whole[:, :, :16].abs().mean()), spec
    assert load("methods", "per_frame", {"confined": True}).lacks(clip_item()) == (
        "the item has no mask of what is to be edited"
    )
    with pytest.raises(Exception, match="needs initial = inverted"):
        load("methods", "per_frame", {"confined": True, "initial": "noised"})


def test_no_method_is_judged_by_the_flow_that_it_followed(model: Any) -> None:
    """Along tracks by DIS, `warping_error@dis` is null for what follows them and a number for what does not."""
    still = torch.zeros(2, 64, 64), torch.ones(1, 64, 64, dtype=torch.bool)
    name = f"{flow('dis').fingerprint}, checked"
    item = clip_item(4, 2, surface=FlowTracks(4, 64, 64, name, "clip", lambda t: still))
    judge = load("metrics", "warping_error@dis")
    for spec, followed in {
        "synctweedies": True,
        "flatten": True,
        "rerender": True,
        "fresco": True,
        "per_frame": False,
    }.items():
        artifact = load("methods", spec)(item, model, 0)
        assert ("followed" in artifact.notes) == followed, spec
        score = judge(artifact, item)
        assert (score.value is None) == followed, spec
        assert not followed or "moved along this very flow" in str(score.reason)
    other = FlowTracks(4, 64, 64, "raft_large", "clip", lambda t: still)
    artifact = load("methods", "flatten")(replace(item, surface=other), model, 0)
    assert judge(artifact, item).value is not None
