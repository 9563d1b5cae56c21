"""Optical flow against analytic warps, its check on a planted occlusion, and what is said where weights are missing."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from syncbench.bench.backbones import flow as chooser
from syncbench.bench.backbones import raft
from syncbench.bench.backbones.flow import CHOICES, chosen, flow, flow_refusal, lacking
from syncbench.bench.backbones.kept import release_networks
from syncbench.bench.backbones.matching import (
    MULTIPLE,
    SMALLEST,
    Match,
    landing,
    match,
    motion_boundary,
    occluded,
    padded,
)
from syncbench.bench.backbones.raft import UPDATES, save_raft
from syncbench.bench.errors import SyncbenchError
from syncbench.bench.fetch import torch_hub
from syncbench.bench.fetch.manifest import weights_named
from syncbench.bench.surfaces.shared import Apart
from syncbench.bench.surfaces.warp import sample
from syncbench.bench.types import Item
from torch import Tensor
from torchvision.models.optical_flow import Raft_Small_Weights, raft_small


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without published weights, on which the world's own network has not been trained."""
    monkeypatch.setattr(torch_hub, "hub_folder", lambda: tmp_path / "torch")
    monkeypatch.setattr(chooser, "REFERENCE", tmp_path / "none")


def texture(x: np.ndarray, y: np.ndarray, seed: int = 0) -> Tensor:
    """A picture (3, h, w) in [0, 1] of plane waves 6 to 40 px long, at continuous places (h, w)."""
    rng = np.random.default_rng(seed)
    found = np.zeros((3, *x.shape))
    for _ in range(24):
        length, angle, phase = rng.uniform(6, 40), rng.uniform(0, np.pi), rng.uniform(0, 2 * np.pi, 3)
        along = 2 * np.pi / length * (np.cos(angle) * x + np.sin(angle) * y)
        found += np.sin(along[None] + phase[:, None, None]) * rng.uniform(0.3, 1, 3)[:, None, None]
    return torch.from_numpy(0.5 + 0.4 * np.tanh(found / 3)).float()


def warped(matrix: np.ndarray, shift: tuple[float, float], size: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
    """Two pictures and the flow (2, h, w) between them: points p go to c + A (p - c) + shift, c the middle."""
    height, width = size
    y, x = np.mgrid[0:height, 0:width] + 0.5
    centre, move = np.array([width, height]) / 2, np.array(shift)
    there = (np.stack([x, y], -1) - centre) @ matrix.T + centre + move
    back = (np.stack([x, y], -1) - centre - move) @ np.linalg.inv(matrix).T + centre
    field = torch.from_numpy((there - np.stack([x, y], -1)).transpose(2, 0, 1)).float()
    return texture(x, y), texture(back[..., 0], back[..., 1]), field


def turn(degrees: float) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, -s], [s, c]])


WARPS: dict[str, tuple[np.ndarray, tuple[float, float]]] = {
    "right": (np.eye(2), (5.0, 0.0)),
    "down": (np.eye(2), (0.0, 3.0)),
    "between pixels": (np.eye(2), (-2.4, 1.7)),
    "rotation": (turn(4), (0.0, 0.0)),
    "zoom": (1.06 * np.eye(2), (0.0, 0.0)),
    "all": (0.96 * turn(-3), (2.0, -1.5)),
}


@pytest.mark.parametrize("name", WARPS)
@pytest.mark.parametrize("size", [(128, 176), (90, 100)])
def test_dis_finds_analytic_warps(name: str, size: tuple[int, int]) -> None:
    first, second, field = warped(*WARPS[name], size)
    found = flow("dis")(first, second)
    assert found.shape == (2, *size)
    error = (found - field).norm(dim=0)[12:-12, 12:-12]
    assert float(error.median()) < 0.2
    assert float((error < 1).float().mean()) > 0.95
    again = sample(second[None], landing(found)[None])[0]
    assert float((again - first).abs()[:, 12:-12, 12:-12].mean()) < 0.02, (
        "the flow leads a lookup to the second picture"
    )


def test_pictures_that_are_alike_do_not_move() -> None:
    first, *_ = warped(*WARPS["right"], (100, 140))
    assert float(flow("dis")(first, first).abs().max()) < 0.05
    flat = torch.full((3, 64, 64), 0.5)
    assert float(flow("dis")(flat, flat).abs().max()) == 0
    assert bool(match(flow("dis"), first, first).visible.all())


def test_dis_is_one_answer_whatever_the_number_of_threads() -> None:
    first, second, _ = warped(*WARPS["all"], (256, 256))
    before = cv2.getNumThreads()
    try:
        found = []
        for threads in (1, 3, 8):
            cv2.setNumThreads(threads)
            found.append(flow("dis")(first, second))
            assert cv2.getNumThreads() == threads
    finally:
        cv2.setNumThreads(before)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


@pytest.mark.parametrize("size", [(128, 128), (129, 200), (100, 90), (17, 300), (8, 8)])
def test_pictures_are_padded_and_never_resized(size: tuple[int, int]) -> None:
    height, width = size
    y, x = np.mgrid[0:height, 0:width] + 0.5
    first, second = texture(x, y, 1), texture(x - 1.5, y, 1)
    images, top, left = padded(torch.stack([first, second]))
    for side, old in zip(images.shape[2:], size, strict=True):
        assert side % MULTIPLE == 0
        assert max(old, SMALLEST) <= side < max(old, SMALLEST) + MULTIPLE
    assert torch.equal(images[:, :, top : top + height, left : left + width], torch.stack([first, second]))
    assert torch.equal(images[0, :, 0, 0], first[:, 0, 0])
    assert torch.equal(images[0, :, -1, -1], first[:, -1, -1])
    whole = flow("dis")(images[0], images[1])
    assert torch.equal(flow("dis")(first, second), whole[:, top : top + height, left : left + width])


def test_unlike_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="of one size"):
        flow("dis")(torch.zeros(3, 32, 32), torch.zeros(3, 32, 40))


# --- forward and backward -----------------------------------------------------------------------------------------


def passing_square(step: int = 8) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """A square moves right by `step` px over still ground: pictures, flow, backward flow, ground that is covered."""
    y, x = np.mgrid[0:128, 0:160] + 0.5
    ground, thing = texture(x, y, 2), 1 - texture(x, y, 3) ** 2
    here = torch.zeros(128, 160, dtype=torch.bool)
    here[40:90, 50:100] = True
    there = here.roll(step, 1)
    first, second = torch.where(here, thing, ground), torch.where(there, thing.roll(step, 2), ground)
    forward, backward = torch.zeros(2, 128, 160), torch.zeros(2, 128, 160)
    forward[0, here], backward[0, there] = step, -step
    return first, second, forward, backward, there & ~here


def test_exact_flow_is_checked_exactly() -> None:
    _, _, forward, backward, covered = passing_square()
    assert torch.equal(occluded(forward, backward)[0], covered)
    edge = motion_boundary(forward)[0]
    assert bool(edge[60, 99])
    assert bool(edge[39, 70])
    assert not bool(edge[60, 70])
    assert not bool(edge[10, 10])
    still = Match(torch.zeros(2, 20, 20), torch.zeros(2, 20, 20))
    assert bool(still.visible.all())


def test_the_check_is_lais_with_squared_lengths() -> None:
    """Both flows of 10 px: up to sqrt(0.01 * 200 + 0.5) = 1.58 px apart they agree."""
    forward = torch.zeros(2, 64, 64)
    forward[0] = 10
    for gap, hidden in ((1.5, False), (1.7, True)):
        backward = -forward.clone()
        backward[1] = gap
        assert bool(occluded(forward, backward)[0, 32, 32]) == hidden
    for far, hidden in ((3.0, False), (40.0, True)):
        gone = torch.zeros(2, 64, 64)
        gone[0] = far
        assert bool(occluded(gone, -gone)[0, 32, 50]) == hidden, "what leaves the picture is not seen in the other one"


def test_dis_notices_a_planted_occlusion() -> None:
    first, second, forward, _, covered = passing_square()
    found = match(flow("dis"), first, second)
    assert float((~found.visible[0])[covered].float().mean()) > 0.8
    open_ground = ~covered & ~torch.nn.functional.max_pool2d((forward[:1] > 0).float()[None], 25, 1, 12)[0, 0].bool()
    assert float(found.visible[0][open_ground].float().mean()) > 0.97
    inside = torch.zeros_like(covered)
    inside[50:80, 60:90] = True
    assert float((found.flow[0][inside] - 8).abs().median()) < 0.2


# --- networks -----------------------------------------------------------------------------------------------------


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A small RAFT with random weights in torch hub's folder, under a name that ends with its hash."""
    torch.manual_seed(0)
    network = raft_small(weights=None, progress=False)
    (tmp_path / "torch").mkdir()
    torch.save(network.state_dict(), tmp_path / "torch" / "raft_small.pth")
    digest = sha256((tmp_path / "torch" / "raft_small.pth").read_bytes()).hexdigest()
    name = f"raft_small_C_T_V2-{digest[:8]}.pth"
    (tmp_path / "torch" / "raft_small.pth").rename(tmp_path / "torch" / name)
    monkeypatch.setitem(raft.PUBLISHED, "raft_small", name)
    release_networks()
    return network.eval()


def test_raft_is_torchvisions_with_its_transforms(published: Any) -> None:
    first, second, _ = warped(*WARPS["all"], (136, 144))
    with torch.no_grad():
        pair = Raft_Small_Weights.DEFAULT.transforms()(first[None], second[None])
        wanted = published(*pair, num_flow_updates=12)[-1][0]
    assert UPDATES == 12
    torch.testing.assert_close(flow("raft_small")(first, second), wanted, atol=1e-4, rtol=1e-4)
    assert "raft_small raft_small_C_T_V2" in flow("raft_small").fingerprint


def test_raft_takes_any_size(published: Any) -> None:
    first, second, _ = warped(*WARPS["all"], (30, 50))
    found = flow("raft_small")(first, second)
    assert found.shape == (2, 30, 50)
    assert bool(torch.isfinite(found).all())


def test_a_trained_network_is_read_from_its_folder(tmp_path: Path, published: Any) -> None:
    save_raft(published, tmp_path / "mine")
    assert json.loads((tmp_path / "mine" / "config.json").read_text()) == {"architecture": "raft_small"}
    read = flow("reference", tmp_path / "mine")
    assert read.name == "raft[reference]"
    first, second, _ = warped(*WARPS["right"], (128, 128))
    torch.testing.assert_close(read(first, second), flow("raft_small")(first, second), atol=0.3, rtol=0.05)
    assert chosen(None, tmp_path / "mine") == "reference"
    other = raft_small(weights=None, progress=False)
    save_raft(other, tmp_path / "other")
    assert flow("reference", tmp_path / "other").fingerprint != read.fingerprint
    (tmp_path / "other" / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(SyncbenchError, match="cannot load the raft_small"):
        flow("reference", tmp_path / "other")


def test_what_is_missing_says_how_to_get_it(tmp_path: Path) -> None:
    world = Item(id="a", family="frames", prompts=("a",), surface=Apart(2, 8, 8), world=True)
    for which, folder, words in (
        ("raft_large", None, "`syncbench fetch raft` brings it"),
        ("raft_small", None, "`syncbench fetch raft-small` brings it"),
        ("reference", tmp_path, "`syncbench train raft --out DIR` makes DIR/model"),
    ):
        assert words in (lacking(which, folder) or "")
        assert flow_refusal(which, folder, world) == lacking(which, folder)
        with pytest.raises(SyncbenchError, match="`dis` needs no weights"):
            flow(which, folder)
    assert {file.file for name in ("raft", "raft-small") for file in weights_named(name)} == set(
        raft.PUBLISHED.values()
    )
    with pytest.raises(SyncbenchError, match="choose one of raft_large, raft_small, reference, dis"):
        flow("farneback")
    assert set(CHOICES) == {"raft_large", "raft_small", "reference", "dis"}


def test_without_weights_it_is_dis_and_with_them_the_large_network(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (flow().name, lacking(None)) == ("dis", None)
    monkeypatch.setattr(chooser, "checkpoint", lambda name: Path(name))
    assert chosen(None) == "raft_large"


def test_the_bundled_network_judges_the_world_only(tmp_path: Path, published: Any, monkeypatch: Any) -> None:
    save_raft(published, tmp_path / "mine")
    real = Item(id="a", family="frames", prompts=("a",), surface=Apart(2, 8, 8))
    world = Item(id="a", family="frames", prompts=("a",), surface=Apart(2, 8, 8), world=True)
    assert flow_refusal("reference", tmp_path / "mine", real) is None, "a network of one's own judges what it is given"
    monkeypatch.setattr(chooser, "REFERENCE", tmp_path / "mine")
    assert flow_refusal("reference", None, world) is None
    assert "knows the reference world only" in (flow_refusal("reference", None, real) or "")
    assert flow_refusal("dis", None, real) is None
