"""End-point errors of optical flow over visible pixels of held-out clips, and the card of `raft`.

    python -m syncbench.bench.training.flow_figures dis raft_large reference=results/runs/train/raft/model

prints them for any flow of `backbones.flow`; a folder of a trained network follows `reference=`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..analysis.stats import Interval, interval
from ..backbones.flow import flow
from ..backbones.matching import Flow
from ..world.materials import to_srgb
from ..world.stream import random_take, to_uint8
from ..world.trace import trace
from .cards import card, curve, machine, megabytes, sheet, spent
from .measure import HELD_OUT

GAPS = (1, 2, 4)
START, FRAMES = 2, 8
"""The first frame of every measured pair, and the number of frames of a clip."""


@dataclass(frozen=True)
class Pair:
    """Two frames of a held-out clip and what is true of them."""

    gap: int
    first: Float[Tensor, "3 h w"]
    second: Float[Tensor, "3 h w"]
    flow: Float[Tensor, "2 h w"]
    visible: Bool[Tensor, "1 h w"]
    """Pixels of the first frame whose point is seen in the second one."""


@dataclass(frozen=True)
class Errors:
    """End-point errors at one gap, over clips."""

    mean: Interval
    """Mean error in pixels."""
    close: float
    """Share of the visible pixels whose error is below 1 px."""


def held_out(n: int) -> list[Pair]:
    """Pairs of n clips that no training has seen, one for each gap."""
    rng = np.random.default_rng([HELD_OUT + 9, 5])
    pairs: list[Pair] = []
    for _ in range(n):
        take = random_take(rng, "clip", frames=FRAMES)
        seen = trace(take.stage, take.cameras, take.poses)
        frames = torch.from_numpy(to_uint8(to_srgb(seen.linear))).permute(0, 3, 1, 2).float() / 255
        for gap in GAPS:
            true, visible = take.film.flow(START, START + gap)
            pairs.append(Pair(gap, frames[START], frames[START + gap], true, visible > 0.5))
    return pairs


def errors(estimator: Flow, pairs: Sequence[Pair]) -> dict[int, Errors]:
    """End-point errors of a flow over visible pixels, by gap."""
    found: dict[int, list[Tensor]] = {}
    for pair in pairs:
        gap = (estimator(pair.first, pair.second) - pair.flow).norm(dim=0)[pair.visible[0]]
        found.setdefault(pair.gap, []).append(gap)
    return {
        gap: Errors(interval([float(one.mean()) for one in some]), float((torch.cat(some) < 1).float().mean()))
        for gap, some in found.items()
    }


def rows(name: str, found: dict[int, Errors], wanted: dict[int, Errors] | None = None) -> list[tuple[str, str, str]]:
    """Rows of a card (figure, target, reached); the target is to be below the mean errors `wanted`."""
    told: list[tuple[str, str, str]] = []
    for gap, one in found.items():
        low, high = one.mean.low, one.mean.high
        spread = "" if low is None else f" [{low:.2f}, {high:.2f}]"
        target = "none" if wanted is None else f"< {wanted[gap].mean.mean:.2f} px"
        text = f"{one.mean.mean:.2f}{spread} px, {one.close:.0%} below 1 px"
        told.append((f"end-point error over visible pixels at gap {gap}, {name}", target, text))
    return told


def flow_card(out: Path, n: int, device: str = "cpu") -> None:
    """Write the card of `raft`: end-point errors on n held-out clips beside those of DIS."""
    folder, pairs = out / "model", held_out(n)
    trained, classical = flow("reference", folder, device), flow("dis")
    found, other = errors(trained, pairs), errors(classical, pairs)
    figures = rows("raft[reference]", found, other) + rows("dis", other)
    steps, minutes = spent([out])
    curve([out], "error", "raft: end-point error in training (px)", folder / "error.png")
    shown: list[Tensor] = []
    for pair in pairs[2 : 2 + 3 * 8 : 3]:
        fields = [pair.flow, trained(pair.first, pair.second), classical(pair.first, pair.second)]
        longest = max(1.0, float(pair.flow[:, pair.visible[0]].norm(dim=0).max()))
        shown += [pair.first, pair.second, *(coloured(field, longest) for field in fields)]
    sheet(torch.stack(shown), 5, folder / "samples.png")
    facts = {
        "architecture": "torchvision's `raft_small`, from random weights",
        "parameters": "0.99 M",
        "data": "ray-traced clips of `bench/world` only, with exact flow",
        "training": f"{steps} steps, {minutes:.0f} minutes",
        "machine": machine(),
        "weights": megabytes(folder),
    }
    notes = (
        f"Optical flow of the reference world. {n} held-out clips of 128 px; intervals are over clips. Sheet: frame, "
        f"the frame 4 later, true flow, raft[reference], dis; red grows to the right, green downwards."
    )
    card(folder, "RAFT", facts, figures, notes)
    for name, target, value in figures:
        print(f"{name}: {value}" + ("" if target == "none" else f" (wanted: {target})"), flush=True)


def coloured(field: Float[Tensor, "2 h w"], longest: float) -> Float[Tensor, "3 h w"]:
    """Flow as a picture: red grows with dx and green with dy, grey is no motion; `longest` px reach full colour."""
    scaled = (field / longest).clamp(-1, 1) / 2 + 0.5
    return torch.cat([scaled, torch.full_like(scaled[:1], 0.5)])


def measure(names: list[str], clips: int = 24) -> None:
    """Print the errors of the flows `names` on held-out clips; `reference=DIR` is a trained network's folder."""
    pairs = held_out(clips)
    for name in names:
        which, _, folder = name.partition("=")
        for figure, _, value in rows(name, errors(flow(which, folder or None), pairs)):
            print(f"{figure}: {value}", flush=True)


if __name__ == "__main__":
    import typer

    typer.run(measure)
