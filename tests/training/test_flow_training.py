"""The trainer of optical flow on made-up clips, and what its figures measure."""

from pathlib import Path

import numpy as np
import pytest
import torch
from syncbench.bench import training
from syncbench.bench.backbones.flow import flow
from syncbench.bench.backbones.matching import Flow, landing
from syncbench.bench.surfaces.warp import sample
from syncbench.bench.training import clips, flow_figures, raft
from syncbench.bench.world.stream import random_take
from torch import Tensor


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with one file of clips that slide to the right by 2 px a frame."""
    folder = tmp_path / "flow"
    folder.mkdir()
    first = (noise(clips.CHUNK, 3, 128, 128) * 255).byte()
    frames = torch.stack([first.roll(2 * t, -1) for t in range(clips.FRAMES)], 1)
    field = torch.zeros(clips.CHUNK, len(clips.PAIRS), 2, 128, 128)
    for number, (start, end) in enumerate(clips.PAIRS):
        field[:, number, 0] = 2 * (end - start)
    torch.save({"frames": frames, "flow": field.half()}, clips._files(folder, 9, clips.CHUNK)[0])
    return folder


def test_the_trainer_leaves_a_flow_that_can_be_read(data: Path, tmp_path: Path) -> None:
    options = [f"data={data}", f"number={clips.CHUNK}", "size=2", "updates=2", "processes=1", "save_every=1"]
    training.train("raft", tmp_path / "out", options, steps=2, card=False, device="cpu")
    found = flow("reference", tmp_path / "out" / "model")(noise(3, 40, 60), noise(3, 40, 60, seed=1))
    assert found.shape == (2, 40, 60)
    kept = torch.load(tmp_path / "out" / "state.pt", weights_only=True)
    assert kept["step"] == 2
    training.train("raft", tmp_path / "out", options, steps=3, card=False, device="cpu")
    assert torch.load(tmp_path / "out" / "state.pt", weights_only=True)["step"] == 3, "the same command goes on"


def test_the_card_has_errors_of_the_network_and_of_dis(data: Path, tmp_path: Path) -> None:
    options = [f"data={data}", f"number={clips.CHUNK}", "size=1", "updates=1", "processes=1", "measured=1"]
    training.train("raft", tmp_path / "out", options, steps=1, device="cpu")
    text = (tmp_path / "out" / "model" / "README.md").read_text()
    for gap in flow_figures.GAPS:
        for name in ("raft[reference]", "dis"):
            assert f"| end-point error over visible pixels at gap {gap}, {name} |" in text


def test_the_bundled_network_errs_less_than_dis_on_clips_that_nobody_learned() -> None:
    pairs = flow_figures.held_out(8)
    trained, classical = (flow_figures.errors(flow(name), pairs) for name in ("reference", "dis"))
    for gap in flow_figures.GAPS:
        assert trained[gap].mean.mean < 0.8 * classical[gap].mean.mean


def test_pairs_are_read_with_the_flow_that_leads_from_one_to_the_other(data: Path) -> None:
    read = clips.clips(data, 9, clips.CHUNK)
    assert len(read) == clips.CHUNK
    gaps = {abs(end - start) for start, end in clips.PAIRS}
    assert gaps == set(flow_figures.GAPS)
    for number, (start, end) in enumerate(clips.PAIRS):
        first, second, field = read.pair(5, number)
        assert bool((field[0] == 2 * (end - start)).all())
        assert torch.equal(second.roll(-2 * (end - start), -1), first)


def test_alterations_keep_flow_true() -> None:
    """A pair that slides by (5, -3) px: whatever is mirrored, a lookup where the flow leads shows the first picture."""
    first = torch.nn.functional.interpolate(noise(1, 3, 16, 16), (64, 64), mode="bicubic")[0].clamp(0.1, 0.9)
    second, field = first.roll((-3, 5), (-2, -1)), torch.tensor([5.0, -3.0])[:, None, None].expand(2, 64, 64)
    signs = set()
    for seed in range(24):
        a, b, moved = raft.altered(first, second, field, torch.Generator().manual_seed(seed))
        assert bool(((a >= 0) & (a <= 1)).all())
        there = sample(b[None], landing(moved)[None])[0]
        inner = (slice(None), slice(8, -8), slice(8, -8))
        assert float((there - a)[inner].abs().mean()) < 0.06
        signs.add((float(moved[0, 0, 0].sign()), float(moved[1, 0, 0].sign())))
    assert len(signs) == 4


def test_the_loss_weighs_later_refinements_more() -> None:
    true = torch.zeros(1, 2, 2, 2)
    true[:, :, 0, 0] = torch.inf  # left out
    one, two = torch.full_like(true, 1.0), torch.zeros_like(true)
    two[:, 0] = 3
    two[:, 1] = 4
    found = raft.sequence_loss([one, two], true)
    assert float(found["loss"]) == pytest.approx(0.8 * 2 + 7)
    assert float(found["error"]) == pytest.approx(5)


def test_rendered_flow_is_the_worlds() -> None:
    take = random_take(np.random.default_rng(3), "clip", frames=clips.FRAMES)
    frames, field = clips.render(take)
    assert frames.shape == (clips.FRAMES, 3, 128, 128)
    number = clips.PAIRS.index((4, 5))
    true, visible = take.film.flow(4, 5)
    known = torch.isfinite(field[number]).all(0)
    assert torch.equal(known, (visible[0] > 0.5) & (true.norm(dim=0) <= clips.FARTHEST)), "only what is seen is learned"
    assert float((field[number].float() - true)[:, known].abs().max()) < 0.1
    first, second = (frames[t].float() / 255 for t in (4, 5))
    gap = (sample(second[None], landing(field[number].float().nan_to_num(posinf=0))[None])[0] - first).abs().mean(0)
    assert float(gap[known].mean()) < 0.02


class Still(Flow):
    """No motion."""

    name = fingerprint = "still"

    def estimate(self, first: Tensor, second: Tensor) -> Tensor:
        """Zeros."""
        return torch.zeros(2, *first.shape[1:])


def test_errors_are_over_visible_pixels() -> None:
    true, visible = torch.zeros(2, 8, 8), torch.zeros(1, 8, 8, dtype=torch.bool)
    true[0], visible[0, :4] = 3.0, True
    true[1, :2], true[:, 4:] = 4.0, 100.0
    pair = flow_figures.Pair(2, torch.zeros(3, 8, 8), torch.zeros(3, 8, 8), true, visible)
    found = flow_figures.errors(Still(), [pair])[2]
    assert found.mean.mean == pytest.approx((5 + 3) / 2)
    assert found.close == 0
