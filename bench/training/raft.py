"""Train `raft`: torchvision's small RAFT (arXiv 2003.12039) on exact flow of the 3-D world's clips.

Pairs are 1, 2 and 4 frames apart, there and back; flow of points that are hidden in the other frame is not learned. The
loss is the paper's: over the network's refinements, the mean absolute error of each, the later ones weighing more.
Pairs are mirrored, their channels exchanged, and brightness, contrast and grain changed, of both pictures nearly alike.
The network starts from random weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torchvision.models.optical_flow import raft_small

from ..backbones.raft import save_raft
from .clips import PAIRS, clips, prepare
from .loop import Plan, is_first, launch, train, where

GAMMA = 0.8
"""Weight of a refinement relative to the next one in the loss."""


def main(
    out: Path,
    steps: int = 20_000,
    minutes: float | None = None,
    resume: bool = True,
    seed: int = 0,
    data: Path | None = None,
    number: int = 1024,
    size: int = 8,
    updates: int = 8,
    rate: float = 4e-4,
    save_every: int = 100,
    processes: int = 2,
    device: str = "auto",
    measured: int = 24,
) -> None:
    """Train on pairs of `number` clips, `size` pairs a step, with `updates` refinements; leaves ``out / "model"``.

    `data` holds the rendered clips (default: beside `out`; see `clips` for how to render them before). End-point errors
    on `measured` held-out clips, also those of DIS, are on the card; 0 leaves it out.
    """
    data = data or out.parent / "flow"
    device, processes = where(device, processes)
    prepare(data, seed + 9, number, processes)
    plan = Plan(out, steps, minutes, resume, seed, rate=rate, save_every=save_every, tail=0.5, device=device)
    plan.decay, plan.average, plan.warmup, plan.log_every = 1e-4, 0.99, 100, 20
    launch(_run, processes, plan, data, number, max(1, size // processes), updates)
    if measured:
        from .flow_figures import flow_card

        flow_card(out, measured, device)


def _run(plan: Plan, data: Path, number: int, size: int, updates: int) -> None:
    torch.manual_seed(plan.seed)
    rendered = clips(data, plan.seed + 9, number)
    network: Any = raft_small(weights=None, progress=False).to(plan.device)

    def loss(step: int, random: torch.Generator) -> dict[str, Tensor]:
        pick = torch.randint(number, (size,), generator=random).tolist()
        which = torch.randint(len(PAIRS), (size,), generator=random).tolist()
        pairs = [altered(*rendered.pair(clip, pair), random) for clip, pair in zip(pick, which, strict=True)]
        first, second, flow = (torch.stack(part).to(plan.device) for part in zip(*pairs, strict=True))
        with plan.half():
            found = network(2 * first - 1, 2 * second - 1, num_flow_updates=updates)
        return sequence_loss([one.float() for one in found], flow)

    train(network, loss, plan).swap()
    if is_first():
        save_raft(network.eval(), plan.out / "model")


def sequence_loss(found: list[Float[Tensor, "n 2 h w"]], flow: Float[Tensor, "n 2 h w"]) -> dict[str, Tensor]:
    """The loss of all refinements, and `error`, the mean end-point error of the last one; infinite flow is left out."""
    known = torch.isfinite(flow).all(1, keepdim=True)
    true, count = torch.where(known, flow, 0.0), known.sum().clamp(min=1)
    parts = [((one - true).abs().sum(1, keepdim=True) * known).sum() / count for one in found]
    total = sum(GAMMA ** (len(parts) - 1 - i) * part for i, part in enumerate(parts))
    last = ((found[-1] - true).norm(dim=1, keepdim=True) * known).sum() / count
    return {"loss": torch.as_tensor(total), "error": last.detach()}


def altered(
    first: Float[Tensor, "3 h w"], second: Float[Tensor, "3 h w"], flow: Float[Tensor, "2 h w"], random: torch.Generator
) -> tuple[Float[Tensor, "3 h w"], Float[Tensor, "3 h w"], Float[Tensor, "2 h w"]]:
    """A pair and its flow after random mirroring and changes of colour; pictures stay in [0, 1]."""
    draw = torch.rand(8, generator=random)
    for axis, sign in ((-1, torch.tensor([-1.0, 1.0])), (-2, torch.tensor([1.0, -1.0]))):
        if draw[axis] < 0.5:
            first, second, flow = first.flip(axis), second.flip(axis), flow.flip(axis) * sign[:, None, None]
    channels = torch.randperm(3, generator=random)
    gain, lift = 0.6 + 0.8 * draw[0], 0.3 * (draw[1] - 0.5)
    own = 1 + 0.1 * (draw[2] - 0.5)  # the light of the second picture
    grain = 0.02 * draw[3]
    pictures = [
        ((image[channels] - 0.5) * gain * one + 0.5 + lift + grain * torch.randn(image.shape, generator=random))
        for image, one in ((first, 1.0), (second, own))
    ]
    return pictures[0].clamp(0, 1), pictures[1].clamp(0, 1), flow
