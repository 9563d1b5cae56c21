"""Methods on the networks that were trained for them, on their own family: output may change only with the weights."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from syncbench.bench.catalogue.registry import load

from .test_methods import digest, same

GOLDEN = Path(__file__).parents[1] / "golden" / "trained"
CASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "xrgb": ("channels_to_rgb", "world_pictures", {}),
    "rgbx": ("channels_prompted", "world_channels", {}),
    "marigold_iid": ("channels_joint", "world_channels", {}),
    "intrinsicdiffusion@ensemble": ("channels_prompted", "world_channels", {}),
    "synctweedies@pixels": ("depth", "world_meshes", {}),
    "mvdream": ("views", "world_views", {"views": 4}),
    "zero123plus": ("grid", "world_views", {"views": 6}),
    "animatediff": ("motion", "world_videos", {}),
}
"""Model and data set, with its fields, by method."""


@pytest.mark.parametrize("spec", CASES)
def test_golden(spec: str, update_golden: bool) -> None:
    """Two steps of the first item."""
    name, dataset, fields = CASES[spec]
    model = load("models", name, {"dtype": "float32", "device": "cpu"})
    item = next(iter(load("datasets", dataset, fields).items()))
    item = replace(item, protocol=replace(item.protocol, steps=2))
    made = load("methods", spec)(item, model, 0)
    now = digest(torch.cat(list(made.views), dim=-1))
    if item.family != "channels":  # where one network is asked for a channel at a time, or always for all
        plain = load("methods", "independent")(item, model, 0)
        assert not same(now, digest(torch.cat(list(plain.views), dim=-1))), "it does something"
    path = GOLDEN / f"{spec}.json"
    if update_golden:
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"weights": model.revision, "case": now}, indent=1) + "\n")
        return
    stored = json.loads(path.read_text())
    if model.revision != stored["weights"]:
        pytest.fail(f"the weights of {name} are others: look at their pictures, then run pytest --update-golden")
    assert same(now, stored["case"])
