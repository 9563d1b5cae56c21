"""A metric over seeds: planted spread, and rows that group the seeds of an item in a sweep."""

from pathlib import Path

import pytest
import torch
from syncbench import run
from syncbench.bench.store.folder import load_records
from syncbench.bench.types import Artifact
from syncbench.datasets.world_channels import WorldChannels
from syncbench.metrics.seed_spread import SeedSpread


def test_planted_noise_is_measured_whatever_the_number_of_seeds() -> None:
    item = WorldChannels(count=1, size=64).items()[0]
    random = torch.Generator().manual_seed(0)
    base = 0.5 * torch.ones(3, 3, 64, 64)
    for seeds in (2, 3, 8):
        made = {
            str(n): Artifact(views=base + 12 / 255 * torch.randn(base.shape, generator=random)) for n in range(seeds)
        }
        found = SeedSpread().group(made, dict.fromkeys(made, item))
        assert len({score.value for score in found.values()}) == 1
        assert found["0"].value == pytest.approx(12, rel=0.03)
    alone = SeedSpread().group({"0": Artifact(views=base)}, {"0": item})["0"]
    assert alone.value is None
    assert "one seed alone" in (alone.reason or "")


def test_a_sweep_groups_the_seeds_of_every_item(tmp_path: Path) -> None:
    suite = {
        "model": {"id": "tiny", "device": "cpu"},
        "datasets": [{"id": "world_channels", "count": 2, "size": 64, "channels": ["albedo"]}],
        "methods": ["independent", "truth"],
        "metrics": ["seed_spread"],
        "seeds": [0, 1],
        "protocol": {"steps": 1},
        "any_size": True,
    }
    run(suite, tmp_path / "run")
    records = load_records([tmp_path / "run"])
    rows = records[records.metric == "seed_spread"]
    assert len(rows) == 8
    assert (rows.status == "ok").all()
    by = rows.groupby(["method", "item"]).value
    assert (by.nunique() == 1).all(), "seeds of an item share one value"
    assert (rows[rows.method == "truth"].value == 0).all()
    free = rows[rows.method == "independent"]
    assert (free.value > 1).all()
    assert free.groupby("item").value.first().nunique() == 2, "items are groups of their own"
