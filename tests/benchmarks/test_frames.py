"""Attention of the editing methods over F frames, against textbooks that hold the whole matrix of F L x F L tokens.

FLATTEN's trajectories against a masked matrix; TokenFlow's nearest neighbours against a matrix of all tokens. Memory is
what a call adds to a fresh process, times are of calls in turn; see `test_attention`.
"""

import subprocess
import sys
from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Any

import psutil
import pytest
import torch
from syncbench.bench.canvas import Canvas
from syncbench.bench.run.measure import MIB, measured
from syncbench.methods.frames._keyframes import nearest
from syncbench.methods.frames._trajectories import along, tracks_of
from torch import Tensor

SIDE, WIDTH, HEADS, GROUPS = 16, 40, 8, 2
CPU = torch.device("cpu")


def clip(frames: int) -> tuple[Canvas, Tensor]:
    """Tracks of a picture that moves by a cell a frame, and the tokens of all frames."""
    cells = torch.arange(SIDE * (SIDE + frames)).view(SIDE, -1)
    index = torch.stack([cells[:, t : t + SIDE] for t in range(frames)])
    x = torch.randn(GROUPS, HEADS, frames * SIDE**2, WIDTH, generator=torch.Generator().manual_seed(0))
    return Canvas(index, torch.ones(index.shape), (cells.numel(),)), x


def masked(x: Tensor, canvas: Canvas) -> Tensor:
    """Attention along tracks as a full matrix in which all other tokens are masked."""
    cell = canvas.index.flatten()
    bias = torch.zeros(len(cell), len(cell)).masked_fill(cell[:, None] != cell, float("-inf"))
    return (x @ x.transpose(-1, -2) * WIDTH**-0.5 + bias).softmax(-1) @ x


def everything(features: Tensor, key: int) -> Tensor:
    """Nearest tokens of a keyframe, from a matrix of all tokens of all frames."""
    whole = features.flatten(0, 1)
    rows = (whole @ whole.T).view(len(features), -1, len(features), features.shape[1])
    return rows[:, :, key].argmax(-1)


def by_frame(features: Tensor, key: int) -> Tensor:
    return torch.stack([nearest(frame, features[key]) for frame in features])


def calls(kind: str, frames: int) -> tuple[Callable[[], Tensor], Callable[[], Tensor]]:
    """The call here, and the textbook's."""
    canvas, x = clip(frames)
    if kind == "trajectories":
        tracks = tracks_of(canvas)
        return lambda: along(x, tracks, None), lambda: masked(x, canvas)
    features = torch.nn.functional.normalize(x[0, 0].view(frames, SIDE**2, WIDTH), dim=-1)
    return lambda: by_frame(features, 1), lambda: everything(features, 1)


def added(kind: str, frames: int, which: int) -> float:
    """MiB that one call adds to this process."""
    calls(kind, 2)[which]()
    call = calls(kind, frames)[which]
    before = psutil.Process().memory_info().rss
    with measured(CPU) as meter:
        call()
    return meter.peak_mb - before / MIB


def added_alone(kind: str, frames: int, which: int) -> float:
    command = [sys.executable, __file__, kind, str(frames), str(which)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def seconds(call: Callable[[], Tensor]) -> float:
    start = perf_counter()
    call()
    return perf_counter() - start


@pytest.mark.parametrize("frames", [8, 16])
@pytest.mark.parametrize("kind", ["trajectories", "neighbours"])
def test_no_matrix_of_all_tokens(benchmark: Any, kind: str, frames: int, capsys: pytest.CaptureFixture[str]) -> None:
    ours, textbook = calls(kind, frames)
    torch.testing.assert_close(ours(), textbook(), rtol=0, atol=1e-5)
    ratios: list[float] = []

    def both() -> None:
        before, between, after = seconds(ours), seconds(textbook), seconds(ours)
        ratios.append((before + after) / 2 / between)

    benchmark.pedantic(both, rounds=3)
    memory = [added_alone(kind, frames, which) for which in (0, 1)]
    time = median(ratios)
    benchmark.extra_info.update(time=time, ours=memory[0], textbook=memory[1])
    with capsys.disabled():
        print(
            f"\n{kind}, {frames} frames of {SIDE**2} tokens: {time:.3f} of the textbook's time, "
            f"{memory[0]:.0f} of {memory[1]:.0f} MiB"
        )
    assert time < 1
    assert memory[0] < memory[1] / 2


if __name__ == "__main__":
    print(added(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
