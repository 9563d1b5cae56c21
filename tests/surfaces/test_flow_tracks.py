"""Tracks by flow from frame to frame: planted motion, what hides, coarser cells, and the world's exact tracks."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from syncbench.bench.backbones.matching import occluded
from syncbench.bench.catalogue.content import content_of
from syncbench.bench.catalogue.registry import load
from syncbench.bench.errors import SyncbenchError
from syncbench.bench.fetch import torch_hub
from syncbench.bench.models.tiny import Tiny
from syncbench.bench.surfaces.flow_tracks import FlowTracks, Step, coarser
from syncbench.bench.surfaces.shared import Apart
from syncbench.bench.surfaces.tracks import Tracks
from syncbench.bench.types import Sampling, Surface
from syncbench.bench.world.stream import random_take
from torch import Tensor


def tracks(step: Callable[[int], Step], frames: int = 4, size: tuple[int, int] = (16, 24)) -> FlowTracks:
    return FlowTracks(frames, *size, "planted", "0", step)


def uniform(dx: float, dy: float, size: tuple[int, int] = (16, 24)) -> Step:
    flow = torch.tensor([float(dx), float(dy)])[:, None, None].expand(2, *size)
    return flow, torch.ones(1, *size, dtype=torch.bool)


def sound(canvas: object, surface: FlowTracks) -> None:
    """Every cell is looked at, every frame looks at each of its cells once, and painting undoes looking."""
    index: Tensor = canvas.index  # type: ignore[attr-defined]
    assert index.shape[0] == surface.frames
    assert int(index.min()) == 0
    assert len(index.unique()) == canvas.cells == int(index.max()) + 1  # type: ignore[attr-defined]
    assert all(len(frame.unique()) == frame.numel() for frame in index)
    z = torch.randn(3, canvas.cells)  # type: ignore[attr-defined]
    torch.testing.assert_close(canvas.paint(canvas.look(z)), z)  # type: ignore[attr-defined]


def test_a_still_clip_has_as_many_tracks_as_pixels() -> None:
    surface = tracks(lambda t: uniform(0, 0))
    assert isinstance(surface, Surface)
    canvas = surface.canvas()
    assert canvas.cells == 16 * 24
    assert bool((canvas.index == canvas.index[:1]).all())
    sound(canvas, surface)


def test_tracks_go_where_the_flow_goes() -> None:
    surface = tracks(lambda t: uniform(3, -2))
    canvas = surface.canvas()
    for t in range(1, 4):
        assert torch.equal(canvas.index[t, : 16 - 2 * t, 3 * t :], canvas.index[0, 2 * t :, : 24 - 3 * t])
    assert canvas.cells == 16 * 24 + 3 * (16 * 24 - 14 * 21)
    sound(canvas, surface)


def test_places_between_pixels_do_not_round() -> None:
    surface = tracks(lambda t: uniform(0.4, 0), frames=6)
    canvas = surface.canvas()
    assert torch.equal(canvas.index[5, :, 2:22], canvas.index[0, :, :20]), "five steps of 0.4 px are two pixels"
    sound(canvas, surface)


def test_what_hides_ends_and_what_appears_begins() -> None:
    """Columns 14 to 17 slide 4 px to the left each frame over ground that stands still and whose tracks are older."""

    def step(t: int) -> Step:
        def field(at: int, sign: int) -> Tensor:
            flow = torch.zeros(2, 16, 24)
            flow[0, :, 14 - 4 * at : 18 - 4 * at] = -4 * sign
            return flow

        forward, backward = field(t, 1), field(t + 1, -1)
        return forward, ~occluded(forward, backward)

    surface = tracks(step, frames=3)
    first, second, third = surface.canvas().index
    assert torch.equal(second[:, 10:14], first[:, 14:18])
    assert torch.equal(third[:, 6:10], first[:, 14:18])
    assert int(second[:, 14:18].min()) > int(first.max()), "uncovered ground is new"
    covered = set(first[:, 10:14].flatten().tolist())
    assert not covered & set(third.flatten().tolist()), "covered ground is not found again"
    assert torch.equal(third[:, :6], first[:, :6])
    sound(surface.canvas(), surface)


def test_cells_of_several_pixels_move_with_their_mean() -> None:
    flow, seen = torch.zeros(2, 16, 24), torch.ones(1, 16, 24, dtype=torch.bool)
    flow[0, :, :8] = 8.0
    flow[0, ::2, :8], seen[0, ::2, :8] = 99.0, False  # half of them are not seen, and say nothing
    moved, known = coarser(flow, seen, 8)
    assert torch.equal(moved[0], torch.tensor([[1.0, 0, 0], [1, 0, 0]]))
    assert bool(known.all())
    seen[0, 1, 0] = False
    assert not bool(coarser(flow, seen, 8)[1][0, 0, 0])
    surface = tracks(lambda t: uniform(8, 0))
    canvas = surface.canvas(8)
    assert canvas.index.shape == (4, 2, 3)
    assert torch.equal(canvas.index[1, :, 1:], canvas.index[0, :, :2])
    sound(canvas, surface)
    with pytest.raises(SyncbenchError, match="no multiple"):
        surface.canvas(5)


def test_exact_flow_gives_the_worlds_tracks() -> None:
    film = random_take(np.random.default_rng(11), "clip", 64, 4).film
    exact = Tracks.of(film).canvas().index

    def step(t: int) -> Step:
        flow, visible = film.flow(t, t + 1)
        return flow, visible > 0.5

    found = FlowTracks(4, 64, 64, "exact", "0", step).canvas().index
    for t in range(1, 4):
        place = {cell: k for k, cell in enumerate(found[0].flatten().tolist())}
        true = {cell: k for k, cell in enumerate(exact[0].flatten().tolist())}
        both = [
            (place[a], true[b])
            for a, b in zip(found[t].flatten().tolist(), exact[t].flatten().tolist(), strict=True)
            if a in place and b in true
        ]
        assert len(both) > 0.5 * 64 * 64
        apart = [max(abs(a // 64 - b // 64), abs(a % 64 - b % 64)) for a, b in both]
        assert np.mean(np.array(apart) <= 1) > 0.97


def test_tracks_are_told_apart_by_clip_and_flow() -> None:
    one = tracks(lambda t: uniform(1, 0))
    assert one == tracks(lambda t: uniform(2, 0)), "fields are the identity"
    assert one != replace(one, flow="other", step=lambda t: uniform(1, 0))


@pytest.fixture
def walk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A clip of four frames whose texture moves to the right by 4 px a frame; no weights are on the machine."""
    monkeypatch.setattr(torch_hub, "hub_folder", lambda: tmp_path / "torch")
    rng = np.random.default_rng(0)
    wide = np.kron(rng.integers(0, 255, (8, 16, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    frames = [Image.fromarray(np.roll(wide, 4 * t, 1)[:, 32:96]) for t in range(4)]
    frames[0].save(tmp_path / "walk.gif", save_all=True, append_images=frames[1:])
    return str(tmp_path / "walk.gif")


def test_own_clips_have_tracks_by_the_flow_they_name(walk: str) -> None:
    fields = {"path": walk, "prompt": "a wall", "size": 64, "frames": 4}
    [item] = load("datasets", "videos", fields).items()
    assert isinstance(item.surface, FlowTracks)
    assert item.surface.flow.startswith("dis medium, opencv")
    canvas = item.surface.canvas()
    inner = canvas.index[1, 8:-8, 16:-8]
    assert float((inner == canvas.index[0, 8:-8, 12:-12]).float().mean()) > 0.9
    [apart] = load("datasets", "videos", {**fields, "motion": "none"}).items()
    assert isinstance(apart.surface, Apart)
    assert content_of(apart) != content_of(item)
    [again] = load("datasets", "videos", fields).items()
    assert content_of(again) == content_of(item)
    with pytest.raises(SyncbenchError, match="syncbench fetch raft"):
        load("datasets", "videos", {**fields, "motion": "raft_large"}).items()


def test_methods_that_synchronise_run_on_own_clips(walk: str) -> None:
    """With one noise a track and averages along tracks, frames agree more than those of independent sampling."""
    fields = {"path": walk, "prompt": "a wall", "size": 64, "frames": 4}
    [item] = load("datasets", "videos", fields).items()
    item = replace(item, protocol=Sampling(steps=2, guidance=1.0))
    model = Tiny(device="cpu", sample_size=8)
    canvas = item.surface.canvas()
    spread = {
        name: canvas.spread(load("methods", name)(item, model, 0).views) for name in ("independent", "synctweedies")
    }
    assert spread["synctweedies"] is not None
    assert spread["independent"] is not None
    assert spread["synctweedies"] < 0.8 * spread["independent"]
