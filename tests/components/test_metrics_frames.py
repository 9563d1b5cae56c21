"""Metrics of clips beside the headline: flicker by its period, and places that are seen again."""

import numpy as np
import pytest
import torch
from syncbench.bench.catalogue.registry import load
from syncbench.bench.surfaces.shared import Apart
from syncbench.bench.types import Artifact, Item
from torch import Tensor


def item(truth: Tensor | None = None, video: Tensor | None = None, frames: int = 12) -> Item:
    return Item(
        id="clip", family="frames", prompts=("x",), surface=Apart(frames, 8, 8),
        truth={} if truth is None else {"views": truth}, conditions={} if video is None else {"video": video},
    )  # fmt: skip


def wave(period: float, frames: int = 12, levels: float = 10.0) -> Tensor:
    """A grey clip with a cosine of the given period, as the discrete cosine transform has it."""
    t = torch.arange(frames) + 0.5
    light = 0.5 + levels / 255 * torch.cos(2 * np.pi * t / period)
    return light[:, None, None, None].expand(-1, 3, 8, 8).float()


@pytest.mark.parametrize(("period", "name"), [(24 / 10, "fast"), (24 / 6, "middle"), (24 / 2, "slow")])
def test_flicker_is_found_at_its_period(period: float, name: str) -> None:
    """A cosine of 10 levels has a root mean square of 10 / sqrt(2), but for what 8 bits round."""
    artifact = Artifact(views=wave(period))
    found = {kind: load("metrics", f"flicker@{kind}")(artifact, item()).value for kind in ("fast", "middle", "slow")}
    assert found.pop(name) == pytest.approx(10 / 2**0.5, abs=0.5)
    assert max(found.values()) < 0.5
    assert load("metrics", "flicker")(artifact, item()).value == pytest.approx(10 / 2**0.5, abs=0.5)


def test_flicker_of_the_true_clip_is_none() -> None:
    clip = wave(4)
    assert load("metrics", "flicker")(Artifact(views=clip), item(truth=clip)).value == 0
    assert load("metrics", "flicker")(Artifact(views=clip), item(video=clip)).value == 0
    shifted = (clip + 20 / 255).clamp(0, 1)
    assert load("metrics", "flicker")(Artifact(views=shifted), item(truth=clip)).value == pytest.approx(0, abs=0.3)


def test_squares_of_the_paces_add_up() -> None:
    clip = torch.rand(9, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    found = {kind: load("metrics", f"flicker{kind}")(Artifact(views=clip), item(frames=9)).value for kind in
             ("", "@fast", "@middle", "@slow")}  # fmt: skip
    assert found[""] ** 2 == pytest.approx(sum(found[kind] ** 2 for kind in ("@fast", "@middle", "@slow")))


def test_flicker_needs_three_frames() -> None:
    assert load("metrics", "flicker")(Artifact(views=wave(4)[:2]), item(frames=2)).reason is not None


def test_a_place_that_is_seen_again_is_compared() -> None:
    true = torch.linspace(0, 1, 3)[:, None, None, None].expand(-1, 3, 8, 8)
    true = true[[0, 1, 2, 1, 0]]
    made = true.clone()
    made[4] += 0.2
    score = load("metrics", "revisit_error")(Artifact(views=made), item(truth=true, frames=5))
    # pairs (0, 4) and (1, 3); 51 of 255 levels are 0.2
    assert score.value == pytest.approx(1000 * (0.04 + 0) / 2, rel=1e-4)
    assert score.coverage == pytest.approx(4 / 5)
    assert load("metrics", "revisit_error")(Artifact(views=true), item(truth=true, frames=5)).value == 0


def test_clips_that_never_come_back_have_no_revisits() -> None:
    clip = torch.linspace(0, 1, 5)[:, None, None, None].expand(-1, 3, 8, 8)
    score = load("metrics", "revisit_error")(Artifact(views=clip), item(truth=clip, frames=5))
    assert score.value is None
    assert "back = true" in str(score.reason)
    assert load("metrics", "revisit_error")(Artifact(views=clip), item(frames=5)).value is None


def test_clips_of_the_world_come_back_where_asked() -> None:
    there = load("datasets", "world_videos", {"frames": 5, "back": True}).items()[0]
    truth = there.truth["views"]
    assert float((truth[0] - truth[4]).abs().max()) < 1e-3
    assert float((truth[0] - truth[2]).abs().max()) > 0.1
    score = load("metrics", "revisit_error")(Artifact(views=truth), there)
    assert score.value == 0
    assert score.coverage == pytest.approx(4 / 5)
