"""Layers along time: weighed, switched off, and put back."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.resnet import AlphaBlender, TemporalConvLayer
from diffusers.models.transformers.transformer_temporal import TransformerTemporalModel
from syncbench.bench.catalogue.registry import load
from syncbench.bench.errors import SyncbenchError
from syncbench.bench.models.parts.along_time import weighed
from torch import Tensor, nn

from .test_frame_editing import clip_item, draw
from .test_methods import COUPLED, TIMED, loud


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCBENCH_CACHE", str(tmp_path))


@pytest.fixture(scope="module")
def model() -> Any:
    made = load("models", TIMED, {"kind": "reference", "dtype": "float64"})
    loud(made)
    return made


def views(spec: str, model: Any, **fields: Any) -> Tensor:
    return load("methods", spec, fields)(clip_item(3, 2), model, 0).views


def test_on_they_are_animatediffs_and_off_the_picture_networks(model: Any) -> None:
    on, alone = views("animatediff", model), views("independent", model)
    assert torch.equal(views("temporal_attention", model), on)
    torch.testing.assert_close(views("temporal_attention@off", model), alone, rtol=0, atol=1e-5)
    assert float((on - alone).abs().max()) > 1e-2
    half, decoder = views("temporal_attention", model, strength=0.5), views("temporal_attention@decoder", model)
    for made in (half, decoder):
        assert min(float((made - other).abs().max()) for other in (on, alone)) > 1e-3
    assert torch.equal(views("temporal_attention", model), on), "nothing stays"
    parts = [views("temporal_attention", model, layers=place) for place in ("encoder", "middle", "decoder")]
    assert all(not torch.allclose(a, b, atol=1e-4) for a, b in zip(parts, [*parts[1:], parts[0]], strict=True))


def test_off_frames_do_not_meet(model: Any) -> None:
    x, level = draw(3, model.channels, 8, 8), next(iter(model.schedule(2)))
    condition = model.condition(["a ball"] * 3, 2.0, together=True)
    other = x.clone()
    other[2] += 1

    def answers(strength: float) -> tuple[Tensor, Tensor]:
        with torch.no_grad(), model.within(lambda network: weighed(network, strength), together=True):
            one, two = (model.predict(part, level, condition)[1] for part in (x, other))
        return one, two

    one, two = answers(0.0)
    torch.testing.assert_close(one[:2], two[:2], rtol=0, atol=1e-9)
    one, two = answers(0.1)
    assert float((one - two)[:2].abs().max()) > 1e-5


def test_clips_are_edited_from_their_source(model: Any) -> None:
    item = clip_item(3, 3)
    for spec in ("temporal_attention@sdedit", "temporal_attention@inverted"):
        artifact = load("methods", spec)(item, model, 0)
        assert artifact.notes["initial"] in ("noised", "inverted")
        changed = replace(item, conditions={"video": 1 - item.conditions["video"]})
        assert not torch.equal(load("methods", spec)(changed, model, 0).views, artifact.views)
    whole, part = (load("methods", "temporal_attention@inverted", {"strength": s})(item, model, 0) for s in (1.0, 0.0))
    assert whole.notes["inversion_error"] != part.notes["inversion_error"], "inverted by the network that samples"


class Blocks(nn.Module):
    """One layer along time of each of the library's classes, in the order of a U-Net."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.down_blocks = nn.ModuleList([TransformerTemporalModel(2, 4, in_channels=8, norm_num_groups=4)])
        self.mid_block = nn.ModuleList([TemporalConvLayer(8, 8, norm_num_groups=4)])
        self.up_blocks = nn.ModuleList([AlphaBlender(0.3, "learned")])
        nn.init.normal_(self.mid_block[0].conv4[-1].weight, std=0.5)

    def forward(self, x: Tensor) -> list[Tensor]:
        first = self.down_blocks[0](x, num_frames=3, return_dict=False)[0]
        second = self.mid_block[0](x, num_frames=3)
        return [first, second, self.up_blocks[0](x_spatial=x, x_temporal=2 * x, image_only_indicator=None)]


def test_layers_of_every_class_are_weighed() -> None:
    """h + strength f(h); those that are not chosen add nothing."""
    network, x = Blocks().eval(), torch.randn(3, 8, 4, 4, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        plain = network(x)
        assert all(float((one - x).abs().max()) > 1e-3 for one in plain)
        with weighed(network, 0.25) as names:
            for found, one in zip(network(x), plain, strict=True):
                torch.testing.assert_close(found, x + 0.25 * (one - x))
        assert names == ["down_blocks.0", "mid_block.0", "up_blocks.0"]
        with weighed(network, 1.0, lambda name: name.startswith("mid_block")):
            first, second, third = network(x)
        assert torch.equal(second, plain[1])
        torch.testing.assert_close(first, x)
        torch.testing.assert_close(third, x)
        with pytest.raises(RuntimeError), weighed(network, 0.0):
            raise RuntimeError
        assert all(torch.equal(one, two) for one, two in zip(network(x), plain, strict=True))
    none = weighed(network, 1.0, lambda name: False)
    with pytest.raises(SyncbenchError, match="none of the network's 3 layers along time"), none:
        pass


def test_a_network_without_layers_along_time_is_told() -> None:
    with pytest.raises(SyncbenchError, match="has no layers along time alone"):
        views("temporal_attention@off", load("models", COUPLED, {"kind": "reference", "dtype": "float64"}))
