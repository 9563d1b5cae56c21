"""Attention sharing: against the textbook formula and diffusers' own processors, on every kind of network."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor2_0
from diffusers.pipelines.deprecated.text_to_video_synthesis.pipeline_text_to_video_zero import CrossFrameAttnProcessor
from syncbench.bench.models.interface import Call, Condition
from syncbench.bench.models.parts.attention import hook_is_live, inside, layers, wide
from syncbench.bench.models.parts.schedule import Level
from syncbench.bench.models.parts.shared_attention import (
    Selector,
    SharedAttention,
    attend,
    everyone,
    first,
    first_and_previous,
    in_blocks,
    itself,
    middle,
    others,
)
from syncbench.bench.models.reference import Reference
from syncbench.bench.models.tiny import Tiny
from syncbench.bench.sampling.sharing import Sharing
from syncbench.bench.surfaces.strip import Strip
from syncbench.bench.types import Item, Sampling, SyncbenchError
from syncbench.methods.batch_attention import BatchAttention
from syncbench.methods.independent import Independent
from torch import Tensor

KINDS = ["sd15", "sd21", "sdxl", "trained"]
SELECTORS: dict[str, Selector] = {
    "everyone": everyone,
    "others": others,
    "first": first,
    "middle": middle,
    "first_and_previous": first_and_previous,
    "in_blocks": in_blocks(2),
    "scattered": lambda i, n: (n - 1, 0) if i % 2 else (1,),
    "twice": lambda i, n: (0, 0, i),
}


@pytest.fixture(scope="module")
def models() -> dict[str, Any]:
    tiny = {kind: Tiny(kind=kind, device="cpu") for kind in ("sd15", "sd21", "sdxl")}
    return {**tiny, "trained": Reference(device="cpu", dtype="float32")}


@pytest.fixture(params=KINDS)
def model(request: pytest.FixtureRequest, models: dict[str, Any]) -> Any:
    return models[request.param]


def noise(model: Any, views: int, seed: int = 0) -> Tensor:
    side = model.window // model.factor
    return torch.randn(views, model.channels, side, side, generator=torch.Generator().manual_seed(seed))


def level_of(model: Any, index: int = 1, steps: int = 4) -> Level:
    return list(model.schedule(steps))[index]


def raw(model: Any, x: Tensor, condition: Condition, level: Level | None = None) -> Tensor:
    """What the network itself answers (rows, c, h, w), before guidance mixes its halves."""
    answers: list[Tensor] = []
    handle = model.network.module().register_forward_hook(lambda module, given, answer: answers.append(answer.sample))
    try:
        with torch.no_grad():
            model.predict(x, level or level_of(model), condition)
    finally:
        handle.remove()
    return torch.cat(answers)


def textbook(query: Tensor, key: Tensor, value: Tensor, sources: list[list[int]]) -> Tensor:
    """softmax(Q_i K^T / sqrt(d)) V written out sample by sample, in float64."""
    out = torch.empty_like(query)
    for g in range(query.shape[0]):
        for i, chosen in enumerate(sources):
            for head in range(query.shape[3]):
                q = query[g, i, :, head].double()
                k, v = (torch.cat([x[g, j, :, head] for j in chosen]).double() for x in (key, value))
                out[g, i, :, head] = ((q @ k.T / q.shape[1] ** 0.5).softmax(-1) @ v).to(out.dtype)
    return out


@pytest.mark.parametrize("name", SELECTORS)
def test_attend_is_the_textbook_formula(name: str) -> None:
    draws = torch.Generator().manual_seed(3)
    query, key, value = (torch.randn(2, 5, tokens, 3, 4, generator=draws) for tokens in (6, 7, 7))
    sources = [list(SELECTORS[name](i, 5)) for i in range(5)]
    found = attend(query, key, value, sources)
    torch.testing.assert_close(found, textbook(query, key, value, sources), rtol=0, atol=2e-6)


def test_attend_copies_no_keys_when_all_share(monkeypatch: pytest.MonkeyPatch) -> None:
    query, key, value = (torch.randn(2, 4, 6, 3, 8) for _ in range(3))
    seen: list[tuple[Tensor, ...]] = []
    attention = torch.nn.functional.scaled_dot_product_attention
    monkeypatch.setattr(
        torch.nn.functional, "scaled_dot_product_attention", lambda *x, **y: seen.append(x) or attention(*x, **y)
    )
    attend(query, key, value, [[0, 1, 2, 3]] * 4)
    [(q, k, v)] = seen
    assert q.shape == k.shape == v.shape == (2, 3, 4 * 6, 8)
    assert [x.untyped_storage().data_ptr() for x in (q, k, v)] == [
        x.untyped_storage().data_ptr() for x in (query, key, value)
    ]
    attend(query, key, value, [[1, 2]] * 4)
    assert seen[-1][1].untyped_storage().data_ptr() == key.untyped_storage().data_ptr()


def test_identical_samples_give_plain_attention(model: Any) -> None:
    x = noise(model, 1).expand(4, -1, -1, -1)
    condition = model.condition(["a red boat"] * 4, 3.0)
    plain = raw(model, x, condition)
    with Sharing().attach(model):
        shared = raw(model, x, condition)
    assert float((shared - plain).abs().max()) < 1e-5
    apart = noise(model, 4)
    with Sharing().attach(model):
        mixed = raw(model, apart, condition)
    assert float((mixed - raw(model, apart, condition)).abs().max()) > 1e-3, "nothing was shared"


def test_permuting_samples_permutes_outputs(model: Any) -> None:
    x, order = noise(model, 4), [2, 0, 3, 1]
    prompts = ["a red boat", "a hill", "a blue tower", "the sea"]
    with Sharing().attach(model):
        straight = raw(model, x, model.condition(prompts, 1.0))
        permuted = raw(model, x[order], model.condition([prompts[i] for i in order], 1.0))
    assert float((permuted - straight[order]).abs().max()) < 1e-5


@pytest.mark.parametrize("select", [everyone, others, first, middle, first_and_previous])
def test_one_sample_is_left_alone_bit_for_bit(model: Any, select: Selector) -> None:
    x, condition = noise(model, 1), model.condition(["a hill"], 3.0)
    plain = raw(model, x, condition)
    with Sharing(select=select).attach(model):
        assert torch.equal(raw(model, x, condition), plain)
    with Sharing(select=itself).attach(model):
        pair = raw(model, noise(model, 2), model.condition(["a hill"] * 2, 3.0))
    torch.testing.assert_close(pair, raw(model, noise(model, 2), model.condition(["a hill"] * 2, 3.0)))


def test_halves_of_guidance_never_mix(model: Any) -> None:
    x = noise(model, 3)
    one, two = (model.condition([text] * 3, 3.0, negative="fog") for text in ("a red boat", "a blue tower"))
    only = model.condition(["fog"] * 3, 1.0)
    with Sharing().attach(model):
        first_answer, second_answer, negative = (raw(model, x, condition) for condition in (one, two, only))
    assert torch.equal(first_answer[:3], second_answer[:3]), "the negative half saw the prompts"
    assert float((first_answer[3:] - second_answer[3:]).abs().max()) > 1e-4
    torch.testing.assert_close(first_answer[:3], negative, rtol=0, atol=1e-5)


def test_restored_processors_leave_outputs_bit_identical(model: Any) -> None:
    x, condition = noise(model, 3), model.condition(["a hill"] * 3, 3.0)
    objects, before = model.network.module().attn_processors, raw(model, x, condition)
    with Sharing(strength=0.5).attach(model):
        raw(model, x, condition)
    assert torch.equal(raw(model, x, condition), before)
    with pytest.raises(ValueError, match="3 views but"), Sharing().attach(model):
        raw(model, x, model.condition(["a hill"], 3.0))
    after = model.network.module().attn_processors
    assert all(after[name] is processor for name, processor in objects.items())
    assert torch.equal(raw(model, x, condition), before)
    assert model.call is None


def test_first_frame_attention_is_that_of_diffusers(model: Any) -> None:
    """Text2Video-Zero's own processor as the oracle: frame 0 feeds all; halves of guidance apart."""
    x, condition = noise(model, 4), model.condition(["a boat", "a hill", "the sea", "a tower"], 3.0)
    with model.attach(lambda name, layer: CrossFrameAttnProcessor(batch_size=2)):
        expected = raw(model, x, condition)
    with Sharing(select=first).attach(model):
        found = raw(model, x, condition)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert (expected - raw(model, x, condition)).abs().max() > 1e-3


def test_extended_attention_is_plain_attention_over_longer_hidden_states(model: Any) -> None:
    """An independent implementation: diffusers' processor given every sample's hidden states, once per sample."""

    class Expanded(AttnProcessor2_0):
        def __call__(self, attn: Any, hidden_states: Tensor, **rest: Any) -> Tensor:  # type: ignore[override]
            halves = hidden_states.unflatten(0, (2, 3)).flatten(1, 2)
            return super().__call__(attn, hidden_states, halves.repeat_interleave(3, 0))

    x, condition = noise(model, 3), model.condition(["a boat", "a hill", "the sea"], 3.0)
    with model.attach(lambda name, layer: Expanded()):
        expected = raw(model, x, condition)
    with Sharing().attach(model):
        torch.testing.assert_close(raw(model, x, condition), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("select", "anchors"), [(first, {0}), (middle, {1}), (first_and_previous, {0})])
def test_anchors_do_not_see_the_others(models: dict[str, Any], select: Selector, anchors: set[int]) -> None:
    model = models["sd15"]
    x, condition = noise(model, 4), model.condition(["a hill"] * 4, 1.0)
    changed = x.clone()
    rest = [i for i in range(4) if i not in anchors]
    changed[rest] = noise(model, 4, seed=1)[rest]
    with Sharing(select=select).attach(model):
        one, two = raw(model, x, condition), raw(model, changed, condition)
    assert all(torch.allclose(one[i], two[i], rtol=0, atol=1e-6) for i in anchors)
    with Sharing().attach(model):
        one, two = raw(model, x, condition), raw(model, changed, condition)
    assert all((one[i] - two[i]).abs().max() > 1e-4 for i in anchors), "everyone sees everyone"


def test_keep_self_adds_own_tokens() -> None:
    kept = SharedAttention(AttnProcessor2_0(), lambda rows: 1, first_and_previous, keep_self=True)
    assert kept.sources(4) == [[0], [0, 1], [0, 1, 2], [0, 2, 3]]
    plain = SharedAttention(AttnProcessor2_0(), lambda rows: 1, first_and_previous)
    assert plain.sources(4) == [[0], [0], [0, 1], [0, 2]]
    assert [list(in_blocks(2)(i, 5)) for i in range(5)] == [[0, 1], [0, 1], [2, 3], [2, 3], [4]]
    assert list(others(0, 1)) == [0]
    for chosen in ([], [4], [-1]):
        broken = SharedAttention(AttnProcessor2_0(), lambda rows: 1, lambda i, n, chosen=chosen: chosen)
        with pytest.raises(SyncbenchError, match="selector chose"):
            broken.sources(4)


def test_tokens_from_outside_are_shared_alike(models: dict[str, Any]) -> None:
    """Reference attention: every sample brings a longer context, as a wrapping processor hands it in."""
    layer = next(iter(layers(models["sd21"].network.module()).values()))
    draws = torch.Generator().manual_seed(1)
    hidden, context = (torch.randn(6, tokens, layer.query_dim, generator=draws) for tokens in (9, 13))
    found = SharedAttention(layer.processor, lambda rows: 2)(layer, hidden, context, None, None)
    joined = context.unflatten(0, (2, 3)).flatten(1, 2).repeat_interleave(3, 0)
    torch.testing.assert_close(found, AttnProcessor2_0()(layer, hidden, joined), rtol=0, atol=1e-6)


def test_strength_blends_one_layer_linearly(models: dict[str, Any]) -> None:
    layer = next(iter(layers(models["sd21"].network.module()).values()))
    hidden = torch.randn(4, 9, layer.query_dim, generator=torch.Generator().manual_seed(1))

    def answer(strength: float) -> Tensor:
        return SharedAttention(layer.processor, lambda rows: 2, strength=strength)(layer, hidden)

    plain, full = answer(0.0), answer(1.0)
    assert torch.equal(plain, layer(hidden))
    torch.testing.assert_close(answer(0.25), 0.75 * plain + 0.25 * full, rtol=0, atol=1e-6)
    assert (full - plain).abs().max() > 1e-3


def test_steps_and_layers_where_it_acts(models: dict[str, Any]) -> None:
    model = models["sd15"]
    x, condition = noise(model, 2), model.condition(["a hill"] * 2, 2.0)
    levels = list(model.schedule(8))
    plain = [raw(model, x, condition, level) for level in levels]
    with Sharing(begin=0.25, end=0.5).attach(model):
        acts = [not torch.equal(raw(model, x, condition, level), plain[level.index]) for level in levels]
    assert acts == [False, False, True, True, False, False, False, False]

    names = layers(model.network.module())
    decoder = layers(model.network.module(), inside("up_blocks"))
    assert len(decoder) == 9, "of 16: Pix2Video's layers 7 to 15"
    assert all(name.startswith("up_blocks.") for name in decoder)
    assert list(layers(model.network.module(), inside("up_blocks.1", "mid_block"))) == [
        name for name in names if name.startswith(("up_blocks.1.", "mid_block."))
    ]
    assert {layer.query_dim for layer in layers(model.network.module(), wide(least=16)).values()} == {16}
    assert {layer.query_dim for layer in layers(model.network.module(), wide(most=8)).values()} == {8}


def test_views_share_whatever_the_batch_size(models: dict[str, Any]) -> None:
    model = models["sd15"]
    x, condition, level = noise(model, 5), model.condition(["a hill"] * 5, 3.0), level_of(models["sd15"])
    answers: list[Tensor] = []
    for batch in (8, 2):
        before, model.batch = model.batch, batch
        with Sharing().attach(model), torch.no_grad():
            answers.append(model.predict(x, level, condition)[1])
        assert model.batch == batch
        model.batch = before
    assert torch.equal(*answers)


def test_a_subset_of_views_shares_among_itself(models: dict[str, Any]) -> None:
    model = models["sd15"]
    x, condition, part = noise(model, 4), model.condition(["a hill"] * 4, 3.0), slice(1, 3)
    with Sharing().attach(model):
        some = raw(model, x[part], condition.rows(part))
        other = raw(model, x[part], model.condition(["a hill"] * 2, 3.0))
    assert torch.equal(some, other)


def test_gradients_flow_between_views(models: dict[str, Any]) -> None:
    model = models["sd15"]
    x = noise(model, 3).requires_grad_()
    for sharing, reaches in ((Sharing(), True), (Sharing(select=itself), False)):
        with sharing.attach(model):
            eps = model.predict(x, level_of(model), model.condition(["a hill"] * 3, 1.0))[1]
        [gradient] = torch.autograd.grad(eps[0].square().sum(), x)
        assert bool((gradient[2] != 0).any()) == reaches


def test_a_replaced_processor_is_noticed(models: dict[str, Any]) -> None:
    model = models["sd15"]
    unet = model.network.module()
    objects = dict(unet.attn_processors)
    handle = unet.register_forward_pre_hook(lambda module, args: module.set_attn_processor(AttnProcessor2_0()))
    try:
        assert not hook_is_live(model)
        with pytest.raises(SyncbenchError, match="no effect in 16 of 16 layers"), Sharing().attach(model):
            raw(model, noise(model, 2), model.condition(["a hill"] * 2, 2.0))
    finally:
        handle.remove()
        unet.set_attn_processor(objects)
    with Sharing().attach(model):
        assert hook_is_live(model)
        raw(model, noise(model, 2), model.condition(["a hill"] * 2, 2.0))


def test_layers_and_batches_it_cannot_know_are_refused(models: dict[str, Any]) -> None:
    model = models["sd15"]
    with pytest.raises(SyncbenchError, match="attends to words"), Sharing(where=lambda n, m: True).attach(model):
        pass
    layer = next(iter(layers(model.network.module()).values()))
    with (
        pytest.raises(SyncbenchError, match="saw 6 rows where the model announced nothing"),
        Sharing().attach(model),
    ):
        layer(torch.zeros(6, 4, layer.query_dim))
    model.call = Call(level_of(model), 2, 2)
    try:
        with pytest.raises(SyncbenchError, match="announced 2 groups of 2 views"), Sharing().attach(model):
            layer(torch.zeros(6, 4, layer.query_dim))
    finally:
        model.call = None


def spread(method: Callable[..., Any], item: Item, model: Any) -> float:
    """Deviation between views of the mean colours of their rows, in [0, 1]."""
    return float(method(item, model, 1).views.mean(3).std(0).mean())


def test_batch_attention_brings_colours_together(models: dict[str, Any]) -> None:
    model = models["trained"]
    item = Item(
        id="strip",
        family="overlap",
        prompts=("a landscape of orange desert under a blue sky",),
        surface=Strip(128, 512, 128),
        protocol=Sampling(steps=4, guidance=2.0),
    )
    assert spread(BatchAttention(), item, model) < 0.8 * spread(Independent(), item, model)
    none = BatchAttention(strength=0.0)(item, model, 1).views
    assert torch.equal(none, Independent()(item, model, 1).views)
