"""The attention hook point: what it replaces, what it restores, and whether anyone calls it."""

from typing import Any

import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor, AttnProcessor2_0
from syncbench.bench.models.gauss import Gauss
from syncbench.bench.models.parts.attention import cross_attention, hook_is_live, layers, replaced, self_attention
from syncbench.bench.models.tiny import Tiny
from syncbench.bench.types import SyncbenchError


@pytest.fixture(scope="module")
def model() -> Tiny:
    return Tiny(device="cpu")


class Silent:
    """Attends to nothing."""

    def __call__(
        self, attn: Any, hidden_states: torch.Tensor, encoder_hidden_states: Any = None, attention_mask: Any = None
    ) -> torch.Tensor:
        return torch.zeros_like(hidden_states)


def answer(model: Tiny) -> torch.Tensor:
    x = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    return model.predict(x, next(iter(model.schedule(4))), model.condition(["a boat"], 2.0))[1]


def test_layers_of_stable_diffusion(model: Tiny) -> None:
    chosen, crossed = layers(model.network.module()), layers(model.network.module(), cross_attention)
    assert len(chosen) == len(crossed) == 16  # 6 down, 1 middle, 9 up
    assert all(name.endswith("attn1") for name in chosen)
    assert all(name.endswith("attn2") for name in crossed)


def test_hook_acts_and_is_undone_bit_for_bit(model: Tiny) -> None:
    unet = model.network.module()
    objects, before = unet.attn_processors, answer(model)
    with model.attach(lambda name, layer: Silent()) as hooked:
        assert len(set(map(id, hooked.values()))) == 16, "layers share a processor"
        assert (answer(model) - before).abs().max() > 1e-3
        assert all(unet.attn_processors[f"{name}.processor"] is hook for name, hook in hooked.items())
        crossed = {name: p for name, p in objects.items() if ".attn2." in name}
        assert all(unet.attn_processors[name] is p for name, p in crossed.items())
    assert all(unet.attn_processors[name] is p for name, p in objects.items())
    assert torch.equal(answer(model), before)


def test_undone_after_exceptions_in_and_around_the_body(model: Tiny) -> None:
    unet = model.network.module()
    objects = unet.attn_processors

    class Module(torch.nn.Module):  # set as a sub-module of the layer, not as a plain attribute
        def forward(self, attn: Any, hidden_states: torch.Tensor, **rest: Any) -> torch.Tensor:
            raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"), model.attach(lambda name, layer: Module()):
        answer(model)
    assert unet.attn_processors == objects
    assert not any("processor" in name for name, _ in unet.named_modules())

    def broken(name: str, layer: Any) -> Any:
        raise KeyError(name)

    with pytest.raises(KeyError), model.attach(broken):
        pass
    assert unet.attn_processors == objects


def test_nesting_and_meddling(model: Tiny) -> None:
    unet = model.network.module()
    objects = unet.attn_processors
    with replaced(unet, lambda name, layer: Silent(), lambda name, layer: name.startswith("up")) as outer:
        assert len(outer) == 18  # self and cross attention
        with replaced(unet, lambda name, layer: AttnProcessor()):
            unet.set_attn_processor(AttnProcessor())
        assert all(unet.attn_processors[f"{n}.processor"] is p for n, p in outer.items() if n.endswith("attn1"))
        unet.set_attn_processor({name: objects[name] for name in objects})
    assert all(unet.attn_processors[name] is p for name, p in objects.items())


def test_live_check(model: Tiny) -> None:
    spent = model.cost.evaluations
    assert hook_is_live(model)
    assert hook_is_live(model, lambda name, layer: name.startswith("mid"))
    assert model.cost.evaluations == spent

    unet = model.network.module()
    objects = dict(unet.attn_processors)
    handle = unet.register_forward_pre_hook(lambda module, args: module.set_attn_processor(AttnProcessor2_0()))
    try:
        assert not hook_is_live(model), "a backend replaced the processors before the call"
    finally:
        handle.remove()
        unet.set_attn_processor(objects)
    one = next(layer for layer in layers(unet).values())
    one.forward = lambda hidden_states, **rest: hidden_states  # a fused kernel in place of one layer
    try:
        assert not hook_is_live(model)
        assert hook_is_live(model, lambda name, layer: self_attention(name, layer) and layer is not one)
    finally:
        del one.forward


def test_nothing_to_hook_is_said(model: Tiny) -> None:
    with pytest.raises(SyncbenchError, match="32 was chosen"), model.attach(lambda n, m: Silent(), lambda n, m: False):
        pass
    with pytest.raises(SyncbenchError, match="no attention layers"):
        Gauss().attach(lambda name, layer: Silent())
