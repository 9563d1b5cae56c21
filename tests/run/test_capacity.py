"""Networks that do not fit are named before a sweep begins, with the options that help."""

import warnings
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from syncbench.bench.errors import CapacityWarning
from syncbench.bench.run import capacity
from syncbench.bench.run import sweep as module
from syncbench.bench.run.events import Event
from syncbench.bench.suites.suite import Entry
from typer.testing import CliRunner

SIZE = (10**9, 4 * 10**9, 3 * 10**9)
"""Parameters, their bytes, and the bytes of those that are used at once."""


def model(**options: Any) -> Entry:
    return Entry("models", "diffusers", {"path": "anywhere", **options})


def memory(patch: pytest.MonkeyPatch, gigabytes: float, gpu: bool = False) -> None:
    there = int(gigabytes * 1e9)
    patch.setattr(capacity, "device_of", lambda name: torch.device("cuda" if gpu else "cpu"))
    patch.setattr(torch.cuda, "mem_get_info", lambda device: (0, there))
    patch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"total": there}))


def test_what_fits_needs_no_words(monkeypatch: pytest.MonkeyPatch) -> None:
    memory(monkeypatch, 8)
    assert capacity.memory_notes(SIZE, model()) == []
    memory(monkeypatch, 1)
    assert capacity.memory_notes(None, model()) == []


def test_on_a_cpu_half_precision_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    memory(monkeypatch, 1)
    [note] = capacity.memory_notes(SIZE, model())
    assert "its parameters take 4.0 GB and this machine has 1.0 GB" in note
    assert "--set model.dtype=bfloat16" in note
    assert "offload" not in note
    [note] = capacity.memory_notes(SIZE, model(dtype="bfloat16"))
    assert "dtype" not in note


def test_on_a_gpu_offloading_helps_as_far_as_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    memory(monkeypatch, 4, gpu=True)
    [note] = capacity.memory_notes(SIZE, model())
    assert "the GPU has 4.0 GB" in note
    assert "model.offload=parts, --set model.offload=layers (slow)" in note
    assert capacity.memory_notes(SIZE, model(offload="parts")) == []
    memory(monkeypatch, 2, gpu=True)
    [note] = capacity.memory_notes(SIZE, model())
    assert "offload=parts" not in note, "its largest part does not fit either"
    [note] = capacity.memory_notes(SIZE, model(offload="parts"))
    assert "its largest part takes 3.0 GB" in note
    assert capacity.memory_notes(SIZE, model(offload="layers")) == []


def test_a_sweep_says_it_before_its_first_sample(
    tiny_suite: dict[str, Any], results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "are_small", lambda models: False)
    monkeypatch.setattr(module, "memory_notes", lambda size, entry: ["it will not fit"])
    sampled: list[Event] = []

    def listen(event: Event) -> None:
        sampled.extend([event] if event.phase == "sample" else [])

    with pytest.warns(CapacityWarning, match="model gauss: it will not fit") as told:
        module.run(tiny_suite, results, progress=listen)
    assert sampled
    assert len([one for one in told if one.category is CapacityWarning]) == 1, "once a model"
    with warnings.catch_warnings():
        warnings.simplefilter("error", CapacityWarning)
        module.run(tiny_suite, results)  # nothing is left to sample


def test_the_command_line_says_it_in_one_line(tmp_path: Path, results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from syncbench.bench.cli.main import app

    monkeypatch.setattr(module, "are_small", lambda models: False)
    monkeypatch.setattr(module, "memory_notes", lambda size, entry: ["it will not fit"])
    suite = tmp_path / "one.toml"
    suite.write_text(
        'model = "gauss"\ndatasets = [{ id = "panoramas", width = 64, height = 16, window = 16 }]\n'
        'methods = ["independent"]\nmetrics = ["seconds"]\nlimit = 1\nprotocol = { steps = 2, guidance = 1.0 }\n'
    )
    done = CliRunner().invoke(app, ["run", str(suite), "--out", str(results)])
    assert done.exit_code == 0, done.output
    assert "warning: model gauss: it will not fit\n" in done.stderr
