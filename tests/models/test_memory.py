"""Options that save memory or time: samples stay what they are, weights are where they should be."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from syncbench import run
from syncbench.bench.catalogue.registry import load
from syncbench.bench.errors import SyncbenchError
from syncbench.bench.isolation.intact import mark_model, model_intact
from syncbench.bench.models.parts import placement as module
from syncbench.bench.models.parts.offload import Shelf
from syncbench.bench.models.parts.placement import Placement, compile_network, uncompiled
from syncbench.bench.models.parts.shared_attention import SharedAttention
from syncbench.bench.models.tiny import Tiny
from syncbench.bench.store.folder import Store
from torch import Tensor

VIEWS = ["a red ball", "a blue cube"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Stable Diffusion 1.5."""
    path = tmp_path_factory.mktemp("memory") / "sd15"
    Tiny(kind="sd15", device="cpu").pipeline.save_pretrained(path)
    return path


def model_of(folder: Path, **options: Any) -> Any:
    return load("models", "diffusers", {"path": str(folder), "device": "cpu", **options})


def answer(model: Any, steps: int = 2) -> Tensor:
    """A picture of each view, after a few steps."""
    x = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        condition = model.condition(VIEWS, 3.0)
        for level in model.schedule(steps):
            x = level.move(*model.predict(x, level, condition), 0.0)
        return model.decode(x)


class Watched(Shelf):
    """A shelf whose device is the CPU, too: what visits it is a copy all the same. Remembers what was out at a time."""

    seen: ClassVar[list[set[str]]] = []

    def bring(self, weights: Any, group: str, brief: bool) -> None:
        super().bring(weights, group, brief)
        self.seen.append(set(self.out))


@pytest.fixture
def moving(monkeypatch: pytest.MonkeyPatch) -> type[Watched]:
    """Weights move on the CPU as they would between CPU and GPU."""
    Watched.seen = []
    monkeypatch.setattr("syncbench.bench.models.parts.offload.Shelf", Watched)
    monkeypatch.setattr(Placement, "moves", property(lambda self: self.offload != "none"))
    return Watched


def places(model: Any) -> dict[str, int]:
    return {name: value.data_ptr() for name, value in model.network.module().named_parameters()}


@pytest.mark.parametrize("offload", ["parts", "layers"])
def test_weights_visit_the_device_and_samples_stay_the_same(folder: Path, moving: Any, offload: str) -> None:
    plain = answer(model_of(folder))
    assert not moving.seen
    model = model_of(folder, offload=offload)
    model.load()
    rest = places(model)
    assert torch.equal(answer(model), plain)
    most = 1 if offload == "parts" else 3  # a layer that has weights of its own beside those of layers in it
    assert max(len(out) for out in moving.seen) <= most, "more than one at a time"
    groups = set[str]().union(*moving.seen)
    if offload == "parts":
        assert {group.split()[0] for group in groups} == {"denoising", "AutoencoderKL", "CLIPTextModel"}
        [out] = model.placement.shelf.out
        assert out.startswith("AutoencoderKL"), "the last one stays until another comes"
    else:
        assert len(groups) > 50
        assert not model.placement.shelf.out
    model.settle()
    assert places(model) == rest
    assert not model.placement.shelf.out


def test_weights_are_elsewhere_while_they_visit(folder: Path, moving: Any) -> None:
    model = model_of(folder, offload="parts")
    model.load()
    rest = places(model)
    level, condition = next(iter(model.schedule(1))), model.condition(VIEWS, 3.0)
    with torch.no_grad():
        model.predict(torch.zeros(2, 4, 8, 8), level, condition)
    assert not set(places(model).values()) & set(rest.values())


@pytest.mark.parametrize("offload", ["parts", "layers"])
def test_gradients_find_the_weights_where_they_were(folder: Path, moving: Any, offload: str) -> None:
    found: list[Tensor] = []
    for model in (model_of(folder), model_of(folder, offload=offload)):
        level, condition = next(iter(model.schedule(1))), model.condition(VIEWS, 3.0)
        x = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0)).requires_grad_()
        image = model.decode(model.predict(x, level, condition)[0])
        if model.placement.shelf is not None:
            assert len(model.placement.shelf.out) > 1, "what the gradient goes back through was put back"
        [gradient] = torch.autograd.grad(image.square().sum(), x)
        found.append(gradient)
    assert torch.equal(*found)
    model.settle()
    assert not model.placement.shelf.out


def test_a_method_has_not_changed_a_model_whose_weights_come_and_go(folder: Path, moving: Any) -> None:
    model = model_of(folder, offload="parts")
    model.load()
    marks = mark_model(model)
    answer(model)
    assert model_intact(model, marks)


@pytest.mark.parametrize("offload", ["parts", "layers"])
def test_on_the_cpu_nothing_moves(folder: Path, offload: str) -> None:
    plain, model = model_of(folder), model_of(folder, offload=offload)
    assert model.placement.shelf is None
    assert torch.equal(answer(model), answer(plain))
    assert model.revision == plain.revision


def test_networks_that_are_denoising_stay_together(moving: Any) -> None:
    """A ControlNet and the network that it steers are asked in turn in every step."""
    both = [torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)]
    how = Placement.of(torch.device("cpu"), torch.float32, torch.float32, {"offload": "parts"})
    for one in both:
        how.put(one)
    with torch.no_grad():
        for one in both * 2:
            one(torch.zeros(1, 2))
    assert [len(group) for group in how.shelf.out.values()] == [2]  # type: ignore[union-attr]


def test_a_tiled_codec_answers_otherwise_and_says_so(folder: Path, tmp_path: Path) -> None:
    plain, tiled = model_of(folder), model_of(folder, tiled=True)
    assert tiled.revision != plain.revision
    side = tiled.codec.module.tile_latent_min_size
    large = torch.randn(1, 4, side, 2 * side, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        a, b = plain.decode(large), tiled.decode(large)
        assert torch.equal(plain.decode(large[..., :side]), tiled.decode(large[..., :side])), "one tile is the whole"
    assert a.shape == b.shape
    assert 0 < float((a - b).abs().mean()) < 0.1
    suite = {
        "model": {"id": "diffusers", "path": str(folder), "device": "cpu", "tiled": True},
        "datasets": [{"id": "panoramas", "width": 64, "height": 64, "window": 64}],
        "methods": ["independent"],
        "metrics": ["sharpness"],
        "protocol": {"steps": 1},
        "limit": 1,
    }
    frame = run(suite, tmp_path / "out")
    [key] = frame["key"].unique()
    job = Store(tmp_path / "out").job(key)
    assert job is not None
    assert job.notes["codec"] == "tiled"


def test_a_codec_without_tiles_is_refused() -> None:
    from diffusers import AutoencoderKLTemporalDecoder

    how = Placement.of(torch.device("cpu"), torch.float32, torch.float32, {"tiled": True})
    small = AutoencoderKLTemporalDecoder(block_out_channels=(32,), layers_per_block=1)
    with pytest.raises(SyncbenchError, match="AutoencoderKLTemporalDecoder cannot code tile by tile"):
        how.put(small, exact=True)


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Counts compiled graphs, which are run as they are."""
    from torch._dynamo.testing import CompileCounter

    counter, compile_ = CompileCounter(), torch.compile
    monkeypatch.setattr(torch, "compile", lambda function: compile_(function, backend=counter))
    monkeypatch.setattr(module, "_check_compiler", lambda device: None)
    torch._dynamo.reset()
    return counter


def test_a_compiled_network_answers_the_same_and_is_compiled_once(folder: Path, graphs: Any) -> None:
    plain, model = model_of(folder), model_of(folder, compile=True)
    assert model.revision == plain.revision
    wanted = answer(plain, 4)
    assert (answer(model, 4) - wanted).abs().max() < 1e-5
    first = graphs.frame_count
    assert first > 0
    answer(model, 7)
    assert graphs.frame_count == first, "other steps are compiled anew"


def test_shared_attention_goes_around_a_compiled_network(folder: Path, graphs: Any) -> None:
    found: list[Tensor] = []
    for model in (model_of(folder), model_of(folder, compile=True)):
        with model.attach(lambda name, layer: SharedAttention(layer.processor, lambda rows: rows // 2)):
            found.append(answer(model))
    assert torch.equal(*found)
    assert graphs.frame_count == 0
    answer(model)
    assert graphs.frame_count > 0, "and is compiled again afterwards"


def test_uncompiled_takes_nothing_else_off(graphs: Any) -> None:
    network = torch.nn.Linear(2, 2)
    assert uncompiled(network) is None
    network.forward = other = lambda x: x  # type: ignore[assignment]
    assert uncompiled(network) is None
    assert network.forward is other
    del network.forward
    compile_network(network)
    assert uncompiled(network) is not None
    assert "forward" not in vars(network)


Refusal = tuple[dict[str, Any], str]
REFUSED: Sequence[Refusal] = (
    ({"compile": True, "offload": "parts"}, "exclude each other"),
    ({"offload": "disk"}, "offload = disk"),
    ({"tiled": "perhaps"}, "tiled = perhaps"),
)


@pytest.mark.parametrize(("options", "words"), REFUSED)
def test_what_cannot_be_had_is_one_sentence(folder: Path, options: dict[str, Any], words: str) -> None:
    with pytest.raises(SyncbenchError, match=words):
        model_of(folder, **options)


def test_compiling_needs_a_compiler(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing: Callable[..., None] = lambda name: None  # noqa: E731
    monkeypatch.setattr("shutil.which", nothing)
    with pytest.raises(SyncbenchError, match="needs a C\\+\\+ compiler"):
        model_of(folder, compile=True)
