"""Metrics of estimated motion: planted motion by hand, the source's flow, masks, and what is said without weights."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from syncbench.bench.backbones import flow as chooser
from syncbench.bench.backbones.matching import Flow
from syncbench.bench.catalogue.registry import load
from syncbench.bench.fetch import torch_hub
from syncbench.bench.surfaces.shared import Apart
from syncbench.bench.trust.validate import _loads
from syncbench.bench.types import Item, Metric
from syncbench.metrics.background_preservation import BackgroundPreservation
from syncbench.metrics.edit_strength import EditStrength
from syncbench.metrics.flow_magnitude import FlowMagnitude
from syncbench.metrics.motion_fidelity import MotionFidelity
from syncbench.metrics.views import motion
from syncbench.metrics.warping_error import WarpingError
from torch import Tensor

from ..analytic import made, moving

BY_FLOW: list[Metric] = [
    WarpingError(flow="dis"),
    WarpingError(flow="dis", over="source"),
    MotionFidelity(flow="dis"),
    MotionFidelity(flow="dis", over="motion"),
    FlowMagnitude(flow="dis"),
    FlowMagnitude(flow="dis", over="source"),
    BackgroundPreservation(mask="motion", flow="dis"),
]


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without published weights, on which the world's own network has not been trained."""
    monkeypatch.setattr(torch_hub, "hub_folder", lambda: tmp_path / "torch")
    monkeypatch.setattr(chooser, "REFERENCE", tmp_path / "none")


def texture(seed: int, height: int = 96, width: int = 128, shift: float = 0.0) -> Tensor:
    """A picture (3, h, w) in [0.1, 0.9] of plane waves, moved to the right by `shift` px."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] + 0.5
    found = np.zeros((3, height, width))
    for _ in range(20):
        length, angle, phase = rng.uniform(7, 40), rng.uniform(0, np.pi), rng.uniform(0, 2 * np.pi, 3)
        along = 2 * np.pi / length * (np.cos(angle) * (x - shift) + np.sin(angle) * y)
        found += np.sin(along[None] + phase[:, None, None])
    return torch.from_numpy(0.5 + 0.4 * np.tanh(found / 4)).float()


def sliding(seed: int, speed: float = 3.0, frames: int = 5) -> Tensor:
    """A clip whose texture moves to the right by `speed` px a frame."""
    return torch.stack([texture(seed, shift=speed * t) for t in range(frames)])


def edit_of(source: Tensor | None, **truth: Tensor) -> Item:
    conditions = {} if source is None else {"video": source}
    return Item(id="x", family="frames", prompts=("a",), surface=Apart(5, 96, 128), conditions=conditions, truth=truth)


def value(metric: Metric, views: Tensor, item: Item) -> float:
    score = metric(made(views), item)
    assert score.value is not None, score.reason
    assert 0 < score.coverage <= 1
    return score.value


def reason(metric: Metric, views: Tensor, item: Item) -> str:
    score = metric(made(views), item)
    assert (score.value, score.coverage) == (None, 0)
    return score.reason or ""


def flickering(clip: Tensor, level: float) -> Tensor:
    """Every second frame is brighter by `level`."""
    return (0.8 * clip + level * (torch.arange(len(clip)) % 2).view(-1, 1, 1, 1)).clamp(0, 1)


# --- warping error ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("speed", [3.0, -2.0])
def test_planted_flicker_is_its_own_square(speed: float) -> None:
    """Two frames that differ by a level c along the source's flow: E = c^2; motion by whole pixels costs no lookup."""
    item = edit_of(sliding(0, speed))
    clean = value(WarpingError(flow="dis"), 0.8 * sliding(1, speed), item)
    assert clean < 0.3
    for level in (0.05, 0.1):
        found = value(WarpingError(flow="dis"), flickering(sliding(1, speed), level), item)
        assert found == pytest.approx(1000 * level**2, rel=0.05)
        over = value(WarpingError(flow="dis", over="source"), flickering(sliding(1, speed), level), item)
        own = value(WarpingError(flow="dis"), sliding(0, speed), item)
        assert over == pytest.approx(found / own, rel=1e-6)


def test_the_flow_is_the_sources_and_the_outputs_own_without_one() -> None:
    source = sliding(0)
    frozen = sliding(1)[:1].expand_as(source).clone()
    assert value(WarpingError(flow="dis"), frozen, edit_of(source)) > 5
    assert value(WarpingError(flow="dis"), frozen, edit_of(None)) < 1e-9
    assert value(WarpingError(flow="dis"), sliding(1), edit_of(None)) < 0.3
    assert "flow of the source, else of the output, by dis medium" in WarpingError(flow="dis").fingerprint()
    assert "no source clip to divide by" in reason(WarpingError(flow="dis", over="source"), frozen, edit_of(None))


def test_a_longer_gap_is_looked_up_in_one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []
    original = motion.between
    monkeypatch.setattr(motion, "between", lambda c, a, b, e: (asked.append((a, b)), original(c, a, b, e))[1])
    assert value(WarpingError(flow="dis", gap=2), sliding(1), edit_of(sliding(0))) < 0.5
    assert asked == [pair for t in range(3) for pair in ((t, t + 2), (t + 2, t))]


def test_estimated_and_exact_error_rank_flicker_alike() -> None:
    item = moving(size=96, fineness=6)
    item = replace(item, conditions={"video": moving(size=96, seed=5, fineness=6).truth["views"]})
    levels = [0, 0.02, 0.05, 0.1, 0.2]
    values = {
        flow: [value(WarpingError(flow=flow), flickering(item.truth["views"], level), item) for level in levels]
        for flow in ("true", "dis")
    }
    assert spearmanr(values["true"], values["dis"]).statistic == pytest.approx(1)
    np.testing.assert_allclose(values["dis"][2:], values["true"][2:], rtol=0.5)


def test_flow_of_a_clip_is_found_once_and_again_after_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    class Counting(Flow):
        name = fingerprint = "counting"

        def estimate(self, first: Tensor, second: Tensor) -> Tensor:
            calls.append(1)
            return torch.zeros(2, *first.shape[1:])

    clip, found = sliding(0), Counting()
    for _ in range(2):
        assert motion.between(clip, 0, 1, found).shape == (2, 96, 128)
    assert len(calls) == 1
    clip.mul_(0.5)
    motion.between(clip, 0, 1, found)
    assert len(calls) == 2
    monkeypatch.setattr(motion, "BUDGET", 0)
    for _ in range(2):
        motion.between(sliding(3), 0, 1, found)
    assert len(calls) == 4


# --- motion and strength ------------------------------------------------------------------------------------------


def test_motion_fidelity_is_the_difference_of_speeds() -> None:
    item = edit_of(sliding(0, 3.0))
    for speed, gap in ((3.0, 0.0), (1.0, 2.0), (-2.0, 5.0)):
        assert value(MotionFidelity(flow="dis"), sliding(1, speed), item) == pytest.approx(gap, abs=0.25)
        assert value(MotionFidelity(flow="dis", over="motion"), sliding(1, speed), item) == pytest.approx(
            gap / 3, abs=0.1
        )
    frozen = sliding(1)[:1].expand(5, -1, -1, -1).clone()
    assert value(MotionFidelity(flow="dis", over="motion"), frozen, item) == pytest.approx(1, abs=0.02)
    assert value(MotionFidelity(flow="dis"), item.conditions["video"], item) == 0
    assert "nothing to divide by" in reason(MotionFidelity(flow="dis", over="motion"), frozen, edit_of(frozen))


def test_motion_fidelity_takes_exact_flow_where_there_is_one() -> None:
    flow = torch.zeros(4, 2, 96, 128)
    flow[:, 0] = 3
    item = edit_of(None, flow=flow, visible=torch.ones(4, 1, 96, 128))
    assert value(MotionFidelity(flow="dis", against="truth"), sliding(1, 1.0), item) == pytest.approx(2, abs=0.3)
    assert "no flow, visible" in reason(MotionFidelity(against="truth"), sliding(1), edit_of(None))
    assert "another length" in reason(MotionFidelity(against="truth"), sliding(1)[:4], item)


def test_flow_magnitude_is_the_speed_over_the_shorter_side() -> None:
    item = edit_of(sliding(0, 3.0))
    assert value(FlowMagnitude(flow="dis"), sliding(1, 2.0), item) == pytest.approx(100 * 2 / 96, rel=0.05)
    assert value(FlowMagnitude(flow="dis", over="source"), sliding(1, 2.0), item) == pytest.approx(2 / 3, rel=0.05)
    assert [FlowMagnitude().direction, FlowMagnitude(over="source").direction] == ["higher", "target:1"]
    frozen = sliding(1)[:1].expand(5, -1, -1, -1).clone()
    assert value(FlowMagnitude(flow="dis"), frozen, edit_of(None)) == pytest.approx(0, abs=0.05)


def test_plain_edit_strength_needs_no_truth() -> None:
    source = sliding(0)
    item = edit_of(source)
    metric = EditStrength(over="one", backbone="statistics")
    assert (metric.direction, metric.unit) == ("higher", "distance")
    assert (EditStrength().direction, EditStrength().unit, EditStrength.direction) == ("target:1", "ratio", "target:1")
    found = [value(metric, source.lerp(1 - source, share), item) for share in (0, 0.1, 0.2, 0.3)]
    assert found[0] == 0
    assert found == sorted(found)
    both = replace(item, truth={"views": sliding(1)})
    ratio = value(EditStrength(backbone="statistics"), sliding(2), both)
    assert ratio == pytest.approx(value(metric, sliding(2), item) / value(metric, sliding(1), item), rel=1e-6)
    assert "edit_strength@plain needs none" in reason(EditStrength(backbone="statistics"), source, item)


# --- background ---------------------------------------------------------------------------------------------------


def staged(speed: float = 4.0) -> tuple[Tensor, Tensor]:
    """A square that moves over a ground that slides the other way, and its mask."""
    here = torch.zeros(5, 1, 96, 128)
    clip = sliding(0, -1.0)
    for t in range(5):
        left = 40 + round(speed * t)
        here[t, 0, 35:65, left : left + 30] = 1
        clip[t] = torch.where(here[t] > 0, texture(7, shift=speed * t), clip[t])
    return clip, here


def test_background_counts_outside_the_mask_alone() -> None:
    clip, mask = staged()
    item = edit_of(clip)
    item = replace(item, conditions={**item.conditions, "mask": mask})
    repainted = torch.where(mask > 0, torch.rand(5, 3, 1, 1), clip)
    assert value(BackgroundPreservation(), repainted, item) == 0
    brighter = torch.where(mask > 0, clip, (clip + 0.1).clamp(max=1))
    assert value(BackgroundPreservation(), brighter, item) == pytest.approx(10, rel=0.03)
    assert BackgroundPreservation()(made(clip), item).coverage == pytest.approx(1 - 34 * 34 / (96 * 128), abs=0.01)
    world = replace(edit_of(clip), truth={"mask": mask})
    assert value(BackgroundPreservation(), brighter, world) == value(BackgroundPreservation(), brighter, item)


def test_background_is_found_by_its_motion() -> None:
    clip, mask = staged()
    item = edit_of(clip)
    metric = BackgroundPreservation(mask="motion", flow="dis")
    repainted = torch.where(mask > 0, torch.rand(5, 3, 1, 1), clip)
    everything = torch.rand(5, 3, 1, 1).expand_as(clip).clone()
    assert value(metric, clip, item) == 0
    assert value(metric, repainted, item) < 0.05 * value(metric, everything, item)
    assert metric(made(clip), item).coverage > 0.4
    still = edit_of(sliding(0, 2.0))
    assert "nothing in the source moves on its own" in reason(replace(metric, most=0.8), sliding(0, 2.0), still)
    assert "background_preservation@estimated" in reason(BackgroundPreservation(), clip, item)


# --- all of them --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["warping_error", "motion_fidelity", "flow_magnitude", "background_preservation"])
@pytest.mark.parametrize(("preset", "cure"), [("raft", "fetch raft"), ("reference", "train raft")])
def test_missing_weights_are_a_null_with_the_command_that_brings_them(name: str, preset: str, cure: str) -> None:
    metric = load("metrics", f"{name}@{preset}")
    clip, _ = staged()
    assert f"`syncbench {cure}" in reason(metric, clip, edit_of(clip))
    assert "not on this machine" in metric.fingerprint()
    assert f"`syncbench {cure}" in metric.lacks()
    assert not _loads(metric), "no report card of nulls"
    assert _loads(load("metrics", f"{name}@dis"))


def test_clips_that_cannot_be_compared_are_null_with_a_reason() -> None:
    clip, _ = staged()
    item = edit_of(clip)
    for metric in BY_FLOW:
        if not isinstance(metric, FlowMagnitude) or metric.over == "source":
            assert "the output has 4 frames of 96x128 px, the source clip 5" in reason(metric, clip[:4], item)
        if not isinstance(metric, WarpingError | FlowMagnitude) or metric.over == "source":
            assert "no source clip" in reason(metric, clip, edit_of(None))
    one = replace(item, conditions={"video": clip[:1]})
    for metric in BY_FLOW:
        assert "one frame" in (said := reason(metric, clip[:1], one)) or "no two" in said
    noise = torch.rand(5, 3, 96, 128, generator=torch.Generator().manual_seed(0))
    for metric in (WarpingError(flow="dis", least=0.9), MotionFidelity(flow="dis", least=0.9)):
        assert "only" in reason(metric, clip, edit_of(noise))


def test_floats_and_stored_clips_score_alike() -> None:
    clip, _ = staged()
    output, item = sliding(1), edit_of(clip)
    stored = (output * 255).round().byte().float() / 255
    for metric in BY_FLOW:
        assert metric(made(output), item) == metric(made(stored), item)
        assert metric(made(output.clone()), item) == metric(made(output.clone()), item)


def test_fingerprints_tell_unlike_numbers_apart() -> None:
    every: list[Any] = [*BY_FLOW, WarpingError(), EditStrength(over="one"), EditStrength(), BackgroundPreservation()]
    every += [MotionFidelity(flow="dis", against="truth"), WarpingError(flow="dis", gap=5)]
    found = [one.fingerprint() for one in every]
    assert len(set(found)) == len(found)
    assert all(len(one) < 400 and "\n" not in one for one in found)
