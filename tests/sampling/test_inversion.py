"""DDIM inversion: against the closed form of Gaussian data, the published formula, and on the bundled model."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save
from syncbench.bench.catalogue.registry import load
from syncbench.bench.models.interface import Condition
from syncbench.bench.models.parts.schedule import Level, Schedule
from syncbench.bench.sampling import kept
from syncbench.bench.sampling.inversion import invert, inverted, sampled
from syncbench.bench.surfaces.shared import Apart
from syncbench.bench.types import Cost, Item, Sampling, SyncbenchError
from torch import Tensor

PLAIN = Condition(1.0, ({},), 2)
DEVIATION = 0.5
SCHEDULES = {
    # cosine; without signal at the first level and without noise at the last, as the bundled models'
    "zero terminal": [(i / 12 * torch.pi / 2) for i in range(12, -1, -1)],
    # some signal at the first level and some noise at the last, as Stable Diffusion's
    "published": [(0.04 + 0.92 * i / 12) * torch.pi / 2 for i in range(12, -1, -1)],
}


def schedule(name: str) -> Schedule:
    angles = torch.tensor(SCHEDULES[name], dtype=torch.float64)
    a, b = angles.cos().clamp(min=0), angles.sin()
    a = torch.where(a < 1e-9, 0.0, a)
    return Schedule(tuple(range(12, 0, -1)), tuple(a.tolist()), tuple(b.tolist()))


def gaussian(x: Tensor, level: Level, condition: Condition) -> tuple[Tensor, Tensor]:
    """The best prediction for data of independent Gaussians of standard deviation `DEVIATION`."""
    variance = DEVIATION**2
    x0 = level.a * variance * x / (level.a**2 * variance + level.b**2)
    return x0, level.eps_of(x, x0)


@pytest.fixture
def clean() -> Tensor:
    return DEVIATION * torch.randn(2, 4, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("name", SCHEDULES)
def test_sampling_from_an_inversion_gives_the_clip_back(name: str, clean: Tensor) -> None:
    path = invert(clean, gaussian, PLAIN, schedule(name), iterations=40)
    assert path.shape == (13, *clean.shape)
    assert torch.equal(path[-1], clean)
    torch.testing.assert_close(sampled(path[0], gaussian, PLAIN, schedule(name)), clean, atol=1e-7, rtol=0)
    rough = invert(clean, gaussian, PLAIN, schedule(name), iterations=1)
    assert float((sampled(rough[0], gaussian, PLAIN, schedule(name)) - clean).abs().max()) > 1e-3


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_level_of_the_path_steps_to_the_next(name: str, clean: Tensor) -> None:
    path = invert(clean, gaussian, PLAIN, schedule(name), iterations=40)
    for level in schedule(name):
        x = path[level.index]
        torch.testing.assert_close(level.move(*gaussian(x, level, PLAIN)), path[level.index + 1], atol=1e-7, rtol=0)


def test_one_iteration_is_the_published_inversion_on_clean_levels(clean: Tensor) -> None:
    """diffusers' DDIMInverseScheduler: x0 = (y - b' eps) / a', then x = a x0 + b eps, with eps = network(y)."""
    levels = [*schedule("published")]
    last = levels[-1]
    assert last.b_next < last.a_next
    eps = gaussian(clean, last, PLAIN)[1]
    x0 = (clean - last.b_next * eps) / last.a_next
    wanted = last.a * x0 + last.b * eps
    torch.testing.assert_close(invert(clean, gaussian, PLAIN, schedule("published"), 1)[-2], wanted)


def clip_item(frames: int = 3, size: int = 64, **changes: Any) -> Item:
    clip = torch.rand(frames, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    clip = torch.nn.functional.interpolate(clip, (size, size), mode="bilinear")
    item = Item(
        id="clip", family="frames", prompts=("a red ball",), source="a blue ball", surface=Apart(frames, size, size),
        protocol=Sampling(steps=4, guidance=2.0), conditions={"video": clip},
    )  # fmt: skip
    return replace(item, **changes)


@pytest.fixture
def count(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., tuple[Any, Cost, int]]:
    """Inverts an item on a small network and tells what it cost, and how many times the network was called."""
    monkeypatch.setenv("SYNCBENCH_CACHE", str(tmp_path))
    model = load("models", "tiny", {"kind": "reference"})
    calls: list[int] = []
    plain = model._predict

    def counting(x: Tensor, *rest: Any) -> Any:
        calls.append(len(x))
        return plain(x, *rest)

    model._predict = counting

    def run(item: Item, **options: Any) -> tuple[Any, Cost, int]:
        calls.clear()
        model.cost = Cost()
        with torch.no_grad():
            found = inverted(item, model, [item.source] * 3, model.schedule(4), **options)
        return found, model.cost, sum(calls)

    return run


def test_an_inversion_is_kept_with_its_cost(count: Callable[..., tuple[Any, Cost, int]]) -> None:
    first, bill, called = count(clip_item(), iterations=2)
    assert bill.evaluations == 3 * 4 * 2
    assert called == 3 * 4 * 2 + 3 * 4, "and once more, to measure the error"
    assert bill.seconds < 0, "its seconds passed here; those of the measurement are taken off"
    again, later, called = count(clip_item(), iterations=2)
    assert called == 0
    assert (later.evaluations, later.encodes) == (bill.evaluations, bill.encodes) == (24, 3)
    assert later.seconds > 0
    assert torch.equal(first.path, again.path)
    assert first.error == again.error > 0


@pytest.mark.parametrize(
    ("changes", "options"),
    [
        ({}, {"iterations": 3}),
        ({"source": "a red ball"}, {}),
        ({"conditions": {"video": torch.rand(3, 3, 64, 64)}}, {}),
    ],
)
def test_another_inversion_is_not_taken_for_it(
    changes: dict[str, Any], options: dict[str, Any], count: Callable[..., tuple[Any, Cost, int]]
) -> None:
    count(clip_item(), iterations=1)
    assert count(replace(clip_item(), **changes), **{"iterations": 1, **options})[2] > 0


def test_a_damaged_file_counts_as_absent(count: Callable[..., tuple[Any, Cost, int]], tmp_path: Path) -> None:
    wanted = count(clip_item())[0]
    [file] = tmp_path.rglob("*.safetensors")
    whole = file.read_bytes()
    for damaged in (b"", whole[:-1], whole[:-1] + bytes([whole[-1] ^ 1])):
        file.write_bytes(damaged)
        found, _, called = count(clip_item())
        assert called > 0
        assert torch.equal(found.path, wanted.path)


def test_a_bit_flipped_anywhere_in_a_kept_file_is_noticed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In the header too: the error and the cost stand there as text, and one digit for another would still be read."""
    monkeypatch.setenv("SYNCBENCH_CACHE", str(tmp_path))
    kept.write("a", kept.Kept(torch.rand(2, 1, 2, 2, 2), 1.25, Cost(evaluations=31, seconds=0.54321)))
    [file] = tmp_path.rglob("*.safetensors")
    whole = file.read_bytes()
    assert kept.read("a", (2, 1)) is not None
    unnoticed = []
    for place in range(len(whole)):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        if kept.read("a", (2, 1)) is not None:
            unnoticed.append(place)
    assert not unnoticed


@pytest.mark.parametrize("number", ["Infinity", "NaN", "-1", "1" + "0" * 400, "[" * 9999, '"a"', "[1]"])
def test_a_kept_file_with_an_odd_number_counts_as_absent(
    number: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whatever stands in a file, nothing is raised; one with a sum that is wrong is not even parsed."""
    monkeypatch.setenv("SYNCBENCH_CACHE", str(tmp_path))
    path = torch.rand(2, 1, 2, 2, 2)
    cost = json.dumps(asdict(Cost(evaluations=31))).replace("31", number)
    error = repr(1.25)
    (tmp_path / "inversions").mkdir()
    for name, sum in (("right", kept._hash(path, error, cost)), ("wrong", "0" * 64)):
        facts = {"error": error, "cost": cost, "sha256": sum}
        (tmp_path / "inversions" / f"{name}.safetensors").write_bytes(save({"path": path}, facts))
        assert kept.read(name, (2, 1)) is None


def test_old_files_go_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SYNCBENCH_CACHE", str(tmp_path))
    one = kept.Kept(torch.zeros(2, 1, 4, 8, 8), 0.0, Cost())
    kept.write("a", one)
    size = next(tmp_path.rglob("a.safetensors")).stat().st_size
    monkeypatch.setattr(kept, "LARGEST", 2 * size + 10)
    for name in ("b", "c"):
        kept.write(name, one)
    assert kept.read("b", (2, 1)) is not None
    assert kept.read("c", (2, 1)) is not None
    assert kept.read("a", (2, 1)) is None
    kept.write("large", kept.Kept(torch.zeros(2, 9, 4, 8, 8), 0.0, Cost()))
    assert {file.stem for file in tmp_path.rglob("*.safetensors")} == {"b", "c"}, "and the others stay"


def test_an_item_without_a_clip_is_told(count: Callable[..., tuple[Any, Cost, int]]) -> None:
    with pytest.raises(SyncbenchError, match="no source clip"):
        count(clip_item(conditions={}))


def test_the_bundled_model_reconstructs_a_clip_of_the_world() -> None:
    """16 steps at guidance 1, with depth: above 40 dB to the decoded source; the usual inversion has about 20."""
    item = load("datasets", "world_videos", {"frames": 2}).items()[0]
    model = load("models", "depth", {"dtype": "float32", "device": "cpu"})
    with torch.no_grad():
        clean = model.encode(item.conditions["video"])
        condition = model.condition([item.source] * 2, 1.0, depth=item.conditions["depth"])
        found: dict[int, float] = {}
        for iterations in (1, 3):
            path = invert(clean, model.predict, condition, model.schedule(16), iterations)
            again = model.decode(sampled(path[0], model.predict, condition, model.schedule(16)))
            found[iterations] = float(-10 * (again - model.decode(clean)).square().mean().log10())
    assert found[3] > 38, found
    assert found[1] < found[3] - 10, found
