"""`run --plan`: what it counts is what the sweep then counts, and it starts and writes nothing."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from syncbench import run
from syncbench.bench.cli.main import app
from syncbench.bench.fetch.manifest import manifest
from syncbench.bench.models.tiny import Tiny
from syncbench.bench.run import estimate
from syncbench.bench.run.capacity import parameters_of
from syncbench.bench.run.forecast import Forecast, forecast
from syncbench.bench.run.loaded import Loaded
from syncbench.bench.run.rehearsal import Bill, Rehearsal
from syncbench.bench.run.stand_ins import STAND_INS
from syncbench.bench.suites.narrow import narrowed
from syncbench.bench.suites.suite import Entry, read_suite
from syncbench.bench.types import Item
from syncbench.datasets.panoramas import Panoramas
from torch.utils.flop_counter import FlopCounterMode
from typer.testing import CliRunner

SUITE: dict[str, Any] = {
    "model": {"id": "tiny", "device": "cpu"},
    "datasets": [{"id": "panoramas", "width": 128, "height": 64, "window": 64}],
    "methods": ["independent", {"id": "multidiffusion", "stride": 0.5}, "trap@blur", "truth"],
    "metrics": ["network_evaluations", "seconds"],
    "protocol": {"steps": 3, "guidance": 2.0},
    "limit": 2,
}


def of(suite: dict[str, Any], root: Path) -> Forecast:
    return forecast(read_suite(suite), root)


def test_evaluations_are_what_the_jobs_then_count(tmp_path: Path) -> None:
    guided = {"id": "syncdiffusion", "stride": 0.5, "guide": "statistics", "fraction": 0.5}
    suite = {**SUITE, "methods": [*SUITE["methods"], guided], "limit": 1}
    [line] = of(suite, tmp_path / "out").lines
    assert not (tmp_path / "out").exists()
    frame = run(suite, tmp_path / "out")
    counted = frame[frame["metric"] == "network_evaluations"]["value"].sum()
    assert (line.jobs, line.done, line.evaluations, line.notes) == (5, 0, counted, ())
    assert counted > 0
    assert line.hours_from == "timed"
    [again] = of(suite, tmp_path / "out").lines
    assert (again.jobs, again.done, again.evaluations, again.hours) == (5, 5, 0, 0)


def test_hours_are_those_of_finished_jobs_where_there_are_some(tmp_path: Path) -> None:
    small = {**SUITE, "methods": ["independent"]}
    frame = run(small, tmp_path / "out")
    seconds = frame[frame["metric"] == "seconds"]["value"].mean()
    [line] = of({**small, "seeds": [0, 1]}, tmp_path / "out").lines
    assert (line.jobs, line.done, line.hours_from) == (4, 2, "recorded")
    assert line.hours == pytest.approx(2 * seconds / 3600, rel=1e-3)


METHODS = ["independent", "batch_attention", "feather", "least_squares@poisson", "multidiffusion", "synctweedies"]
METHODS += ["synctweedies@pixels", "syncdiffusion@release", "trap@blur"]


def bills(method: str, steps: int, width: int, *, window: int = 64, model: Any = None) -> tuple[Bill, Bill]:
    """What a method is rehearsed to ask for, and what it asks for in all of its steps at the real size."""
    model = model or Tiny(device="cpu")
    [item] = Panoramas(width=width, height=window, window=window).items()[:1]
    item = replace(item, protocol=replace(item.protocol, steps=steps, guidance=2.0))
    made = Entry("methods", method, {}).load()
    small, reduced = estimate.reduced_item(item, model.factor, made.stride)
    assert (reduced > 1) == (window * width >= estimate.LARGE)
    found: list[Bill] = []
    for one, how in ((small, {"reduced": reduced}), (item, {"whole": True})):
        rehearsal: Any = Rehearsal(model, **how)
        made(one, rehearsal, 0)
        found.append(rehearsal.now())
    return found[0], found[1]


@pytest.mark.parametrize("method", METHODS)
def test_few_steps_on_a_smaller_picture_ask_for_what_all_of_them_do(method: str) -> None:
    for short, long in (bills(method, 30, 192), bills(method, 13, 512, window=256)):
        assert short.like(long)
        assert short.cost.evaluations > 0


class Odd:
    """Costs that depend on the step in another way than methods' do, or loops of another kind."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __call__(self, item: Item, model: Any, seed: int) -> None:
        condition, x = model.condition(["a"], 1.0), torch.zeros(1, 4, 8, 8)
        if self.kind == "listed":
            for level in list(model.schedule(30)):
                model.predict(x, level, condition)
        elif self.kind == "nested":
            for _ in model.schedule(30):
                for level in model.schedule(2):
                    model.predict(x, level, condition)
        else:
            for level in model.schedule(30):
                extra = {"first": level.index == 0, "last": level.index == 29, "every 5th": level.index % 5 == 0}
                for _ in range(1 + extra.get(self.kind, False)):
                    model.predict(x, level, condition)
                if self.kind == "left" and level.index >= 20:
                    break
                if self.kind == "in order":
                    assert level.index == self.number
                    self.number += 1

    number = 0


@pytest.mark.parametrize(
    ("kind", "count"),
    [("first", 31), ("last", 31), ("every 5th", 36), ("listed", 30), ("nested", 60), ("left", 21), ("in order", 30)],
)
def test_loops_of_other_kinds_are_counted_whole(kind: str, count: int, tmp_path: Path) -> None:
    class Method:
        stride = None

        def __call__(self, item: Item, model: Any, seed: int) -> None:
            Odd(kind)(item, model, seed)

    class Job:
        seed = 0
        method = type("Entry", (), {"load": lambda self: Method(), "token": "odd"})()

    stage: Any = estimate.Estimates(Entry("models", "tiny", {}), Tiny(device="cpu"), None, True, None, [], Loaded())
    [item] = Panoramas(width=128, height=64, window=64).items()[:1]
    assert stage._rehearse(Job(), item).cost.evaluations == count


def test_flop_are_those_that_the_networks_then_do(tmp_path: Path) -> None:
    lone = {**SUITE, "methods": ["independent"], "limit": 1, "protocol": {"steps": 1, "guidance": 2.0}}
    [line] = of(lone, tmp_path / "out").lines
    model = Tiny(device="meta")
    x, level = torch.zeros(2, 4, 8, 8, device="meta"), next(iter(model.schedule(1)))
    condition = model.condition(["a"] * 2, 2.0)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.predict(x, level, condition)
        model.decode(x)
    assert line.tflop == pytest.approx(counter.get_total_flops() / 1e12)


@pytest.mark.parametrize("kind", ["sd15", "sdxl"])
def test_flop_of_many_views_are_those_of_one_view_so_many_times(kind: Any) -> None:
    model = Tiny(kind=kind, device="meta")
    rehearsal: Any = Rehearsal(model, model)
    level, condition = next(iter(model.schedule(1))), rehearsal.condition(["a"] * 5, 2.0)
    rehearsal.predict(torch.zeros(5, 4, 8, 8), level, condition)
    rehearsal.decode(torch.zeros(3, 4, 8, 16))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.predict(torch.zeros(5, 4, 8, 8, device="meta"), level, model.condition(["a"] * 5, 2.0))
        model.decode(torch.zeros(3, 4, 8, 16, device="meta"))
    assert (
        sum(rehearsal.flop[one] * number for one, number in rehearsal.bill.calls.items()) == counter.get_total_flops()
    )


def test_a_published_network_costs_what_is_published() -> None:
    """Stable Diffusion 1.5 takes 0.8 TFLOP for one latent of 64 x 64, and has 860 million parameters."""
    model = Tiny(kind="sd15", widths="full", sample_size=None, device="meta")
    x, level = torch.empty(1, 4, 64, 64, device="meta"), next(iter(model.schedule(1)))
    condition = model.condition(["a"], 1.0)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.predict(x, level, condition)
    assert counter.get_total_flops() / 1e12 == pytest.approx(0.8, rel=0.02)
    assert sum(one.numel() for one in model.network.module().parameters()) == 859_520_964


@pytest.mark.parametrize("model", ["depth", "motion", "grid", "views", "channels_joint", "channels_prompted"])
def test_bundled_models_are_counted_without_their_weights(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from syncbench.bench.models.parts import weights

    def never(*args: Any, **how: Any) -> None:
        raise AssertionError("weights were read")

    monkeypatch.setattr("safetensors.torch.load_file", never)
    from syncbench.bench.suites.suite import Entry

    hollow = Entry("models", model, {"device": "meta"}).load()
    size = parameters_of(hollow)
    assert size is not None
    assert size[0] > 1e6
    assert isinstance(hollow.made.codec.weights, weights.Weights)
    assert {one.device.type for one in hollow.network.module().parameters()} == {"meta"}


def test_weights_that_are_missing_are_named_and_the_rest_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    chosen = ["--methods", "independent", "--limit", "1", "--out", str(tmp_path / "out")]
    chosen += ["--set", "prompts.width=512", "--set", "protocol.steps=2"]
    done = CliRunner().invoke(app, ["run", "sd_panoramas", "--plan", *chosen, "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["command"] == "syncbench fetch --suite sd_panoramas"
    [line] = told["models"]
    assert (line["jobs"], line["evaluations"], line["hours_from"]) == (1, 4, "rate")
    assert line["tflop"] == pytest.approx(4 * 0.804 + 2.5, rel=0.05), "four calls of the network and one of the codec"
    assert [one["name"] for one in told["fetch"]] == ["sd2-base"]
    assert not (tmp_path / "out").exists()
    shown = CliRunner().invoke(app, ["run", "sd_panoramas", "--plan", *chosen, "--model", "somebody/else"])
    assert shown.exit_code == 0, shown.output
    assert "nothing more is known before" in shown.stdout
    assert "syncbench fetch somebody/else" in shown.stdout


def test_a_network_that_will_not_fit_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Small:
        total = 1000

    monkeypatch.setattr(psutil, "virtual_memory", Small)
    [line] = of({**SUITE, "methods": ["independent"], "limit": 1}, tmp_path).lines
    [note] = line.notes
    assert "they will not fit; take --set model.dtype=bfloat16" in note


def test_what_cannot_be_rehearsed_is_said(tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text(
        "from dataclasses import dataclass\nfrom syncbench.methods.independent import Independent\n\n\n"
        "@dataclass(frozen=True, kw_only=True)\nclass Odd(Independent):\n    version = 1\n\n"
        "    def __call__(self, item, model, seed):\n        raise RuntimeError('not today')\n"
    )
    [line] = of({**SUITE, "methods": [f"{tmp_path / 'odd.py'}"], "limit": 1}, tmp_path / "out").lines
    assert line.notes == ("odd could not be rehearsed (not today): it is not counted",)


def test_the_table_is_readable(tmp_path: Path) -> None:
    chosen = ["--families", "overlap", "--methods", "independent", "--limit", "1", "--set", "protocol.steps=1"]
    done = CliRunner().invoke(app, ["run", "quick", "--plan", *chosen, "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    head, row = done.stdout.splitlines()[:2]
    assert head.split() == ["model", "jobs", "done", "evaluations", "TFLOP", "hours", "from", "samples", "parameters"]
    assert row.split()[:4] == ["reference", "1", "0", "8"]
    assert done.stdout.rstrip().endswith("nothing was started; scoring comes on top")
    assert not (tmp_path / "out").exists()


def test_plans_refuse_what_sweeps_refuse() -> None:
    from syncbench.bench.errors import SyncbenchError

    with pytest.raises(SyncbenchError, match="no item 'nope'"):
        forecast(narrowed(read_suite(SUITE), items=["nope"]), Path("nowhere"))


def test_architectures_that_the_manifest_names_are_known() -> None:
    assert {weights.like for weights in manifest().values()} == {"", *STAND_INS}
