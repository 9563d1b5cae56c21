"""Clips of the 3-D world with their exact flow, rendered once for the trainer of optical flow.

    python -m syncbench.bench.training.clips FOLDER --number 1024 --workers 2

renders what FOLDER lacks; `syncbench train raft --set data=FOLDER --set number=1024` then trains on it.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..files.writing import disk
from ..world.materials import to_srgb
from ..world.stream import random_take, to_uint8
from ..world.trace import Take, trace
from .processes import each
from .saved import read, write

CHUNK = 32
"""Number of clips in a file; an interrupted rendering loses at most the files being written."""
FRAMES = 8
FORWARD = ((0, 1), (4, 5), (1, 3), (5, 7), (0, 4), (3, 7))
PAIRS = (*FORWARD, *((end, start) for start, end in FORWARD))
"""Pairs of frames whose flow is kept: gaps of 1, 2 and 4 frames, there and back."""
FARTHEST = 64.0
"""Length in pixels up to which flow is learned; hardly any visible point moves farther."""
HOLDS = {"frames": Tensor, "flow": Tensor}


@dataclass(frozen=True)
class Clips:
    """Rendered clips in files that are mapped, not read, so that processes share their memory."""

    frames: list[Tensor]
    """uint8 (CHUNK, FRAMES, 3, h, w) of each file."""
    flow: list[Tensor]
    """float16 (CHUNK, len(PAIRS), 2, h, w) of each file, in pixels; infinite where it is not learned, because the point
    is not seen in the other frame or the flow is longer than FARTHEST."""

    def __len__(self) -> int:
        return sum(map(len, self.frames))

    def pair(
        self, clip: int, number: int
    ) -> tuple[Float[Tensor, "3 h w"], Float[Tensor, "3 h w"], Float[Tensor, "2 h w"]]:
        """Two pictures in [0, 1] and the flow from the first to the second: pair `number` of PAIRS of a clip."""
        file, at = divmod(clip, CHUNK)
        start, end = PAIRS[number]
        first, second = (self.frames[file][at, frame].float() / 255 for frame in (start, end))
        return first, second, self.flow[file][at, number].float()


def prepare(folder: Path, seed: int = 9, number: int = 1024, workers: int = 1) -> None:
    """Render those of the first `number` clips that `folder` lacks; files of an earlier call are kept."""
    lacking = [(seed * 100_003 + i, path) for i, path in enumerate(_files(folder, seed, number)) if not path.exists()]
    if not lacking:
        return
    with disk(folder):
        folder.mkdir(parents=True, exist_ok=True)
    print(f"rendering {CHUNK * len(lacking)} clips with exact flow into {folder}", file=sys.stderr, flush=True)
    from ..run.events import Event
    from ..run.progress import shown

    with shown() as listener:
        listener(Event("rendering", 0, len(lacking)))
        for done, name in enumerate(each(_make, lacking, workers), 1):
            listener(Event("rendering", done, len(lacking), name))


def clips(folder: Path, seed: int, number: int) -> Clips:
    """The prepared clips, at least `number` of them."""
    parts = [read(path, HOLDS, mmap=True) for path in _files(folder, seed, number)]
    return Clips([part["frames"] for part in parts], [part["flow"] for part in parts])


def render(take: Take) -> tuple[Tensor, Tensor]:
    """Frames uint8 (n, 3, h, w) of a take, and the flow float16 (len(PAIRS), 2, h, w) of its pairs (see `Clips`)."""
    seen = trace(take.stage, take.cameras, take.poses)
    frames = torch.from_numpy(to_uint8(to_srgb(seen.linear))).permute(0, 3, 1, 2).contiguous()
    film = take.film
    flow, visible = (torch.stack(part) for part in zip(*(film.flow(*pair) for pair in PAIRS), strict=True))
    learned = (visible > 0.5) & (flow.norm(dim=1, keepdim=True) <= FARTHEST)
    return frames, torch.where(learned, flow, torch.inf).half()


def _files(folder: Path, seed: int, number: int) -> list[Path]:
    return [folder / f"flow{FRAMES}-{seed}-{i:04d}.pt" for i in range((number + CHUNK - 1) // CHUNK)]


def _make(job: tuple[int, Path]) -> str:
    seed, path = job
    rng = np.random.default_rng([seed, 5])
    made = [render(random_take(rng, "clip", frames=FRAMES)) for _ in range(CHUNK)]
    write(path, {"frames": torch.stack([a for a, _ in made]), "flow": torch.stack([b for _, b in made])})
    return path.name


if __name__ == "__main__":
    import typer

    typer.run(prepare)
