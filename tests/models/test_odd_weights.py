"""Weights and configurations with odd content: each is one sentence, before anything is sampled."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file
from syncbench import SyncbenchError
from syncbench.bench.models.parts.described import config_of
from syncbench.bench.models.parts.files import tensor_shapes
from syncbench.bench.models.parts.vision import Vision
from syncbench.bench.models.parts.weights import first_line, load_networks


def test_quantised_weights_are_refused(tmp_path: Path) -> None:
    save_file({"a.weight": torch.zeros(3, dtype=torch.int8)}, tmp_path / "q.safetensors")
    with pytest.raises(SyncbenchError, match="quantised weights"):
        tensor_shapes(tmp_path / "q.safetensors")


def test_a_text_where_a_number_belongs_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"in_channels": "x"}))
    with pytest.raises(SyncbenchError, match="in_channels = x is no number"):
        config_of(tmp_path, "")


def test_a_headline_is_shown_with_what_it_announces() -> None:
    assert first_line(ValueError("Errors:\n\n  size mismatch\nadvice")) == "Errors: size mismatch"
    assert first_line(ValueError("one\ntwo")) == "one"


class Counted(SimpleNamespace):
    loads = 0

    @property
    def module(self) -> None:
        Counted.loads += 1


def test_networks_of_conditioners_are_loaded() -> None:
    network: object = Counted()
    load_networks(Vision(network, lambda x: x, out="image_embeds"))  # pyright: ignore[reportArgumentType]
    assert Counted.loads == 1
