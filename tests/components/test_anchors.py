"""Anchors behave on the shipped models: the truth is best by every exact metric, samples alone are clearly worse, and
what wins by being worthless is exposed by the guards beside it."""

from dataclasses import replace
from typing import Any

import pytest
from syncbench.bench.catalogue.registry import load
from syncbench.bench.models.parts.composed import SHIPPED as WEIGHTS
from syncbench.bench.types import Artifact

EXACT: dict[str, tuple[str, dict[str, float]]] = {
    "world_meshes": ("depth", {"texel_variance": 8, "reprojection": 8}),
    "world_views": ("views", {"texel_variance": 8}),
    "world_videos": ("motion", {"warping_error": 1, "warping_error@long": 1}),
    "world_channels": ("channels_prompted", {"albedo_error": 0.01, "channel_reconstruction": 0.02, "normal_error": 1}),
}
"""Dataset to its model, and exact metrics with the most that resampling and eight bits may cost the truth."""


@pytest.fixture(scope="module", params=EXACT)
def scene(request: pytest.FixtureRequest) -> tuple[str, Any, dict[str, Artifact]]:
    """An item of a dataset, and what the anchors make of it in a few steps."""
    model = EXACT[request.param][0]
    if not (WEIGHTS / model).exists():
        pytest.skip("not shipped")
    item = load("datasets", request.param).items()[1]
    short = replace(item, protocol=replace(item.protocol, steps=min(6, item.protocol.steps)))
    network = load("models", model, {"device": "cpu", "dtype": "float32"})
    made = {spec: load("methods", spec)(short, network, 0) for spec in ("truth", "independent", "trap@blur")}
    return request.param, item, made


def score(metric: str, scene: tuple[str, Any, dict[str, Artifact]]) -> dict[str, float]:
    _, item, made = scene
    found = {name: load("metrics", metric)(artifact, item) for name, artifact in made.items()}
    assert all(one.value is not None for one in found.values()), found
    return {name: float(one.value) for name, one in found.items()}


def test_the_truth_is_best_and_independent_samples_are_clearly_worse(
    scene: tuple[str, Any, dict[str, Artifact]],
) -> None:
    for metric, floor in EXACT[scene[0]][1].items():
        found = score(metric, scene)
        assert found["truth"] <= floor, metric
        assert found["independent"] > 2 * max(floor, found["truth"]), metric
        assert found["truth"] < found["trap@blur"], metric


def test_guards_expose_the_trap(scene: tuple[str, Any, dict[str, Artifact]]) -> None:
    sharp = score("sharpness", scene)
    assert sharp["trap@blur"] < 0.1 * sharp["independent"]
    if scene[0] != "world_channels":  # its caption describes the picture, not the channels
        words = score("clip_text", scene)
        assert words["trap@blur"] < words["truth"] - 5
